package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"

	"vigil/internal/server"
)

// A driver calls an operation with one client, as somebody who may do it or as one who may do nothing.
type driver func(operation string, where place, in json.RawMessage) (answer, error)

// place is where and as whom a call is made.
type place struct {
	region string
	nobody bool
}

// answer is what a client made of a response.
type answer struct {
	Out  any    // with blobs in base64
	Code string // of an error
	ID   string // of the request
}

// bySDK calls with the Go SDK, by the names of its client's methods.
func bySDK(t *testing.T, config aws.Config, nobody aws.CredentialsProvider) driver {
	clients := map[place]reflect.Value{}
	return func(operation string, where place, in json.RawMessage) (answer, error) {
		if !clients[where].IsValid() {
			clients[where] = reflect.ValueOf(kms.NewFromConfig(config, func(o *kms.Options) {
				o.Region = where.region
				if where.nobody {
					o.Credentials = nobody
				}
			}))
		}
		method := clients[where].MethodByName(operation)
		input := reflect.New(method.Type().In(1).Elem())
		if err := json.Unmarshal(in, input.Interface()); err != nil {
			return answer{}, err
		}
		got := method.Call([]reflect.Value{reflect.ValueOf(t.Context()), input})
		if err, _ := got[1].Interface().(error); err != nil {
			var api smithy.APIError
			var response interface{ ServiceRequestID() string }
			if !errors.As(err, &api) || !errors.As(err, &response) {
				return answer{}, err
			}
			return answer{Code: api.ErrorCode(), ID: response.ServiceRequestID()}, nil
		}
		id, _ := awsmiddleware.GetRequestIDMetadata(got[0].Elem().FieldByName("ResultMetadata").Interface().(middleware.Metadata))
		text, err := json.Marshal(got[0].Interface())
		if err != nil {
			return answer{}, err
		}
		a := answer{ID: id}
		return a, json.Unmarshal(text, &a.Out)
	}
}

// byPython calls with a client that testdata/walk/client.py speaks for.
func byPython(t *testing.T, program, url string, profile server.Profile, nobody aws.Credentials) driver {
	imports := map[string]string{"boto3": recentBoto3, "cli": recentBoto3 + "; import awscli"}[program]
	if err := exec.Command("python3", "-c", imports).Run(); err != nil {
		if os.Getenv("VIGIL_TEST_STRICT") == "1" {
			t.Fatalf("python3 does not have a recent %s (%s)", program, recentVersions)
		}
		t.Skipf("python3 does not have a recent %s (%s)", program, recentVersions)
	}
	config := filepath.Join(t.TempDir(), "config") // the CLI would fetch what is behind the address of a proxy
	if err := os.WriteFile(config, []byte("[default]\ncli_follow_urlparam = false\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "python3", "testdata/walk/client.py", program, url)
	cmd.Env = append(os.Environ(), "NOBODY_ACCESS_KEY_ID="+nobody.AccessKeyID, "NOBODY_SECRET_ACCESS_KEY="+nobody.SecretAccessKey, "AWS_ACCESS_KEY_ID="+profile.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+profile.Secret, "AWS_SESSION_TOKEN=",
		"AWS_CONFIG_FILE="+config, "AWS_DATA_PATH="+newerModel(t), "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull, "AWS_MAX_ATTEMPTS=1", "AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=")
	var failure bytes.Buffer
	cmd.Stderr = &failure
	to, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	from, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { to.Close(); cmd.Wait() })
	ask, answers := json.NewEncoder(to), json.NewDecoder(bufio.NewReader(from))
	return func(operation string, where place, in json.RawMessage) (a answer, err error) {
		if err := ask.Encode(map[string]any{"op": operation, "region": where.region, "nobody": where.nobody, "in": in}); err != nil {
			return a, fmt.Errorf("%w: %s", err, &failure)
		}
		if err := answers.Decode(&a); err != nil {
			return a, fmt.Errorf("%w: %s", err, &failure)
		}
		return a, nil
	}
}

// newerModel is a folder with what AWS's model of KMS has and the one that comes with these clients may not have yet: Encapsulate and
// Decapsulate. It has the form in which botocore takes additions to its models, and is made of the server's own.
func newerModel(t *testing.T) string {
	file, err := os.ReadFile("../../internal/front/wire/models/kms.patch.json")
	if err != nil {
		t.Fatal(err)
	}
	var patch struct {
		Operations map[string]any            `json:"operations"`
		Shapes     map[string]map[string]any `json:"shapes"`
	}
	if err := json.Unmarshal(file, &patch); err != nil {
		t.Fatal(err)
	}
	for _, shape := range patch.Shapes {
		if required, patched := shape["required"]; patched && required == nil { // our way of saying that nothing is required any more
			shape["required"] = []string{}
		}
	}
	text, err := json.Marshal(map[string]any{"version": 1.0, "merge": patch})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "kms", "2014-11-01"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "kms", "2014-11-01", "service-2.sdk-extras.json"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}
