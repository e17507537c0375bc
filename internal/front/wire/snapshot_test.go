package wire

import (
	"bytes"
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/smithy-go/encoding/cbor"
)

// The SDK's modules carry what each operation looks like on the wire with every member set. All of it must be read, and come
// out again.

// modules are the SDK's modules that carry snapshots, by the name of the model. IAM, STS and SNS have none of responses.
var modules = map[string]string{
	"cloudwatch": "cloudwatch", "events": "eventbridge", "iam": "iam", "kms": "kms", "logs": "cloudwatchlogs", "sns": "sns", "sts": "sts",
}

// snapshots are the files of a folder in the SDK's module of a service, by the name before suffix.
func snapshots(t *testing.T, service, folder, suffix string) map[string]string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/aws-sdk-go-v2/service/"+modules[service]).Output()
	if err != nil {
		const missing = "the go command is needed to find the SDK's snapshots"
		if os.Getenv("VIGIL_TEST_STRICT") == "1" {
			t.Fatal(missing, err)
		}
		t.Skip(missing)
	}
	files, _ := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), folder, "*"+suffix))
	if len(files) == 0 {
		t.Fatalf("no %s in the SDK's module of %s", folder, service)
	}
	found := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found[strings.TrimSuffix(filepath.Base(file), suffix)] = string(text)
	}
	return found
}

var endOfHeaders = regexp.MustCompile(`(?m)^[A-Za-z-]+: .*\n\n`)

// body is what follows the headers, which may have an empty line above them.
func body(t *testing.T, snapshot string) []byte {
	t.Helper()
	end := endOfHeaders.FindStringIndex(snapshot)
	if end == nil {
		t.Fatalf("no headers in %q", snapshot)
	}
	return []byte(snapshot[end[1]:])
}

func sameJSON(t *testing.T, got, want []byte) bool {
	t.Helper()
	var a, b any
	if err := json.Unmarshal(got, &a); err != nil {
		t.Errorf("%v in %s", err, got)
	}
	if err := json.Unmarshal(want, &b); err != nil {
		t.Errorf("%v in %s", err, want)
	}
	return reflect.DeepEqual(a, b)
}

func TestJSONRequestSnapshots(t *testing.T) {
	for _, service := range []string{"events", "kms", "logs"} {
		operations := sdkOperations(t, service, "http://127.0.0.1:1")
		files := snapshots(t, service, "request_snapshot", ".request.snap")
		for name, snapshot := range files {
			o, request := operations[name], body(t, snapshot)
			if slices.Contains(streams, name) {
				continue
			}
			in := o.newInput()
			if err := o.DecodeJSON(request, in); err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if got := []byte(show(o.in, in)); !sameJSON(t, got, request) {
				t.Errorf("%s: got %s from %s", name, got, request)
			}
		}
		if len(files) < len(operations) {
			t.Errorf("%s: %d snapshots of %d operations", service, len(files), len(operations))
		}
	}
}

func TestJSONResponseSnapshots(t *testing.T) {
	for _, service := range []string{"events", "kms", "logs"} {
		operations := sdkOperations(t, service, "http://127.0.0.1:1")
		for name, snapshot := range snapshots(t, service, "response_snapshot", ".response.snap") {
			o, response := operations[name], body(t, snapshot)
			if slices.Contains(streams, name) {
				continue
			}
			out := o.newOutput()
			r := new(jsonReader)
			r.body = *bytes.NewBuffer(response)
			r.dec.Reset(&r.body)
			if err := r.document(o.out, reflect.ValueOf(out).Elem()); err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			got := o.AppendJSON(nil, out)
			if !o.hasOutput { // the SDK takes an object too; AWS sends nothing
				if len(got) > 0 || string(response) != "{}" {
					t.Errorf("%s: got %s, and the snapshot is %s", name, got, response)
				}
				continue
			}
			if !sameJSON(t, got, response) {
				t.Errorf("%s: got %s from %s", name, got, response)
			}
		}
	}
}

// KMS's model says otherwise, but AWS answers 400 for every error of a client's over JSON 1.1, and so do the newer models.
func TestJSONErrorSnapshots(t *testing.T) {
	for _, service := range []string{"events", "kms", "logs"} {
		s, _ := Load(service)
		for name, snapshot := range snapshots(t, service, "response_snapshot", ".error.snap") {
			e, ok := s.Error(name)
			if !ok {
				t.Errorf("the model of %s has no error %s", service, name)
			}
			if want := snapshot[:3]; service != "kms" && strconv.Itoa(e.Status) != want {
				t.Errorf("%s: status is %d, want %s", name, e.Status, want)
			}
			var want map[string]any
			if err := json.Unmarshal(body(t, snapshot), &want); err != nil {
				t.Fatal(err)
			}
			checkErrorBody(t, e.AppendJSON(nil, "__Message__"), want)
		}
	}
}

// checkErrorBody compares the type and the message of an error; what else an error may have is not built.
func checkErrorBody(t *testing.T, got []byte, want map[string]any) {
	t.Helper()
	for name := range want {
		if name != "__type" && !strings.EqualFold(name, "message") {
			delete(want, name)
		}
	}
	text, _ := json.Marshal(want)
	if !sameJSON(t, got, text) {
		t.Errorf("got %s, want %s", got, text)
	}
}

func TestQueryRequestSnapshots(t *testing.T) {
	for _, service := range []string{"iam", "sns", "sts"} {
		operations := sdkOperations(t, service, "http://127.0.0.1:1")
		files := snapshots(t, service, "request_snapshot", ".request.snap")
		for name, snapshot := range files {
			o := operations[name]
			form, err := url.ParseQuery(string(body(t, snapshot)))
			if err != nil {
				t.Fatal(err)
			}
			in := o.newInput()
			if err := o.DecodeQuery(form, in); err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			got := url.Values{"Action": {name}, "Version": {o.Service.APIVersion}}
			queryOf(got, o.in, reflect.ValueOf(in).Elem(), "")
			if got.Encode() != form.Encode() {
				t.Errorf("%s: got %s from %s", name, got.Encode(), form.Encode())
			}
		}
		if len(files) < len(operations) {
			t.Errorf("%s: %d snapshots of %d operations", service, len(files), len(operations))
		}
	}
}

func TestCBORRequestSnapshots(t *testing.T) {
	operations := sdkOperations(t, "cloudwatch", "http://127.0.0.1:1")
	files := snapshots(t, "cloudwatch", "request_snapshot", ".request.snap")
	for name, snapshot := range files {
		o, request := operations[name], body(t, snapshot)
		if path := "POST /service/" + o.Service.RPCNames()[0] + "/operation/" + name + "\n"; !strings.HasPrefix(snapshot, path) {
			t.Errorf("%s: it is not for %s", name, path)
		}
		in := o.newInput()
		if err := o.DecodeCBOR(request, in); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := appendCBOR(nil, o.in, reflect.ValueOf(in).Elem()); !sameCBOR(t, got, request) {
			t.Errorf("%s: got %s from %q", name, show(o.in, in), request)
		}
	}
	if len(files) < len(operations) {
		t.Errorf("%d snapshots of %d operations", len(files), len(operations))
	}
}

func TestCBORResponseSnapshots(t *testing.T) {
	operations := sdkOperations(t, "cloudwatch", "http://127.0.0.1:1")
	for name, snapshot := range snapshots(t, "cloudwatch", "response_snapshot", ".response.snap") {
		o, response := operations[name], body(t, snapshot)
		out := o.newOutput()
		if len(response) > 0 {
			r := cborReader{rest: response}
			if err := r.document(o.out, reflect.ValueOf(out).Elem()); err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
		}
		got := o.AppendCBOR(nil, out)
		if len(got) != 0 && len(response) != 0 && !sameCBOR(t, got, response) || (len(got) == 0) != (len(response) == 0) {
			t.Errorf("%s: got %q from %q", name, got, response)
		}
	}
}

func TestCBORErrorSnapshots(t *testing.T) {
	s, _ := Load("cloudwatch")
	for name, snapshot := range snapshots(t, "cloudwatch", "response_snapshot", ".error.snap") {
		e, ok := s.Error(name)
		if !ok {
			t.Errorf("the model has no error %s", name)
		}
		if want := snapshot[:3]; strconv.Itoa(e.Status) != want {
			t.Errorf("%s: status is %d, want %s", name, e.Status, want)
		}
		got, want := tree(t, e.AppendCBOR(nil, "__Message__")).(cbor.Map), tree(t, body(t, snapshot)).(cbor.Map)
		want["__type"] = cbor.String("com.amazonaws.cloudwatch#" + name)
		for member := range want {
			if member != "__type" && !strings.EqualFold(member, "message") {
				delete(want, member) // not built
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

func tree(t *testing.T, item []byte) cbor.Value {
	t.Helper()
	v, err := cbor.Decode(item)
	if err != nil {
		t.Errorf("%v in %q", err, item)
	}
	return v
}

func sameCBOR(t *testing.T, got, want []byte) bool {
	t.Helper()
	return reflect.DeepEqual(tree(t, got), tree(t, want))
}

// queryOf writes an input as a client would, which no server needs to.
func queryOf(form url.Values, p *plan, v reflect.Value, prefix string) {
	for i := range p.members {
		m := &p.members[i]
		value, set := m.get(v)
		if set {
			queryValue(form, m.plan, value, prefix+m.wireName, m.flattened)
		}
	}
}

func queryValue(form url.Values, p *plan, v reflect.Value, name string, flattened bool) {
	switch p.kind {
	case kindStructure:
		before := len(form)
		if queryOf(form, p, v, name+"."); len(form) == before {
			form.Set(name, "")
		}
	case kindList:
		if v.Len() == 0 {
			form.Set(name, "")
		}
		if !flattened {
			name += "." + p.elemName
		}
		for i := range v.Len() {
			queryValue(form, p.elem, v.Index(i), name+"."+strconv.Itoa(i+1), false)
		}
	case kindMap:
		if v.Len() == 0 {
			form.Set(name, "")
		}
		if !flattened {
			name += ".entry"
		}
		for i, key := range sortedKeys(v) {
			form.Set(name+"."+strconv.Itoa(i+1)+"."+p.keyName, key.String())
			queryValue(form, p.elem, v.MapIndex(key), name+"."+strconv.Itoa(i+1)+"."+p.valueName, false)
		}
	case kindString:
		if v.String() == emptyEnum && p.limits != nil && p.limits.enum != nil {
			form.Set(name, "")
			return
		}
		form.Set(name, v.String())
	case kindTimestamp:
		form.Set(name, string(appendXMLTime(nil, p, timeOf(v))))
	default:
		form.Set(name, strings.Trim(string(appendValue(nil, p, v, asResponse)), `"`))
	}
}
