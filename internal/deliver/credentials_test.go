package deliver_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"vigil/internal/deliver"
)

// connected is an outbox whose deliveries get credentials, which can be changed.
func connected(t *testing.T, c *deliver.Credentials) *house {
	var mu sync.Mutex
	return open(t, func(config *deliver.Config) {
		config.Connect = func(name string) (deliver.Credentials, error) {
			mu.Lock()
			defer mu.Unlock()
			if name != "connection" {
				return deliver.Credentials{}, errors.New("the connection does not exist")
			}
			return *c, nil
		}
	})
}

func TestAConnectionAddsToEachAttempt(t *testing.T) {
	e := newEndpoint(t, nil)
	h := connected(t, &deliver.Credentials{
		Header: map[string]string{"X-Api-Key": "se<ret", "x-both": "connection"},
		Query:  map[string]string{"q": "a b", "both": "connection"},
		Body:   map[string]string{"token": "se\"cret", "n": "2"},
	})
	h.run(t)
	h.enqueue(t,
		deliver.Delivery{ID: "1", Kind: deliver.HTTP, Method: "PUT", URL: e.URL + "/p?both=own&x=1", Connection: "connection",
			Header: map[string]string{"X-Both": "own", "X-Own": "1"}, Body: []byte(` {"n":1, "deep":{"n":[1]}} `)},
		deliver.Delivery{ID: "2", Kind: deliver.HTTP, URL: e.URL, Connection: "connection", Body: []byte(`[1]`), Account: account},
		deliver.Delivery{ID: "3", Kind: deliver.HTTP, URL: e.URL, Connection: "another", Account: account})
	h.emptied(t)
	got := e.received()
	if len(got) != 1 {
		t.Fatalf("%d requests", len(got))
	}
	r := got[0]
	if r.method != "PUT" || r.url != "/p?both=connection&q=a+b&x=1" || r.body != `{"deep":{"n":[1]},"n":"2","token":"se\"cret"}` ||
		r.header.Get("X-Api-Key") != "se<ret" || r.header.Get("X-Both") != "connection" || r.header.Get("X-Own") != "1" {
		t.Errorf("%+v", r)
	}
	want := map[string]string{
		"2": "INVALID_PARAMETER the body is no JSON object, which the connection's body parameters could be added to",
		"3": "NO_PERMISSIONS the connection does not exist",
	}
	for _, l := range h.dead {
		if text := l.ErrorCode + " " + l.ErrorMessage; text != want[l.ID] {
			t.Errorf("%s: %s", l.ID, text)
		}
		delete(want, l.ID)
	}
	if len(want) > 0 {
		t.Errorf("no dead letters: %v", want)
	}
}

// authorizer is an authorization endpoint: each token it gives is another, good for an hour.
func authorizer(t *testing.T) *endpoint {
	var n int
	var mu sync.Mutex
	return newEndpoint(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		n++
		fmt.Fprintf(w, `{"access_token":"token%d","token_type":"bearer","expires_in":3600}`, n)
	})
}

func TestATokenIsGotAndUsedUntilItExpires(t *testing.T) {
	auth, e := authorizer(t), newEndpoint(t, nil)
	c := &deliver.Credentials{Version: "1", TokenEndpoint: auth.URL + "/token?a=1", TokenMethod: "POST", ClientID: "id", ClientSecret: "s+cret",
		TokenHeader: map[string]string{"X-Tenant": "t"}, TokenQuery: map[string]string{"b": "2"}, TokenBody: map[string]string{"scope": "all"}}
	h := connected(t, c)
	h.run(t)
	send := func(n int) {
		for range n {
			h.enqueue(t, deliver.Delivery{Kind: deliver.HTTP, URL: e.URL, Connection: "connection", Body: []byte("{}")})
		}
		eventually(t, "all have arrived", func() bool { s := h.stats(t); return s.Queued == 0 && s.InFlight == 0 })
	}
	send(20)
	h.clock.Advance(58 * time.Minute)
	send(1)
	h.clock.Advance(time.Minute) // a token that expires within a minute is not used
	send(1)
	tokens := map[string]int{}
	for _, r := range e.received() {
		tokens[r.header.Get("Authorization")]++
	}
	if fmt.Sprint(tokens) != "map[Bearer token1:21 Bearer token2:1]" {
		t.Error(tokens)
	}
	r := auth.received()[0]
	if id, secret, ok := (&http.Request{Header: r.header}).BasicAuth(); !ok || id != "id" || secret != "s%2Bcret" {
		t.Errorf("client %s %s", id, secret)
	}
	if r.method != "POST" || r.url != "/token?a=1&b=2" || r.body != "grant_type=client_credentials&scope=all" || r.header.Get("X-Tenant") != "t" {
		t.Errorf("%+v", r)
	}
}

// The ways that a client may authenticate, of which one is used.
func TestTokenRequests(t *testing.T) {
	for _, test := range []struct {
		method         string
		body           map[string]string
		url, form      string
		authorizations int
	}{
		{"GET", map[string]string{"scope": "x"}, "/?grant_type=client_credentials&scope=x", "", 1},
		{"PUT", map[string]string{"client_id": "id", "client_secret": "s", "grant_type": "special"}, "/", "client_id=id&client_secret=s&grant_type=special", 0},
	} {
		auth, e := authorizer(t), newEndpoint(t, nil)
		h := connected(t, &deliver.Credentials{TokenEndpoint: auth.URL + "/", TokenMethod: test.method, ClientID: "id", ClientSecret: "s", TokenBody: test.body})
		h.run(t)
		h.enqueue(t, deliver.Delivery{Kind: deliver.HTTP, URL: e.URL, Connection: "connection"})
		h.emptied(t)
		got := auth.received()
		if len(got) != 1 || got[0].method != test.method || got[0].url != test.url || got[0].body != test.form ||
			len(got[0].header.Values("Authorization")) != test.authorizations {
			t.Errorf("%s: %+v", test.method, got)
		}
	}
}

// An endpoint that does not take a token any more gets another with the retry; other credentials get a token of their own.
func TestATokenThatIsRefusedIsGotAnew(t *testing.T) {
	auth := authorizer(t)
	e := newEndpoint(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer token1" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	c := &deliver.Credentials{Version: "1", TokenEndpoint: auth.URL, TokenMethod: "POST"}
	h := connected(t, c)
	h.run(t)
	d := deliver.Delivery{Kind: deliver.HTTP, URL: e.URL, Connection: "connection", Policy: deliver.Policy{RetryOn: []int{401}}}
	h.enqueue(t, d)
	if s := h.emptied(t); s.Delivered != 1 || s.Failed != 1 || len(auth.received()) != 2 {
		t.Errorf("%+v, %d tokens", s, len(auth.received()))
	}
	c.Version = "2"
	h.enqueue(t, d)
	if s := h.emptied(t); s.Delivered != 2 || len(auth.received()) != 3 {
		t.Errorf("%+v, %d tokens", s, len(auth.received()))
	}
}

// What goes wrong with a token says why, and shows neither the client's secret nor what was answered.
func TestNoToken(t *testing.T) {
	for answer, want := range map[string]string{
		`403 {"error":"answered"}`:          "NO_PERMISSIONS the authorization endpoint answered 403 Forbidden",
		`200 {"token":"answered"}`:          "NO_PERMISSIONS the authorization endpoint answered without an access token",
		`200 {"access_token":"answered\n"}`: "NO_PERMISSIONS the authorization endpoint answered without an access token",
	} {
		var status int
		var body string
		status = map[bool]int{true: 200, false: 403}[strings.HasPrefix(answer, "200")]
		body = answer[4:]
		auth := newEndpoint(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status); fmt.Fprint(w, body) })
		e := newEndpoint(t, nil)
		h := connected(t, &deliver.Credentials{TokenEndpoint: auth.URL + "/hidden", TokenMethod: "POST", ClientID: "id", ClientSecret: "hidden"})
		h.run(t)
		h.enqueue(t, deliver.Delivery{Kind: deliver.HTTP, URL: e.URL, Connection: "connection", Account: account, Policy: deliver.Policy{MaxAttempts: 2}})
		h.emptied(t)
		if len(e.received()) != 0 || len(h.dead) != 1 || h.dead[0].ErrorCode+" "+h.dead[0].ErrorMessage != want {
			t.Errorf("%s: %d requests, %+v", answer, len(e.received()), h.dead)
		}
		letters, _ := json.Marshal(h.dead)
		for _, text := range []string{h.log.String(), string(letters)} {
			if strings.Contains(text, "hidden") || strings.Contains(text, "answered\"") {
				t.Errorf("it shows a secret: %s", text)
			}
		}
	}
	if text := fmt.Sprintf("%v %+v %#v", deliver.Credentials{ClientSecret: "hidden"}, &deliver.Credentials{ClientSecret: "hidden"}, deliver.Credentials{ClientSecret: "hidden"}); strings.Contains(text, "hidden") {
		t.Error(text)
	}
}

// A lane of a limited rate makes no more attempts in a second, and holds up no other lane.
func TestARateIsKept(t *testing.T) {
	h := open(t)
	h.run(t)
	paced, free := newEndpoint(t, nil), newEndpoint(t, nil)
	arrived := func(e *endpoint, n int) {
		t.Helper()
		eventually(t, fmt.Sprintf("%d have arrived", n), func() bool { return len(e.received()) >= n })
	}
	for i := range 8 {
		h.enqueue(t, deliver.Delivery{Kind: deliver.HTTP, URL: paced.URL, Lane: "paced", Rate: 3, Body: fmt.Append(nil, i)})
	}
	for second, want := range []int{3, 6, 8} {
		arrived(paced, want)
		h.enqueue(t, deliver.Delivery{Kind: deliver.HTTP, URL: free.URL})
		arrived(free, second+1)
		eventually(t, "what was begun is settled", func() bool { return h.stats(t).InFlight == 0 })
		if n := len(paced.received()); n != want {
			t.Fatalf("%d attempts in %d seconds, want %d", n, second+1, want)
		}
		h.clock.Advance(time.Second)
	}
	// The lane is empty and forgotten in between, its second is not.
	for i := range 4 {
		h.enqueue(t, deliver.Delivery{Kind: deliver.HTTP, URL: paced.URL, Lane: "paced", Rate: 3})
		if i < 3 {
			arrived(paced, 9+i)
			eventually(t, "it is settled", func() bool { s := h.stats(t); return s.Queued == 0 && s.InFlight == 0 })
		}
	}
	h.enqueue(t, deliver.Delivery{Kind: deliver.HTTP, URL: free.URL})
	arrived(free, 4)
	if n := len(paced.received()); n != 11 {
		t.Errorf("%d attempts, want 11 before the second is over", n)
	}
	h.clock.Advance(time.Second)
	arrived(paced, 12)
}
