package server_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

const proofARN = "arn:aws:cloudtrail:" + region + ":" + account + ":trail/proof"

// letTrailIn is the statements of a key policy for CloudTrail, as its user guide has them.
const letTrailIn = `,{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":"kms:GenerateDataKey*","Resource":"*",` +
	`"Condition":{"StringEquals":{"aws:SourceArn":"` + proofARN + `"},"StringLike":{"kms:EncryptionContext:aws:cloudtrail:arn":"arn:aws:cloudtrail:*:` + account + `:trail/*"}}},` +
	`{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":"kms:DescribeKey","Resource":"*"}`

func (h *house) s3(as ...aws.CredentialsProvider) *s3.Client {
	return s3.NewFromConfig(h.config(as...), func(o *s3.Options) { o.UsePathStyle = true })
}

// logFiles are the keys of a bucket's log files, with their sizes.
func (h *house) logFiles(bucket string) map[string]int64 {
	h.t.Helper()
	out, err := h.s3().ListObjectsV2(h.t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket})
	if err != nil {
		h.t.Fatal(err)
	}
	found := map[string]int64{}
	for _, o := range out.Contents {
		if strings.Contains(*o.Key, "/CloudTrail/") {
			found[*o.Key] = *o.Size
		}
	}
	return found
}

func code(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	return ""
}

// The log files of a trail with a key are encrypted under it, and read by who may decrypt; while the key is disabled they wait.
func TestAnEncryptedTrail(t *testing.T) {
	h := openHouse(t)
	key := h.key(letTrailIn)
	trails, keys := cloudtrail.NewFromConfig(h.config()), kms.NewFromConfig(h.config())
	if _, err := h.s3().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: new("audit")}); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: new("alias/trail"), TargetKeyId: &key}); err != nil {
		t.Fatal(err)
	}
	made, err := trails.CreateTrail(t.Context(), &cloudtrail.CreateTrailInput{Name: new("proof"), S3BucketName: new("audit"), KmsKeyId: new("alias/trail")})
	if err != nil || aws.ToString(made.KmsKeyId) != key {
		t.Fatalf("%+v %v", made, err)
	}
	if _, err := trails.StartLogging(t.Context(), &cloudtrail.StartLoggingInput{Name: new("proof")}); err != nil {
		t.Fatal(err)
	}
	h.eventually("there is a log file", func() bool {
		h.advance(5 * time.Minute)
		return len(h.logFiles("audit")) > 0
	})

	var name string
	var size int64
	for name, size = range h.logFiles("audit") {
		break
	}
	get := func(as ...aws.CredentialsProvider) ([]byte, error) {
		out, err := h.s3(as...).GetObject(t.Context(), &s3.GetObjectInput{Bucket: new("audit"), Key: &name})
		if err != nil {
			return nil, err
		}
		defer out.Body.Close()
		if out.ServerSideEncryption != "aws:kms" || aws.ToString(out.SSEKMSKeyId) != key {
			t.Errorf("encrypted by %q with %q", out.ServerSideEncryption, aws.ToString(out.SSEKMSKeyId))
		}
		return io.ReadAll(out.Body)
	}
	body, err := get()
	if err != nil || int64(len(body)) != size {
		t.Fatalf("%d bytes of %d: %v", len(body), size, err)
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(unzipped); err != nil || !bytes.Contains(text, []byte(`"StartLogging"`)) {
		t.Errorf("%s %v", text, err)
	}
	part, err := h.s3().GetObject(t.Context(), &s3.GetObjectInput{Bucket: new("audit"), Key: &name, Range: new("bytes=10-19")})
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(part.Body); err != nil || !bytes.Equal(text, body[10:20]) {
		t.Errorf("a range is %x, not %x: %v", text, body[10:20], err)
	}
	if on, err := os.ReadFile(filepath.Join(h.dir, "buckets", "audit", filepath.FromSlash(name))); err != nil || bytes.Contains(on, body[:8]) {
		t.Errorf("the file lies as it is: %v", err)
	}

	if _, err := get(h.user("erin", `"s3:*"`)); code(err) != "AccessDenied" {
		t.Errorf("a reader who may not decrypt: %v", err)
	}
	if _, err := get(h.user("fred", `["s3:*","kms:Decrypt"]`)); err != nil {
		t.Error(err)
	}
	r := h.records("GenerateDataKey")[1] // the first was CreateTrail's
	if who := r.UserIdentity; who.Type != "AWSService" || who.InvokedBy != "cloudtrail.amazonaws.com" || r.RecipientAccountID != account ||
		r.SourceIPAddress != "cloudtrail.amazonaws.com" || len(r.Resources) != 1 || r.Resources[0].ARN != key ||
		!strings.Contains(string(r.RequestParameters), `"aws:cloudtrail:arn":"`+proofARN+`"`) ||
		!strings.Contains(string(r.RequestParameters), `"aws:s3:arn":"arn:aws:s3:::audit/AWSLogs/`+account+`/CloudTrail/`) {
		t.Errorf("GenerateDataKey is recorded as %s", r.AppendJSON(nil))
	}
	read := h.records("Decrypt")
	if r := read[len(read)-1]; r.UserIdentity.UserName != "fred" || r.UserIdentity.InvokedBy != "s3.amazonaws.com" ||
		!strings.Contains(string(r.RequestParameters), `"aws:s3:arn":"arn:aws:s3:::audit/`+name+`"`) {
		t.Errorf("Decrypt is recorded as %s", r.AppendJSON(nil))
	}

	if _, err := keys.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &key}); err != nil {
		t.Fatal(err)
	}
	status := func() string {
		out, err := trails.GetTrailStatus(t.Context(), &cloudtrail.GetTrailStatusInput{Name: new("proof")})
		if err != nil {
			t.Fatal(err)
		}
		return aws.ToString(out.LatestDeliveryError)
	}
	h.eventually("the delivery fails", func() bool {
		h.advance(5 * time.Minute)
		return status() == "KMS.DisabledException"
	})
	if _, err := get(); code(err) != "KMS.DisabledException" {
		t.Errorf("with a key that is disabled: %v", err)
	}
	before := len(h.logFiles("audit"))
	if _, err := keys.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: &key}); err != nil {
		t.Fatal(err)
	}
	h.eventually("what waited is delivered", func() bool {
		h.advance(time.Minute)
		return len(h.logFiles("audit")) > before && status() == ""
	})

	if out, err := trails.UpdateTrail(t.Context(), &cloudtrail.UpdateTrailInput{Name: new("proof"), KmsKeyId: new("")}); err != nil || out.KmsKeyId != nil {
		t.Errorf("%+v %v", out, err)
	}
	if out, err := trails.GetTrail(t.Context(), &cloudtrail.GetTrailInput{Name: new("proof")}); err != nil || out.Trail.KmsKeyId != nil {
		t.Errorf("%+v %v", out, err)
	}
}

// A trail is not made with a key that it cannot use.
func TestATrailNeedsItsKey(t *testing.T) {
	h := openHouse(t)
	trails := cloudtrail.NewFromConfig(h.config())
	if _, err := h.s3().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: new("audit")}); err != nil {
		t.Fatal(err)
	}
	open, disabled := h.key(letTrailIn), h.key(letTrailIn)
	if _, err := kms.NewFromConfig(h.config()).DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &disabled}); err != nil {
		t.Fatal(err)
	}
	id := open[strings.LastIndex(open, "/")+1:]
	for _, test := range []struct{ key, want string }{
		{"alias/none", "KmsKeyNotFoundException"},
		{"11111111-2222-3333-4444-555555555555", "KmsKeyNotFoundException"},
		{strings.Replace(open, region, "eu-west-1", 1), "KmsKeyNotFoundException"},
		{h.key(""), "InsufficientEncryptionPolicyException"},
		{disabled, "KmsException"},
		{"not a key!", "InvalidKmsKeyIdException"},
		{"arn:aws:s3:::audit", "InvalidKmsKeyIdException"},
		{id, ""},
	} {
		out, err := trails.CreateTrail(t.Context(), &cloudtrail.CreateTrailInput{Name: new("proof"), S3BucketName: new("audit"), KmsKeyId: &test.key})
		if code(err) != test.want || err == nil && aws.ToString(out.KmsKeyId) != open {
			t.Errorf("%s: %+v %v", test.key, out, err)
		}
	}
	if _, err := os.Stat(filepath.Join(h.dir, "buckets", "audit")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was put: %v", err)
	}
}
