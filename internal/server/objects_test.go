package server_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Whether an object is there, those learn who may list the bucket: neither by reading nor by copying it anyone else.
func TestWhoLearnsWhatIsNotThere(t *testing.T) {
	h, ctx, bucket := openHouse(t), t.Context(), aws.String("audit")
	if _, err := client(h).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket}); err != nil {
		t.Fatal(err)
	}
	for actions, want := range map[string]string{`["s3:GetObject","s3:PutObject"]`: "AccessDenied", `["s3:GetObject","s3:PutObject","s3:ListBucket"]`: "NoSuchKey"} {
		user := s3.NewFromConfig(h.config(h.user("reader-"+want, actions)), func(o *s3.Options) { o.UsePathStyle = true })
		if _, err := user.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("none")}); codeOf(err) != want {
			t.Errorf("GetObject with %s: %v", actions, err)
		}
		if _, err := user.CopyObject(ctx, &s3.CopyObjectInput{Bucket: bucket, Key: aws.String("copy"), CopySource: aws.String("audit/none")}); codeOf(err) != want {
			t.Errorf("CopyObject with %s: %v", actions, err)
		}
	}
}
