// Package clients_test runs programs that others have written for AWS KMS, unchanged, against the real server. It is a module of its own so
// that what they depend on is not what Vigil depends on.
package clients_test

import (
	"bufio"
	"bytes"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// TestMain builds the server once, runs it for all tests, and points every AWS SDK at it by the environment, as `vigil env` does.
func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "vigil-clients-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "vigil")
	if out, err := exec.Command("go", "build", "-C", "..", "-o", binary, "./cmd/vigil").CombinedOutput(); err != nil {
		panic(string(out))
	}
	data := filepath.Join(dir, "data")
	server := exec.Command(binary, "serve", "--data", data, "--listen", "127.0.0.1:0")
	server.Stderr = os.Stderr
	if err := server.Start(); err != nil {
		panic(err)
	}
	defer func() { server.Process.Signal(os.Interrupt); server.Wait() }()

	os.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(data, "credentials"))
	os.Setenv("AWS_CONFIG_FILE", filepath.Join(data, "config"))
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL"} {
		os.Unsetenv(name)
	}
	for deadline := time.Now().Add(time.Minute); !ready(data); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			panic("the server does not become ready")
		}
	}
	return m.Run()
}

func ready(data string) bool {
	endpoint := setting(filepath.Join(data, "config"), "endpoint_url")
	if endpoint == "" {
		return false
	}
	resp, err := http.Get(endpoint + "/health")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// setting is a value of an AWS configuration file.
func setting(file, name string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), "="); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func endpoint() string { return setting(os.Getenv("AWS_CONFIG_FILE"), "endpoint_url") }

func newClient(t *testing.T) *kms.Client {
	cfg, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return kms.NewFromConfig(cfg)
}

// newKey is the ARN of a new symmetric key.
func newKey(t *testing.T) string {
	out, err := newClient(t).CreateKey(context.Background(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	return *out.KeyMetadata.Arn
}

// disable makes a key refuse what follows, so that a test sees that its client did ask the server.
func disable(t *testing.T, key string) {
	if _, err := newClient(t).DisableKey(context.Background(), &kms.DisableKeyInput{KeyId: &key}); err != nil {
		t.Fatal(err)
	}
}

// isDisabled says whether a client passes KMS's answer on, by its error code.
func isDisabled(err error) bool {
	return err != nil && strings.Contains(err.Error(), new(types.DisabledException).ErrorCode())
}

var secret = []byte("attack at dawn, and bring the ladder")
