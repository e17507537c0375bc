package events

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
)

// Whatever an event has, the request stays with the destination's host and in the part of the path that it may fill in, and its headers are
// headers.
func FuzzRequest(f *testing.F) {
	f.Add("https://a.example/in/*/x?q=1", "$.detail.v", "a/../b?c#d")
	f.Add("https://a.example/in/*", "..", "")
	f.Add("https://a.example:8443/in/*/*", "$.detail.v", "\r\nHost: b *")
	f.Fuzz(func(t *testing.T, endpoint, value, inEvent string) {
		if checkEndpoint("InvocationEndpoint", endpoint) != nil {
			return
		}
		event, err := json.Marshal(map[string]any{"detail": map[string]any{"v": inEvent}})
		if err != nil {
			t.Fatal(err)
		}
		d := &destination{endpoint: endpoint}
		got, header, err := d.request(&types.HttpParameters{
			PathParameterValues: []string{value, value}, QueryStringParameters: map[string]string{"v": value}, HeaderParameters: map[string]string{"X-V": value},
		}, event)
		if err != nil {
			return
		}
		was, _ := url.Parse(endpoint)
		is, err := url.Parse(got)
		if err != nil {
			t.Fatalf("%q: %v", got, err)
		}
		path, _, _ := strings.Cut(endpoint, "?")
		if is.Host != was.Host || is.Scheme != "https" || is.Fragment != "" || strings.Count(is.EscapedPath(), "/") != strings.Count(was.EscapedPath(), "/") {
			t.Errorf("%q of %q", got, path)
		}
		if want := dynamic(value, event); is.Query().Get("v") != want {
			t.Errorf("query has %q, want %q", is.Query().Get("v"), want)
		}
		if strings.ContainsFunc(header["X-V"], func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Errorf("header %q", header["X-V"])
		}
	})
}
