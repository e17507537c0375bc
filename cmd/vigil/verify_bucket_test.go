package main

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"vigil"
	"vigil/internal/clock"
	"vigil/internal/objects"
	"vigil/internal/server"
)

// trailFile is a file of a trail.
type trailFile struct {
	key  string
	data []byte
	meta map[string]string
}

// trailOf makes the files of a trail of three hours, and a file with its public key.
func trailOf(t *testing.T, prefix string) (files []trailFile, keys string) {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	fingerprint := vigil.DigestFingerprint(&private.PublicKey)
	begin := time.Date(2026, 1, 2, 22, 0, 0, 0, time.UTC)
	var previous *vigil.SignedDigest
	for hour := range 3 {
		start := begin.Add(time.Duration(hour) * time.Hour)
		n := vigil.DigestName{Prefix: prefix, Account: "111122223333", Region: "eu-west-1", Trail: "all", Home: "us-east-1", End: start.Add(time.Hour)}
		d := vigil.DigestFile{AccountID: n.Account, StartTime: vigil.DigestTime(start), EndTime: vigil.DigestTime(n.End), S3Bucket: "audit", S3Object: n.Key(), PublicKeyFingerprint: fingerprint}
		if previous != nil {
			d.Follow(previous)
		}
		w := vigil.NewLogFileWriter()
		w.Add(fmt.Appendf(nil, `{"eventName":"Encrypt","n":%d}`, hour))
		file, sum := w.Close()
		key, at := vigil.LogFileKey(prefix, n.Account, vigil.LogFolder, n.Region, start.Add(time.Minute), "0123456789abcdef"), vigil.DigestTime(start)
		d.LogFiles = []vigil.DigestLogFile{{S3Bucket: "audit", S3Object: key, HashValue: sum, HashAlgorithm: vigil.DigestHashAlgorithm, NewestEventTime: at, OldestEventTime: at}}
		if previous, err = d.Sign(private); err != nil {
			t.Fatal(err)
		}
		files = append(files, trailFile{key: key, data: file}, trailFile{n.Key(), previous.File(),
			map[string]string{vigil.MetaSignature: previous.Signature, vigil.MetaSignatureAlgorithm: vigil.DigestSignatureAlgorithm}})
	}
	list, err := json.Marshal(map[string]any{"PublicKeyList": []any{map[string]any{"Fingerprint": fingerprint, "ValidityStartTime": 1.5e9,
		"Value": x509.MarshalPKCS1PublicKey(&private.PublicKey)}}})
	if err != nil {
		t.Fatal(err)
	}
	keys = filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(keys, list, 0o600); err != nil {
		t.Fatal(err)
	}
	return files, keys
}

func verifyLine(t *testing.T, args ...string) (code int, text string) {
	t.Helper()
	var out bytes.Buffer
	code = run(t.Context(), &cli{stdout: &out, stderr: &out}, append([]string{"verify"}, args...))
	return code, out.String()
}

// TestVerifyFoldersOfAnOddPrefix has files of a trail whose prefix is no plain name in the data directory, and in a copy of the bucket.
func TestVerifyFoldersOfAnOddPrefix(t *testing.T) {
	data, plain := t.TempDir(), t.TempDir()
	store, err := objects.OpenFiles(data, clock.Wall{})
	if err != nil {
		t.Fatal(err)
	}
	settled := func(_, _ *objects.Info) error { return nil }
	files, keys := trailOf(t, "audit logs/100% é%41")
	for _, f := range files {
		if _, err := store.Put(t.Context(), "audit", objects.Info{Key: f.key, Metadata: objects.Metadata{User: f.meta}}, bytes.NewReader(f.data), settled); err != nil {
			t.Fatal(err)
		}
		at := filepath.Join(plain, filepath.FromSlash(f.key))
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o700), os.WriteFile(at, f.data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if code, text := verifyLine(t, filepath.Join(data, "audit"), "--public-keys", keys); code != 0 || !strings.Contains(text, "3 of 3 digest files and 3 of 3 log files are valid") {
		t.Errorf("the data directory's folder: exit %d\n%s", code, text)
	}
	// The newest digest's signature is only in the metadata, which a copy does not have.
	if code, text := verifyLine(t, plain, "--public-keys", keys); code != 1 || !strings.Contains(text, "2 of 3 digest files and 2 of 2 log files are valid") {
		t.Errorf("a copy of the bucket: exit %d\n%s", code, text)
	}
}

// TestVerifyTrail has a trail's files verified in each place that they can be in, whole and damaged.
func TestVerifyTrail(t *testing.T) {
	config := server.Config{Listen: "127.0.0.1:0", Data: t.TempDir(), Region: "us-east-1"}
	s, err := server.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	profile, err := server.ReadProfile(config.Data, "default")
	if err != nil {
		t.Fatal(err)
	}
	client := s3.NewFromConfig(awsConfig(profile), func(o *s3.Options) { o.UsePathStyle = true })
	bucket := aws.String("audit")
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: bucket}); err != nil {
		t.Fatal(err)
	}
	plain := filepath.Join(t.TempDir(), "copy")
	files, keys := trailOf(t, "logs")

	put := func(f trailFile) {
		t.Helper()
		if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: &f.key, Body: bytes.NewReader(f.data), Metadata: f.meta}); err != nil {
			t.Fatal(err)
		}
		at := filepath.Join(plain, filepath.FromSlash(f.key))
		if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, f.data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(f trailFile) {
		t.Helper()
		if _, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: bucket, Key: &f.key}); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(plain, filepath.FromSlash(f.key))); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range files {
		put(f)
	}
	places := map[string][]string{
		"the bucket": {"s3://audit/logs", "--s3-endpoint", s.URL(), "--s3-credentials", filepath.Join(config.Data, "credentials"), "--public-keys", keys},
		"the server's bucket, below a longer prefix": {"s3://audit/logs/AWSLogs/111122223333/", "--data", config.Data, "--public-keys", keys},
		"the data directory's folder":                {filepath.Join(config.Data, "buckets", "audit"), "--public-keys", keys},
		"a copy of the bucket":                       {plain, "--public-keys", keys},
	}
	expect := func(what string, wantCode int, want ...string) {
		t.Helper()
		for place, args := range places {
			code, text := verifyLine(t, args...)
			unsigned := 0
			if place == "a copy of the bucket" { // the newest digest's signature is only in the metadata, which a copy does not have
				unsigned = strings.Count(text, "digest not verifiable: ")
				if code == 0 || unsigned != 1 && what != "a digest removed" {
					t.Errorf("%s: %s: %d\n%s", what, place, code, text)
				}
				code = wantCode
				if wantCode == 0 || what == "a digest removed" {
					continue
				}
			}
			if code != wantCode {
				t.Errorf("%s: %s: exit %d\n%s", what, place, code, text)
			}
			for _, w := range want {
				if !strings.Contains(text, w) {
					t.Errorf("%s: %s: %q is not in\n%s", what, place, w, text)
				}
			}
		}
	}
	expect("as it was", 0, "all in eu-west-1: 3 digests without a gap, from 2026-01-02T22:00:00Z to 2026-01-03T01:00:00Z.",
		"3 of 3 digest files and 3 of 3 log files are valid.", "Good: ")
	altered := files[0]
	altered.data = files[2].data
	put(altered)
	expect("a log file altered", 1, "log file altered: s3://audit/"+altered.key, "is not what was signed")
	remove(altered)
	expect("a log file removed", 1, "log file missing: s3://audit/"+altered.key)
	put(files[0])
	remove(files[3])
	expect("a digest removed", 1, "digest missing: s3://audit/"+files[3].key)
	put(files[3])
	added := files[0]
	added.key = strings.Replace(added.key, "0123456789abcdef", "fedcba9876543210", 1)
	put(added)
	expect("a log file added", 1, "log file in no digest: s3://audit/"+added.key+": the digests of all name all files from ", "is not what was signed")
	remove(added)
	earlier, later := files[0], files[0]
	earlier.key = strings.Replace(earlier.key, "T2201Z", "T2159Z", 1)
	later.key = strings.ReplaceAll(strings.ReplaceAll(later.key, "T2201Z", "T0101Z"), "01/02", "01/03")
	later.key = strings.Replace(later.key, "20260102", "20260103", 1)
	put(earlier)
	put(later)
	expect("log files added before and after the digests", 0, "not covered by any valid digest: s3://audit/"+earlier.key,
		"1 later log file is not proved yet, as the next digest is to name it: from s3://audit/"+later.key, "Good: ")
	remove(earlier)
	remove(later)

	_, foreign := trailOf(t, "logs")
	for place, args := range places {
		other := append(append([]string{}, args[:len(args)-1]...), foreign)
		if code, text := verifyLine(t, other...); code != 1 || !strings.Contains(text, "there is no public key with the fingerprint") {
			t.Errorf("with other keys: %s: exit %d\n%s", place, code, text)
		}
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	nowhere := t.TempDir()
	for line, want := range map[string]string{
		"s3://audit --data " + nowhere:                                                     "no server runs on " + nowhere,
		"s3://nothing --public-keys " + keys + " --data " + config.Data:                    "NoSuchBucket",
		"s3://audit/other --public-keys " + keys + " --data " + config.Data:                "has no digest files of a trail",
		"s3://audit/logs --public-keys " + files[0].key + " --data " + config.Data:         "no such file",
		t.TempDir() + " --public-keys " + keys:                                             "is no data directory, nor has it the files of a trail",
		plain + " --public-keys " + filepath.Join(plain, filepath.FromSlash(files[0].key)): "is not what `aws cloudtrail list-public-keys` prints",
	} {
		if code, text := verifyLine(t, strings.Fields(line)...); code != 1 || !strings.Contains(text, want) {
			t.Errorf("%s: exit %d, not %q\n%s", line, code, want, text)
		}
	}
}
