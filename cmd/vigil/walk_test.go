package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"

	"vigil/internal/kms/xks/xkstest"
	"vigil/internal/server"
)

var update = flag.Bool("update", false, "write the table of docs/compatibility.md anew")

const replicaRegion = "us-east-1"

// A driver calls an operation with one client.
type driver func(operation, region string, in json.RawMessage) (answer, error)

// answer is what a client made of a response.
type answer struct {
	Out     any    // with blobs in base64
	Code    string // of an error
	ID      string // of the request
	Unknown bool   // the client does not have the operation
}

// TestWalk has each client take the walk of walk_steps_test.go: every operation of KMS, every documented error that a single node can
// give, and the record of each. The table in docs/compatibility.md says what was shown.
func TestWalk(t *testing.T) {
	shown := map[string]*row{}
	for _, name := range []string{"boto3", "Go SDK", "AWS CLI"} {
		t.Run(name, func(t *testing.T) {
			w := newWalk(t, name)
			steps := successes
			if name != "AWS CLI" { // whose errors are botocore's, as boto3's are
				steps = slices.Concat(successes, w.documentedErrors())
			}
			for _, s := range steps {
				w.take(s, shown)
			}
			w.checkRecords()
		})
	}
	if t.Failed() || t.Skipped() || len(shown) == 0 {
		return
	}
	compareTable(t, shown)
}

// row is what was shown of an operation.
type row struct {
	clients map[string]bool
	codes   map[string]bool
}

// taken is a request that must be on record.
type taken struct{ operation, code string }

type walk struct {
	*testing.T
	client  string
	call    driver
	history map[string]*cloudtrail.Client // by region
	vars    map[string]string
	taken   map[string]taken // by request id
}

func newWalk(t *testing.T, client string) *walk {
	dir, proxy := t.TempDir(), xkstest.New(t)
	proxy.Add("hsm-key-1")
	running, err := server.Start(context.Background(), server.Config{Listen: "127.0.0.1:0", Data: dir, Region: xkstest.Region, TestClock: true, Proxies: proxy.Options()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(running.Stop)
	profile, err := server.ReadProfile(dir, "default")
	if err != nil {
		t.Fatal(err)
	}
	w := &walk{T: t, client: client, history: map[string]*cloudtrail.Client{}, taken: map[string]taken{}, vars: map[string]string{
		"account": server.DefaultAccount, "region": xkstest.Region, "replicaRegion": replicaRegion,
		"endpoint": xkstest.Endpoint, "path": xkstest.Path, "accessKey": xkstest.AccessKeyID, "secret": xkstest.Secret,
		"absent": "1234abcd-12ab-34cd-56ef-1234567890ab",
		"peer":   "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==",
	}}
	url := running.URL()
	who := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: profile.AccessKeyID, SecretAccessKey: profile.Secret}, nil
	})
	for _, region := range []string{xkstest.Region, replicaRegion} {
		w.history[region] = cloudtrail.New(cloudtrail.Options{Region: region, BaseEndpoint: &url, Credentials: who})
	}
	switch client {
	case "Go SDK":
		w.call = bySDK(t, url, who)
	case "boto3":
		w.call = byPython(t, "boto3", url, profile)
	case "AWS CLI":
		w.call = byPython(t, "cli", url, profile)
	}
	return w
}

// bySDK calls with the Go SDK, by the names of its client's methods.
func bySDK(t *testing.T, url string, who aws.CredentialsProvider) driver {
	clients := map[string]reflect.Value{}
	for _, region := range []string{xkstest.Region, replicaRegion} {
		clients[region] = reflect.ValueOf(kms.New(kms.Options{Region: region, BaseEndpoint: &url, Credentials: who, RetryMaxAttempts: 1}))
	}
	return func(operation, region string, in json.RawMessage) (answer, error) {
		method := clients[region].MethodByName(operation)
		if !method.IsValid() {
			return answer{Unknown: true}, nil
		}
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
func byPython(t *testing.T, program, url string, profile server.Profile) driver {
	for _, module := range map[string][]string{"boto3": {"boto3"}, "cli": {"awscli", "botocore"}}[program] {
		if have := exec.Command("python3", "-c", "import "+module).Run(); have != nil {
			if os.Getenv("VIGIL_TEST_STRICT") == "1" {
				t.Fatalf("python3 does not have %s", module)
			}
			t.Skipf("python3 does not have %s", module)
		}
	}
	config := filepath.Join(t.TempDir(), "config") // the CLI would fetch what is behind the address of a proxy
	if err := os.WriteFile(config, []byte("[default]\ncli_follow_urlparam = false\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "python3", "testdata/walk/client.py", program, url)
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+profile.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+profile.Secret, "AWS_SESSION_TOKEN=",
		"AWS_CONFIG_FILE="+config, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull, "AWS_MAX_ATTEMPTS=1", "AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=")
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
	return func(operation, region string, in json.RawMessage) (a answer, err error) {
		if err := ask.Encode(map[string]any{"op": operation, "region": region, "in": in}); err != nil {
			return a, fmt.Errorf("%w: %s", err, &failure)
		}
		if err := answers.Decode(&a); err != nil {
			return a, fmt.Errorf("%w: %s", err, &failure)
		}
		return a, nil
	}
}

// take takes one step, keeps what later steps need, and notes what it has shown.
func (w *walk) take(s step, shown map[string]*row) {
	w.Helper()
	if s.op == "wrap" {
		w.wrap()
		return
	}
	region := xkstest.Region
	if s.replica {
		region = replicaRegion
	}
	in := os.Expand(s.in, func(name string) string {
		v, ok := w.vars[name]
		if !ok && w.client != "boto3" && w.client != "AWS CLI" {
			w.Errorf("%s: no step has saved %s", s.op, name)
		}
		return v
	})
	deadline := time.Now().Add(30 * time.Second)
	for n := 0; n < max(s.times, 1); n++ {
		got, err := w.call(s.op, region, json.RawMessage(in))
		if err != nil {
			w.Fatalf("%s %s: %v", s.op, in, err)
		}
		r := shown[s.op]
		if r == nil {
			r = &row{map[string]bool{}, map[string]bool{}}
			shown[s.op] = r
		}
		if got.Unknown {
			return
		}
		w.taken[got.ID] = taken{s.op, got.Code}
		if got.Code != s.want {
			w.Errorf("%s %s: got %q, want %q", s.op, in, got.Code, s.want)
			return
		}
		if s.want != "" {
			r.codes[s.want] = true
			return
		}
		r.clients[w.client] = true
		if s.until != "" && w.at(s.op, got.Out, "CustomKeyStores.0.ConnectionState") != s.until {
			if time.Now().After(deadline) {
				w.Fatalf("%s %s never answers %s", s.op, in, s.until)
			}
			n--
			continue
		}
		for name, path := range s.save {
			w.vars[name] = w.at(s.op, got.Out, path)
		}
	}
}

// at is the string at a path of members and indexes.
func (w *walk) at(operation string, out any, path string) string {
	for name := range strings.SplitSeq(path, ".") {
		switch v := out.(type) {
		case map[string]any:
			out = v[name]
		case []any:
			if len(v) == 0 {
				w.Fatalf("%s answers an empty list in %s", operation, path)
			}
			out = v[0]
		}
	}
	text, ok := out.(string)
	if !ok {
		w.Fatalf("%s answers no %s", operation, path)
	}
	return text
}

// wrap encrypts a material for import with what GetParametersForImport answered.
func (w *walk) wrap() {
	der, err := base64.StdEncoding.DecodeString(w.vars["wrappingKey"])
	if err != nil {
		w.Fatal(err)
	}
	public, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		w.Fatal(err)
	}
	for _, name := range []string{"wrapped", "otherWrapped"} {
		material := make([]byte, 32)
		rand.Read(material)
		sealed, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, public.(*rsa.PublicKey), material, nil)
		if err != nil {
			w.Fatal(err)
		}
		w.vars[name] = base64.StdEncoding.EncodeToString(sealed)
	}
}

// checkRecords finds the record of each request, with its error code, and with all the members of the one that AWS documents.
func (w *walk) checkRecords() {
	records := map[string]map[string]any{}
	for _, history := range w.history {
		pages := cloudtrail.NewLookupEventsPaginator(history, &cloudtrail.LookupEventsInput{})
		for pages.HasMorePages() {
			page, err := pages.NextPage(w.Context())
			if err != nil {
				w.Fatal(err)
			}
			for _, e := range page.Events {
				var r map[string]any
				if err := json.Unmarshal([]byte(*e.CloudTrailEvent), &r); err != nil {
					w.Fatal(err)
				}
				if id, ok := r["requestID"].(string); ok {
					records[fmt.Sprint(id, r["eventName"])] = r // another region's record of it may have its id too
				}
			}
		}
	}
	for id, call := range w.taken {
		r := records[id+call.operation]
		if r == nil {
			w.Errorf("%s %s is not on record", call.operation, call.code)
			continue
		}
		if code, _ := r["errorCode"].(string); r["eventName"] != call.operation || r["eventSource"] != "kms.amazonaws.com" || code != call.code {
			w.Errorf("%s %s is on record as %v %v", call.operation, call.code, r["eventName"], r["errorCode"])
		}
		if call.code == "" {
			w.checkMembers(call.operation, r)
		}
	}
}

// checkMembers has the record carry all members of AWS's documented record of the operation. That of a call that
// needs none may lack resources; the scripts compare what is inside.
func (w *walk) checkMembers(operation string, r map[string]any) {
	documented, _ := filepath.Glob(filepath.Join("testdata/cloudtrail-kms", operation+"-*.json"))
	for _, file := range documented {
		text, err := os.ReadFile(file)
		if err != nil {
			w.Fatal(err)
		}
		var theirs map[string]any
		if err := json.Unmarshal(text, &theirs); err != nil {
			w.Fatal(err)
		}
		if theirs["errorCode"] != nil {
			continue
		}
		for name := range theirs {
			if _, ok := r[name]; !ok && name != "tlsDetails" && name != "resources" && name != "additionalEventData" {
				w.Errorf("the record of %s lacks %s", operation, name)
			}
		}
	}
	for _, name := range []string{"eventID", "eventTime", "eventVersion", "awsRegion", "userIdentity", "sourceIPAddress", "userAgent", "requestParameters", "responseElements", "readOnly", "eventType", "recipientAccountId"} {
		if _, ok := r[name]; !ok {
			w.Errorf("the record of %s lacks %s", operation, name)
		}
	}
}

const tableFile, tableBegin, tableEnd = "../../docs/compatibility.md", "<!-- what TestWalk shows -->\n", "<!-- end of what TestWalk shows -->\n"

// never are the documented errors that Vigil does not answer, of all operations or of some, with why not.
var never = []struct {
	code, because string
	operations    []string
}{
	{"DependencyTimeoutException", "it depends on nothing that times out", nil},
	{"KMSInternalException", "an internal error would be a bug", nil},
	{"KeyUnavailableException", "a key can be used, or its state says why not", nil},
	{"ConflictException", "a rotation is over when it is answered", nil},
	{"KMSInvalidStateException", "in AWS's table of key states these operations work in every state",
		[]string{"DeleteAlias", "DeleteImportedKeyMaterial", "GetKeyPolicy", "GetKeyRotationStatus", "ListGrants", "ListKeyPolicies", "ListKeyRotations",
			"PutKeyPolicy", "RetireGrant", "RevokeGrant"}},
	{"CloudHsmClusterInUseException", noClusters, nil}, {"CloudHsmClusterInvalidConfigurationException", noClusters, nil},
	{"CloudHsmClusterNotActiveException", noClusters, nil}, {"CloudHsmClusterNotRelatedException", noClusters, nil}, {"IncorrectTrustAnchorException", noClusters, nil},
	{"XksProxyVpcEndpointServiceInUseException", noEndpointServices, nil}, {"XksProxyVpcEndpointServiceInvalidConfigurationException", noEndpointServices, nil},
}

const (
	noClusters         = "there are no AWS CloudHSM clusters, and the answer is that they are not found"
	noEndpointServices = "there are no VPC endpoint services, and the answer is that they are not found"
)

func isNever(operation, code string) bool {
	for _, n := range never {
		if n.code == code && (n.operations == nil || slices.Contains(n.operations, operation)) {
			return true
		}
	}
	return false
}

// compareTable compares the table of docs/compatibility.md with what was shown, or writes it.
func compareTable(t *testing.T, shown map[string]*row) {
	for _, operation := range operations() {
		if shown[operation] == nil || !shown[operation].clients["Go SDK"] {
			t.Errorf("no success of %s was shown", operation)
		}
	}
	for _, client := range []string{"boto3", "Go SDK", "AWS CLI"} {
		if !slices.ContainsFunc(slices.Collect(maps.Values(shown)), func(r *row) bool { return r.clients[client] }) {
			t.Skipf("the table needs %s too", client)
		}
	}
	documented := documentedCodes(t)
	var b strings.Builder
	b.WriteString("\n| operation | boto3 | Go SDK | AWS CLI | errors shown | on record | documented errors not shown |\n|---|---|---|---|---|---|---|\n")
	for _, operation := range operations() {
		r := shown[operation]
		if r == nil {
			continue
		}
		fmt.Fprintf(&b, "| %s |", operation)
		for _, client := range []string{"boto3", "Go SDK", "AWS CLI"} {
			if r.clients[client] {
				b.WriteString(" yes |")
			} else {
				b.WriteString(" not in it |")
			}
		}
		missing := slices.DeleteFunc(slices.Sorted(slices.Values(documented[operation])), func(code string) bool { return r.codes[code] || isNever(operation, code) })
		fmt.Fprintf(&b, " %s | yes | %s |\n", strings.Join(slices.Sorted(maps.Keys(r.codes)), ", "), strings.Join(missing, ", "))
	}
	b.WriteString("\n| documented error that is never answered | because |\n|---|---|\n")
	for _, n := range never {
		of := ""
		if n.operations != nil {
			of = " of " + strings.Join(n.operations, ", ")
		}
		fmt.Fprintf(&b, "| %s%s | %s |\n", n.code, of, n.because)
	}
	b.WriteString("\n")
	text, err := os.ReadFile(tableFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), tableBegin)
	now, after, end := strings.Cut(rest, tableEnd)
	if !ok || !end {
		t.Fatalf("%s has no place for the table", tableFile)
	}
	if now == b.String() {
		return
	}
	if !*update {
		t.Fatalf("%s differs from what was shown; go test ./cmd/vigil -run TestWalk -update writes it", tableFile)
	}
	if err := os.WriteFile(tableFile, []byte(before+tableBegin+b.String()+tableEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// operations are all of the Go SDK's for KMS.
func operations() (names []string) {
	client := reflect.TypeFor[*kms.Client]()
	for i := range client.NumMethod() {
		if m := client.Method(i); m.Name != "Options" {
			names = append(names, m.Name)
		}
	}
	return names
}
