package httpd

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/valyala/fasthttp"
)

// exchange is a request and its answer, in the terms of net/http. It is used again for another request.
type exchange struct {
	ctx     *fasthttp.RequestCtx
	request http.Request
	url     url.URL
	header  http.Header // of the request
	body    body

	raw    []byte      // the values of the request's headers, one after the other
	fields []field     // which they are
	values [][1]string // what the header's slices are made of

	answer http.Header
	wrote  bool
}

// field is one header of a request, with where its value ends in raw.
type field struct {
	name string
	end  int
}

func newExchange() *exchange {
	return &exchange{header: make(http.Header, 16), answer: make(http.Header, 8)}
}

// errTwoLengths refuses a body whose end two parties could see in two places.
var errTwoLengths = errors.New("both Content-Length and Transfer-Encoding")

// read makes x of a request. It fails when the request has no URL, or a body of unclear length.
func (x *exchange) read(ctx *fasthttp.RequestCtx) error {
	x.ctx = ctx
	x.readHeader()
	in := &ctx.Request
	r := &x.request
	*r = http.Request{
		Method: name(in.Header.Method()), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		RequestURI: name(in.Header.RequestURI()), Host: string(in.Header.Host()), RemoteAddr: addressOf(ctx.RemoteAddr()),
		Header: x.header, Body: &x.body, TLS: ctx.TLSConnectionState(),
	}
	if !in.Header.IsHTTP11() {
		r.Proto, r.ProtoMinor = "HTTP/1.0", 0
	}
	if err := x.readURL(r.RequestURI); err != nil {
		return err
	}
	r.URL = &x.url
	switch n := in.Header.ContentLength(); {
	case n >= 0:
		r.ContentLength = int64(n)
	case n == -1:
		if x.header["Content-Length"] != nil {
			return errTwoLengths
		}
		r.ContentLength, r.TransferEncoding = -1, []string{"chunked"}
	}
	if stream := in.BodyStream(); stream != nil {
		x.body.from = stream
	} else {
		x.body.from = bytes.NewReader(in.Body())
	}
	return nil // without a context, which stands for context.Background()
}

// addressOf is a's text. That of a TCP address is net's own, made in one piece of memory and not in three.
func addressOf(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if !ok || len(tcp.IP) == 0 {
		return a.String()
	}
	at := tcp.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()).String()
}

func (x *exchange) readURL(text string) error {
	if text == "/" {
		x.url = url.URL{Path: "/"}
		return nil
	}
	u, err := url.ParseRequestURI(text)
	if err != nil {
		return err
	}
	x.url = *u
	return nil
}

// readHeader takes the headers as they were sent. All their values are one string.
func (x *exchange) readHeader() {
	for key, value := range x.ctx.Request.Header.AllInOrder() {
		x.raw = append(x.raw, value...)
		x.fields = append(x.fields, field{name(key), len(x.raw)})
	}
	if cap(x.values) < len(x.fields) {
		x.values = make([][1]string, len(x.fields))
	}
	x.values = x.values[:len(x.fields)]
	text, begin := string(x.raw), 0
	for i, f := range x.fields {
		value := text[begin:f.end]
		begin = f.end
		switch f.name {
		case "Host", "Transfer-Encoding": // fields of the request
			continue
		}
		if before := x.header[f.name]; before != nil {
			x.header[f.name] = append(before, value)
			continue
		}
		x.values[i][0] = value
		x.header[f.name] = x.values[i][:]
	}
}

// reset lets go of all that was the request's.
func (x *exchange) reset() {
	clear(x.header)
	clear(x.answer)
	clear(x.values)
	*x = exchange{header: x.header, answer: x.answer, values: x.values[:0], raw: x.raw[:0], fields: x.fields[:0]}
}

// body reads a request's body, which is the connection's to close.
type body struct {
	from  io.Reader
	ended bool
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	b.ended = err != nil
	return n, err
}

func (*body) Close() error { return nil }

// Header implements http.ResponseWriter. Names are written as they are given.
func (x *exchange) Header() http.Header { return x.answer }

// WriteHeader implements http.ResponseWriter. Only the first call counts.
func (x *exchange) WriteHeader(status int) {
	if x.wrote {
		return
	}
	x.wrote = true
	out := &x.ctx.Response
	out.Header.DisableNormalizing()
	out.SetStatusCode(status)
	for name, values := range x.answer {
		switch name {
		case "Content-Length": // is counted
			continue
		case "Connection":
			if len(values) == 1 && values[0] == "close" {
				out.SetConnectionClose()
				continue
			}
		}
		for _, value := range values {
			out.Header.Add(name, value)
		}
	}
}

// Write implements http.ResponseWriter.
func (x *exchange) Write(p []byte) (int, error) {
	x.WriteHeader(http.StatusOK)
	x.ctx.Response.AppendBody(p)
	return len(p), nil
}

// Stream makes body the answer's, size bytes of it, to be sent when the handler has returned and not gathered in memory before. It
// is closed then. Of an answer to HEAD only the size is sent. Nothing may be written besides.
func (x *exchange) Stream(body io.ReadCloser, size int64) {
	x.WriteHeader(http.StatusOK)

	x.ctx.Response.SetBodyStream(body, int(size))
}

// SetReadDeadline is for http.ResponseController: it says until when the body may be read, in place of ReadTimeout.
func (x *exchange) SetReadDeadline(t time.Time) error { return x.ctx.SetReadDeadline(t) }

// finish ends the answer. What the handler has not read of the body is passed over: a client that is still sending when the
// connection closes would not get the answer.
func (x *exchange) finish() {
	x.WriteHeader(http.StatusOK)
	if !x.body.ended {
		io.CopyN(io.Discard, &x.body, maxUnread)
	}
}

// names are texts that most requests have, so that they need not be allocated for each.
var names = func() map[string]string {
	known := map[string]string{}
	for _, n := range []string{
		"GET", "POST", "HEAD", "PUT", "DELETE", "/",
		"Accept", "Accept-Encoding", "Amz-Sdk-Invocation-Id", "Amz-Sdk-Request", "Authorization", "Connection", "Content-Encoding",
		"Content-Length", "Content-Type", "Date", "Expect", "Host", "Smithy-Protocol", "Transfer-Encoding", "User-Agent", "X-Amz-Content-Sha256",
		"X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Target", "X-Amz-User-Agent", "X-Amzn-Query-Mode",
	} {
		known[n] = n
	}
	return known
}()

func name(text []byte) string {
	if n, ok := names[string(text)]; ok {
		return n
	}
	return string(text)
}
