package main

import (
	"crypto/rsa"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"vigil"
	"vigil/internal/server"
)

// TestOutage has a trail's bucket away for longer than records are kept, with a crash meanwhile: GetTrailStatus says why nothing is delivered and since when,
// the records stay until they are in files, each in one and once, and only then go; the digests of all hours are one chain.
func TestOutage(t *testing.T) {
	dir := t.TempDir()
	const day = 24 * time.Hour
	flags := []string{"--test-clock", "--trail-delivery", "1s", "--retention", "1d"}
	s := startVigil(t, dir, flags...)
	buckets := func() *s3.Client {
		return s3.NewFromConfig(awsConfig(s.profile), func(o *s3.Options) { o.UsePathStyle = true })
	}
	status := func() *cloudtrail.GetTrailStatusOutput {
		t.Helper()
		out, err := cloudtrail.NewFromConfig(s.reading()).GetTrailStatus(t.Context(), &cloudtrail.GetTrailStatusInput{Name: aws.String("all")})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	bucket := folder(filepath.Join(dir, "buckets"))
	if err := server.CreateBucket(t.Context(), http.DefaultClient, s.profile, "audit"); err != nil {
		t.Fatal(err)
	}
	trails := cloudtrail.NewFromConfig(s.reading())
	if _, err := trails.CreateTrail(t.Context(), &cloudtrail.CreateTrailInput{Name: aws.String("all"), S3BucketName: aws.String("audit"), EnableLogFileValidation: aws.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	if _, err := buckets().DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: aws.String("audit")}); err != nil {
		t.Fatal(err)
	}
	if _, err := trails.StartLogging(t.Context(), &cloudtrail.StartLoggingInput{Name: aws.String("all")}); err != nil {
		t.Fatal(err)
	}
	made, err := s.kms().CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	use := func() {
		t.Helper()
		for range 20 {
			if _, err := s.kms().Encrypt(t.Context(), &kms.EncryptInput{KeyId: made.KeyMetadata.KeyId, Plaintext: []byte("x")}); err != nil {
				t.Fatal(err)
			}
		}
	}
	use()

	says := func(what, files, digests string) {
		t.Helper()
		eventually(t, s, what, func() string {
			out := status()
			if aws.ToString(out.LatestDeliveryError) == files && aws.ToString(out.LatestDigestDeliveryError) == digests && (out.LatestDeliveryTime == nil) == (files != "") {
				return ""
			}
			return fmt.Sprintf("files: %q, last %v; digests: %q", aws.ToString(out.LatestDeliveryError), out.LatestDeliveryTime, aws.ToString(out.LatestDigestDeliveryError))
		})
	}
	says("the status says why, without a move of the clock by hours", "NoSuchBucket", "")
	for round := range 5 {
		s.advance(t, day)
		use()
		if round == 2 {
			s.kill(t)
			s = startVigil(t, dir, flags...)
		}
	}
	var want []string
	for _, r := range s.history(t) {
		if r.EventSource == "kms.amazonaws.com" {
			want = append(want, r.EventID)
		}
	}
	slices.Sort(want)
	if len(want) != 6*20+1 {
		t.Errorf("of %d calls, %d are in the history while they are in no file", 6*20+1, len(want))
	}
	says("the status says why also after the crash", "NoSuchBucket", "")

	if err := server.CreateBucket(t.Context(), http.DefaultClient, s.profile, "audit"); err != nil {
		t.Fatal(err)
	}
	s.advance(t, 2*time.Hour) // what is tried again is tried now
	eventually(t, s, "each record is in one file, once", func() string { return difference(want, bucket.records(t, "audit")) })
	says("the status is good again", "", "")
	eventually(t, s, "all hours have digests", func() string {
		listed, err := cloudtrail.NewFromConfig(s.reading()).ListPublicKeys(t.Context(), &cloudtrail.ListPublicKeysInput{StartTime: aws.Time(time.Now()), EndTime: aws.Time(time.Now().Add(20 * day))})
		if err != nil {
			t.Fatal(err)
		}
		keys := map[string]*rsa.PublicKey{}
		for _, k := range listed.PublicKeyList {
			if keys[*k.Fingerprint], err = vigil.DigestPublicKey(k.Value); err != nil {
				t.Fatal(err)
			}
		}
		r, err := vigil.VerifyDigests(t.Context(), bucket, vigil.DigestScope{Bucket: "audit", Keys: keys})
		if err != nil {
			t.Fatal(err)
		}
		if !r.OK() || len(r.Unlisted) > 0 || len(r.Chains) != 1 || r.Digests < 5*24 {
			return fmt.Sprintf("%d digests, %v, %d chains, unlisted %v", r.Digests, r.Findings, len(r.Chains), r.Unlisted)
		}
		return ""
	})
	s.advance(t, 2*time.Hour)
	eventually(t, s, "what is past its retention goes", func() string {
		if slices.ContainsFunc(s.history(t), func(r *vigil.Record) bool { return r.EventName == "CreateKey" }) {
			return "the first one is still there"
		}
		return ""
	})
	s.stop(t)
}
