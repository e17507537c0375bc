package httpd

import (
	"net"
	"sync"

	"github.com/valyala/fasthttp"
)

// conns are the open connections, each with whether a request has come on it. A shutdown waits five seconds for those on which
// none has, such as clients keep in reserve, unless they are closed before.
type conns struct {
	mu      sync.Mutex
	open    map[net.Conn]bool // true once a request has come
	closing bool
}

// note is a fasthttp.Server's ConnState.
func (s *conns) note(c net.Conn, state fasthttp.ConnState) {
	if state == fasthttp.StateIdle {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state {
	case fasthttp.StateNew:
		if s.closing {
			c.Close()
			return
		}
		if s.open == nil {
			s.open = map[net.Conn]bool{}
		}
		s.open[c] = false
	case fasthttp.StateActive:
		if !s.open[c] {
			s.open[c] = true
		}
	case fasthttp.StateClosed, fasthttp.StateHijacked:
		delete(s.open, c)
	}
}

// closeSilent closes those on which no request has come, and all that are still to come.
func (s *conns) closeSilent() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	for c, used := range s.open {
		if !used {
			c.Close()
		}
	}
}

func (s *conns) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		c.Close()
	}
}
