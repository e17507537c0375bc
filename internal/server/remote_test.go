package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"vigil/internal/server"
)

// fronting is a server whose objects are in another's buckets, and a client of each.
type fronting struct {
	*keeping
	behind      *house
	near, there *s3.Client
}

func client(h *house) *s3.Client {
	return s3.NewFromConfig(h.config(), func(o *s3.Options) { o.UsePathStyle = true })
}

func front(t *testing.T) *fronting {
	behind := openHouse(t)
	dir := t.TempDir()
	credentials := filepath.Join(t.TempDir(), "credentials")
	copyFile(t, filepath.Join(behind.dir, "credentials"), credentials)
	f := &fronting{behind: behind, keeping: &keeping{house: &house{t: t, dir: dir}, config: server.Config{Listen: "127.0.0.1:0", Data: dir, Region: region,
		S3Endpoint: behind.running.URL(), S3Region: region, S3Credentials: credentials}}}
	f.start()
	t.Cleanup(func() { f.running.Stop() })
	f.near, f.there = client(f.house), client(behind)
	return f
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func codeOf(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	return fmt.Sprint(err)
}

// TestObjectsElsewhere uses buckets whose objects are in another S3-compatible store, by all the operations that change or find objects.
func TestObjectsElsewhere(t *testing.T) {
	f, ctx := front(t), t.Context()
	bucket := aws.String("audit")
	if _, err := f.near.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.there.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: bucket}); err != nil {
		t.Errorf("the bucket is not there: %v", err)
	}
	keys := []string{"AWSLogs/a b+c", "AWSLogs/ü/1", "AWSLogs/ü/2", "a", "a/", "a/b", "a/b/c", "z&<>"}
	for _, key := range keys {
		if _, err := f.near.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: &key, Body: strings.NewReader("contents of " + key), ContentType: aws.String("text/x"),
			ContentEncoding: aws.String("odd"), Metadata: map[string]string{"signature": "0123"}, ChecksumAlgorithm: types.ChecksumAlgorithmSha256}); err != nil {
			t.Fatalf("%s: %v", key, err)
		}
	}
	for name, c := range map[string]*s3.Client{"here": f.near, "there": f.there} {
		for _, key := range keys {
			out, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: &key, ChecksumMode: types.ChecksumModeEnabled})
			if err != nil {
				t.Fatalf("%s: %s: %v", name, key, err)
			}
			body, err := io.ReadAll(out.Body)
			if err != nil || string(body) != "contents of "+key || *out.ContentType != "text/x" || *out.ContentEncoding != "odd" || out.Metadata["signature"] != "0123" ||
				aws.ToString(out.ChecksumSHA256) == "" {
				t.Errorf("%s: %s is %q, %+v: %v", name, key, body, out, err)
			}
		}
		for _, q := range []struct{ prefix, delimiter string }{{"", ""}, {"", "/"}, {"a/", "/"}, {"AWSLogs/", "/"}, {"AWSLogs/ü", ""}} {
			var got []string
			pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: bucket, Prefix: &q.prefix, Delimiter: &q.delimiter, MaxKeys: aws.Int32(1)})
			for n := 0; pages.HasMorePages() && n < 20; n++ {
				page, err := pages.NextPage(ctx)
				if err != nil {
					t.Fatal(err)
				}
				for _, o := range page.Contents {
					got = append(got, *o.Key)
				}
				for _, p := range page.CommonPrefixes {
					got = append(got, "folder "+*p.Prefix)
				}
			}
			var want []string
			for _, key := range keys {
				rest, ok := strings.CutPrefix(key, q.prefix)
				if !ok {
					continue
				}
				if i := strings.Index(rest, q.delimiter); q.delimiter != "" && i >= 0 {
					key = "folder " + q.prefix + rest[:i+1]
				}
				want = append(want, key)
			}
			if want = slices.Compact(want); !slices.Equal(got, want) {
				t.Errorf("%s: %q by %q: %q, want %q", name, q.prefix, q.delimiter, got, want)
			}
		}
	}
	part, err := f.near.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("a/b"), Range: aws.String("bytes=3-7")})
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(part.Body); string(body) != "tents" || err != nil {
		t.Errorf("a range is %q: %v", body, err)
	}
	if _, err := f.near.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: aws.String("a"), Body: strings.NewReader("x"), IfNoneMatch: aws.String("*")}); codeOf(err) != "PreconditionFailed" {
		t.Errorf("over an object that must not be there: %v", err)
	}
	if _, err := f.near.CopyObject(ctx, &s3.CopyObjectInput{Bucket: bucket, Key: aws.String("copy"), CopySource: aws.String("audit/a/b")}); err != nil {
		t.Error(err)
	}
	large := bytes.Repeat([]byte("0123456789abcdef"), 400_000) // in two parts
	up, err := f.near.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: bucket, Key: aws.String("large"), ContentType: aws.String("text/y")})
	if err != nil {
		t.Fatal(err)
	}
	var parts []types.CompletedPart
	for i, body := range [][]byte{large[:5<<20], large[5<<20:]} {
		out, err := f.near.UploadPart(ctx, &s3.UploadPartInput{Bucket: bucket, Key: aws.String("large"), UploadId: up.UploadId, PartNumber: aws.Int32(int32(i + 1)), Body: bytes.NewReader(body)})
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, types.CompletedPart{PartNumber: aws.Int32(int32(i + 1)), ETag: out.ETag})
	}
	if _, err := f.near.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: bucket, Key: aws.String("large"), UploadId: up.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}}); err != nil {
		t.Fatal(err)
	}
	whole, err := f.there.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("large")})
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(whole.Body); err != nil || !bytes.Equal(body, large) || *whole.ContentType != "text/y" {
		t.Errorf("%d bytes of %d: %v", len(body), len(large), err)
	}

	if _, err := f.near.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: bucket}); codeOf(err) != "BucketNotEmpty" {
		t.Errorf("a bucket with objects is deleted: %v", err)
	}
	for _, key := range append(keys, "copy", "large") {
		if _, err := f.near.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: &key}); err != nil {
			t.Error(err)
		}
	}
	if _, err := f.there.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: aws.String("a/b")}); codeOf(err) != "NotFound" {
		t.Errorf("a deleted object: %v", err)
	}
	if _, err := f.near.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("a/b")}); codeOf(err) != "NoSuchKey" {
		t.Errorf("a deleted object: %v", err)
	}
	if _, err := f.near.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: bucket}); err != nil {
		t.Error(err)
	}
}

// TestAStoreThatRefuses has the store take no credentials, have no bucket, and be away: each is said, nothing is half done, and it goes on when it is well.
func TestAStoreThatRefuses(t *testing.T) {
	f, ctx := front(t), t.Context()
	bucket := aws.String("audit")
	put := func() error {
		_, err := f.near.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: aws.String("key"), Body: strings.NewReader("x")})
		return err
	}
	if _, err := f.near.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket}); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(f.config.S3Credentials)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"another secret":          "[default]\naws_access_key_id = " + f.behind.profile.AccessKeyID + "\naws_secret_access_key = wrong\n",
		"a key that is not there": "[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = wrong\n",
	} {
		if err := os.WriteFile(f.config.S3Credentials, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f.running.Stop()
		f.start()
		f.near = client(f.house)
		if err := put(); codeOf(err) != "AccessDenied" || strings.Contains(err.Error(), "wrong") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.WriteFile(f.config.S3Credentials, good, 0o600); err != nil {
		t.Fatal(err)
	}
	f.running.Stop()
	f.start()
	f.near = client(f.house)
	if err := put(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.there.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: aws.String("key")}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.there.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: bucket}); err != nil {
		t.Fatal(err)
	}
	if err := put(); codeOf(err) != "NoSuchBucket" {
		t.Errorf("without its bucket: %v", err)
	}
	f.behind.running.Stop()
	if err := put(); codeOf(err) != "InternalError" || !strings.Contains(err.Error(), "Please try again.") {
		t.Errorf("without its store: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(f.dir, "buckets", ".tmp", "*")); len(left) > 0 || err != nil {
		t.Errorf("%q is left over: %v", left, err)
	}
}

func TestAStoreThatCannotBe(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	for name, config := range map[string]server.Config{
		"no credentials":         {S3Endpoint: "http://127.0.0.1:9"},
		"no such file":           {S3Endpoint: "http://127.0.0.1:9", S3Credentials: "/nowhere"},
		"no URL":                 {S3Endpoint: "store.example.com"},
		"credentials in the URL": {S3Endpoint: "https://key:secret@store.example.com"},
	} {
		config.Listen, config.Data, config.Region, config.S3Region = "127.0.0.1:0", t.TempDir(), region, region
		if !strings.HasPrefix(name, "no ") || name == "no URL" {
			t.Setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
			t.Setenv("AWS_SECRET_ACCESS_KEY", "x")
		} else {
			t.Setenv("AWS_ACCESS_KEY_ID", "")
		}
		s, err := server.Start(context.Background(), config)
		if err == nil {
			s.Stop()
			t.Errorf("%s: it starts", name)
		} else if !strings.Contains(err.Error(), "s3") && !strings.Contains(err.Error(), "S3") || strings.Contains(err.Error(), "secret@") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOneWriterElsewhere has several put what is not there yet, of whom one does.
func TestOneWriterElsewhere(t *testing.T) {
	f, ctx := front(t), t.Context()
	bucket, key := aws.String("audit"), aws.String("lock")
	if _, err := f.near.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket}); err != nil {
		t.Fatal(err)
	}
	const writers = 16
	codes := make(chan string, writers)
	for n := range writers {
		go func() {
			_, err := f.near.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key, Body: strings.NewReader(fmt.Sprint(n)), IfNoneMatch: aws.String("*")})
			codes <- codeOf(err)
		}()
	}
	got := map[string]int{}
	for range writers {
		got[<-codes]++
	}
	if len(got) != 2 || got[codeOf(nil)] != 1 || got["PreconditionFailed"] != writers-1 {
		t.Errorf("they were answered %v", got)
	}
	there, err := f.near.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.near.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key, Body: strings.NewReader("new"), IfMatch: there.ETag}); err != nil {
		t.Errorf("what is as it was is not replaced: %v", err)
	}
	if _, err := f.near.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key, Body: strings.NewReader("newer"), IfMatch: there.ETag}); codeOf(err) != "PreconditionFailed" {
		t.Errorf("what is not as it was: %v", err)
	}
}
