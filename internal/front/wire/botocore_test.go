package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// Botocore, which the AWS CLI and boto3 are made of, speaks every protocol of CloudWatch, and reads the XML of which the Go SDK
// carries no snapshots. Every operation that it knows, with every member set, is asked and answered.
func TestBotocoreUnderstandsAndIsUnderstood(t *testing.T) {
	tests := []struct{ service, protocol string }{
		{"cloudwatch", "smithy-rpc-v2-cbor"},
		{"cloudwatch", "json"},
		{"cloudwatch", "query"},
		{"events", "json"},
		{"logs", "json"},
		{"sns", "query"},
	}
	if err := exec.Command("python3", "-c", `import botocore; assert tuple(map(int, botocore.__version__.split(".")[:2])) >= (1, 43)`).Run(); err != nil {
		const missing = "botocore 1.43 or later, the core of the AWS SDK for Python, is needed"
		if os.Getenv("VIGIL_TEST_STRICT") == "1" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	for _, test := range tests {
		t.Run(test.service+" "+test.protocol, func(t *testing.T) {
			operations := sdkOperations(t, test.service, "http://127.0.0.1:1")
			results := botocore(t, test.service, test.protocol, operations)
			for _, r := range results {
				header := http.Header{}
				for name, value := range r.Headers {
					header.Set(name, value)
				}
				request := &http.Request{Method: http.MethodPost, URL: &url.URL{Path: r.Path}, Header: header}
				request.Body = io.NopCloser(bytes.NewReader(r.Body))
				o, in, err := received(t, request, operations)
				if err != nil || o.Name != r.Operation {
					t.Errorf("%s: %v for %s, of %q", r.Operation, err, o.Name, r.Body)
					continue
				}
				var got, sent map[string]any
				if err := errors.Join(json.Unmarshal([]byte(show(o.in, in)), &got), json.Unmarshal(r.Input, &sent)); err != nil {
					t.Fatal(err)
				}
				maps.DeleteFunc(got, func(name string, value any) bool { // what is false when it is not sent
					return value == false && sent[name] == nil
				})
				if !reflect.DeepEqual(got, sent) {
					t.Errorf("%s: received %v, sent %v", o.Name, got, sent)
				}
				if !sameJSON(t, r.Understood, r.Output) {
					t.Errorf("%s: answered %s, understood as %s", o.Name, r.Output, r.Understood)
				}
			}
			if len(results) < len(operations)*3/4 {
				t.Errorf("botocore knows only %d of %d operations", len(results), len(operations))
			}
		})
	}
}

// spoken is a request that botocore has made, and an answer that it has understood.
type spoken struct {
	Operation, Path    string
	Headers            map[string]string
	Body               []byte
	Input              json.RawMessage // what it sent
	Output, Understood json.RawMessage // what it should have understood, and what it did
}

func botocore(t *testing.T, service, protocol string, operations map[string]sdkOperation) []spoken {
	type call struct {
		Operation string          `json:"operation"`
		Input     json.RawMessage `json:"input"`
		Output    json.RawMessage `json:"output"`
		Answer    []byte          `json:"answer"`
	}
	asked := struct {
		Service  string `json:"service"`
		Protocol string `json:"protocol"`
		Calls    []call `json:"calls"`
	}{Service: service, Protocol: protocol}
	for _, name := range slices.Sorted(maps.Keys(operations)) {
		o := operations[name]
		in, out := o.newInput(), o.newOutput()
		fill(o.in, reflect.ValueOf(in).Elem(), 0)
		fill(o.out, reflect.ValueOf(out).Elem(), 0)
		wholeSeconds(o.in, reflect.ValueOf(in).Elem())
		var answer []byte
		switch protocol {
		case "json":
			answer = o.AppendJSON(nil, out)
		case "query":
			answer = o.AppendXML(nil, out, "01234567-89ab-cdef-0123-456789abcdef")
		default:
			answer = o.AppendCBOR(nil, out)
		}
		if len(answer) == 0 {
			answer = []byte{}
		}
		asked.Calls = append(asked.Calls, call{name, json.RawMessage(show(o.in, in)), json.RawMessage(show(o.out, out)), answer})
	}
	text, err := json.Marshal(asked)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("python3", "testdata/speak.py")
	cmd.Stdin = bytes.NewReader(text)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	said, err := cmd.Output()
	if err != nil {
		t.Fatal(err, stderr.String())
	}
	var told struct {
		Unknown string
		Results []spoken
	}
	if err := json.Unmarshal(said, &told); err != nil {
		t.Fatal(err)
	}
	if told.Unknown != "" {
		t.Skipf("botocore %s does not speak %s", told.Unknown, protocol)
	}
	return told.Results
}

// wholeSeconds cuts off the milliseconds of every time, which botocore does not send in JSON.
func wholeSeconds(p *plan, v reflect.Value) {
	switch p.kind {
	case kindTimestamp:
		v.Set(reflect.ValueOf(timeOf(v).Truncate(time.Second)))
	case kindStructure:
		for i := range p.members {
			if value, set := p.members[i].get(v); set {
				wholeSeconds(p.members[i].plan, value)
			}
		}
	case kindList:
		for i := range v.Len() {
			wholeSeconds(p.elem, v.Index(i))
		}
	}
}
