package front_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"vigil/vigiltest"
)

// A server that is told to stop takes no new connections, and answers and records the call that is in flight.
func TestDrain(t *testing.T) {
	dir := t.TempDir()
	reading, goOn, answered := make(chan struct{}), make(chan struct{}), make(chan *http.Response, 1)
	t.Run("server", func(t *testing.T) { // which is stopped when this subtest ends
		srv := vigiltest.NewServerIn(t, dir)
		h := &house{Server: srv}
		r := signerOf(t, srv.Credentials).sign(h.post("TrentService.CreateKey", `{"Description":"made while stopping"}`))
		r.Body = io.NopCloser(&heldBody{r.Body, reading, goOn})
		r.Header.Set("Expect", "100-continue") // so the body is read when the server asks for it: in the call
		go func() {
			resp, err := (&http.Transport{ExpectContinueTimeout: time.Minute}).RoundTrip(r)
			if err != nil {
				resp = &http.Response{Status: err.Error()}
			}
			answered <- resp
		}()
		<-reading
		go func() {
			address := strings.TrimPrefix(srv.URL, "http://")
			for {
				c, err := net.Dial("tcp", address)
				if err != nil { // it is stopping
					close(goOn)
					return
				}
				c.Close()
			}
		}()
	})
	resp := <-answered
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the call in flight is answered %s", resp.Status)
	}
	resp.Body.Close()

	srv := vigiltest.NewServerIn(t, dir)
	h := &house{Server: srv, operator: signerOf(t, srv.Credentials)}
	h.alien = h.operator
	events := strings.Join(h.events(t), "\n")
	if id := resp.Header.Get("X-Amzn-Requestid"); !strings.Contains(events, `"requestID":"`+id+`"`) || !strings.Contains(events, "made while stopping") {
		t.Errorf("the call in flight is not on record:\n%s", events)
	}
}

// heldBody is a body that says when it is read, and waits.
type heldBody struct {
	body          io.Reader
	reading, goOn chan struct{}
}

func (b *heldBody) Read(p []byte) (int, error) {
	if b.reading != nil {
		close(b.reading)
		b.reading = nil
	}
	<-b.goOn
	return b.body.Read(p)
}
