package server

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// drain lets in-flight calls finish, for as long as a call may reasonably take.
func (s *Server) drain() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	s.silent.close()
	if err := s.http.Shutdown(ctx); err != nil {
		s.log.Warn("Some connections were still open and are closed.", "error", err)
		s.http.Close()
	}
}

// silentConns are the connections on which no request has come yet, such as clients keep in reserve. http.Server.Shutdown waits
// five seconds for each.
type silentConns struct {
	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

// note is an http.Server's ConnState.
func (s *silentConns) note(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case state != http.StateNew:
		delete(s.conns, c)
	case s.closed:
		c.Close()
	case s.conns == nil:
		s.conns = map[net.Conn]struct{}{c: {}}
	default:
		s.conns[c] = struct{}{}
	}
}

// close closes them all, and those that are still to come.
func (s *silentConns) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for c := range s.conns {
		c.Close()
	}
}
