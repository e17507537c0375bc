package deliver_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vigil/internal/deliver"
)

// A body that came encrypted stays so until an attempt is made. While it cannot be decrypted, attempts fail and are made again, and
// without an end in sight it becomes a dead letter that says why.
func TestAnEncryptedBodyIsDecryptedForEachAttempt(t *testing.T) {
	var locked atomic.Int32
	unlock := func(_ context.Context, key, body []byte) ([]byte, error) {
		if string(key) != "the key" || locked.Add(-1) >= 0 {
			return nil, errors.New("the key is disabled")
		}
		return bytes.ToUpper(body), nil
	}
	h := open(t, func(c *deliver.Config) { c.Open = unlock })
	e := newEndpoint(t, nil)
	d := deliver.Delivery{Kind: deliver.HTTP, URL: e.URL, Body: []byte("sealed"), Key: []byte("the key"), Account: account,
		Policy: deliver.Policy{MaxAttempts: 3, Schedule: []time.Duration{time.Minute, time.Minute}}}
	locked.Store(2)
	h.enqueue(t, d)
	h.run(t)
	if s := h.emptied(t); s.Delivered != 1 || s.Failed != 2 {
		t.Errorf("%+v", s)
	}
	d.Key = []byte("another")
	h.enqueue(t, d)
	if s := h.emptied(t); s.Dead != 1 {
		t.Errorf("%+v", s)
	}
	if got := e.bodies(); len(got) != 1 || got["SEALED"] != 1 {
		t.Errorf("received %v", got)
	}
	h.deadMu.Lock()
	defer h.deadMu.Unlock()
	if l := h.dead[0]; l.ErrorCode != "NO_PERMISSIONS" || !strings.Contains(l.ErrorMessage, "the key is disabled") {
		t.Errorf("%+v", l)
	}
}
