package vigil_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vigil"
)

// bucket is a bucket in memory.
type bucket map[string]stored

type stored struct {
	data []byte
	meta map[string]string
}

func (b bucket) List(_ context.Context, _, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, key := range slices.Sorted(maps.Keys(b)) {
			if strings.HasPrefix(key, prefix) && !yield(key, nil) {
				return
			}
		}
	}
}

func (b bucket) Get(_ context.Context, _, key string) (*vigil.BucketObject, error) {
	o, ok := b[key]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return &vigil.BucketObject{ReadCloser: io.NopCloser(bytes.NewReader(o.data)), Metadata: o.meta}, nil
}

var digestKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// hours is how many digests validated makes, and empty is which of them has no log files.
const hours, empty = 5, 2

// validated is a bucket with the digests of some hours and two log files in each of them but one.
func validated(t *testing.T) (b bucket, digests, logs []string) {
	t.Helper()
	b = bucket{}
	begin := time.Date(2026, 1, 2, 22, 0, 0, 0, time.UTC)
	var previous *vigil.SignedDigest
	for hour := range hours {
		start := begin.Add(time.Duration(hour) * time.Hour)
		n := vigil.DigestName{Prefix: "p", Account: "111122223333", Region: "us-east-1", Trail: "my_trail", Home: "us-east-1", End: start.Add(time.Hour)}
		d := vigil.DigestFile{AccountID: n.Account, StartTime: vigil.DigestTime(start), EndTime: vigil.DigestTime(n.End), S3Bucket: "b", S3Object: n.Key(),
			PublicKeyFingerprint: vigil.DigestFingerprint(&digestKey().PublicKey)}
		if previous != nil {
			d.Follow(previous)
		}
		for i := range 2 {
			if hour == empty {
				break
			}
			key := vigil.LogFileKey(n.Prefix, n.Account, vigil.LogFolder, n.Region, start.Add(time.Minute), fmt.Sprintf("%016d", i))
			w := vigil.NewLogFileWriter()
			w.Add([]byte(`{"eventName":"Encrypt"}`))
			w.Add(fmt.Appendf(nil, `{"eventName":"Decrypt","n":%d}`, i))
			file, sum := w.Close()
			b[key] = stored{data: file}
			logs = append(logs, key)
			at := vigil.DigestTime(start)
			d.LogFiles = append(d.LogFiles, vigil.DigestLogFile{S3Bucket: "b", S3Object: key, HashValue: sum, HashAlgorithm: vigil.DigestHashAlgorithm, NewestEventTime: at, OldestEventTime: at})
		}
		signed, err := d.Sign(digestKey())
		if err != nil {
			t.Fatal(err)
		}
		b[n.Key()] = stored{signed.File(), map[string]string{vigil.MetaSignature: signed.Signature, vigil.MetaSignatureAlgorithm: vigil.DigestSignatureAlgorithm}}
		digests = append(digests, n.Key())
		previous = signed
	}
	return b, digests, logs
}

func verifyDigests(t *testing.T, b bucket) *vigil.DigestReport {
	t.Helper()
	public := &digestKey().PublicKey
	report, err := vigil.VerifyDigests(t.Context(), b, vigil.DigestScope{Bucket: "b", Prefix: "p", Keys: map[string]*rsa.PublicKey{vigil.DigestFingerprint(public): public}})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// flip changes the byte of a gzip file's contents at which text begins, and compresses it again.
func flip(o stored, text, with string) stored {
	zip, err := gzip.NewReader(bytes.NewReader(o.data))
	if err != nil {
		panic(err)
	}
	data, err := io.ReadAll(zip)
	if err != nil || !bytes.Contains(data, []byte(text)) {
		panic(fmt.Sprint(err, text))
	}
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(bytes.Replace(data, []byte(text), []byte(with), 1))
	w.Close()
	return stored{out.Bytes(), o.meta}
}

func TestDigestsFindEveryDamage(t *testing.T) {
	for _, test := range []struct {
		name   string
		damage func(b bucket, digests, logs []string)
		want   []string // problem and which digest or log file
	}{
		{"nothing", func(bucket, []string, []string) {}, nil},
		{"compressed again", func(b bucket, d, l []string) { b[l[0]], b[d[0]] = flip(b[l[0]], "E", "E"), flip(b[d[0]], "a", "a") }, nil},
		{"a log file is removed", func(b bucket, _, l []string) { delete(b, l[3]) }, []string{"log file missing log 3"}},
		{"a log file's contents are changed", func(b bucket, _, l []string) { b[l[3]] = flip(b[l[3]], "Encrypt", "Decrypt") }, []string{"log file altered log 3"}},
		{"a log file is cut", func(b bucket, _, l []string) { b[l[3]] = stored{data: b[l[3]].data[:20]} }, []string{"log file altered log 3"}},
		{"a log file is empty", func(b bucket, _, l []string) { b[l[3]] = stored{} }, []string{"log file altered log 3"}},
		{"log files are exchanged", func(b bucket, _, l []string) { b[l[2]], b[l[3]] = b[l[3]], b[l[2]] }, []string{"log file altered log 2", "log file altered log 3"}},
		{"a digest is removed", func(b bucket, d, _ []string) { delete(b, d[1]) }, []string{"digest missing digest 1"}},
		{"the first digest is removed", func(b bucket, d, _ []string) { delete(b, d[0]) }, []string{"digest missing digest 0"}},
		{"two digests are removed", func(b bucket, d, _ []string) { delete(b, d[1]); delete(b, d[2]) }, []string{"digest missing digest 2"}},
		{"a digest's hash of a log file is changed", func(b bucket, d, _ []string) {
			b[d[1]] = flip(b[d[1]], `"hashValue":"`, `"hashValue":"0`)
		}, []string{"digest altered digest 1"}},
		{"the last digest is changed", func(b bucket, d, _ []string) {
			b[d[4]] = flip(b[d[4]], `"oldestEventTime":"2026`, `"oldestEventTime":"2025`)
		}, []string{"digest altered digest 4"}},
		{"a digest is no digest", func(b bucket, d, _ []string) { b[d[1]] = stored{[]byte("x"), b[d[1]].meta} }, []string{"digest malformed digest 1"}},
		{"a digest takes another's place", func(b bucket, d, _ []string) { b[d[1]] = b[d[0]] }, []string{"digest moved digest 1"}},
		{"a digest has another's signature", func(b bucket, d, _ []string) { b[d[1]] = stored{b[d[1]].data, b[d[0]].meta} }, []string{"digest altered digest 1"}},
		{"the last digest has another's signature", func(b bucket, d, _ []string) { b[d[4]] = stored{b[d[4]].data, b[d[0]].meta} }, []string{"digest altered digest 4"}},
		{"the last digest has no signature", func(b bucket, d, _ []string) { b[d[4]] = stored{b[d[4]].data, nil} }, []string{"digest not verifiable digest 4"}},
		{"a digest's signature is no hexadecimal", func(b bucket, d, _ []string) {
			b[d[4]] = stored{b[d[4]].data, map[string]string{vigil.MetaSignature: "x"}}
		}, []string{"digest altered digest 4"}},
		{"a digest is signed with another key", func(b bucket, d, _ []string) { b[d[4]] = resign(b[d[4]], nil) }, []string{"digest not verifiable digest 4"}},
		{"a whole digest is forged, with the right key", func(b bucket, d, _ []string) {
			b[d[1]] = resign(b[d[1]], digestKey())
		}, []string{"digest altered digest 1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, digests, logs := validated(t)
			test.damage(b, digests, logs)
			r := verifyDigests(t, b)
			var got []string
			for _, f := range r.Findings {
				which := fmt.Sprint("digest ", slices.Index(digests, f.Key))
				if i := slices.Index(logs, f.Key); i >= 0 {
					which = fmt.Sprint("log ", i)
				}
				got = append(got, fmt.Sprint(f.Problem, " ", which))
			}
			slices.Sort(got)
			want := slices.Clone(test.want)
			if len(want) > 0 && (strings.HasPrefix(want[0], "digest") && r.OK()) {
				t.Error("the report says that all is well")
			}
			if !slices.Equal(got, want) {
				t.Errorf("found %q, want %q\n%v", got, want, r.Findings)
			}
			if test.want == nil && (r.ValidDigests != hours || r.ValidLogFiles != len(logs) || len(r.Chains) != 1 || r.Chains[0].Digests != hours ||
				r.Chains[0].Trail != "my_trail" || len(r.Unlisted) != 0) {
				t.Errorf("report %+v", r)
			}
		})
	}
}

// resign has a digest say nothing of log files, signed with a key, or with a new one.
func resign(o stored, key *rsa.PrivateKey) stored {
	d, err := vigil.ReadDigest(bytes.NewReader(o.data))
	if err != nil {
		panic(err)
	}
	if key == nil {
		if key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			panic(err)
		}
	}
	d.LogFiles, d.PublicKeyFingerprint = nil, vigil.DigestFingerprint(&key.PublicKey)
	signed, err := d.Sign(key)
	if err != nil {
		panic(err)
	}
	if !strings.Contains(string(signed.Document), `"logFiles":[]`) {
		panic("no log files is an empty list")
	}
	return stored{signed.File(), map[string]string{vigil.MetaSignature: signed.Signature}}
}

func TestDigestsInAFolderHaveNoMetadata(t *testing.T) {
	b, digests, _ := validated(t)
	last := digests[len(digests)-1]
	for _, key := range digests {
		if key != last { // whose signature only its metadata has
			b[key] = stored{data: b[key].data}
		}
	}
	if r := verifyDigests(t, b); !r.OK() || r.ValidDigests != hours {
		t.Errorf("%v", r.Findings)
	}
}

// TestLogFilesThatNoDigestNames adds files that no digest names: within the time of the digests, before it, in the hour of one that is not valid, and after it.
func TestLogFilesThatNoDigestNames(t *testing.T) {
	b, digests, _ := validated(t)
	begin := time.Date(2026, 1, 2, 22, 0, 0, 0, time.UTC)
	end := begin.Add(hours * time.Hour)
	added := func(folder string, at time.Time) string {
		key := vigil.LogFileKey("p", "111122223333", folder, "us-east-1", at, "aaaaaaaaaaaaaaaa")
		b[key] = stored{}
		return key
	}
	within := []string{added(vigil.LogFolder, begin), added(vigil.LogFolder, begin.Add(70*time.Minute)), added(vigil.InsightFolder, begin.Add(70*time.Minute))}
	before := added(vigil.LogFolder, begin.Add(-time.Minute))
	later := []string{added(vigil.LogFolder, end.Add(-time.Minute)), added(vigil.LogFolder, end), added(vigil.LogFolder, end.Add(24*time.Hour))}

	check := func(r *vigil.DigestReport, found, unlisted []string) {
		t.Helper()
		var got []string
		for _, f := range r.Findings {
			if f.Problem == vigil.LogFileUnlisted && f.Detail == "the digests of my_trail name all files from 2026-01-02T22:00:00Z to 2026-01-03T03:00:00Z" {
				got = append(got, f.Key)
			}
		}
		if !slices.Equal(got, found) || !slices.Equal(r.Unlisted, unlisted) || !slices.Equal(r.Later, later) {
			t.Errorf("found are %q, unlisted %q, later %q", got, r.Unlisted, r.Later)
		}
	}
	r := verifyDigests(t, b)
	check(r, within, []string{before})
	if r.OK() || r.ValidDigests != hours {
		t.Errorf("findings %v", r.Findings)
	}

	public := &digestKey().PublicKey
	scope := vigil.DigestScope{Bucket: "b", Prefix: "p", Trail: "my_trail", Keys: map[string]*rsa.PublicKey{vigil.DigestFingerprint(public): public}}
	one, err := vigil.VerifyDigests(t.Context(), b, scope)
	if err != nil {
		t.Fatal(err)
	}
	if check(one, nil, []string{before, within[0], within[1], within[2]}); !one.OK() {
		t.Errorf("of one trail, findings %v", one.Findings)
	}

	b[digests[1]] = flip(b[digests[1]], "my_trail", "no_trail") // its hour is covered by none
	for _, f := range verifyDigests(t, b).Findings {
		if f.Key == within[1] {
			t.Errorf("in the hour of a digest that is not valid: %v", f)
		}
	}
}

func TestALaterChainIsNoDamage(t *testing.T) {
	b, digests, logs := validated(t)
	// Validation was off for an hour: the third digest knows none before it.
	d, err := vigil.ReadDigest(bytes.NewReader(b[digests[4]].data))
	if err != nil {
		t.Fatal(err)
	}
	d.PreviousDigestS3Bucket, d.PreviousDigestS3Object, d.PreviousDigestSignature, d.PreviousDigestHashAlgorithm, d.PreviousDigestHashValue = nil, nil, nil, nil, nil
	signed, err := d.Sign(digestKey())
	if err != nil {
		t.Fatal(err)
	}
	b[digests[4]] = stored{signed.File(), map[string]string{vigil.MetaSignature: signed.Signature}}
	if r := verifyDigests(t, b); !r.OK() || len(r.Chains) != 2 || r.ValidLogFiles != len(logs) {
		t.Errorf("%v, %+v", r.Findings, r.Chains)
	}
}

// TestDigestNames holds names to those of the CloudTrail user guide.
func TestDigestNames(t *testing.T) {
	const key = "AWSLogs/111122223333/CloudTrail-Digest/us-east-2/2015/08/17/111122223333_CloudTrail-Digest_us-east-2_your-trail-name_us-east-1_20150817T150131Z.json.gz"
	n, ok := vigil.ParseDigestKey(key)
	if !ok || n.Trail != "your-trail-name" || n.Region != "us-east-2" || n.Home != "us-east-1" || n.Prefix != "" || vigil.DigestTime(n.End) != "2015-08-17T15:01:31Z" {
		t.Errorf("%+v, %v", n, ok)
	}
	if got := vigil.LogFileKey("", "111122223333", vigil.LogFolder, "us-east-2", time.Date(2015, 8, 1, 2, 10, 30, 0, time.UTC), "Mu0KsOhtH1ar15ZZ"); got !=
		"AWSLogs/111122223333/CloudTrail/us-east-2/2015/08/01/111122223333_CloudTrail_us-east-2_20150801T0210Z_Mu0KsOhtH1ar15ZZ.json.gz" {
		t.Error(got)
	}
	for _, bad := range []string{"", "x", strings.Replace(key, "150131", "250131", 1), strings.Replace(key, "/17/", "/18/", 1), strings.TrimSuffix(key, ".gz"), key + "/"} {
		if _, ok := vigil.ParseDigestKey(bad); ok {
			t.Errorf("%q is no digest's key", bad)
		}
	}
}

func TestPublicKeysOfDigests(t *testing.T) {
	public := &digestKey().PublicKey
	key, err := vigil.DigestPublicKey(x509.MarshalPKCS1PublicKey(public))
	if err != nil || !key.Equal(public) {
		t.Error(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := vigil.DigestPublicKey(spki); err == nil {
		t.Error("another form of key was taken")
	}
}

func FuzzReadDigest(f *testing.F) {
	f.Add([]byte(`{"awsAccountId":"1","digestStartTime":"2015-08-17T14:01:31Z","digestEndTime":"2015-08-17T15:01:31Z","digestS3Bucket":"b","digestS3Object":"o","digestPublicKeyFingerprint":"f","previousDigestSignature":null,"logFiles":[]}`))
	f.Add([]byte(`{"logFiles":[{"s3Bucket":1}]}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		d, err := vigil.ParseDigest(document)
		if err != nil {
			if !errors.Is(err, vigil.ErrNotDigest) {
				t.Error(err)
			}
			return
		}
		if err := d.Verify(&digestKey().PublicKey); !errors.Is(err, vigil.ErrDigestSignature) {
			t.Errorf("a document without a signature verifies: %v", err)
		}
	})
}
