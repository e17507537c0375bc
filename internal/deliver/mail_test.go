package deliver_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"

	"vigil/internal/deliver"
)

// relay is an SMTP server that takes what it is sent, or refuses recipients.
type relay struct {
	net.Listener
	mu      sync.Mutex
	mails   []envelope
	refuse  string // the reply to RCPT, instead of 250
	refused int
}

type envelope struct{ from, to, data string }

func newRelay(t *testing.T) *relay {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{Listener: l}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go r.serve(conn)
		}
	}()
	return r
}

// serve speaks the little of RFC 5321 that a client needs.
func (r *relay) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	reply := func(line string) { fmt.Fprintf(conn, "%s\r\n", line) }
	reply("220 relay.example.com")
	var e envelope
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		switch verb := strings.ToUpper(line); {
		case strings.HasPrefix(verb, "EHLO"), strings.HasPrefix(verb, "HELO"):
			reply("250 relay.example.com")
		case strings.HasPrefix(verb, "MAIL FROM:"):
			e.from = line[len("MAIL FROM:"):]
			reply("250 ok")
		case strings.HasPrefix(verb, "RCPT TO:"):
			e.to = line[len("RCPT TO:"):]
			r.mu.Lock()
			refuse := r.refuse
			if refuse != "" {
				r.refused++
			}
			r.mu.Unlock()
			if refuse == "" {
				refuse = "250 ok"
			}
			reply(refuse)
		case verb == "DATA":
			reply("354 go on")
			var data strings.Builder
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				data.WriteString(strings.TrimPrefix(line, "."))
			}
			e.data = data.String()
			r.mu.Lock()
			r.mails = append(r.mails, e)
			r.mu.Unlock()
			reply("250 taken")
		case verb == "QUIT":
			reply("221 bye")
			return
		default:
			reply("502 what")
		}
	}
}

func (r *relay) to(reply string) (before int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuse = reply
	return r.refused
}

func openMail(t *testing.T) (*house, *relay) {
	r := newRelay(t)
	// The relay is the operator's own, so it may be local even where endpoints may not.
	h := open(t, func(c *deliver.Config) {
		c.AllowLocal, c.Relay = false, deliver.Relay{Address: r.Addr().String(), From: "vigil@example.com"}
	})
	h.run(t)
	return h, r
}

func TestMail(t *testing.T) {
	h, r := openMail(t)
	body := "Grüße,\n.\nfrom " + strings.Repeat("a long line ", 100)
	h.enqueue(t, deliver.Delivery{ID: "m-1", Kind: deliver.SMTP, To: "bob@example.com", Subject: "ALARM: „a“", Body: []byte(body),
		Header: map[string]string{"List-Unsubscribe": "<https://example.com/u>"}})
	if s := h.emptied(t); s.Delivered != 1 || len(r.mails) != 1 {
		t.Fatalf("%+v, %d mails; %s", s, len(r.mails), h.log)
	}
	e := r.mails[0]
	if e.to != "<bob@example.com>" || !strings.HasPrefix(e.from, "<vigil@example.com>") {
		t.Errorf("from %s to %s", e.from, e.to)
	}
	m, err := mail.ReadMessage(strings.NewReader(e.data))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil || subject != "ALARM: „a“" {
		t.Errorf("subject %q, %v", subject, err)
	}
	for name, want := range map[string]string{"From": "vigil@example.com", "To": "bob@example.com", "Message-Id": "<m-1@example.com>",
		"List-Unsubscribe": "<https://example.com/u>"} {
		if got := m.Header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if _, err := m.Header.Date(); err != nil {
		t.Error(err)
	}
	got, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, m.Body))
	if err != nil || string(got) != body {
		t.Errorf("body %q, %v", got, err)
	}
}

func TestMailIsTriedAgain(t *testing.T) {
	h, r := openMail(t)
	r.to("451 later")
	h.enqueue(t, deliver.Delivery{Kind: deliver.SMTP, To: "bob@example.com", Body: []byte("x")})
	eventually(t, "it was put off twice", func() bool {
		h.clock.Advance(60e9)
		return r.to("451 later") >= 2
	})
	r.to("")
	if s := h.emptied(t); s.Delivered != 1 || s.Dead != 0 {
		t.Errorf("%+v", s)
	}
}

func TestMailThatCannotBe(t *testing.T) {
	for name, d := range map[string]deliver.Delivery{
		"refused for good":            {To: "nobody@example.com"},
		"not an address":              {To: "bob"},
		"a line break in the address": {To: "bob@example.com\r\nRCPT TO:<eve@example.com>"},
		"a line break in a header":    {To: "bob@example.com", Header: map[string]string{"X": "a\r\nBcc: eve@example.com"}},
	} {
		h, r := openMail(t)
		r.to("550 no such mailbox")
		d.Kind = deliver.SMTP
		h.enqueue(t, d)
		if s := h.emptied(t); s.Dead != 1 || len(r.mails) != 0 || r.to("") > 1 {
			t.Errorf("%s: %+v, %d mails", name, s, len(r.mails))
		}
		h.stop()
	}
}

// What is in a subject stays in the subject.
func TestASubjectIsEncoded(t *testing.T) {
	h, r := openMail(t)
	h.enqueue(t, deliver.Delivery{Kind: deliver.SMTP, To: "bob@example.com", Subject: "a\r\nBcc: eve@example.com"})
	h.emptied(t)
	if len(r.mails) != 1 {
		t.Fatalf("%d mails", len(r.mails))
	}
	if m, err := mail.ReadMessage(strings.NewReader(r.mails[0].data)); err != nil || m.Header.Get("Bcc") != "" {
		t.Errorf("%v, %v", m, err)
	}
}
