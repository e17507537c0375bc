package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"vigil/internal/kms/attestation/attestationtest"
	"vigil/internal/server"
	"vigil/internal/store/storetest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"vigil": func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		code := run(ctx, &cli{os.Stdout, os.Stderr, os.Environ()}, os.Args[1:])
		stop()
		os.Exit(code)
	}})
}

// TestScript drives the real binary with real clients: each file of testdata/script is one story.
func TestScript(t *testing.T) {
	testscript.Run(t, scripts(t, testscript.Params{Dir: "testdata/script"}, nil))
}

// TestScriptPostgres has the main job done on PostgreSQL.
func TestScriptPostgres(t *testing.T) {
	storetest.Postgres(t) // skips, or fails, once for all
	testscript.Run(t, scripts(t, testscript.Params{Files: []string{"testdata/script/cli.txtar", "testdata/script/boto3.txtar", "testdata/script/log.txtar"}}, func(e *testscript.Env) {
		e.Setenv("VIGIL_DATABASE", storetest.Postgres(t))
	}))
}

// scripts are p with what the scripts of this package need; more may set further variables of each script.
func scripts(t *testing.T, p testscript.Params, more func(*testscript.Env)) testscript.Params {
	documented, err := filepath.Abs("testdata/cloudtrail-kms")
	if err != nil {
		t.Fatal(err)
	}
	records, err := filepath.Abs("testdata/import")
	if err != nil {
		t.Fatal(err)
	}
	p.Setup = func(e *testscript.Env) error {
		// The clients are the machine's, with its settings for them out of the way.
		if root := os.Getenv("PYENV_ROOT"); root != "" {
			e.Setenv("PYENV_ROOT", root)
		} else if home, err := os.UserHomeDir(); err == nil {
			e.Setenv("PYENV_ROOT", filepath.Join(home, ".pyenv"))
		}
		e.Setenv("AWS_PAGER", "")
		e.Setenv("AWS_EC2_METADATA_DISABLED", "true")
		e.Setenv("DOCUMENTED", documented)
		e.Setenv("RECORDS", records)
		if more != nil {
			more(e)
		}
		return nil
	}
	p.Condition = haveClient
	p.Cmds = map[string]func(*testscript.TestScript, bool, []string){
		"ready":      cmdReady,
		"keep":       cmdKeep,
		"eventually": cmdEventually,
		"shape":      cmdShape,
		"enclave":    enclave(t),
	}
	return p
}

// Clients of earlier versions do not know AWS_ENDPOINT_URL: what a test asks of them would go to AWS.
const (
	recentBoto3    = `import boto3, botocore; assert tuple(map(int, botocore.__version__.split(".")[:2])) >= (1, 43), botocore.__version__`
	recentAWS      = `^aws-cli/(1\.(4[5-9]|[5-9]\d)|2\.(1[3-9]|[2-9]\d))\.`
	recentVersions = "AWS CLI 1.45 and boto3 1.43, or later"
)

// haveClient is the condition [client:NAME]: the client is on this machine, and not too old. Where nothing may be missing, it must be.
func haveClient(cond string) (bool, error) {
	name, ok := strings.CutPrefix(cond, "client:")
	if !ok {
		return false, fmt.Errorf("unknown condition %q", cond)
	}
	var err error
	switch name {
	case "boto3":
		err = exec.Command("python3", "-c", recentBoto3).Run()
	case "aws":
		var version []byte
		if version, err = exec.Command("aws", "--version").CombinedOutput(); err == nil && !regexp.MustCompile(recentAWS).Match(version) {
			err = fmt.Errorf("%s is too old", bytes.TrimSpace(version))
		}
	default:
		_, err = exec.LookPath(name)
	}
	if err != nil && os.Getenv("VIGIL_TEST_STRICT") == "1" {
		return false, fmt.Errorf("%s is missing (%s): %w", name, recentVersions, err)
	}
	return err == nil, nil
}

// enclave makes the root certificate, the private key and an attestation document of an enclave: enclave ROOT KEY DOCUMENT.
func enclave(t *testing.T) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, args []string) {
		e := attestationtest.New(t, time.Now())
		key, err := x509.MarshalPKCS8PrivateKey(e.Key)
		ts.Check(err)
		for i, data := range [][]byte{e.RootPEM(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), e.Document(t, time.Now())} {
			ts.Check(os.WriteFile(ts.MkAbs(args[i]), data, 0o600))
		}
	}
}

// cmdReady waits until the server on a data directory is ready, and has AWS's clients use it: ready DIR.
func cmdReady(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	for deadline := time.Now().Add(30 * time.Second); !isReady(dir); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("no server is ready on %s", dir)
		}
	}
	ts.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(dir, "credentials"))
	ts.Setenv("AWS_CONFIG_FILE", filepath.Join(dir, "config"))
}

func isReady(dir string) bool {
	p, err := server.ReadProfile(dir, "default")
	if err != nil || server.ServingProcess(dir) == 0 {
		return false
	}
	resp, err := http.Get(p.Endpoint + "/health")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// cmdEventually runs a program until it succeeds and prints something: eventually PROGRAM [ARG]...
func cmdEventually(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(30 * time.Second); ; {
		if err := ts.Exec(args[0], args[1:]...); err == nil && strings.TrimSpace(ts.ReadFile("stdout")) != "" {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s never succeeds", strings.Join(args, " "))
		}
	}
}

// cmdKeep keeps what the last command printed in a variable: keep NAME.
func cmdKeep(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

// usualDifferences are between the documented calls and the tests': a user there and the root user here, TLS there and loopback here,
// and members that records have had since versions 1.07 and 1.08 and some documented ones are older.
var usualDifferences = []string{"-userIdentity.userName", "-tlsDetails", "+managementEvent", "+eventCategory", "+resources.0.type", "+resources.1.type"}

// cmdShape compares the newest record of an event with the one that AWS documents, member by member and kind by kind:
// shape LOOKUP.json EVENT DOCUMENTED.json [+MEMBER | -MEMBER | ~MEMBER]...
// +MEMBER is one that Vigil's record has beyond the documented one, -MEMBER one that it lacks, ~MEMBER one of another kind.
func cmdShape(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: shape LOOKUP.json EVENT DOCUMENTED.json [+MEMBER | -MEMBER | ~MEMBER]...")
	}
	var lookup struct {
		Events []struct{ EventName, CloudTrailEvent string }
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &lookup))
	var ours, theirs map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(filepath.Join(ts.Getenv("DOCUMENTED"), args[2]))), &theirs))
	for _, e := range lookup.Events { // newest first
		var r map[string]any
		ts.Check(json.Unmarshal([]byte(e.CloudTrailEvent), &r))
		if e.EventName == args[1] && (r["errorCode"] == nil) == (theirs["errorCode"] == nil) {
			ours = r
			break
		}
	}
	if ours == nil {
		ts.Fatalf("%s has no event %s that ended as the documented one did", args[0], args[1])
	}
	got := differences("", theirs, ours)
	got = slices.DeleteFunc(got, func(d string) bool { return slices.Contains(usualDifferences, d) })
	want := args[3:]
	slices.Sort(want)
	if !slices.Equal(got, want) {
		ts.Fatalf("%s differs from %s by\n  %s\nand not by\n  %s", args[1], args[2], strings.Join(got, " "), strings.Join(want, " "))
	}
}

// differences lists in which members, and in which members' kinds, got is not like want.
func differences(path string, want, got any) []string {
	var all []string
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return []string{"~" + path}
		}
		for _, callers := range []string{"ncryptionContext", "encryptionContextSubset"} { // whose members are the caller's own
			if strings.HasSuffix(path, callers) {
				return nil
			}
		}
		for _, name := range slices.Sorted(maps.Keys(w)) {
			member := strings.TrimPrefix(path+"."+name, ".")
			if _, ok := g[name]; !ok {
				all = append(all, "-"+member)
				continue
			}
			all = append(all, differences(member, w[name], g[name])...)
		}
		for name := range g {
			if _, ok := w[name]; !ok {
				all = append(all, "+"+strings.TrimPrefix(path+"."+name, "."))
			}
		}
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return []string{"~" + path}
		}
		for i := range w {
			all = append(all, differences(fmt.Sprintf("%s.%d", path, i), w[i], g[i])...)
		}
	default:
		if fmt.Sprintf("%T", want) != fmt.Sprintf("%T", got) {
			return []string{"~" + path}
		}
	}
	slices.Sort(all)
	return all
}
