package deliver

import (
	"encoding/json"
	"fmt"
	"time"

	"vigil/internal/store"
)

// request is what is stored of a delivery in the column of that name, as JSON.
type request struct {
	Kind       Kind              `json:"kind"`
	Method     string            `json:"method,omitempty"`
	URL        string            `json:"url,omitempty"`
	Header     map[string]string `json:"header,omitempty"`
	To         string            `json:"to,omitempty"`
	Subject    string            `json:"subject,omitempty"`
	Connection string            `json:"connection,omitempty"`
	Key        []byte            `json:"key,omitempty"`
	Timeout    time.Duration     `json:"timeout"` // nanoseconds
	Policy     Policy            `json:"policy"`
}

// stored is a delivery as it comes back from the table.
type stored struct {
	request
	body     []byte
	letter   DeadLetter // who and what for; its error is the last attempt's
	lane     string
	secret   bool
	created  time.Time
	attempts int

	packed, packedBody []byte // as they lie in the table
}

// pack is a delivery's request and body as they are stored.
func (o *Outbox) pack(d *Delivery) (packed, body []byte, err error) {
	timeout := d.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	packed, err = json.Marshal(request{d.Kind, d.Method, d.URL, d.Header, d.To, d.Subject, d.Connection, d.Key, timeout, d.Policy.withDefaults()})
	if err != nil {
		return nil, nil, fmt.Errorf("deliver: %w", err)
	}
	body = d.Body
	if body == nil {
		body = []byte{}
	}
	if !d.Secret {
		return packed, body, nil
	}
	if packed, err = o.config.Secrets.Wrap(packed, requestContext(d.ID)); err != nil {
		return nil, nil, fmt.Errorf("deliver: %w", err)
	}
	if body, err = o.config.Secrets.Wrap(body, bodyContext(d.ID)); err != nil {
		return nil, nil, fmt.Errorf("deliver: %w", err)
	}
	return packed, body, nil
}

// unpack is the other way.
func (o *Outbox) unpack(s *stored) (err error) {
	packed := s.packed
	s.body = s.packedBody
	if s.secret {
		if packed, err = o.config.Secrets.Unwrap(packed, requestContext(s.letter.ID)); err != nil {
			return err
		}
		if s.body, err = o.config.Secrets.Unwrap(s.body, bodyContext(s.letter.ID)); err != nil {
			return err
		}
	}
	return json.Unmarshal(packed, &s.request)
}

// The contexts bind what is wrapped to its row and column.
func requestContext(id string) []byte { return []byte("request of delivery " + id) }
func bodyContext(id string) []byte    { return []byte("body of delivery " + id) }

const storedColumns = `id, lane, account, region, source, target, cause_event, cause_depth, secret, request, body, created, attempts,
	dead, error_code, error_message, exhausted`

// scan reads storedColumns.
func scan(row interface{ Scan(...any) error }) (*stored, error) {
	s := &stored{}
	l := &s.letter
	var secret, created, dead int64
	err := row.Scan(&l.ID, &s.lane, &l.Account, &l.Region, &l.Source, &l.Target, &l.Cause.EventID, &l.Cause.Depth, &secret,
		&s.packed, &s.packedBody, &created, &s.attempts, &dead, &l.ErrorCode, &l.ErrorMessage, &l.Exhausted)
	s.secret, s.created = secret != 0, time.UnixMilli(created).UTC()
	l.Enqueued, l.Died, l.Attempts = s.created, time.UnixMilli(dead).UTC(), s.attempts
	return s, err
}

func load(tx store.Tx, id string) (*stored, error) {
	return scan(tx.QueryRow(`SELECT `+storedColumns+` FROM deliver_delivery WHERE id = $1`, id))
}
