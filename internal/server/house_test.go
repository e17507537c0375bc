package server_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"vigil"
	"vigil/internal/server"
)

const (
	account = server.DefaultAccount
	region  = "us-east-1"
)

// house is a server that can be stopped and started again, and its account's root user.
type house struct {
	t       testing.TB
	dir     string
	running *server.Server
	profile server.Profile
}

func openHouse(t testing.TB) *house {
	h := &house{t: t, dir: t.TempDir()}
	h.start()
	t.Cleanup(func() { h.running.Stop() })
	return h
}

func (h *house) start() {
	h.t.Helper()
	var err error
	h.running, err = server.Start(context.Background(), server.Config{
		Listen: "127.0.0.1:0", Data: h.dir, Region: region, TestClock: true, AllowLocalTargets: true,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	if h.profile, err = server.ReadProfile(h.dir, "default"); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) advance(d time.Duration) {
	h.t.Helper()
	if err := server.Operate(context.Background(), h.profile, "AdvanceClock", map[string]any{"Seconds": int64(d / time.Second)}, &struct{}{}); err != nil {
		h.t.Fatal(err)
	}
}

// config is that of a client of root's, or of whoever has the credentials.
func (h *house) config(credentials ...aws.CredentialsProvider) aws.Config {
	url := h.running.URL()
	c := aws.Config{Region: region, BaseEndpoint: &url, Credentials: static(h.profile.AccessKeyID, h.profile.Secret, ""), RetryMaxAttempts: 1}
	if len(credentials) > 0 {
		c.Credentials = credentials[0]
	}
	return c
}

// user makes an IAM user who may do what is listed, and returns its credentials.
func (h *house) user(name, actions string) aws.CredentialsProvider {
	h.t.Helper()
	admin := iam.NewFromConfig(h.config())
	if _, err := admin.CreateUser(h.t.Context(), &iam.CreateUserInput{UserName: &name}); err != nil {
		h.t.Fatal(err)
	}
	if _, err := admin.PutUserPolicy(h.t.Context(), &iam.PutUserPolicyInput{UserName: &name, PolicyName: new("p"), PolicyDocument: new(
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":` + actions + `,"Resource":"*"}}`)}); err != nil {
		h.t.Fatal(err)
	}
	key, err := admin.CreateAccessKey(h.t.Context(), &iam.CreateAccessKeyInput{UserName: &name})
	if err != nil {
		h.t.Fatal(err)
	}
	return static(*key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey, "")
}

// key makes a key. Statements are added to the default policy.
func (h *house) key(statements string) string {
	h.t.Helper()
	made, err := kms.NewFromConfig(h.config()).CreateKey(h.t.Context(), &kms.CreateKeyInput{Policy: new(keyPolicy(statements))})
	if err != nil {
		h.t.Fatal(err)
	}
	return *made.KeyMetadata.Arn
}

func keyPolicy(statements string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + account + `:root"},"Action":"kms:*","Resource":"*"}` +
		statements + `]}`
}

// records are the journal's records of a name with an invokedBy, oldest first.
func (h *house) records(name string) (found []*vigil.Record) {
	h.t.Helper()
	j := h.running.Journal()
	h.eventually("the journal is sequenced", func() bool { return j.Sequenced() == j.Appended() })
	var seqs []int64
	for seq := range j.Sequenced() {
		seqs = append(seqs, seq)
	}
	entries, err := j.Get(h.t.Context(), seqs)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, e := range entries {
		r, err := vigil.ParseRecord(e.Data)
		if err != nil {
			h.t.Fatal(err)
		}
		if r.EventName == name && r.UserIdentity.InvokedBy != "" {
			found = append(found, r)
		}
	}
	return found
}

func (h *house) eventually(what string, holds func() bool) {
	h.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			h.t.Fatalf("it never came about that %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// stored reports whether a text lies as it is in any file of the data directory.
func (h *house) stored(text string) bool {
	h.t.Helper()
	files, err := filepath.Glob(filepath.Join(h.dir, "*"))
	if err != nil || len(files) == 0 {
		h.t.Fatal(files, err)
	}
	return slices.ContainsFunc(files, func(name string) bool {
		data, err := os.ReadFile(name)
		return err == nil && bytes.Contains(data, []byte(text))
	})
}
