package main

import (
	"compress/gzip"
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"vigil"
	"vigil/internal/server"
	"vigil/internal/store/storetest"
)

// TestCrashTrail kills the server at random moments while files and digests are delivered, again and again: each record is in one file, once, and
// the digests have all files in one chain.
func TestCrashTrail(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { crashTrail(t, 14) })
	t.Run("postgres", func(t *testing.T) { crashTrail(t, 4, "--database", storetest.Postgres(t)) })
}

func crashTrail(t *testing.T, rounds int, flags ...string) {
	dir := t.TempDir()
	flags = append(flags, "--test-clock", "--trail-delivery", "1s")
	s := startVigil(t, dir, flags...)
	if err := server.CreateBucket(t.Context(), http.DefaultClient, s.profile, "audit"); err != nil {
		t.Fatal(err)
	}
	trails := cloudtrail.NewFromConfig(s.config())
	if _, err := trails.CreateTrail(t.Context(), &cloudtrail.CreateTrailInput{Name: aws.String("all"), S3BucketName: aws.String("audit"), EnableLogFileValidation: aws.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	if _, err := trails.StartLogging(t.Context(), &cloudtrail.StartLoggingInput{Name: aws.String("all")}); err != nil {
		t.Fatal(err)
	}
	key, err := s.kms().CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	s.kill(t)

	w := &watched{key: *key.KeyMetadata.KeyId}
	start := func() *process {
		s := startVigil(t, dir, flags...)
		s.advance(t, 2*time.Hour) // two digests are due, and a file
		return s
	}
	killAgainAndAgain(t, rounds, start, func(ctx context.Context, s *process, _ int) (clients []func()) {
		for range 4 {
			clients = append(clients, func() { w.useKey(ctx, s) })
		}
		return clients
	})
	s = start()
	var want []string
	for _, r := range s.history(t) {
		if r.EventSource == "kms.amazonaws.com" {
			want = append(want, r.EventID)
		}
	}
	slices.Sort(want)
	bucket := folder(filepath.Join(dir, "buckets"))
	eventually(t, s, "each record is in one file, once", func() string { return difference(want, bucket.records(t, "audit")) })
	s.advance(t, 2*time.Hour)
	keys := map[string]*rsa.PublicKey{}
	eventually(t, s, "the digests have all files", func() string {
		listed, err := cloudtrail.NewFromConfig(s.reading()).ListPublicKeys(t.Context(), &cloudtrail.ListPublicKeysInput{StartTime: aws.Time(time.Now()), EndTime: aws.Time(time.Now().Add(1000 * time.Hour))})
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range listed.PublicKeyList {
			if keys[*k.Fingerprint], err = vigil.DigestPublicKey(k.Value); err != nil {
				t.Fatal(err)
			}
		}
		r, err := vigil.VerifyDigests(t.Context(), bucket, vigil.DigestScope{Bucket: "audit", Keys: keys})
		if err != nil {
			t.Fatal(err)
		}
		if !r.OK() || len(r.Unlisted) > 0 || len(r.Chains) != 1 || r.Digests < 2*rounds {
			return fmt.Sprintf("%d digests, %v, %d chains, unlisted %v", r.Digests, r.Findings, len(r.Chains), r.Unlisted)
		}
		return ""
	})
	s.stop(t)
	t.Logf("%d uses over %d crashes", len(want), rounds)
}

// folder is where the server keeps its buckets, as package vigil reads it.
type folder string

func (f folder) List(_ context.Context, bucket, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		root := filepath.Join(string(f), bucket)
		_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			key, _ := filepath.Rel(root, path)
			if err != nil || d.IsDir() || !strings.HasSuffix(path, "%meta") {
				return nil
			}
			if key = strings.TrimSuffix(key, "%meta"); strings.HasPrefix(key, prefix) && !yield(key, nil) {
				return fs.SkipAll
			}
			return nil
		})
	}
}

func (f folder) Get(_ context.Context, bucket, key string) (*vigil.BucketObject, error) {
	path := filepath.Join(string(f), bucket, key)
	text, err := os.ReadFile(path + "%meta")
	if err != nil {
		return nil, err
	}
	var meta struct {
		User map[string]string
		Data string
	}
	if err := json.Unmarshal(text, &meta); err != nil {
		return nil, err
	}
	file, err := os.Open(filepath.Join(filepath.Dir(path), meta.Data))
	if err != nil {
		return nil, err
	}
	return &vigil.BucketObject{ReadCloser: file, Metadata: meta.User}, nil
}

// records are the ids of the records of KMS in a bucket's log files, in order.
func (f folder) records(t *testing.T, bucket string) (ids []string) {
	t.Helper()
	for key, err := range f.List(t.Context(), bucket, "AWSLogs/000000000000/CloudTrail/") {
		if err != nil {
			t.Fatal(err)
		}
		o, err := f.Get(t.Context(), bucket, key)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it is being put again
		}
		if err != nil {
			t.Fatal(err)
		}
		zip, err := gzip.NewReader(o)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(zip)
		o.Close()
		if err != nil {
			t.Fatal(err)
		}
		var file struct {
			Records []struct{ EventID, EventSource string }
		}
		decode(t, string(data), &file)
		for _, r := range file.Records {
			if r.EventSource == "kms.amazonaws.com" {
				ids = append(ids, r.EventID)
			}
		}
	}
	slices.Sort(ids)
	return ids
}
