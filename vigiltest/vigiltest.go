// Package vigiltest runs a real Vigil server inside a Go test: real keys, real signatures, a real journal, in a
// temporary directory, with a clock that the test can move.
//
//	srv := vigiltest.NewServer(t)
//	client := kms.New(kms.Options{Region: srv.Region, BaseEndpoint: &srv.URL, Credentials: srv.Credentials})
package vigiltest

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"vigil/internal/server"
)

// Server is a running server. It stops when the test ends.
type Server struct {
	URL         string // the endpoint, such as http://127.0.0.1:40123
	Region      string // a region to use; every region is served
	Account     string // the operator's account, whose root user Credentials are
	Dir         string // the data directory, with the files credentials and config for AWS's tools
	Credentials aws.CredentialsProvider

	profile server.Profile
}

// NewServer starts a server for the test. It fails the test when the server cannot start.
func NewServer(t testing.TB) *Server {
	t.Helper()
	return NewServerIn(t, t.TempDir())
}

// NewServerIn starts a server on a data directory, which may have been used before.
func NewServerIn(t testing.TB, dir string) *Server {
	t.Helper()
	const region = "us-east-1"
	running, err := server.Start(context.Background(), server.Config{Listen: "127.0.0.1:0", Data: dir, Region: region, TestClock: true})
	if err != nil {
		t.Fatalf("vigiltest: %v", err)
	}
	t.Cleanup(running.Stop)
	profile, err := server.ReadProfile(dir, "default")
	if err != nil {
		t.Fatalf("vigiltest: %v", err)
	}
	return &Server{
		URL: running.URL(), Region: region, Account: server.DefaultAccount, Dir: dir,
		Credentials: credentials(profile.AccessKeyID, profile.Secret),
		profile:     profile,
	}
}

// Advance moves the server's clock by d, in whole seconds, and returns what time it is then.
func (s *Server) Advance(t testing.TB, d time.Duration) time.Time {
	t.Helper()
	var out struct{ Now float64 }
	s.operate(t, "AdvanceClock", map[string]any{"Seconds": int64(d / time.Second)}, &out)
	return time.UnixMilli(int64(out.Now * 1000)).UTC()
}

// AddAccount adds an account of twelve digits and returns its root user's credentials.
func (s *Server) AddAccount(t testing.TB, account string) aws.CredentialsProvider {
	t.Helper()
	var out struct{ AccessKeyId, SecretAccessKey string }
	s.operate(t, "CreateAccount", map[string]any{"AccountId": account}, &out)
	return credentials(out.AccessKeyId, out.SecretAccessKey)
}

func credentials(accessKeyID, secret string) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: accessKeyID, SecretAccessKey: secret}, nil
	})
}

// operate calls one of Vigil's own operations as the operator.
func (s *Server) operate(t testing.TB, operation string, in map[string]any, out any) {
	t.Helper()
	if err := server.Operate(context.Background(), s.profile, operation, in, out); err != nil {
		t.Fatalf("vigiltest: %s: %v", operation, err)
	}
}
