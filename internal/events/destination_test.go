package events_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"vigil/internal/clock"
	"vigil/internal/deliver"
	"vigil/internal/events"
	"vigil/internal/store"
)

// destination makes an API destination and gives its ARN.
func (h *house) destination(name, connection, endpoint string, method types.ApiDestinationHttpMethod, rate int32) string {
	h.t.Helper()
	return *must[eventbridge.CreateApiDestinationOutput](h, "CreateApiDestination", &eventbridge.CreateApiDestinationInput{
		Name: &name, ConnectionArn: &connection, InvocationEndpoint: &endpoint, HttpMethod: method, InvocationRateLimitPerSecond: &rate}).ApiDestinationArn
}

func TestApiDestinations(t *testing.T) {
	h := open(t)
	connection := h.connect("c", types.ConnectionAuthorizationTypeBasic, basic)
	made := must[eventbridge.CreateApiDestinationOutput](h, "CreateApiDestination", &eventbridge.CreateApiDestinationInput{
		Name: new("d"), ConnectionArn: &connection, InvocationEndpoint: new("https://a.example/*"), HttpMethod: "POST", Description: new("first")})
	describe := func() *eventbridge.DescribeApiDestinationOutput {
		t.Helper()
		return must[eventbridge.DescribeApiDestinationOutput](h, "DescribeApiDestination", &eventbridge.DescribeApiDestinationInput{Name: new("d")})
	}
	got := describe()
	if *got.InvocationRateLimitPerSecond != 300 || got.ApiDestinationState != "ACTIVE" || *got.ApiDestinationArn != *made.ApiDestinationArn || *got.Description != "first" {
		t.Error(asJSON(got))
	}
	h.clock.Advance(time.Minute)
	must[eventbridge.UpdateApiDestinationOutput](h, "UpdateApiDestination", &eventbridge.UpdateApiDestinationInput{
		Name: new("d"), HttpMethod: "PUT", InvocationRateLimitPerSecond: new(int32(7))})
	h = h.reopened()
	got = describe()
	if *got.InvocationRateLimitPerSecond != 7 || got.HttpMethod != "PUT" || *got.InvocationEndpoint != "https://a.example/*" || *got.Description != "first" ||
		*got.ConnectionArn != connection || got.LastModifiedTime.Sub(*got.CreationTime) < time.Minute {
		t.Error(asJSON(got))
	}
	must[eventbridge.DeauthorizeConnectionOutput](h, "DeauthorizeConnection", &eventbridge.DeauthorizeConnectionInput{Name: new("c")})
	if got := describe(); got.ApiDestinationState != "INACTIVE" {
		t.Errorf("%s, though its connection is not authorized", got.ApiDestinationState)
	}
	must[eventbridge.DeleteApiDestinationOutput](h, "DeleteApiDestination", &eventbridge.DeleteApiDestinationInput{Name: new("d")})

	create := func(connection, endpoint string) *eventbridge.CreateApiDestinationInput {
		return &eventbridge.CreateApiDestinationInput{Name: new("e"), ConnectionArn: &connection, InvocationEndpoint: &endpoint, HttpMethod: "POST"}
	}
	must[eventbridge.CreateApiDestinationOutput](h, "CreateApiDestination", create(connection, "https://a.example"))
	for _, test := range []struct {
		op   string
		in   any
		want string
	}{
		{"CreateApiDestination", create(connection, "https://a.example"), "ResourceAlreadyExistsException: An api-destination 'e' already exists."},
		{"CreateApiDestination", create(connection, "http://a.example"), "ValidationException: Parameter InvocationEndpoint is not valid. Reason: It must be a URL of scheme https"},
		{"CreateApiDestination", create(connection, "https://u:p@a.example"), "ValidationException: Parameter InvocationEndpoint"},
		{"CreateApiDestination", create(connection, "https://*.example"), "ValidationException: Parameter InvocationEndpoint"},
		{"CreateApiDestination", create(connection+"0", "https://a.example"), "ResourceNotFoundException: Connection '" + connection + "0' does not exist."},
		{"UpdateApiDestination", &eventbridge.UpdateApiDestinationInput{Name: new("e"), InvocationEndpoint: new("ftp://x")}, "ValidationException: Parameter InvocationEndpoint"},
		{"UpdateApiDestination", &eventbridge.UpdateApiDestinationInput{Name: new("d")}, "ResourceNotFoundException: "},
		{"DescribeApiDestination", &eventbridge.DescribeApiDestinationInput{Name: new("d")}, "ResourceNotFoundException: Failed to describe the api-destination(s). An api-destination 'd' does not exist."},
		{"DeleteApiDestination", &eventbridge.DeleteApiDestinationInput{Name: new("d")}, "ResourceNotFoundException: "},
	} {
		if _, err := h.call(test.op, test.in); err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", test.op, err, test.want)
		}
	}
}

// What an API destination is sent, by what its target and the event have.
func TestRequests(t *testing.T) {
	var got []events.Delivery
	h := open(t, func(c *events.Config) {
		c.Enqueue = func(_ store.Tx, d events.Delivery) error { got = append(got, d); return nil }
	})
	connection := h.connect("c", types.ConnectionAuthorizationTypeBasic, basic)
	upwards := types.Target{Id: new("t"), Arn: new(h.destination("up", connection, "https://a.example/in/*", "POST", 5)),
		HttpParameters: &types.HttpParameters{PathParameterValues: []string{"$.detail.up"}}}
	h.rule("default", "r", `{"source":["a"]}`, "", upwards)
	if h.put("default", "a", `{"up":".."}`); len(got) != 0 {
		t.Errorf("an event leads out of its place in the path: %s", got[0].URL)
	}
	for i, test := range []struct {
		endpoint string
		given    *types.HttpParameters
		url      string
		header   map[string]string
	}{
		{"https://a.example/x?y=%20", nil, "https://a.example/x?y=%20", nil},
		{"https://a.example/*/of/*?a=*", &types.HttpParameters{PathParameterValues: []string{"$.detail.name", "*", "more"}}, "https://a.example/a%2F%3F/of/%2A?a=*", nil},
		{"https://a.example/*/*", &types.HttpParameters{PathParameterValues: []string{"$.detail.none"}}, "https://a.example//*", nil},
		{"https://a.example?b=1&n=0", &types.HttpParameters{QueryStringParameters: map[string]string{"n": "$.detail.n", "o": "$.detail.o"}}, "https://a.example?b=1&n=7&o=%7B%22p%22%3A%5B1%5D%7D", nil},
		{"https://a.example", &types.HttpParameters{HeaderParameters: map[string]string{"x-name": "$.detail.lines", "Host": "b", "user-agent": "c", "content-type": "text/x"}},
			"https://a.example", map[string]string{"X-Name": "one  Two: 2", "Content-Type": "text/x"}},
	} {
		name := fmt.Sprint("d", i)
		to := types.Target{Id: new("t"), Arn: new(h.destination(name, connection, test.endpoint, "PATCH", 5)), HttpParameters: test.given, InputPath: new("$.detail.n"),
			RetryPolicy: &types.RetryPolicy{MaximumRetryAttempts: new(int32(0))}}
		h.rule("default", "r", `{"source":["a"]}`, "", to)
		got = nil
		h.put("default", "a", `{"name":"a/?","n":7,"o":{"p":[1]},"lines":"one\r\nTwo: 2"}`)
		if len(got) != 1 {
			t.Fatalf("%d requests", len(got))
		}
		header := map[string]string{"User-Agent": "Amazon/EventBridge/ApiDestinations", "Range": "bytes=0-1048575", "Accept-Encoding": "gzip,deflate",
			"Content-Type": "application/json; charset=utf-8"}
		for name, value := range test.header {
			header[name] = value
		}
		d := got[0]
		if d.URL != test.url || !reflect.DeepEqual(d.Header, header) {
			t.Errorf("%s: %s %v", test.endpoint, d.URL, d.Header)
		}
		if d.Method != "PATCH" || string(d.Body) != "7" || d.Connection != connection || d.Rate != 5 || d.Lane != *to.Arn || d.Target != *to.Arn ||
			d.Timeout != 5*time.Second || d.MaxRetries != 0 || d.MaxAge != 24*time.Hour || d.Rule != "arn:aws:events:us-west-2:111122223333:rule/r" || d.Cause.Depth != 1 {
			t.Errorf("%+v", d)
		}
	}
}

// From PutEvents to the endpoint, with the real outbox: the token is got first, the retry after a refusal succeeds.
func TestAnEventArrivesAtAnApiDestination(t *testing.T) {
	type arrival struct{ path, authorization, body string }
	arrived := make(chan arrival, 10)
	var refused atomic.Bool
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/token" {
			fmt.Fprint(w, `{"access_token":"abc","expires_in":600}`)
			return
		}
		if !refused.Swap(true) {
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		arrived <- arrival{r.URL.String(), r.Header.Get("Authorization"), string(body)}
	}))
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())

	var h *house
	var outbox *deliver.Outbox
	clk := clock.NewMovable(0)
	h = openAt(t, place(t), clk, func(c *events.Config) {
		var err error
		outbox, err = deliver.New(context.Background(), deliver.Config{
			DB: c.Watch, Clock: clk, Secrets: c.Secrets, AllowLocal: true, TLS: &tls.Config{RootCAs: roots},
			Connect: func(name string) (deliver.Credentials, error) {
				c, err := h.events.Credentials(name)
				return deliver.Credentials(c), err
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		c.Enqueue = func(tx store.Tx, d events.Delivery) error {
			return outbox.Enqueue(tx, deliver.Delivery{ID: d.ID, Kind: deliver.HTTP, Method: d.Method, URL: d.URL, Header: d.Header, Body: d.Body,
				Connection: d.Connection, Lane: d.Lane, Rate: d.Rate, Timeout: d.Timeout, Account: d.Account, Region: d.Region, Source: d.Rule, Target: d.Target,
				Policy: deliver.Policy{MaxAttempts: d.MaxRetries + 1, MaxAge: d.MaxAge, RetryOn: []int{401, 407, 409, 429}, RetryAfter: true}})
		}
	})
	h.run(outbox.Run)
	connection := h.connect("c", types.ConnectionAuthorizationTypeOauthClientCredentials, strings.Replace(oauth, "https://auth.example", server.URL, 1))
	h.rule("default", "r", `{"source":["a"]}`, "", types.Target{Id: new("t"), Arn: new(h.destination("d", connection, server.URL+"/in/*", "POST", 300)),
		InputPath: new("$.detail"), HttpParameters: &types.HttpParameters{PathParameterValues: []string{"$.detail.id"}}})
	h.put("default", "a", `{"id":"x1"}`)
	deadline := time.After(20 * time.Second)
	for {
		select {
		case got := <-arrived:
			if want := (arrival{"/in/x1", "Bearer abc", `{"id":"x1"}`}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			return
		case <-deadline:
			t.Fatal(errors.New("nothing arrived"))
		case <-time.After(5 * time.Millisecond):
			clk.Advance(time.Second)
		}
	}
}
