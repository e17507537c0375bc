package wire

import (
	"maps"
	"net/url"
	"reflect"
	"slices"
	"testing"
)

// fuzzed are operations whose inputs have values of all kinds between them.
var fuzzed = []struct{ service, operation string }{
	{"kms", "Encrypt"}, {"kms", "CreateKey"}, {"kms", "CreateGrant"}, {"kms", "ImportKeyMaterial"}, {"kms", "ListKeys"}, {"kms", "CreateCustomKeyStore"},
	{"cloudtrail", "PutEventSelectors"}, {"cloudtrail", "ListInsightsMetricData"}, {"cloudtrail", "StartDashboardRefresh"}, {"cloudtrail", "CreateDashboard"},
	{"cloudwatch", "PutMetricData"}, {"cloudwatch", "PutMetricAlarm"}, {"cloudwatch", "GetMetricData"}, {"logs", "PutLogEvents"}, {"logs", "PutMetricFilter"},
	{"events", "PutEvents"}, {"events", "PutTargets"},
}

func fuzzedOperations(t testing.TB) (operations []sdkOperation) {
	for _, f := range fuzzed {
		operations = append(operations, sdkOperations(t, f.service, "http://127.0.0.1:1")[f.operation])
	}
	return operations
}

// Whatever is read is written so that it is read again as the same, and can be checked and recorded.
func FuzzDecodeJSON(f *testing.F) {
	operations := fuzzedOperations(f)
	for i, o := range operations {
		in := o.newInput()
		fill(o.in, reflect.ValueOf(in).Elem(), 0)
		f.Add(uint8(i), []byte(show(o.in, in)))
	}
	f.Add(uint8(0), []byte(`{"KeyId":"\u00e9\ud83d\udd11","Plaintext":"\/\/8=","EncryptionContext":{"a":"b","c":""},"GrantTokens":[],"EncryptionAlgorithm":""}`))
	f.Add(uint8(3), []byte(`{"ValidTo":-1.5e2,"Other":[{},null,1,"x"]}`))
	f.Add(uint8(7), []byte(`{"StartTime":0.001,"Period":1e2}`))
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		o := operations[int(which)%len(operations)]
		in := o.newInput()
		if err := o.DecodeJSON(body, in); err != nil {
			if _, ok := err.(*SerializationError); !ok {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		again := o.newInput()
		text := show(o.in, in)
		if err := o.DecodeJSON([]byte(text), again); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		if second := show(o.in, again); second != text {
			t.Fatalf("first %s, then %s", text, second)
		}
		checkAndRecord(t, o.Operation, in)
	})
}

func FuzzDecodeCBOR(f *testing.F) {
	operations := fuzzedOperations(f) // of every service, as the form of their values is the same
	for i, o := range operations {
		in := o.newInput()
		fill(o.in, reflect.ValueOf(in).Elem(), 0)
		f.Add(uint8(i), appendCBOR(nil, o.in, reflect.ValueOf(in).Elem()))
	}
	f.Add(uint8(10), encoded(f, "a2 'Namespace' 7f 'a' 60 ff 'MetricData' 9f bf 'Values' 84 f97e00 fa7f7fffff fb3ff0000000000000 3b ffffffffffffffff 'Timestamp' c1 f93c00 ff ff"))
	f.Add(uint8(11), encoded(f, "a3 'EvaluationWindow' a1 'SlidingWindow' a0 'Unit' 60 'other' d9d9f7 9f 5f 41 00 ff f8ff e0 ff"))
	f.Add(uint8(0), encoded(f, "bf 'Plaintext' 43 010203 'GrantTokens' 81 60 'DryRun' f7 ff"))
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		o := operations[int(which)%len(operations)]
		in := o.newInput()
		if err := o.DecodeCBOR(body, in); err != nil {
			if _, ok := err.(*SerializationError); !ok {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		again := o.newInput()
		first := appendCBOR(nil, o.in, reflect.ValueOf(in).Elem())
		if err := o.DecodeCBOR(first, again); err != nil {
			t.Fatalf("%v in %x", err, first)
		}
		if second := appendCBOR(nil, o.in, reflect.ValueOf(again).Elem()); string(second) != string(first) {
			t.Fatalf("first %x, then %x", first, second)
		}
		checkAndRecord(t, o.Operation, in)
	})
}

// checkAndRecord does what the door does with an input after it is read.
func checkAndRecord(t *testing.T, o *Operation, in any) {
	if err := o.Validate(in); err != nil {
		if _, ok := err.(*ValidationError); !ok {
			t.Fatalf("%T: %v", err, err)
		}
	}
	if record := o.AppendRequestRecord(nil, in, nil); !sameJSON(t, record, record) {
		t.Fatalf("the record %s is no JSON", record)
	}
}

func FuzzDecodeQuery(f *testing.F) {
	operations := []*Operation{echoOperation(f, "Echo")}
	for _, service := range []string{"sts", "sns", "cloudwatch"} {
		byName := sdkOperations(f, service, "http://127.0.0.1:1")
		for _, name := range slices.Sorted(maps.Keys(byName)) {
			operations = append(operations, byName[name].Operation)
		}
	}
	for i, o := range operations {
		in := reflect.New(o.inType)
		fill(o.in, in.Elem(), 0)
		form := url.Values{}
		queryOf(form, o.in, in.Elem(), "")
		f.Add(uint8(i), form.Encode())
	}
	f.Add(uint8(0), "Items.item.2.Names.member.1=x&Items.item.10.Key=&Attributes.entry.1.Name=a&Attributes.entry.1.Value.Key=k&Name.1=n&FlatItems.3.Key=")
	f.Add(uint8(1), "PolicyArns.member.1.unknown=&PolicyArns.member.2.arn=")
	f.Add(uint8(0), "Map.entry.1.key=a&Map.entry.1.value=&FlatMap.2.key=b&FlatMap.2.value=c&Self.Self.When=2025-05-21T05:47:45.5Z&Double=NaN&Color=")
	f.Fuzz(func(t *testing.T, which uint8, text string) {
		form, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		o := operations[int(which)%len(operations)]
		in := reflect.New(o.inType)
		if err := o.DecodeQuery(form, in.Interface()); err != nil {
			if _, ok := err.(*SerializationError); !ok {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		first, second := url.Values{}, url.Values{}
		queryOf(first, o.in, in.Elem(), "")
		again := reflect.New(o.inType)
		if err := o.DecodeQuery(first, again.Interface()); err != nil {
			t.Fatalf("%v in %s", err, first.Encode())
		}
		queryOf(second, o.in, again.Elem(), "")
		if first.Encode() != second.Encode() {
			t.Fatalf("first %s, then %s", first.Encode(), second.Encode())
		}
		checkAndRecord(t, o, in.Interface())
	})
}

func FuzzCompilePattern(f *testing.F) {
	f.Add(`[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\t]*`, "a")
	f.Add(`^([a-z]+-){2,3}\d+$`, "us-east-1")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if re, err := compilePattern(pattern); err == nil {
			re.MatchString(text)
		}
	})
}
