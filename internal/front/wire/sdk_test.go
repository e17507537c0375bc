package wire

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

// The tests here hold the models against the SDK, and let its own clients talk with what this package reads and writes.

// clients make the SDK's client of each service, for a server at an address.
var clients = map[string]func(url string) any{
	"kms": func(url string) any {
		return kms.New(kms.Options{Region: "us-east-1", BaseEndpoint: &url, Credentials: credentials, RetryMaxAttempts: 1})
	},
	"sts": func(url string) any {
		return sts.New(sts.Options{Region: "us-east-1", BaseEndpoint: &url, Credentials: credentials, RetryMaxAttempts: 1})
	},
	"cloudtrail": func(url string) any {
		return cloudtrail.New(cloudtrail.Options{Region: "us-east-1", BaseEndpoint: &url, Credentials: credentials, RetryMaxAttempts: 1})
	},
	"cloudwatch": func(url string) any {
		return cloudwatch.New(cloudwatch.Options{Region: "us-east-1", BaseEndpoint: &url, Credentials: credentials, RetryMaxAttempts: 1})
	},
	"events": func(url string) any {
		return eventbridge.New(eventbridge.Options{Region: "us-east-1", BaseEndpoint: &url, Credentials: credentials, RetryMaxAttempts: 1})
	},
	"iam": func(url string) any {
		return iam.New(iam.Options{Region: "us-east-1", BaseEndpoint: &url, Credentials: credentials, RetryMaxAttempts: 1})
	},
	"logs": func(url string) any {
		return cloudwatchlogs.New(cloudwatchlogs.Options{Region: "us-east-1", BaseEndpoint: &url, Credentials: credentials, RetryMaxAttempts: 1})
	},
	"sns": func(url string) any {
		return sns.New(sns.Options{Region: "us-east-1", BaseEndpoint: &url, Credentials: credentials, RetryMaxAttempts: 1})
	},
}

var credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "secret"}, nil
})

// streams are the operations that are answered by a stream of events, which cannot be bound.
var streams = []string{"GetLogObject", "StartLiveTail"}

// sdkOperation is one operation of an SDK's client, bound.
type sdkOperation struct {
	*Operation
	call reflect.Value // the client's method
}

// try calls the operation as the client does, with a pointer to its input.
func (o sdkOperation) try(in any) (out any, err error) {
	results := o.call.Call([]reflect.Value{reflect.ValueOf(context.Background()), reflect.ValueOf(in)})
	err, _ = results[1].Interface().(error)
	return results[0].Interface(), err
}

func (o sdkOperation) newInput() any  { return reflect.New(o.inType).Interface() }
func (o sdkOperation) newOutput() any { return reflect.New(o.outType).Interface() }

// sdkOperations are all operations that the SDK's client of a service has. It fails the test when one of them does not fit the
// model.
func sdkOperations(t testing.TB, name, url string) map[string]sdkOperation {
	t.Helper()
	s, err := Load(name)
	if err != nil {
		t.Fatal(err)
	}
	client := reflect.ValueOf(clients[name](url))
	operations := map[string]sdkOperation{}
	for i := range client.NumMethod() {
		method := client.Type().Method(i)
		if method.Type.NumOut() != 2 {
			continue // such as Options, which is no operation
		}
		o, err := s.Bind(method.Name, method.Type.In(2), method.Type.Out(0))
		if errors.Is(err, errEventStream) && slices.Contains(streams, method.Name) {
			continue
		}
		if err != nil {
			t.Error(err)
			continue
		}
		operations[method.Name] = sdkOperation{o, client.Method(i)}
	}
	return operations
}

func TestModelsFitTheSDK(t *testing.T) {
	for name := range clients {
		t.Run(name, func(t *testing.T) {
			operations := sdkOperations(t, name, "http://127.0.0.1:1")
			s, _ := Load(name)
			for _, operation := range s.OperationNames() {
				if _, ok := operations[operation]; !ok && !slices.Contains(streams, operation) {
					t.Errorf("the model has %s and the SDK has not", operation)
				}
			}
			checked := map[*plan]bool{}
			for _, o := range operations {
				checkEnums(t, o.in, checked)
				checkEnums(t, o.out, checked)
				checkRequired(t, o)
			}
		})
	}
}

// checkEnums compares the values that the model and the SDK know of each enumeration.
func checkEnums(t *testing.T, p *plan, checked map[*plan]bool) {
	if p == nil || checked[p] {
		return
	}
	checked[p] = true
	for i := range p.members {
		checkEnums(t, p.members[i].plan, checked)
	}
	checkEnums(t, p.key, checked)
	checkEnums(t, p.elem, checked)
	values := reflect.Zero(p.typ).MethodByName("Values")
	if !values.IsValid() {
		return
	}
	list := values.Call(nil)[0]
	known := map[string]bool{}
	for i := range list.Len() {
		value := list.Index(i).String()
		known[value] = true
		if _, ok := p.limits.enum[value]; !ok {
			t.Errorf("%v has the value %s and the model has not", p.typ, value)
		}
	}
	for value := range p.limits.enum {
		if !known[value] {
			t.Errorf("the model has the value %s and %v has not", value, p.typ)
		}
	}
}

// checkRequired compares what the model requires of an empty input with what the SDK's client does.
func checkRequired(t *testing.T, o sdkOperation) {
	_, err := o.try(o.newInput())
	want := []string{}
	var invalid smithy.InvalidParamsError
	if errors.As(err, &invalid) {
		for _, e := range invalid.Errs() {
			var param smithy.InvalidParamError
			if errors.As(e, &param) {
				_, field, _ := strings.Cut(param.Field(), ".")
				want = append(want, field)
			}
		}
	}
	got := []string{}
	for i := range o.in.members {
		if m := &o.in.members[i]; m.required {
			got = append(got, o.inType.Field(m.index).Name)
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s requires %v; the SDK has %v", o.Name, got, want)
	}
}

// Every operation of every service, with every member set, is called by the SDK's own client and answered: what arrives at each
// end must be what was sent at the other.
func TestTheSDKsClientsUnderstandAndAreUnderstood(t *testing.T) {
	for name := range clients {
		t.Run(name, func(t *testing.T) {
			var got, answer any // of the call that is under way
			var operations map[string]sdkOperation
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				o, in, err := received(t, r, operations)
				if err != nil {
					t.Errorf("%s: %v", o.Name, err)
				}
				got = in
				switch {
				case r.Header.Get("Smithy-Protocol") != "":
					w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
					w.Header().Set("Content-Type", "application/cbor")
					w.Write(o.AppendCBOR(nil, answer))
				case r.Header.Get("X-Amz-Target") != "":
					w.Header().Set("Content-Type", "application/x-amz-json-"+o.Service.JSONVersion)
					w.Write(o.AppendJSON(nil, answer))
				default:
					w.Header().Set("Content-Type", "text/xml")
					w.Write(o.AppendXML(nil, answer, "01234567-89ab-cdef-0123-456789abcdef"))
				}
			}))
			defer server.Close()
			operations = sdkOperations(t, name, server.URL)
			for _, o := range operations {
				sent := o.newInput()
				fill(o.in, reflect.ValueOf(sent).Elem(), 0)
				answer = o.newOutput()
				fill(o.out, reflect.ValueOf(answer).Elem(), 0)
				if in, ok := sent.(*eventbridge.PutEventsInput); ok {
					in.EndpointId = nil // it would be a part of the address
				}
				understood, err := o.try(sent)
				if err != nil {
					t.Errorf("%s: %v", o.Name, err)
					continue
				}
				if !reflect.DeepEqual(got, sent) {
					t.Errorf("%s: sent %s, received %s", o.Name, show(o.in, sent), show(o.in, got))
				}
				if got, want := show(o.out, understood), show(o.out, answer); got != want {
					t.Errorf("%s: answered %s, understood as %s", o.Name, want, got)
				}
			}
		})
	}
}

// received is the operation that a request of any protocol asks for, and its input.
func received(t *testing.T, r *http.Request, operations map[string]sdkOperation) (o sdkOperation, in any, err error) {
	text := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" { // as the SDK sends what is long
		if text, err = gzip.NewReader(r.Body); err != nil {
			t.Fatal(err)
		}
	}
	body, _ := io.ReadAll(text)
	if _, name, ok := strings.Cut(r.URL.Path, "/operation/"); ok {
		o = operations[name]
		if want := "/service/" + o.Service.RPCNames()[0] + "/operation/" + name; r.URL.Path != want {
			t.Errorf("path is %s, want %s", r.URL.Path, want)
		}
		in = o.newInput()
		return o, in, o.DecodeCBOR(body, in)
	}
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		o = operations[target[strings.LastIndexByte(target, '.')+1:]]
		if !slices.Contains(o.Service.Targets(o.Name), target) {
			t.Errorf("target is %s, want one of %v", target, o.Service.Targets(o.Name))
		}
		in = o.newInput()
		return o, in, o.DecodeJSON(body, in)
	}
	form, _ := url.ParseQuery(string(body))
	o = operations[form.Get("Action")]
	if form.Get("Version") != o.Service.APIVersion {
		t.Errorf("version is %s, want %s", form.Get("Version"), o.Service.APIVersion)
	}
	in = o.newInput()
	return o, in, o.DecodeQuery(form, in)
}

// fill sets every member of a structure, and whatever they hold, to something that is not the zero value. A structure that can
// hold itself does so once. Of a union the last member is set.
func fill(p *plan, v reflect.Value, n int, within ...*plan) {
	switch p.kind {
	case kindString:
		v.SetString("text & <more> \"quoted\" \\ \u00e9\u4e16\U0001F511 +%=" + string(rune('a'+n)))
		if p.limits != nil && p.limits.enum != nil {
			for value := range p.limits.enum {
				v.SetString(value)
			}
		}
	case kindBlob:
		v.SetBytes([]byte{0, 0xFF, 0xFE, byte(n)})
	case kindBool:
		v.SetBool(true)
	case kindInt:
		v.SetInt(int64(n) + 1<<30)
	case kindFloat:
		v.SetFloat(float64(n) + 0.25)
	case kindTimestamp:
		v.Set(reflect.ValueOf(time.UnixMilli(1747806465120 + int64(n)*1000).UTC()))
	case kindStructure:
		outer := slices.Clip(append(within, p))
		for i := range p.members {
			if m := &p.members[i]; !(slices.Contains(within, p) && m.plan.structured) {
				fill(m.plan, m.slot(v), i, outer...)
			}
		}
	case kindList:
		v.Set(reflect.MakeSlice(p.typ, 2, 2))
		fill(p.elem, v.Index(0), n, within...)
		fill(p.elem, v.Index(1), n+1, within...)
	case kindMap:
		v.Set(reflect.MakeMap(p.typ))
		for _, key := range []string{"key", "a key & more"} {
			elem := reflect.New(p.elem.typ).Elem()
			fill(p.elem, elem, n, within...)
			v.SetMapIndex(reflect.ValueOf(key), elem)
		}
	}
}

// show is any input or output as JSON.
func show(p *plan, value any) string {
	return string(appendStructure(nil, p, reflect.ValueOf(value).Elem(), asResponse, nil))
}
