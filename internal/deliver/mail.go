package deliver

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"mime"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"slices"
	"strings"
	"time"
)

// Relay is the SMTP server that mail is handed to. It is the operator's own, so it may be at any address. It has to admit
// this server by its address: authentication is not built yet. STARTTLS (RFC 3207) is used when it is offered.
type Relay struct {
	Address string // host:port
	From    string // the sender, such as vigil@example.com
}

// mail hands a mail to the relay. What the relay has taken has arrived, as far as Vigil is concerned. A reply of 400 to 499 is
// tried again, one of 500 or more is not (RFC 5321, section 4.2.1).
func (o *Outbox) mail(ctx context.Context, s *stored) *failure {
	if o.config.Relay.Address == "" {
		return &failure{code: codeNoResource, message: "this server has no SMTP relay to hand mail to", final: true}
	}
	to, err := mail.ParseAddress(s.To)
	if err != nil {
		return &failure{code: codeParameter, message: "the recipient is not a mail address", final: true}
	}
	message := o.compose(s, to.Address)
	if message == nil {
		return &failure{code: codeParameter, message: "the mail's header has a line break", final: true}
	}
	err = o.handOver(ctx, to.Address, message)
	var reply *textproto.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &reply):
		return &failure{code: codeTarget, message: "the relay answered " + reply.Error(), final: reply.Code >= 500}
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &failure{code: codeTimeout, message: "the relay did not answer in time"}
	}
	return &failure{code: codeConnection, message: err.Error()}
}

// handOver speaks SMTP to the relay.
func (o *Outbox) handOver(ctx context.Context, to string, message []byte) error {
	dialer := &net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", o.config.Relay.Address)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	host, _, err := net.SplitHostPort(o.config.Relay.Address)
	if err != nil {
		return err
	}
	client, err := smtp.NewClient(conn, host)
	if err != nil {
		return err
	}
	if offered, _ := client.Extension("STARTTLS"); offered {
		config := &tls.Config{}
		if o.config.TLS != nil {
			config = o.config.TLS.Clone()
		}
		config.ServerName = host
		if err := client.StartTLS(config); err != nil {
			return err
		}
	}
	if err := client.Mail(o.config.Relay.From); err != nil {
		return err
	}
	if err := client.Rcpt(to); err != nil {
		return err
	}
	data, err := client.Data()
	if err != nil {
		return err
	}
	if _, err := data.Write(message); err != nil {
		return err
	}
	if err := data.Close(); err != nil { // the relay's answer: from here on it is the relay's mail
		return err
	}
	_ = client.Quit()
	return nil
}

// compose writes the mail (RFC 5322), or nil when a header holds a line break. Its Message-ID is the same at each attempt, so that
// a mailbox can tell a mail that came twice.
func (o *Outbox) compose(s *stored, to string) []byte {
	_, domain, _ := strings.Cut(o.config.Relay.From, "@")
	header := [][2]string{
		{"From", o.config.Relay.From},
		{"To", to},
		{"Subject", mime.QEncoding.Encode("utf-8", s.Subject)},
		{"Date", s.created.Format("Mon, 02 Jan 2006 15:04:05 -0700")},
		{"Message-ID", "<" + s.letter.ID + "@" + domain + ">"},
		{"MIME-Version", "1.0"},
		{"Content-Type", "text/plain; charset=UTF-8"},
		{"Content-Transfer-Encoding", "base64"},
		{"Auto-Submitted", "auto-generated"}, // RFC 3834: nobody's holiday notice is to answer it
	}
	names := make([]string, 0, len(s.Header))
	for name := range s.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		header = append(header, [2]string{name, s.Header[name]})
	}
	var b bytes.Buffer
	for _, h := range header {
		if strings.ContainsAny(h[0]+h[1], "\r\n") {
			return nil
		}
		b.WriteString(h[0] + ": " + h[1] + "\r\n")
	}
	b.WriteString("\r\n")
	text := base64.StdEncoding.EncodeToString(s.body)
	for len(text) > 76 { // RFC 2045, section 6.8
		b.WriteString(text[:76] + "\r\n")
		text = text[76:]
	}
	b.WriteString(text + "\r\n")
	return b.Bytes()
}
