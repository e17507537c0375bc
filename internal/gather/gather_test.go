package gather

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/klauspost/compress/gzip"

	"vigil"
)

func zip(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	return b.String()
}

// read is what is told of a text: the records, and the faults with their places.
func read(name, text string) (found []string, c Contents, err error) {
	c, err = Read(name, strings.NewReader(text), Taker{
		Record: func(data []byte, at Place) error { found = append(found, string(data)); return nil },
		Fault:  func(at Place, err error) { found = append(found, fmt.Sprintf("%s: %v", at, err)) },
	})
	return found, c, err
}

func TestRead(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string
		err        string // part of the error
	}{
		{name: "a log file", text: `{"Records":[{"eventID":"1"},{"eventID":"2", "a" : [1,{}]}]}`, want: []string{`{"eventID":"1"}`, `{"eventID":"2", "a" : [1,{}]}`}},
		{name: "compressed", text: zip(`{"Records":[{"eventID":"1"}]}`), want: []string{`{"eventID":"1"}`}},
		{name: "on several lines", text: "{\n \"Records\": [\n  {\n   \"eventID\": \"1\"\n  }\n ]\n}\n", want: []string{`{"eventID":"1"}`}},
		{name: "with a byte order mark", text: "\ufeff" + `{"Records":[{"eventID":"1"}]}`, want: []string{`{"eventID":"1"}`}},
		{name: "empty", text: ""},
		{name: "white space", text: " \n\n"},
		{name: "a log file without records", text: `{"Records":[]}`},
		{name: "a log file with what is no record", text: `{"Records":[{"eventID":"1"},7]}`, want: []string{`{"eventID":"1"}`, `record 2: a record must be an object, and not 7`}},
		{name: "a log file that is cut short has no records", text: `{"Records":[{"eventID":"1"},{"eventID":`, err: "byte 39: it ends too early"},
		{name: "a log file with more behind it", text: `{"Records":[{"eventID":"1"}]} x`, err: "byte"},
		{name: "a log file that is damaged", text: zip(`{"Records":[{"eventID":"1"}]}`)[:30], err: "unexpected EOF"},
		{name: "a log file with a name twice", text: `{"Records":[{"eventID":"1","eventID":"2"}]}`, err: "duplicate"},
		{name: "an array", text: `[{"eventID":"1"}]`, want: []string{`{"eventID":"1"}`}},
		{name: "lines", text: "{\"eventID\":\"1\"}\r\n\n{\"eventID\":\"2\"}", want: []string{`{"eventID":"1"}`, `{"eventID":"2"}`}},
		{name: "lines of which one is none", text: "{\"eventID\":\"1\"}\nwhat\n{\"eventID\":\"2\"}", want: []string{`{"eventID":"1"}`, `line 2: not valid JSON`, `{"eventID":"2"}`}},
		{name: "one record on several lines", text: "{\n\"eventID\": \"1\"\n}\n", want: []string{`{"eventID":"1"}`}},
		{name: "several on several lines", text: "{\n\"eventID\": \"1\"\n}{\n\"eventID\":\"2\"}\n{", want: []string{`{"eventID":"1"}`, `{"eventID":"2"}`}, err: "record 3: it ends too early"},
		{name: "a look-up", text: `{"Events":[{"EventId":"1","CloudTrailEvent":"{\"eventID\":\"1\"}"},{"EventId":"2"},{"CloudTrailEvent":"{"}],"NextToken":"x"}`,
			want: []string{`{"eventID":"1"}`, `record 2: the event has no CloudTrailEvent`, `record 3: not valid JSON`}},
		{name: "the results of a query", text: `{"QueryStatus":"FINISHED","QueryResultRows":[[{"eventid":"1"},{"eventJson":"{\"eventID\":\"1\"}"}],[{"eventid":"2"}]]}`,
			want: []string{`{"eventID":"1"}`, `record 2: ` + errNoColumn.Error()}},
		{name: "the results of a query as a table", text: zip("eventid,eventjson\n1,\"{\"\"eventID\"\":\"\"1\"\"}\"\n2\n3,{\n"),
			want: []string{`{"eventID":"1"}`, `line 3: wrong number of fields`, `line 4: not valid JSON`}},
		{name: "a table without records", text: "eventid,eventname\n1,2\n", err: "no column eventJson"},
		{name: "a text", text: "Dear diary", err: "not CloudTrail records"},
		{name: "result_sign.json", text: `{"version":"1.0"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, _, err := read(test.name, test.text)
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("error %v, want %q", err, test.err)
			}
		})
	}
}

// FuzzRead reads anything. What is told as a record is an object on one line, and a source that is whole or not at all tells nothing when it is broken.
func FuzzRead(f *testing.F) {
	for _, text := range []string{
		`{"Records":[{"eventID":"1"},{"a":[1,"\u00e9"]}]}`, `{"Events":[{"CloudTrailEvent":"{}"}]}`, `{"QueryResultRows":[[{"eventJson":"{}"}]]}`,
		"{}\n{\n}\n", "[{},1]", "a,eventjson\n1,{}\n\"", zip(`{"Records":[{}]}`), `{"awsAccountId":"1"}`, "\ufeff{", "{\"Records\":[{}\n]}x",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		found := 0
		begun := false
		whole := false
		_, err := Read("fuzzed", bytes.NewReader(data), Taker{
			Begin: func(c Contents) error { begun, whole = true, c.Hash() != ""; return nil },
			Record: func(record []byte, at Place) error {
				found++
				if !begun || !jsontext.Value(record).IsValid() || record[0] != '{' || bytes.ContainsAny(record, "\r\n") || at == (Place{}) {
					t.Errorf("%q at %v was told as a record", record, at)
				}
				return nil
			},
			Fault: func(at Place, err error) {
				if at == (Place{}) || err == nil {
					t.Errorf("a fault at %v: %v", at, err)
				}
			},
		})
		if whole && err != nil {
			t.Errorf("a log file was told, and then %v", err)
		}
	})
}

// logFiles are log files, and what is nearly one.
func logFiles(t testing.TB) (all [][]byte) {
	text, err := os.ReadFile("../trail/testdata/records.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	records := strings.Split(strings.TrimSpace(string(text)), "\n")
	for _, file := range []string{
		`{"Records":[` + strings.Join(records, ",") + `]}`, "{\n \"Records\": [\n" + strings.Join(records, ",\n") + "\n ]\n}\n",
		`{"Records":[]}`, `{"Records":[{}],"x":[1,{"y":null}]}`, `{"x":"y","Records":[1,"a",null,[],{}]}`, `{"Records":[{"a":1,"a":2}]}`, `{"Records":[{"a":"\ud800"}]}`,
		`{"Records":[{"a":"\u00e9","b":"é"}]}`, `{"Records":[{"\u0061":1}]}`, `{"Records":[{}],"Records":[{}]}`, `{"Records":{}}`, `{"Records":null}`, `{"Records":[{},]}`,
		`{"Records":[{}]}{}`, `{"Records":[{}]},`, `{"Records":[{}}`, `{"Records":[{"a":` + "\"\xff\"" + `}]}`, `[{"Records":[]}]`, `{"records":[{}]}`,
	} {
		all = append(all, []byte(file))
	}
	return all
}

// checkLogFile holds the fast way to read a log file against the one that says what is wrong.
func checkLogFile(t *testing.T, data []byte) {
	decoded := whole{data: data, Decoder: jsontext.NewDecoder(bytes.NewBuffer(data))}
	wantErr := decodeLogFile(&decoded)
	records, ok := vigil.LogFileRecords(data)
	if !ok {
		return
	}
	var got []oneOf
	for _, record := range records {
		got = append(got, oneOfObject(record))
	}
	if wantErr != nil || !reflect.DeepEqual(got, decoded.records) {
		t.Errorf("%.300q: %v; want %v, %v", data, got, decoded.records, wantErr)
	}
}

func TestLogFilesReadTheSameFast(t *testing.T) {
	fast := 0
	for _, data := range logFiles(t) {
		if _, ok := vigil.LogFileRecords(data); ok {
			fast++
		}
		checkLogFile(t, data)
		for i := 0; i < len(data); i += 1 + len(data)/100 {
			checkLogFile(t, data[:i:i])
			for _, c := range []byte("\"\\{}[],:0 x\xc3") {
				other := bytes.Clone(data)
				other[i] = c
				checkLogFile(t, other)
			}
		}
	}
	if fast < 6 {
		t.Errorf("%d files are read fast", fast)
	}
}

func FuzzLogFile(f *testing.F) {
	for _, data := range logFiles(f) {
		f.Add(data)
	}
	f.Fuzz(checkLogFile)
}

func TestReadingEnds(t *testing.T) {
	stop := errors.New("enough")
	for _, text := range []string{`{"Records":[{},{}]}`, "{}\n{}", "{\n}{\n}", "a,eventJson\n1,{}\n2,{}\n"} {
		n := 0
		_, err := Read("x", strings.NewReader(text), Taker{Record: func([]byte, Place) error { n++; return stop }, Fault: func(Place, error) {}})
		if !errors.Is(err, stop) || n != 1 {
			t.Errorf("%q: %v after %d", text, err, n)
		}
	}
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"AWSLogs/1/CloudTrail/b.json.gz", "AWSLogs/1/CloudTrail-Insight/a.json.gz", "one.JSON", "README.md", "lines.ndjson"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	from, err := Open(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	aside, err := from.List(context.Background(), func(s Source) error { got = append(got, filepath.Base(s.Name)); return nil })
	if want := []string{"b.json.gz", "a.json.gz", "lines.ndjson", "one.JSON"}; !slices.Equal(got, want) || aside != 1 || err != nil {
		t.Errorf("%q and %d aside, %v; want %q", got, aside, err, want)
	}
}

// TestDigests holds log files against two digests, of which things are changed.
func TestDigests(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	fingerprint := vigil.DigestFingerprint(&key.PublicKey)
	log := `{"Records":[{"eventID":"1"}]}`
	_, contents, err := read("x", log)
	if err != nil {
		t.Fatal(err)
	}
	name := func(n int) string {
		return fmt.Sprintf("1_CloudTrail-Digest_us-east-1_t_us-east-1_20260101T0%d0000Z.json.gz", n)
	}
	sign := func(n int, before *vigil.SignedDigest, files ...vigil.DigestLogFile) *vigil.SignedDigest {
		d := vigil.DigestFile{StartTime: fmt.Sprintf("2026-01-01T0%d:00:00Z", n-1), EndTime: fmt.Sprintf("2026-01-01T0%d:00:00Z", n), S3Bucket: "b", S3Object: "x/" + name(n),
			PublicKeyFingerprint: fingerprint, LogFiles: files}
		if before != nil {
			d.Follow(before)
		}
		s, err := d.Sign(key)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := sign(1, nil, vigil.DigestLogFile{S3Bucket: "b", S3Object: "x/log.json.gz", HashValue: contents.Hash(), HashAlgorithm: "SHA-256"},
		vigil.DigestLogFile{S3Bucket: "b", S3Object: "x/gone.json.gz", HashValue: contents.Hash(), HashAlgorithm: "SHA-256"})
	second := sign(2, first)
	keys := map[string]*rsa.PublicKey{fingerprint: &key.PublicKey}
	other := func() string { return "00" }
	meta := func(s *vigil.SignedDigest) map[string]string {
		return map[string]string{vigil.MetaSignature: s.Signature}
	}
	altered := bytes.Replace(first.Document, []byte("gone"), []byte("went"), 1)
	for _, test := range []struct {
		what          string
		first, second []byte
		metaFirst     map[string]string
		metaSecond    map[string]string
		keys          map[string]*rsa.PublicKey
		fault         string
		verified      int
	}{
		{"all is well", first.Document, second.Document, meta(first), meta(second), keys, "", 2},
		{"a copy without metadata", first.Document, second.Document, nil, nil, keys, "", 1},
		{"without keys", first.Document, second.Document, meta(first), meta(second), nil, "", 0},
		{"with other keys", first.Document, second.Document, meta(first), meta(second), map[string]*rsa.PublicKey{"x": &key.PublicKey}, "--public-keys does not have", 0},
		{"the first was altered", altered, second.Document, meta(first), meta(second), nil, "not what the digest after it says", 0},
		{"the first alone was altered", altered, nil, meta(first), nil, keys, "its signature is not valid", 0},
		{"another signature", first.Document, second.Document, meta(second), meta(second), nil, "its signature is not the one", 0},
	} {
		t.Run(test.what, func(t *testing.T) {
			d := NewDigests(test.keys)
			if err := d.Add("/a/"+name(1), test.first, test.metaFirst); err != nil {
				t.Fatal(err)
			}
			if test.second != nil {
				if err := d.Add("/a/"+name(2), test.second, test.metaSecond); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 { // as when digests come later
				faults := strings.Join(d.Check(), "\n")
				if (faults == "") != (test.fault == "") || !strings.Contains(faults, test.fault) {
					t.Errorf("faults %q, want %q", faults, test.fault)
				}
			}
			if _, verified := d.Len(); verified != test.verified {
				t.Errorf("%d are verified, want %d", verified, test.verified)
			}
			if test.fault != "" {
				return
			}
			d.See("/a/log.json.gz")
			if d.Altered("/a/log.json.gz", contents.Hash) || !d.Altered("/a/log.json.gz", other) || d.Altered("/a/other.json.gz", other) {
				t.Error("what was altered is not told from what was not")
			}
			if missing := d.Missing(); !slices.Equal(missing, []string{"s3://b/x/gone.json.gz"}) {
				t.Errorf("missing are %q", missing)
			}
		})
	}

	file := filepath.Join(t.TempDir(), "keys.json")
	list, err := json.Marshal(map[string]any{"PublicKeyList": []any{map[string]any{"Fingerprint": fingerprint,
		"Value": base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(&key.PublicKey))}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, list, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadPublicKeys(file); err != nil || !key.PublicKey.Equal(got[fingerprint]) {
		t.Errorf("the keys read as %v, %v", got, err)
	}
}

// TestABucketThatBreaksOff tells a bucket that is away from a file that is wrong, and from a refusal.
func TestABucketThatBreaksOff(t *testing.T) {
	const whole = `{"Records":[{"eventID":"1"}]}`
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path.Base(r.URL.Path) {
		case "short.json":
			io.WriteString(w, whole[:len(whole)-2])
		case "broken.json":
			w.Header().Set("Content-Length", strconv.Itoa(len(whole)))
			io.WriteString(w, whole[:len(whole)-2])
		case "denied.json":
			w.WriteHeader(http.StatusForbidden)
		case "failing.json":
			w.WriteHeader(http.StatusInternalServerError)
		default:
			io.WriteString(w, `<ListBucketResult><Contents><Key>short.json</Key></Contents><Contents><Key>broken.json</Key></Contents>`+
				`<Contents><Key>denied.json</Key></Contents><Contents><Key>failing.json</Key></Contents></ListBucketResult>`)
		}
	}))
	defer store.Close()
	t.Setenv("AWS_ENDPOINT_URL_S3", store.URL)
	t.Setenv("AWS_ACCESS_KEY_ID", "a")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "b")
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	from, err := Open(t.Context(), "s3://bucket/")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	if _, err := from.List(t.Context(), func(s Source) error {
		body, _, err := s.Open(t.Context())
		if err == nil {
			defer body.Close()
			_, err = Read(s.Name, body, Taker{Record: func([]byte, Place) error { return nil }})
		}
		if err == nil {
			t.Errorf("%s was read", s.Name)
		}
		got[path.Base(s.Name)] = errors.Is(err, ErrUnavailable)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if want := map[string]bool{"short.json": false, "broken.json": true, "denied.json": false, "failing.json": true}; !maps.Equal(got, want) {
		t.Errorf("unavailable: %v, not %v", got, want)
	}
}
