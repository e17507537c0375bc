package vigiltest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"vigil/vigiltest"
)

// A test of a program that uses AWS KMS gives it a client of a server of the test's own.
func ExampleNewServer() {
	var t *testing.T // of the test that this stands in

	srv := vigiltest.NewServer(t)
	client := kms.New(kms.Options{Region: srv.Region, BaseEndpoint: &srv.URL, Credentials: srv.Credentials})
	key, err := client.CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: key.KeyMetadata.KeyId, PendingWindowInDays: new(int32(7))})
	if err != nil {
		t.Fatal(err)
	}
	srv.Advance(t, 8*24*time.Hour) // and soon after the key is gone
}

func clientOf(srv *vigiltest.Server, credentials aws.CredentialsProvider) *kms.Client {
	return kms.New(kms.Options{Region: srv.Region, BaseEndpoint: &srv.URL, Credentials: credentials})
}

func createKey(t *testing.T, client *kms.Client) *types.KeyMetadata {
	t.Helper()
	out, err := client.CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	return out.KeyMetadata
}

// refused says that a call was refused with an error of that code.
func refused(err error, code string) bool {
	var e smithy.APIError
	return errors.As(err, &e) && e.ErrorCode() == code
}

// A scheduled deletion happens when its window has passed by the server's clock, and not before; it is on record.
func TestAdvance(t *testing.T) {
	srv := vigiltest.NewServer(t)
	client := clientOf(srv, srv.Credentials)
	key := createKey(t, client)
	scheduled, err := client.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: key.KeyId, PendingWindowInDays: new(int32(7))})
	if err != nil {
		t.Fatal(err)
	}

	now := srv.Advance(t, 7*24*time.Hour-time.Minute)
	if left := scheduled.DeletionDate.Sub(now); left <= 0 || left > time.Minute {
		t.Errorf("%s are left of the window", left)
	}
	out, err := client.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: key.Arn})
	if err != nil || out.KeyMetadata.KeyState != types.KeyStatePendingDeletion {
		t.Fatalf("before its time: %v", err)
	}

	srv.Advance(t, time.Minute)
	trail := cloudtrail.New(cloudtrail.Options{Region: srv.Region, BaseEndpoint: &srv.URL, Credentials: srv.Credentials})
	deadline, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for !refused(err, "NotFoundException") { // a background part destroys it
		if _, err = client.DescribeKey(deadline, &kms.DescribeKeyInput{KeyId: key.Arn}); deadline.Err() != nil {
			t.Fatal("the key is never destroyed")
		}
	}
	events, err := trail.LookupEvents(t.Context(), &cloudtrail.LookupEventsInput{})
	if err != nil {
		t.Fatal(err)
	}
	deleted := 0
	for _, e := range events.Events {
		if *e.EventName == "DeleteKey" && *e.Resources[0].ResourceName == *key.Arn {
			deleted++
		}
	}
	if deleted != 1 {
		t.Errorf("DeleteKey is on record %d times", deleted)
	}
}

// Another account's root user may use a key only when its policy says so, and then only for what it says.
func TestAddAccount(t *testing.T) {
	srv := vigiltest.NewServer(t)
	const alien = "444455556666"
	credentials := srv.AddAccount(t, alien)
	who, err := sts.New(sts.Options{Region: srv.Region, BaseEndpoint: &srv.URL, Credentials: credentials}).
		GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil || *who.Account != alien || *who.Arn != "arn:aws:iam::"+alien+":root" {
		t.Fatalf("the new account is %+v: %v", who, err)
	}
	own, other := clientOf(srv, srv.Credentials), clientOf(srv, credentials)
	key := createKey(t, own)
	encrypt := &kms.EncryptInput{KeyId: key.Arn, Plaintext: []byte("shared")}

	if _, err := other.Encrypt(t.Context(), encrypt); !refused(err, "AccessDeniedException") {
		t.Fatalf("before the policy allows it: %v", err)
	}
	policy := fmt.Sprintf(`{"Version": "2012-10-17", "Statement": [
		{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::%s:root"}, "Action": "kms:*", "Resource": "*"},
		{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::%s:root"}, "Action": ["kms:Encrypt", "kms:DescribeKey"], "Resource": "*"}]}`,
		srv.Account, alien)
	if _, err := own.PutKeyPolicy(t.Context(), &kms.PutKeyPolicyInput{KeyId: key.KeyId, Policy: &policy}); err != nil {
		t.Fatal(err)
	}
	sealed, err := other.Encrypt(t.Context(), encrypt)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: sealed.CiphertextBlob}); !refused(err, "AccessDeniedException") {
		t.Errorf("what the policy does not allow: %v", err)
	}
	opened, err := own.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: sealed.CiphertextBlob})
	if err != nil || string(opened.Plaintext) != "shared" {
		t.Errorf("the key's owner reads %q: %v", opened.Plaintext, err)
	}
	keys, err := other.ListKeys(t.Context(), &kms.ListKeysInput{})
	if err != nil || len(keys.Keys) != 0 {
		t.Errorf("the other account has %d keys: %v", len(keys.Keys), err)
	}
}

// A server on a directory that was used before has its keys, its credentials and its time.
func TestNewServerIn(t *testing.T) {
	dir := t.TempDir()
	var blob []byte
	var moved time.Time
	var before aws.Credentials
	t.Run("first", func(t *testing.T) { // the server stops with the subtest
		srv := vigiltest.NewServerIn(t, dir)
		client := clientOf(srv, srv.Credentials)
		out, err := client.Encrypt(t.Context(), &kms.EncryptInput{KeyId: createKey(t, client).KeyId, Plaintext: []byte("kept")})
		if err != nil {
			t.Fatal(err)
		}
		blob = out.CiphertextBlob
		moved = srv.Advance(t, 24*time.Hour)
		before, _ = srv.Credentials.Retrieve(t.Context())
	})
	srv := vigiltest.NewServerIn(t, dir)
	if after, _ := srv.Credentials.Retrieve(t.Context()); after != before {
		t.Error("the credentials are others")
	}
	out, err := clientOf(srv, srv.Credentials).Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blob})
	if err != nil || string(out.Plaintext) != "kept" {
		t.Errorf("what was encrypted before is %q: %v", out.Plaintext, err)
	}
	if now := srv.Advance(t, time.Second); !now.After(moved) {
		t.Errorf("it is %s, and was %s", now, moved)
	}
}
