package httpd

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// tell answers with what it was asked, one line for each thing.
func tell(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	if r.URL.Path == "/panic" {
		panic("at the disco")
	}
	var names []string
	for name := range r.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	w.Header().Set("Content-Type", "text/plain")
	w.Header()["x-lower-case"] = []string{"as it is"}
	fmt.Fprintf(w, "%s %s %s host=%s length=%d", r.Method, r.URL, r.Proto, r.Host, r.ContentLength)
	for _, name := range names {
		fmt.Fprintf(w, " %s=%s", name, strings.Join(r.Header[name], "|"))
	}
	fmt.Fprintf(w, " body=%s\n", body)
}

func start(t testing.TB, handler http.HandlerFunc) (*Server, string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, l, handler), l.Addr().String()
}

func serveOn(t testing.TB, l net.Listener, handler http.HandlerFunc) *Server {
	s := New(handler, slog.New(slog.DiscardHandler))
	var done sync.WaitGroup
	done.Go(func() {
		if err := s.Serve(l); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		done.Wait()
	})
	return s
}

// TestRequests holds what a handler is given, and what a client is answered, byte for byte. Each case is one connection.
func TestRequests(t *testing.T) {
	_, address := start(t, tell)
	const host = "Host: h\r\n"
	for _, c := range []struct {
		name, send string
		want       []string // the status and body of each answer
	}{
		{"one", "GET / HTTP/1.1\r\n" + host + "\r\n", []string{"200 GET / HTTP/1.1 host=h length=0 body="}},
		{"headers as they were sent", "POST /a%20b?x=%2f&y HTTP/1.1\r\n" + host + "x-many: 1\r\nX-Many:  2  \r\nCookie: a=b;c\r\nContent-Length: 2\r\n\r\nhi",
			[]string{"200 POST /a%20b?x=%2f&y HTTP/1.1 host=h length=2 Content-Length=2 Cookie=a=b;c X-Many=1|2 body=hi"}},
		{"one after the other", strings.Repeat("POST / HTTP/1.1\r\n"+host+"Content-Length: 1\r\n\r\nx", 2),
			[]string{"200 POST / HTTP/1.1 host=h length=1 Content-Length=1 body=x", "200 POST / HTTP/1.1 host=h length=1 Content-Length=1 body=x"}},
		{"nothing of one is in the next", "POST / HTTP/1.1\r\n" + host + "A: 1\r\nContent-Length: 1\r\n\r\nxGET /b HTTP/1.1\r\n" + host + "B: 2\r\n\r\n",
			[]string{"200 POST / HTTP/1.1 host=h length=1 A=1 Content-Length=1 body=x", "200 GET /b HTTP/1.1 host=h length=0 B=2 body="}},
		{"chunked", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
			[]string{"200 POST / HTTP/1.1 host=h length=-1 body=abcde"}},
		{"HEAD", "HEAD / HTTP/1.1\r\n" + host + "\r\n", []string{"200 "}},
		{"HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", []string{"200 GET / HTTP/1.0 host= length=0 body="}},
		{"a handler that panics", "GET /panic HTTP/1.1\r\n" + host + "\r\n", []string{"500 "}},
		{"no HTTP", "hello\r\n\r\n", []string{"400 400 Bad Request"}},
		{"no URL", "GET nowhere HTTP/1.1\r\n" + host + "\r\n", []string{"400 400 Bad Request"}},
		{"two lengths", "POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", []string{"400 400 Bad Request"}},
		{"a length that is none", "POST / HTTP/1.1\r\n" + host + "Content-Length: +1\r\n\r\na", []string{"400 400 Bad Request"}},
		{"a length and chunks", "POST / HTTP/1.1\r\n" + host + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", []string{"400 400 Bad Request"}},
		{"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", []string{"400 400 Bad Request"}},
		{"no host", "GET / HTTP/1.1\r\n\r\n", []string{"400 400 Bad Request"}},
		{"a line that is folded", "GET / HTTP/1.1\r\n" + host + "A: 1\r\n 2\r\n\r\n", []string{"200 GET / HTTP/1.1 host=h length=0 A=1 2 body="}},
		{"a space before the colon", "GET / HTTP/1.1\r\n" + host + "A : 1\r\n\r\n", []string{"400 400 Bad Request"}},
		{"too many headers", "GET / HTTP/1.1\r\n" + host + "A: " + strings.Repeat("a", MaxHeader) + "\r\n\r\n", []string{"431 431 Request Header Fields Too Large"}},
		{"a body that is not read", "POST / HTTP/1.1\r\n" + host + "Content-Length: 4000000\r\n\r\n" + strings.Repeat("a", 4_000_000), []string{"413 "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(20 * time.Second))
			if _, err := io.WriteString(conn, c.send); err != nil {
				t.Fatal(err)
			}
			in := bufio.NewReader(conn)
			for _, want := range c.want {
				method, _, _ := strings.Cut(c.send, " ")
				resp, err := http.ReadResponse(in, &http.Request{Method: method})
				if err != nil {
					t.Fatalf("no answer: %v", err)
				}
				body, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Fatal(err)
				}
				if got := fmt.Sprintf("%d %s", resp.StatusCode, strings.TrimSuffix(string(body), "\n")); got != want {
					t.Errorf("got  %s\nwant %s", got, want)
				}
			}
		})
	}
}

// TestAnswerIsExact holds the bytes of an answer: the headers that the handler gives, as it writes them, and no others but
// those of the protocol.
func TestAnswerIsExact(t *testing.T) {
	_, address := start(t, tell)
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := bytes.Cut(answer, []byte("\r\n\r\n"))
	var names []string
	for _, line := range strings.Split(string(head), "\r\n")[1:] {
		name, _, _ := strings.Cut(line, ":")
		names = append(names, name)
	}
	slices.Sort(names)
	if want := []string{"Connection", "Content-Length", "Content-Type", "Date", "x-lower-case"}; !slices.Equal(names, want) {
		t.Errorf("headers %v, want %v", names, want)
	}
}

type closing struct {
	io.Reader
	closed chan struct{}
}

func (c closing) Close() error {
	close(c.closed)
	return nil
}

// A body of any size is sent without being gathered, and one to HEAD is not read.
func TestStream(t *testing.T) {
	const size = 100 << 20
	var closed chan struct{}
	_, address := start(t, func(w http.ResponseWriter, r *http.Request) {
		closed = make(chan struct{})
		w.Header().Set("Content-Length", "1") // is not believed
		w.WriteHeader(http.StatusPartialContent)
		w.(interface{ Stream(io.ReadCloser, int64) }).Stream(closing{io.LimitReader(rand.Reader, size), closed}, size)
	})
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		r, _ := http.NewRequest(method, "http://"+address, nil)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		want := int64(size)
		if method == http.MethodHead {
			want = 0
		}
		if err != nil || n != want || resp.ContentLength != size || resp.StatusCode != http.StatusPartialContent {
			t.Errorf("%s: %d bytes of %d, status %d: %v", method, n, resp.ContentLength, resp.StatusCode, err)
		}
		<-closed
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestExpectContinue(t *testing.T) {
	_, address := start(t, tell)
	r, _ := http.NewRequest(http.MethodPost, "http://"+address+"/", strings.NewReader("body"))
	r.Header.Set("Expect", "100-continue")
	resp, err := (&http.Transport{ExpectContinueTimeout: time.Minute}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); !strings.HasSuffix(string(body), "body=body\n") {
		t.Errorf("%s", body)
	}
}

func TestTLS(t *testing.T) {
	with := httptest.NewUnstartedServer(nil)
	with.StartTLS() // for its certificate and a client that trusts it
	defer with.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, tls.NewListener(l, &tls.Config{Certificates: with.TLS.Certificates, NextProtos: []string{"http/1.1"}}), func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil {
			t.Error("the request does not say that it came by TLS")
			return
		}
		io.WriteString(w, tls.VersionName(r.TLS.Version))
	})
	resp, err := with.Client().Get("https://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); string(body) != "TLS 1.3" {
		t.Errorf("%s", body)
	}
}

// TestShutdown: a request that is being answered is finished, a connection without one is closed at once, and nobody is let in.
func TestShutdown(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	s, address := start(t, func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-answer
		io.WriteString(w, "in the end")
	})
	silent, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	got := make(chan string)
	go func() {
		resp, err := http.Get("http://" + address)
		if err != nil {
			got <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		got <- string(body)
	}()
	<-asked
	down := make(chan error)
	go func() { down <- s.Shutdown(context.Background()) }()
	if _, err := silent.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the silent connection: %v", err)
	}
	close(answer)
	if body := <-got; body != "in the end" {
		t.Errorf("the client got %q", body)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", address); err == nil {
		c.Close()
		t.Error("a connection was accepted after the shutdown")
	}
}

// TestShutdownGivesUp: who does not let go in time is cut off.
func TestShutdownGivesUp(t *testing.T) {
	asked, end := make(chan struct{}), make(chan struct{})
	s, address := start(t, func(http.ResponseWriter, *http.Request) { close(asked); <-end })
	failed := make(chan error)
	go func() {
		_, err := http.Get("http://" + address)
		failed <- err
	}()
	<-asked
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Shutdown(ctx); err != context.Canceled {
		t.Errorf("Shutdown: %v", err)
	}
	if err := <-failed; err == nil {
		t.Error("the client was not cut off")
	}
	close(end)
}

// BenchmarkEcho is what a request of a call's size costs, of the client and the server together.
func BenchmarkEcho(b *testing.B) {
	echo := func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		body.ReadFrom(r.Body)
		w.Write(body.Bytes())
	}
	_, fast := start(b, echo)
	plain := httptest.NewServer(http.HandlerFunc(echo))
	defer plain.Close()
	for name, url := range map[string]string{"httpd": "http://" + fast, "net-http": plain.URL} {
		b.Run(name, func(b *testing.B) {
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					resp, err := client.Post(url, "application/x-amz-json-1.1", strings.NewReader(strings.Repeat("x", 400)))
					if err != nil {
						b.Error(err)
						return
					}
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			})
		})
	}
}
