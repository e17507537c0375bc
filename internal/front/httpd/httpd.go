// Package httpd serves an http.Handler over HTTP/1.1, plain or TLS.
//
// It is net/http's contract on fasthttp's connections, which take half of the processor time that net/http's take of a small
// request. What differs: HTTP/2 is not spoken, as AWS KMS does not; a request's context is not done when its client has gone, since a
// call that was begun is finished and recorded; a handler must keep nothing of a request when it has returned; and answers are gathered
// in memory before they are written, but for a body that is given as a whole, by the answer's method Stream(io.ReadCloser, int64). There
// are no hijacking, flushing, push or trailers.
package httpd

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// Limits of a request. What is over them is answered with status 431 or 408, and the connection is closed.
const (
	MaxHeader   = 32 << 10        // bytes of the request line and all headers
	ReadTimeout = time.Minute     // from the first byte of a request to the last of its body
	IdleTimeout = 5 * time.Minute // without a request, after which a connection is closed
)

// maxUnread is how many bytes of a body that its handler has not read are passed over before the connection is closed.
const maxUnread = 64 << 20

// Server serves one handler.
type Server struct {
	handler http.Handler
	log     *slog.Logger
	fast    fasthttp.Server
	conns   conns
	pool    sync.Pool // of *exchange
}

// New returns a server that answers by handler. A handler that panics answers with status 500, and log is told.
func New(handler http.Handler, log *slog.Logger) *Server {
	s := &Server{handler: handler, log: log, pool: sync.Pool{New: func() any { return newExchange() }}}
	s.fast = fasthttp.Server{
		Handler:               s.serve,
		ErrorHandler:          refuse,
		ConnState:             s.conns.note,
		Logger:                slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ReadBufferSize:        MaxHeader,
		ReadTimeout:           ReadTimeout,
		IdleTimeout:           IdleTimeout,
		StreamRequestBody:     true, // the handler says how large a body may be
		NoDefaultServerHeader: true,
		NoDefaultContentType:  true,
		LazyRequestTime:       true,

		DisablePreParseMultipartForm: true,
	}
	return s
}

// Serve answers on l until Shutdown, and then returns nil.
func (s *Server) Serve(l net.Listener) error { return s.fast.Serve(l) }

// Shutdown stops listening, waits for the requests that are being answered, and closes all connections. When ctx is done before,
// it closes those that are left and returns ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.conns.closeSilent()
	err := s.fast.ShutdownWithContext(ctx)
	if err != nil {
		s.conns.closeAll()
	}
	return err
}

// serve answers one request.
func (s *Server) serve(ctx *fasthttp.RequestCtx) {
	x := s.pool.Get().(*exchange)
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("A handler panicked.", "panic", p, "stack", string(debug.Stack()))
			ctx.Response.Reset()
			ctx.Response.SetConnectionClose()
			ctx.SetStatusCode(http.StatusInternalServerError)
			return // and leave the exchange to the collector, whatever became of it
		}
		x.reset()
		s.pool.Put(x)
	}()
	if err := x.read(ctx); err != nil {
		refuse(ctx, err)
		return
	}
	s.handler.ServeHTTP(x, &x.request)
	x.finish()
}

// refuse answers what is not HTTP, or too much of it.
func refuse(ctx *fasthttp.RequestCtx, err error) {
	status := http.StatusBadRequest
	switch e := err.(type) {
	case *fasthttp.ErrSmallBuffer:
		status = http.StatusRequestHeaderFieldsTooLarge
	case net.Error:
		if e.Timeout() {
			status = http.StatusRequestTimeout
		}
	}
	ctx.Response.Reset()
	ctx.Response.SetConnectionClose()
	ctx.SetContentType("text/plain; charset=utf-8")
	ctx.SetStatusCode(status)
	ctx.SetBodyString(fmt.Sprintf("%d %s", status, http.StatusText(status)))
}
