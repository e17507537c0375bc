package deliver_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vigil/internal/clock"
	"vigil/internal/deliver"
	"vigil/internal/store"
	"vigil/internal/store/storetest"
)

func TestADeliveryArrivesAsItIs(t *testing.T) {
	h, e := open(t), newEndpoint(t, nil)
	h.run(t)
	h.enqueue(t, deliver.Delivery{Kind: deliver.HTTP, Method: "PUT", URL: e.URL + "/a/b?c=d", Body: []byte(`{"x":1}`),
		Header: map[string]string{"Content-Type": "application/json", "X-Own": "yes"}})
	s := h.emptied(t)
	got := e.received()
	if len(got) != 1 {
		t.Fatalf("%d requests, want 1", len(got))
	}
	r := got[0]
	if r.method != "PUT" || r.url != "/a/b?c=d" || r.body != `{"x":1}` || r.header.Get("X-Own") != "yes" || r.header.Get("Content-Type") != "application/json" {
		t.Errorf("%+v", r)
	}
	if s.Delivered != 1 || s.Failed != 0 || s.Dead != 0 || s.Oldest != 0 {
		t.Errorf("%+v", s)
	}
}

func TestEnqueueIsPartOfItsTransaction(t *testing.T) {
	h, e := open(t), newEndpoint(t, nil)
	h.run(t)
	undone := errors.New("undone")
	err := h.db.Update(context.Background(), func(tx store.Tx) error {
		if err := h.outbox.Enqueue(tx, deliver.Delivery{Kind: deliver.HTTP, URL: e.URL, Body: []byte("undone")}); err != nil {
			return err
		}
		return undone
	})
	if !errors.Is(err, undone) {
		t.Fatal(err)
	}
	h.enqueue(t, deliver.Delivery{Kind: deliver.HTTP, URL: e.URL, Body: []byte("done")})
	h.emptied(t)
	if got := e.bodies(); len(got) != 1 || got["done"] != 1 {
		t.Errorf("%v", got)
	}
}

func TestAnIDIsEnqueuedOnce(t *testing.T) {
	h, e := open(t), newEndpoint(t, answering(400))
	d := deliver.Delivery{ID: "same", Kind: deliver.HTTP, URL: e.URL, Account: account}
	h.enqueue(t, d, d)
	h.enqueue(t, d)
	h.run(t)
	h.emptied(t)
	h.enqueue(t, d) // a dead letter by now
	if s := h.emptied(t); s.Dead != 1 || len(e.received()) != 1 {
		t.Errorf("%+v, %d requests", s, len(e.received()))
	}
}

// Endpoints that never answer take up neither the attempts nor the time of one that does.
func TestADeadEndpointHoldsNobodyUp(t *testing.T) {
	h := open(t, func(c *deliver.Config) { c.MaxInFlight, c.MaxInLane = 4, 2 })
	over := make(chan struct{})
	var hanging []*endpoint
	for range 3 {
		hanging = append(hanging, newEndpoint(t, func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-over:
			case <-r.Context().Done():
			}
		}))
	}
	t.Cleanup(func() { close(over) })
	well := newEndpoint(t, nil)
	for i := range 20 {
		for _, e := range hanging {
			h.enqueue(t, deliver.Delivery{Kind: deliver.HTTP, URL: e.URL, Body: fmt.Append(nil, i), Timeout: 200 * time.Millisecond})
		}
	}
	h.run(t)
	eventually(t, "each hanging endpoint is tried", func() bool {
		for _, e := range hanging {
			if len(e.received()) == 0 {
				return false
			}
		}
		return true
	})
	for i := range 100 {
		h.enqueue(t, deliver.Delivery{Kind: deliver.HTTP, URL: well.URL, Body: fmt.Append(nil, i)})
	}
	eventually(t, "the endpoint that is well has all", func() bool { return len(well.bodies()) == 100 })
	if s := h.stats(t); s.Queued < 60 {
		t.Errorf("the hanging deliveries are not waiting any more: %+v", s)
	}
}

func TestRetriesUntilItArrives(t *testing.T) {
	var n atomic.Int32
	e := newEndpoint(t, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) <= 5 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	h := open(t)
	h.run(t)
	h.enqueue(t, deliver.Delivery{Kind: deliver.HTTP, URL: e.URL, Body: []byte("x")})
	if s := h.emptied(t); s.Delivered != 1 || s.Failed != 5 || s.Dead != 0 || len(e.received()) != 6 {
		t.Errorf("%+v, %d requests", s, len(e.received()))
	}
}

func TestARetryWaits(t *testing.T) {
	e := newEndpoint(t, answering(500))
	h := open(t)
	h.run(t)
	h.enqueue(t, deliver.Delivery{Kind: deliver.HTTP, URL: e.URL, Policy: deliver.Policy{Schedule: []time.Duration{time.Hour}}})
	eventually(t, "the first attempt has failed", func() bool { s := h.stats(t); return s.Failed == 1 && s.InFlight == 0 })
	h.clock.Advance(50 * time.Minute)
	h.enqueue(t, deliver.Delivery{Kind: deliver.HTTP, URL: newEndpoint(t, nil).URL}) // another passes it by
	eventually(t, "the other has arrived", func() bool { return h.stats(t).Delivered == 1 })
	if n := len(e.received()); n != 1 {
		t.Fatalf("%d attempts within the hour", n)
	}
	h.clock.Advance(17 * time.Minute) // the hour and its tenth
	eventually(t, "the second attempt was the last", func() bool { return h.stats(t).Dead == 1 })
	if n := len(e.received()); n != 2 {
		t.Errorf("%d attempts", n)
	}
}

// What becomes of a delivery after each answer, by policy.
func TestAnswers(t *testing.T) {
	sns := deliver.Policy{RetryOn: []int{429}, Schedule: []time.Duration{20 * time.Second, 20 * time.Second, 20 * time.Second}}
	eventBridge := deliver.Policy{RetryOn: []int{401, 407, 409, 429}, RetryAfter: true, MaxAttempts: 3}
	for _, c := range []struct {
		name       string
		policy     deliver.Policy
		status     int
		retryAfter string
		attempts   int // until it is given up; 0 for an arrival
		code       string
		exhausted  string
	}{
		{"200", sns, 200, "", 0, "", ""},
		{"204", sns, 204, "", 0, "", ""},
		{"301", sns, 301, "", 1, "ERROR_FROM_TARGET", ""},
		{"400", sns, 400, "", 1, "ERROR_FROM_TARGET", ""},
		{"401 for SNS", sns, 401, "", 1, "ERROR_FROM_TARGET", ""},
		{"401 for EventBridge", eventBridge, 401, "", 3, "ERROR_FROM_TARGET", "MaximumRetryAttempts"},
		{"404", sns, 404, "", 1, "NO_RESOURCE", ""},
		{"429", sns, 429, "", 4, "THROTTLING", "MaximumRetryAttempts"},
		{"429 with a Retry-After that SNS does not read", sns, 429, "-1", 4, "THROTTLING", "MaximumRetryAttempts"},
		{"429 with a negative Retry-After", eventBridge, 429, "-1", 1, "THROTTLING", ""},
		{"500", sns, 500, "", 4, "ERROR_FROM_TARGET", "MaximumRetryAttempts"},
		{"503 with a Retry-After beyond the age", eventBridge, 503, "86401", 1, "ERROR_FROM_TARGET", "MaximumEventAgeInSeconds"},
	} {
		t.Run(c.name, func(t *testing.T) {
			elsewhere := newEndpoint(t, nil)
			e := newEndpoint(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", elsewhere.URL)
				if c.retryAfter != "" {
					w.Header().Set("Retry-After", c.retryAfter)
				}
				w.WriteHeader(c.status)
			})
			h := open(t)
			h.run(t)
			h.enqueue(t, deliver.Delivery{Kind: deliver.HTTP, URL: e.URL, Policy: c.policy, Account: account})
			s := h.emptied(t)
			if len(elsewhere.received()) > 0 {
				t.Error("a redirect was followed")
			}
			if c.attempts == 0 {
				if s.Delivered != 1 || s.Dead != 0 {
					t.Errorf("%+v", s)
				}
				return
			}
			if n := len(e.received()); n != c.attempts {
				t.Errorf("%d attempts, want %d", n, c.attempts)
			}
			if len(h.dead) != 1 || h.dead[0].ErrorCode != c.code || h.dead[0].Exhausted != c.exhausted || h.dead[0].Attempts != c.attempts {
				t.Errorf("%+v", h.dead)
			}
		})
	}
}

func TestAgeEndsADelivery(t *testing.T) {
	t.Run("that has been attempted", func(t *testing.T) {
		h, e := open(t), newEndpoint(t, answering(500))
		h.run(t)
		h.enqueue(t, deliver.Delivery{Kind: deliver.HTTP, URL: e.URL, Policy: deliver.Policy{MaxAge: time.Hour, MaxAttempts: 1000, Cap: 10 * time.Minute}})
		h.emptied(t)
		if len(h.dead) != 1 || h.dead[0].Exhausted != "MaximumEventAgeInSeconds" || h.dead[0].Attempts != len(e.received()) || h.dead[0].Attempts < 2 {
			t.Errorf("%+v after %d attempts", h.dead, len(e.received()))
		}
	})
	t.Run("that waited for the server to start", func(t *testing.T) {
		h, e := open(t), newEndpoint(t, nil)
		h.enqueue(t, deliver.Delivery{Kind: deliver.HTTP, URL: e.URL, Policy: deliver.Policy{MaxAge: time.Hour}})
		h.clock.Advance(2 * time.Hour)
		h.run(t)
		h.emptied(t)
		if len(h.dead) != 1 || h.dead[0].Exhausted != "MaximumEventAgeInSeconds" || h.dead[0].Attempts != 0 || len(e.received()) != 0 {
			t.Errorf("%+v after %d attempts", h.dead, len(e.received()))
		}
	})
}

func TestARestartForgetsNothing(t *testing.T) {
	e := newEndpoint(t, nil)
	path, clk := place(t), clock.NewMovable(0)
	first := openAt(t, path, clk)
	for i := range 50 {
		first.enqueue(t, deliver.Delivery{Kind: deliver.HTTP, URL: e.URL, Body: fmt.Append(nil, i), Secret: i%2 == 0})
	}
	first.stop() // it never ran
	second := openAt(t, path, clk)
	second.run(t)
	second.emptied(t)
	if got := e.bodies(); len(got) != 50 {
		t.Errorf("%d of 50 arrived", len(got))
	}
}

// A process that stops between an endpoint's answer and its settling sends again: at least once.
func TestStoppedInAnAttempt(t *testing.T) {
	var hang atomic.Bool
	hang.Store(true)
	e := newEndpoint(t, func(_ http.ResponseWriter, r *http.Request) {
		if hang.Load() {
			<-r.Context().Done()
		}
	})
	path, clk := place(t), clock.NewMovable(0)
	first := openAt(t, path, clk)
	first.run(t)
	first.enqueue(t, deliver.Delivery{Kind: deliver.HTTP, URL: e.URL, Body: []byte("x"), Policy: deliver.Policy{MaxAttempts: 1}})
	eventually(t, "it has come once", func() bool { return len(e.received()) == 1 })
	first.stop()
	hang.Store(false)
	second := openAt(t, path, clk)
	second.run(t)
	if s := second.emptied(t); s.Delivered != 1 || s.Dead != 0 || e.bodies()["x"] != 2 {
		t.Errorf("%+v, %v", s, e.bodies())
	}
}

// Whatever fails in the outbox's own database, nothing is lost and nothing stays.
func TestDatabaseFaults(t *testing.T) {
	for _, fault := range []storetest.Fault{storetest.Before, storetest.Failed, storetest.FailedInDoubt, storetest.PersistedInDoubt} {
		for n := 1; n <= 2; n++ {
			e := newEndpoint(t, nil)
			var faulty *storetest.FaultDB
			h := open(t, func(c *deliver.Config) {
				faulty = storetest.NewFaultDB(c.DB)
				c.DB = faulty
			})
			h.run(t)
			faulty.FailUpdate(n, fault)
			for i := range 5 {
				h.enqueue(t, deliver.Delivery{Kind: deliver.HTTP, URL: e.URL, Body: fmt.Append(nil, i)})
			}
			h.emptied(t)
			if got := e.bodies(); len(got) != 5 {
				t.Errorf("fault %v at %d: %v", fault, n, got)
			}
		}
	}
}

func TestSecretsAreStoredWrapped(t *testing.T) {
	const secret = "hunter2-very-secret"
	e := newEndpoint(t, answering(400))
	h := open(t)
	h.run(t)
	h.enqueue(t, deliver.Delivery{
		ID: "d", Kind: deliver.HTTP, URL: e.URL + "/?key=" + secret, Header: map[string]string{"X-Api-Key": secret}, Body: []byte(secret),
		Secret: true, Account: account,
	})
	h.enqueue(t, deliver.Delivery{Kind: deliver.HTTP, URL: "http://127.0.0.1:1/?key=" + secret, Header: map[string]string{"X-Api-Key": secret},
		Secret: true, Account: account, Policy: deliver.Policy{MaxAttempts: 1}})
	h.emptied(t)
	if got := e.received(); len(got) != 1 || got[0].header.Get("X-Api-Key") != secret || got[0].body != secret || got[0].url != "/?key="+secret {
		t.Fatalf("the endpoint did not get it: %d", len(got))
	}
	out, err := h.call(account, "ListDeadLetters", &deliver.ListDeadLettersInput{})
	if err != nil {
		t.Fatal(err)
	}
	letters := out.(*deliver.ListDeadLettersOutput).DeadLetters
	if len(letters) != 2 {
		t.Fatalf("%d dead letters", len(letters))
	}
	for _, l := range letters {
		if strings.Contains(*l.ErrorMessage, secret) {
			t.Error("a dead letter tells the secret")
		}
	}
	if strings.Contains(h.log.String(), secret) {
		t.Error("the log tells the secret")
	}
	h.stop()
	files, err := filepath.Glob(h.path + "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), secret) {
			t.Errorf("%s holds the secret", filepath.Base(f))
		}
	}
}

func TestWhatIsWrongWithADeliveryIsADeadLetter(t *testing.T) {
	h := open(t)
	h.run(t)
	for _, d := range []deliver.Delivery{
		{Kind: deliver.HTTP, URL: "ftp://example.com/"},
		{Kind: deliver.HTTP, URL: "::"},
		{Kind: deliver.HTTP, URL: "http://"},
		{Kind: deliver.HTTP, URL: "http://\x00\xff/"},
		{Kind: deliver.HTTP, URL: "http://127.0.0.1:1/", Method: "NOT A METHOD"},
		{Kind: "pigeon"},
		{Kind: deliver.SMTP, To: "a@example.com"}, // without a relay
	} {
		h.enqueue(t, d)
	}
	if s := h.emptied(t); s.Dead != 7 || s.Delivered != 0 {
		t.Errorf("%+v", s)
	}
}
