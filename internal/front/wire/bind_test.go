package wire

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

func TestBindRefusesWhatDoesNotFit(t *testing.T) {
	const text = `{
		"operations": {"Op": {"name": "Op", "input": {"shape": "In"}, "output": {"shape": "Out"}}},
		"shapes": {
			"In": {"type": "structure", "required": ["name"], "members": {"name": {"shape": "String"}, "Number": {"shape": "Integer"}}},
			"Out": {"type": "structure", "members": {"When": {"shape": "Date"}, "Names": {"shape": "Names"}}},
			"String": {"type": "string"}, "Integer": {"type": "integer"}, "Date": {"type": "timestamp"},
			"Names": {"type": "list", "member": {"shape": "String"}}
		}
	}`
	type in struct {
		Name   *string
		Number *int32
	}
	type out struct {
		When  *time.Time
		Names []string
	}
	s, err := parseService("test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, operation string
		in, out         reflect.Type
		problem         string // empty when it fits
	}{
		{"it fits", "Op", typeOf[in](), typeOf[out](), ""},
		{"pointers are as good", "Op", typeOf[*in](), typeOf[*out](), ""},
		{"the SDK's own fields do not count", "Op", typeOf[in](), typeOf[struct {
			When           *time.Time
			Names          []string
			ResultMetadata struct{}
			private        int
		}](), ""},
		{"no such operation", "Other", typeOf[in](), typeOf[out](), `no operation "Other"`},
		{"a member is missing", "Op", typeOf[struct{ Name *string }](), typeOf[out](), "lacks the model's member Number"},
		{"a member is too many", "Op", typeOf[struct {
			Name   *string
			Number *int32
			Extra  *string
		}](), typeOf[out](), "has Extra, which the model has not"},
		{"another type", "Op", typeOf[struct {
			Name   *string
			Number *int64
		}](), typeOf[out](), "Integer is a integer in the model and a int64 in Go"},
		{"a text that cannot be unset", "Op", typeOf[struct {
			Name   string
			Number *int32
		}](), typeOf[out](), "cannot be unset"},
		{"an element of another type", "Op", typeOf[in](), typeOf[struct {
			When  *time.Time
			Names []int
		}](), "String is a string in the model and a int in Go"},
		{"a time of another type", "Op", typeOf[in](), typeOf[struct {
			When  *int64
			Names []string
		}](), "Date is a timestamp in the model and a int64 in Go"},
		{"no struct", "Op", typeOf[string](), typeOf[out](), "is not a struct"},
	}
	for _, test := range tests {
		_, err := s.Bind(test.operation, test.in, test.out)
		switch {
		case test.problem == "" && err != nil:
			t.Errorf("%s: %v", test.name, err)
		case test.problem != "" && (err == nil || !strings.Contains(err.Error(), test.problem)):
			t.Errorf("%s: got %v, want %s", test.name, err, test.problem)
		}
	}
}

// shade is a union of no service's.
type shade interface{ isShade() }

func TestBindRefusesUnionsThatDoNotFit(t *testing.T) {
	const text = `{
		"operations": {"Op": {"name": "Op", "input": {"shape": "In"}}},
		"shapes": {
			"In": {"type": "structure", "members": {"U": {"shape": "U"}}},
			"U": {"type": "structure", "union": true, "members": {%s}},
			"Structure": {"type": "structure", "members": {}}
		}
	}`
	window := typeOf[struct{ U types.EvaluationWindow }]()
	tests := []struct {
		name, members string
		in            reflect.Type
		problem       string
	}{
		{"a member is missing", `"Other": {"shape": "Structure"}`, window, "lacks the model's member Other"},
		{"a member is too many", `"SlidingWindow": {"shape": "Structure"}`, window, "EvaluationWindowMemberWallClockWindow, which the model has not"},
		{"no union", `"SlidingWindow": {"shape": "Structure"}`, typeOf[struct{ U *struct{} }](), "is not known as a union"},
		{"a union that is not listed", `"SlidingWindow": {"shape": "Structure"}`, typeOf[struct{ U shade }](), "is not known as a union"},
	}
	for _, test := range tests {
		s, err := parseService("test", fmt.Appendf(nil, text, test.members))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Bind("Op", test.in, typeOf[struct{}]()); err == nil || !strings.Contains(err.Error(), test.problem) {
			t.Errorf("%s: got %v, want %s", test.name, err, test.problem)
		}
	}
}

func TestServices(t *testing.T) {
	for _, name := range Names() {
		s, err := Load(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if s.Name != name || s.SigningName == "" || len(s.OperationNames()) == 0 || s.HasOperation("NoSuchOperation") {
			t.Errorf("%s: %+v", name, s)
		}
	}
	if _, err := Load("nosuchservice"); err == nil || !strings.Contains(err.Error(), "kms") {
		t.Errorf("got %v", err)
	}
	s, _ := Load("kms")
	if s.TargetPrefix != "TrentService" || s.JSONVersion != "1.1" || s.Protocol != "json" || s.SigningName != "kms" {
		t.Errorf("%+v", s)
	}
	s, _ = Load("cloudwatch")
	if s.SigningName != "monitoring" || s.JSONVersion != "1.0" || !s.QueryCompatible || !slices.Equal(s.Protocols, []string{"smithy-rpc-v2-cbor", "json", "query"}) {
		t.Errorf("%+v", s)
	}
	if want := []string{"GraniteServiceVersion20100801", "com.amazonaws.cloudwatch.GraniteServiceVersion20100801"}; !slices.Equal(s.RPCNames(), want) {
		t.Errorf("RPCNames are %v, want %v", s.RPCNames(), want)
	}
	s, _ = Load("logs")
	for _, name := range streams {
		if !s.HasOperation(name) || !slices.Contains(s.OperationNames(), name) {
			t.Errorf("%s is not listed", name)
		}
	}
	s, _ = Load("sts")
	if s.APIVersion != "2011-06-15" || s.XMLNamespace != "https://sts.amazonaws.com/doc/2011-06-15/" || s.Protocol != "query" {
		t.Errorf("%+v", s)
	}
}

func TestMergePatch(t *testing.T) { // the examples of RFC 7396, appendix A, that a model could need
	tests := []struct{ target, patch, want string }{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
	}
	for _, test := range tests {
		got, err := mergePatch([]byte(test.target), []byte(test.patch))
		if err != nil || string(got) != test.want {
			t.Errorf("%s with %s: got %s, %v, want %s", test.target, test.patch, got, err, test.want)
		}
	}
}
