package server

import (
	"context"
	"time"
)

// drain lets in-flight calls finish, for as long as a call may reasonably take.
func (s *Server) drain() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		s.log.Warn("Some connections were still open and are closed.", "error", err)
	}
}
