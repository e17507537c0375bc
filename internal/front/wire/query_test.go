package wire

import (
	"errors"
	"net/url"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// echo is the input and output of testdata/query.json, whose members are of all forms that a query service's model may ask for.
type echo struct {
	Attributes map[string]item
	Blob       []byte
	Color      color
	Double     *float64
	Epoch      *time.Time
	FlatItems  []item
	FlatMap    map[string]string
	FlatNames  []string
	Items      []item
	Long       *int64
	Map        map[string]string
	On         bool
	Renamed    *string
	Self       *echo
	When       *time.Time
}

type item struct {
	Key   *string
	Names []string
}

type color string

func echoOperation(t testing.TB, name string) *Operation {
	t.Helper()
	text, err := os.ReadFile("testdata/query.json")
	if err != nil {
		t.Fatal(err)
	}
	s, err := parseService("test", text)
	if err != nil {
		t.Fatal(err)
	}
	out := reflect.TypeFor[echo]()
	if name == "Silent" {
		out = reflect.TypeFor[struct{}]()
	}
	o, err := s.Bind(name, reflect.TypeFor[echo](), out)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestDecodeQuery(t *testing.T) {
	when := time.Date(2025, 5, 21, 5, 47, 45, 0, time.UTC)
	tests := []struct {
		name, form string
		want       echo
	}{
		{"nothing", "Action=Echo&Version=2020-01-01", echo{}},
		{"parameters that the input has not", "Other=1&Items.other.1.Key=a&X-Amz-Date=2", echo{Items: []item{}}},
		{"single values", "On=true&Long=-5&Double=0.5&Blob=%2B%2F8%3D&other=a%20b+c", echo{On: true, Long: aws.Int64(-5), Double: aws.Float64(0.5),
			Blob: []byte{0xFB, 0xFF}, Renamed: aws.String("a b c")}},
		{"an empty text", "other=", echo{Renamed: aws.String("")}},
		{"an empty enumeration is kept for validation", "Color=", echo{Color: emptyEnum}},
		{"times", "When=2025-05-21T05:47:45Z&Epoch=1747806465", echo{When: &when, Epoch: &when}},
		{"a time of another zone with milliseconds", "When=2025-05-21T07:47:45.5%2B02:00", echo{When: aws.Time(when.Add(500 * time.Millisecond))}},
		{"a list in the order of its numbers, with a gap", "Items.item.10.Key=c&Items.item.2.Key=b&Items.item.1.Key=a",
			echo{Items: []item{{Key: aws.String("a")}, {Key: aws.String("b")}, {Key: aws.String("c")}}}},
		{"a list in a list", "Items.item.1.Names.member.1=x&Items.item.1.Names.member.2=y", echo{Items: []item{{Names: []string{"x", "y"}}}}},
		{"an empty list", "Items=", echo{Items: []item{}}},
		{"flat lists", "FlatItems.1.Key=a&FlatItems.2.Key=b&Name.1=x", echo{FlatItems: []item{{Key: aws.String("a")}, {Key: aws.String("b")}}, FlatNames: []string{"x"}}},
		{"a map", "Map.entry.1.key=a&Map.entry.1.value=1&Map.entry.2.key=b&Map.entry.2.value=", echo{Map: map[string]string{"a": "1", "b": ""}}},
		{"a flat map", "FlatMap.1.key=a&FlatMap.1.value=1", echo{FlatMap: map[string]string{"a": "1"}}},
		{"a map whose parts have other names", "Attributes.entry.1.Name=a&Attributes.entry.1.Value.Key=k", echo{Attributes: map[string]item{"a": {Key: aws.String("k")}}}},
		{"a structure in a structure", "Self.Self.Long=1&Self.other=x", echo{Self: &echo{Renamed: aws.String("x"), Self: &echo{Long: aws.Int64(1)}}}},
	}
	o := echoOperation(t, "Echo")
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			form, err := url.ParseQuery(test.form)
			if err != nil {
				t.Fatal(err)
			}
			got := new(echo)
			if err := o.DecodeQuery(form, got); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(*got, test.want) {
				t.Errorf("got %s, want %s", show(o.in, got), show(o.in, &test.want))
			}
		})
	}
}

func TestDecodeQueryRefuses(t *testing.T) {
	tests := []struct{ form, message string }{
		{"Long=secret", "STRING_VALUE can not be converted to a Long"},
		{"Long=1.5", "STRING_VALUE can not be converted to a Long"},
		{"Long=", "STRING_VALUE can not be converted to a Long"},
		{"Long=9223372036854775808", "STRING_VALUE can not be converted to a Long"},
		{"Double=1_0", "STRING_VALUE can not be converted to a Double"},
		{"Double=inf", "STRING_VALUE can not be converted to a Double"},
		{"Double=0x1p4", "STRING_VALUE can not be converted to a Double"},
		{"On=yes", "STRING_VALUE can not be converted to a Boolean"},
		{"Blob=secret", "STRING_VALUE can not be converted to a Blob"},
		{"When=secret", "STRING_VALUE can not be converted to milliseconds since epoch"},
		{"Epoch=2025-05-21T05:47:45Z", "STRING_VALUE can not be converted to milliseconds since epoch"},
		{"other=a&other=secret", "A parameter was found more than once"},
		{"other=%FF", "A parameter is not valid UTF-8"},
		{"%FF=a", "A parameter is not valid UTF-8"},
		{"Items=secret", "Value found where not expected"},
		{"Self=secret", "Value found where not expected"},
		{"Items=&Items.item.1.Key=a", "Value found where not expected"},
		{"Items.item.0.Key=a", "A list's element has no valid number"},
		{"Items.item.01.Key=a", "A list's element has no valid number"},
		{"Items.item.secret.Key=a", "A list's element has no valid number"},
		{"Items.item.-1.Key=a", "A list's element has no valid number"},
		{"Items.item.1=secret", "Value found where not expected"},
		{"Items.item.1.Names.member.1.secret=a", "Start of structure or map found where not expected."},
		{"Map.entry.1.value=secret", "A map's entry has no key"},
		{"Map.entry.1.key=a&Map.entry.1.value=b&Map.entry.2.key=a&Map.entry.2.value=c", "A map's key was found more than once"},
		{strings.Repeat("Self.", 200) + "Long=1", "The request is nested too deep"},
	}
	o := echoOperation(t, "Echo")
	for _, test := range tests {
		form, err := url.ParseQuery(test.form)
		if err != nil {
			t.Fatal(err)
		}
		var malformed *SerializationError
		if err := o.DecodeQuery(form, new(echo)); !errors.As(err, &malformed) {
			t.Errorf("%.60s: got %v", test.form, err)
		} else if malformed.Message != test.message {
			t.Errorf("%.60s: got %q, want %q", test.form, malformed.Message, test.message)
		}
	}
}

func TestAppendXML(t *testing.T) {
	const (
		open = `<EchoResponse xmlns="https://test.example.com/doc/2020-01-01/"><EchoResult>`
		end  = `</EchoResult><ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></EchoResponse>`
	)
	when := time.Date(2025, 5, 21, 5, 47, 45, 0, time.UTC)
	tests := []struct {
		name string
		out  *echo
		want string
	}{
		{"nothing set", &echo{}, `<On>false</On>`},
		{"no output", nil, ``},
		{"single values", &echo{On: true, Long: aws.Int64(-5), Double: aws.Float64(0.5), Blob: []byte{0xFB, 0xFF}, Color: "red", When: &when, Epoch: &when},
			`<Blob>+/8=</Blob><Color>red</Color><Double>0.5</Double><Epoch>1747806465</Epoch><Long>-5</Long><On>true</On><When>2025-05-21T05:47:45Z</When>`},
		{"text", &echo{Renamed: aws.String("<a b=\"c\">&amp;\r\n\t\x00\xFF\u00e9\U0001F511</a>")},
			"<On>false</On><other>&lt;a b=&quot;c&quot;&gt;&amp;amp;&#xD;\n\t\uFFFD\uFFFD\u00e9\U0001F511&lt;/a&gt;</other>"},
		{"milliseconds", &echo{When: aws.Time(when.Add(120 * time.Millisecond))}, `<On>false</On><When>2025-05-21T05:47:45.120Z</When>`},
		{"lists", &echo{Items: []item{{Key: aws.String("a"), Names: []string{"x", ""}}, {}}, FlatNames: []string{"x", "y"}, FlatItems: []item{}},
			`<Name>x</Name><Name>y</Name><Items><item><Key>a</Key><Names><member>x</member><member></member></Names></item><item></item></Items><On>false</On>`},
		{"an empty list", &echo{Items: []item{}}, `<Items></Items><On>false</On>`},
		{"maps", &echo{Map: map[string]string{"b": "2", "a": "1"}, FlatMap: map[string]string{"c": "3"}, Attributes: map[string]item{"k": {Key: aws.String("v")}}},
			`<Attributes><entry><Name>k</Name><Value><Key>v</Key></Value></entry></Attributes><FlatMap><key>c</key><value>3</value></FlatMap>` +
				`<Map><entry><key>a</key><value>1</value></entry><entry><key>b</key><value>2</value></entry></Map><On>false</On>`},
	}
	o := echoOperation(t, "Echo")
	for _, test := range tests {
		if got := string(o.AppendXML(nil, test.out, "id")); got != open+test.want+end {
			t.Errorf("%s: got\n%s\nwant\n%s", test.name, got, open+test.want+end)
		}
	}
	const silent = `<SilentResponse xmlns="https://test.example.com/doc/2020-01-01/"><ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></SilentResponse>`
	if got := string(echoOperation(t, "Silent").AppendXML(nil, nil, "id")); got != silent {
		t.Errorf("no output in the model: got %s", got)
	}
}
