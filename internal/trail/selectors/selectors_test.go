package selectors

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"

	"vigil"
)

// TestSelectors runs testdata/selectors.txt.
func TestSelectors(t *testing.T) {
	text, err := os.ReadFile("testdata/selectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, cases, _ := strings.Cut(string(text), "== ")
	for _, one := range strings.Split(cases, "\n== ") {
		title, rest, _ := strings.Cut(one, "\n")
		t.Run(title, func(t *testing.T) { runCase(t, strings.SplitN(title, ":", 2)[0], rest) })
	}
}

func runCase(t *testing.T, kind, text string) {
	var document strings.Builder
	var set *Set
	var refused error
	compiled, judged := false, false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		word, rest, _ := strings.Cut(line, " ")
		rest = strings.TrimSpace(rest)
		if word == "takes" || word == "leaves" || word == "refused" {
			if !compiled {
				set, refused = compile(t, kind, document.String())
				compiled = true
			}
			judged = true
		}
		switch {
		case word == "refused":
			if refused == nil || refused.Error() != rest {
				t.Errorf("got error %v, want %s", refused, rest)
			}
		case word == "takes" || word == "leaves":
			if refused != nil {
				t.Fatal(refused)
			}
			if got := set.Takes(outline(t, rest)); got != (word == "takes") {
				t.Errorf("%s: took it: %v", line, got)
			}
		default:
			document.WriteString(line)
		}
	}
	if !judged {
		t.Error("nothing is said of these selectors")
	}
}

func compile(t *testing.T, kind, document string) (*Set, error) {
	t.Helper()
	var basic []types.EventSelector
	var advanced []types.AdvancedEventSelector
	into := any(&advanced)
	if kind == "basic" {
		into = &basic
	}
	if err := json.Unmarshal([]byte(document), into); err != nil {
		t.Fatal(err)
	}
	switch kind {
	case "basic":
		return Basic(basic)
	case "trail":
		return Advanced(Trail, advanced)
	case "store":
		return Advanced(EventDataStore, advanced)
	}
	t.Fatalf("no such kind: %s", kind)
	return nil, nil
}

// outline is that of a record with what the words say, read from the record itself.
func outline(t testing.TB, words string) *vigil.Outline {
	t.Helper()
	record := map[string]any{"eventTime": "2026-01-02T03:04:05Z", "eventCategory": "Management", "readOnly": true, "recipientAccountId": "111122223333"}
	var resources []map[string]string
	names := map[string]string{"source": "eventSource", "name": "eventName", "type": "eventType", "console": "sessionCredentialFromConsole",
		"error": "errorCode", "vpce": "vpcEndpointId", "category": "eventCategory"}
	for _, word := range strings.Fields(words) {
		name, value, _ := strings.Cut(word, "=")
		switch {
		case name == "write":
			record["readOnly"] = false
		case name == "arn":
			record["userIdentity"] = map[string]string{"type": "IAMUser", "arn": value}
		case names[name] != "":
			record[names[name]] = value
		case strings.HasPrefix(name, "AWS::"):
			resources = append(resources, map[string]string{"type": name, "ARN": value})
		default:
			t.Fatalf("no such word: %s", word)
		}
	}
	record["resources"] = resources
	data, err := json.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	o := new(vigil.Outline)
	if err := new(vigil.OutlineReader).Read(data, o); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestBasicFillsIn(t *testing.T) {
	list := []types.EventSelector{{}}
	if _, err := Basic(list); err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%s %v %v %v", list[0].ReadWriteType, *list[0].IncludeManagementEvents, list[0].DataResources, list[0].ExcludeManagementEventSources)
	if got != "All true [] []" || list[0].DataResources == nil || list[0].ExcludeManagementEventSources == nil {
		t.Error(got)
	}
}

func TestLimits(t *testing.T) {
	values := make([]string, 251)
	for i := range values {
		values[i] = fmt.Sprintf("arn:aws:s3:::b/%d", i)
	}
	resource := func(n int) []types.DataResource {
		return []types.DataResource{{Type: aws.String("AWS::S3::Object"), Values: values[:n]}}
	}
	if _, err := Basic([]types.EventSelector{{DataResources: resource(125)}, {DataResources: resource(125)}}); err != nil {
		t.Error("250 data resources:", err)
	}
	if _, err := Basic([]types.EventSelector{{DataResources: resource(125)}, {DataResources: resource(126)}}); err == nil {
		t.Error("251 data resources are not refused")
	}
	selector := func(n int) types.AdvancedEventSelector {
		return types.AdvancedEventSelector{FieldSelectors: []types.AdvancedFieldSelector{
			{Field: aws.String("eventCategory"), Equals: []string{"Data"}}, {Field: aws.String("resources.type"), Equals: []string{"AWS::S3::Object"}},
			{Field: aws.String("resources.ARN"), StartsWith: values[:n]}}}
	}
	if _, err := Advanced(Trail, []types.AdvancedEventSelector{selector(248), selector(248)}); err != nil {
		t.Error("500 conditions:", err)
	}
	if _, err := Advanced(Trail, []types.AdvancedEventSelector{selector(248), selector(249)}); err == nil {
		t.Error("501 conditions are not refused")
	}
}

func TestDataTypes(t *testing.T) {
	set, err := Advanced(Trail, []types.AdvancedEventSelector{data("AWS::SNS::Topic"), data("AWS::S3::Object"), data("AWS::SNS::Topic")})
	if err != nil {
		t.Fatal(err)
	}
	if got := set.DataTypes(); !slices.Equal(got, []string{"AWS::S3::Object", "AWS::SNS::Topic"}) {
		t.Error(got)
	}
	if got := Default().DataTypes(); len(got) > 0 {
		t.Error(got)
	}
}

func data(typ string) types.AdvancedEventSelector {
	return types.AdvancedEventSelector{FieldSelectors: []types.AdvancedFieldSelector{
		{Field: aws.String("eventCategory"), Equals: []string{"Data"}}, {Field: aws.String("resources.type"), Equals: []string{typ}}}}
}

// FuzzAdvanced holds compiled selectors against a plain reading of the documentation.
func FuzzAdvanced(f *testing.F) {
	f.Add(`[{"FieldSelectors":[{"Field":"eventCategory","Equals":["Management"]}]}]`, "kms.amazonaws.com", "Decrypt", true, "AWS::S3::Object", "arn:aws:s3:::a/b")
	f.Add(`[{"FieldSelectors":[{"Field":"eventCategory","Equals":["Data"]},{"Field":"resources.type","Equals":["AWS::S3::Object"]},{"Field":"resources.ARN","StartsWith":["arn:"],"NotEndsWith":["b"]}]}]`,
		"s3.amazonaws.com", "GetObject", true, "AWS::S3::Object", "arn:aws:s3:::a/b")
	f.Add(`[{"FieldSelectors":[{"Field":"eventCategory","Equals":["Management"]},{"Field":"eventName","Equals":["a"],"EndsWith":["z"],"NotStartsWith":["b"]},{"Field":"readOnly","Equals":["false"]}]}]`,
		"kms.amazonaws.com", "bz", false, "", "")
	f.Fuzz(func(t *testing.T, document, source, name string, readOnly bool, typ, arn string) {
		var list []types.AdvancedEventSelector
		if json.Unmarshal([]byte(document), &list) != nil {
			return
		}
		set, err := Advanced(EventDataStore, list)
		if err != nil {
			return
		}
		for _, category := range []string{"Management", "Data"} {
			o := &vigil.Outline{Category: []byte(category), EventSource: []byte(source), EventName: []byte(name), ReadOnly: readOnly,
				Resources: []vigil.OutlineResource{{Type: []byte(typ), ARN: []byte(arn)}}}
			event := map[string]string{"eventCategory": category, "eventSource": source, "eventName": name, "readOnly": fmt.Sprint(readOnly), "resources.type": typ, "resources.ARN": arn}
			if got, want := set.Takes(o), plainly(list, event); got != want {
				t.Errorf("%s in %s: took it: %v", event, document, got)
			}
		}
	})
}

// plainly is the slow and obvious way.
func plainly(list []types.AdvancedEventSelector, event map[string]string) bool {
	for _, one := range list {
		all := true
		for _, f := range one.FieldSelectors {
			value := event[aws.ToString(f.Field)]
			is := func(values []string, compare func(a, b string) bool) bool {
				return slices.ContainsFunc(values, func(v string) bool { return compare(value, v) })
			}
			equal := func(a, b string) bool { return a == b }
			selected := is(f.Equals, equal) || is(f.StartsWith, strings.HasPrefix) || is(f.EndsWith, strings.HasSuffix) ||
				len(f.Equals)+len(f.StartsWith)+len(f.EndsWith) == 0
			deselected := is(f.NotEquals, equal) || is(f.NotStartsWith, strings.HasPrefix) || is(f.NotEndsWith, strings.HasSuffix)
			all = all && selected && !deselected
		}
		if all {
			return true
		}
	}
	return false
}

func BenchmarkTakes(b *testing.B) {
	set, err := Basic([]types.EventSelector{{ExcludeManagementEventSources: []string{"rdsdata.amazonaws.com"}}})
	if err != nil {
		b.Fatal(err)
	}
	o := outline(b, "source=kms.amazonaws.com name=Decrypt")
	b.ReportAllocs()
	for b.Loop() {
		if !set.Takes(o) {
			b.Fatal("left it")
		}
	}
}
