package lake

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"

	"vigil/internal/call"
)

// delivery waits for the end of a query's delivery.
func (h *house) delivery(who caller, id *string) types.DeliveryStatus {
	h.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		out := do[cloudtrail.DescribeQueryOutput](h, who, "DescribeQuery", &cloudtrail.DescribeQueryInput{QueryId: id})
		if out.DeliveryStatus != types.DeliveryStatusPending {
			return out.DeliveryStatus
		}
		if time.Now().After(deadline) {
			h.Fatal("the result is not delivered")
		}
	}
}

// A bucket that does not take a result is told: by StartQuery if it is so then, by DescribeQuery if it is so later. A server that ends while it
// delivers does so when it is back.
func TestDeliveriesThatFail(t *testing.T) {
	h := open(t)
	refusal := func(code string) error { return &call.Error{Code: code, Status: http.StatusForbidden} }
	var checked error
	var put func(ctx context.Context, key string) error
	h.buckets = Buckets{
		Check: func(_ context.Context, _, _ string) error { return checked },
		Put: func(ctx context.Context, _, _, key, _ string, body io.Reader) error {
			if err := put(ctx, key); err != nil {
				return err
			}
			_, err := io.Copy(io.Discard, body)
			return err
		},
		Sign: func(context.Context, string, string, time.Time, []byte) ([]byte, string, error) {
			return []byte("signed"), "finger", nil
		},
	}
	h.begin()
	h.start()
	store := h.store(alice, "a", nil)
	deliver := func(statement string) *string {
		t.Helper()
		return do[cloudtrail.StartQueryOutput](h, alice, "StartQuery", &cloudtrail.StartQueryInput{QueryStatement: new(statement), DeliveryS3Uri: new("s3://bucket/a")}).QueryId
	}
	statement := "SELECT eventName FROM " + store
	for err, code := range map[string]string{"NoSuchBucket": "S3BucketDoesNotExistException", "AccessDenied": "InsufficientS3BucketPolicyException"} {
		checked = refusal(err)
		h.refused(code, alice, "StartQuery", &cloudtrail.StartQueryInput{QueryStatement: &statement, DeliveryS3Uri: new("s3://bucket")})
	}
	checked = nil
	h.refused("InvalidS3PrefixException", alice, "StartQuery", &cloudtrail.StartQueryInput{QueryStatement: &statement, DeliveryS3Uri: new("s3://bucket/" + strings.Repeat("a", 201))})

	for _, test := range []struct {
		statement, file, code string
		want                  types.DeliveryStatus
	}{
		{statement, "", "", types.DeliveryStatusSuccess},
		{statement, resultFile, "NoSuchBucket", types.DeliveryStatusResourceNotFound},
		{statement, signFile, "NoSuchBucket", types.DeliveryStatusResourceNotFound},
		{statement, resultFile, "AccessDenied", types.DeliveryStatusAccessDenied},
		{statement, signFile, "AccessDenied", types.DeliveryStatusAccessDeniedSigningFile},
		{statement, resultFile, "EntityTooLarge", types.DeliveryStatusFailed},
		{statement, signFile, "EntityTooLarge", types.DeliveryStatusFailedSigningFile},
		{"SELECT 1 / (length(eventName) - length(eventName)) FROM " + store, "", "", types.DeliveryStatusFailed},
	} {
		put = func(_ context.Context, key string) error {
			if test.file != "" && strings.HasSuffix(key, "/"+test.file) {
				return refusal(test.code)
			}
			return nil
		}
		if got := h.delivery(alice, deliver(test.statement)); got != test.want {
			t.Errorf("%s of %s: %s, want %s", test.code, test.file, got, test.want)
		}
	}

	reached := make(chan struct{}, 1)
	put = func(ctx context.Context, _ string) error {
		reached <- struct{}{}
		<-ctx.Done()
		return errors.Join(ctx.Err())
	}
	id := deliver(statement)
	<-reached
	h.stop()
	put = func(context.Context, string) error { return nil }
	h.begin()
	h.start()
	if got := h.delivery(alice, id); got != types.DeliveryStatusSuccess {
		t.Errorf("after a restart: %s", got)
	}
}
