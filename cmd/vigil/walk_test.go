package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"flag"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"vigil/internal/kms/xks/xkstest"
	"vigil/internal/server"
)

var update = flag.Bool("update", false, "write the table of docs/compatibility.md and the golden files anew")

// The walk's other regions: one for replicas, and one with no room for more.
const replicaRegion, crowdedRegion = "us-east-1", "eu-west-3"

var clients = []string{"boto3", "Go SDK", "AWS CLI"}

// TestWalk has each client take the walk of walk_steps_test.go: every operation of KMS, every documented error that there can be
// here, and the record of each. The table in docs/compatibility.md says what was shown.
func TestWalk(t *testing.T) {
	shown := map[string]*row{}
	for _, name := range clients {
		t.Run(name, func(t *testing.T) {
			w := newWalk(t, name)
			for _, s := range slices.Concat(withDenials(successes), w.documentedErrors()) {
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
	clients map[string]bool            // that had a success
	codes   map[string]map[string]bool // the same of each error's code
}

func (r *row) byAll(code string) bool { return len(r.codes[code]) == len(clients) }

// taken is a request that must be on record.
type taken struct{ operation, code string }

type walk struct {
	*testing.T
	client  string
	call    driver
	history map[string]*cloudtrail.Client // by region
	proxy   *xkstest.Proxy                // of the external key stores
	dir     string                        // with the server's data
	profile server.Profile                // of the root user
	config  aws.Config                    // with which the Go SDK reaches the server as the root user
	last    answer                        // to the last call
	kept    []string                      // records
	vars    map[string]string
	taken   map[string]taken // by request id
}

// newWalk starts a server, which change may configure further, and the walk's client.
func newWalk(t *testing.T, client string, change ...func(*server.Config)) *walk {
	dir, proxy := t.TempDir(), xkstest.New(t)
	proxy.Add("hsm-key-1")
	proxies := proxy.Options()
	dial := proxies.Dial
	proxies.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if strings.HasPrefix(address, "nobody.") {
			return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:1") // where nobody listens
		}
		return dial(ctx, network, address)
	}
	cfg := server.Config{Listen: "127.0.0.1:0", Data: dir, Region: xkstest.Region, TestClock: true, Proxies: proxies}
	for _, with := range change {
		with(&cfg)
	}
	running, err := server.Start(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(running.Stop)
	profile, err := server.ReadProfile(dir, "default")
	if err != nil {
		t.Fatal(err)
	}
	w := &walk{T: t, client: client, proxy: proxy, dir: dir, profile: profile, history: map[string]*cloudtrail.Client{}, taken: map[string]taken{}, vars: map[string]string{
		"account": server.DefaultAccount, "region": xkstest.Region, "replicaRegion": replicaRegion,
		"endpoint": xkstest.Endpoint, "path": xkstest.Path, "accessKey": xkstest.AccessKeyID, "secret": xkstest.Secret,
		"absent": "1234abcd-12ab-34cd-56ef-1234567890ab", "absentGrant": strings.Repeat("0123456789abcdef", 4),
		"peer": "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==",
	}}
	url := profile.Endpoint
	w.config = aws.Config{Region: xkstest.Region, BaseEndpoint: &url, HTTPClient: &http.Client{Transport: profile.Transport()}, RetryMaxAttempts: 1,
		Credentials: theKey(profile.AccessKeyID, profile.Secret, "")}
	for _, region := range []string{xkstest.Region, replicaRegion, crowdedRegion} {
		w.history[region] = cloudtrail.NewFromConfig(w.config, func(o *cloudtrail.Options) { o.Region = region })
	}
	nobody := w.user("Nobody")
	switch client {
	case "Go SDK":
		w.call = bySDK(t, w.config, theKey(nobody.AccessKeyID, nobody.SecretAccessKey, ""))
	case "boto3":
		w.call = byPython(t, "boto3", url, profile, nobody)
	case "AWS CLI":
		w.call = byPython(t, "cli", url, profile, nobody)
	}
	return w
}

// user makes a user with the managed policies of those names.
func (w *walk) user(name string, policies ...string) aws.Credentials {
	admin := iam.NewFromConfig(w.config)
	if _, err := admin.CreateUser(w.Context(), &iam.CreateUserInput{UserName: &name}); err != nil {
		w.Fatal(err)
	}
	for _, p := range policies {
		if _, err := admin.AttachUserPolicy(w.Context(), &iam.AttachUserPolicyInput{UserName: &name, PolicyArn: new("arn:aws:iam::aws:policy/" + p)}); err != nil {
			w.Fatal(err)
		}
	}
	key, err := admin.CreateAccessKey(w.Context(), &iam.CreateAccessKeyInput{UserName: &name})
	if err != nil {
		w.Fatal(err)
	}
	return aws.Credentials{AccessKeyID: *key.AccessKey.AccessKeyId, SecretAccessKey: *key.AccessKey.SecretAccessKey}
}

// theKey is always the same access key; token is of a session's.
func theKey(id, secret, token string) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: token}, nil
	})
}

// take takes one step, keeps what later steps need, and notes what it has shown.
func (w *walk) take(s step, shown map[string]*row) {
	w.Helper()
	if s.do != nil {
		s.do(w)
		return
	}
	where := place{cmp.Or(s.region, xkstest.Region), s.nobody}
	in := os.Expand(s.in, func(name string) string {
		v, ok := w.vars[name]
		if !ok {
			w.Errorf("%s: no step has saved %s", s.op, name)
		}
		return v
	})
	deadline := time.Now().Add(30 * time.Second)
	for n := 0; n < max(s.times, 1); n++ {
		got, err := w.call(s.op, where, json.RawMessage(in))
		if err != nil {
			w.Fatalf("%s %s: %v", s.op, in, err)
		}
		r := shown[s.op]
		if r == nil {
			r = &row{map[string]bool{}, map[string]map[string]bool{}}
			shown[s.op] = r
		}
		w.taken[got.ID], w.last = taken{s.op, got.Code}, got
		if got.Code != s.want {
			w.Errorf("%s %s: got %q, want %q", s.op, in, got.Code, s.want)
			return
		}
		if s.want != "" {
			if r.codes[s.want] == nil {
				r.codes[s.want] = map[string]bool{}
			}
			r.codes[s.want][w.client] = true
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
func wrap(w *walk) {
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

// The things that steps do besides calls.

// crowd fills the walk's region with no room: with as many keys as an account may have in a region, and with as many grants
// as the key that is in it already may have.
func crowd(w *walk) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(w.dir, "vigil.db")+"?_busy_timeout=5000")
	if err != nil {
		w.Fatal(err)
	}
	defer db.Close()
	const counted = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) `
	for _, fill := range []struct {
		rows int
		sql  string
		args []any
	}{
		{99_999, `INSERT INTO kms_key (account, region, id, spec, key_usage, origin, state, description, policy, material, created, deletion)
			SELECT $2, $3, printf('00000000-0000-0000-0000-%012d', i), 'SYMMETRIC_DEFAULT', 'ENCRYPT_DECRYPT', 'EXTERNAL', 'PendingImport',
			'', '', '', 0, 0 FROM n`, []any{server.DefaultAccount, crowdedRegion}},
		{50_000, `INSERT INTO kms_grant (account, region, key_id, id, name, grantee, grantee_id, retiring, retiring_id, issuer, operations,
			constraints, created, same) SELECT $2, $3, $4, printf('%064d', i), '', 'arn:aws:iam::' || $2 || ':root', '', '', '', $2, 'Decrypt',
			'{}', 0, '' FROM n`, []any{server.DefaultAccount, crowdedRegion, w.vars["crowded"]}},
	} {
		if _, err := db.ExecContext(w.Context(), counted+fill.sql, append([]any{fill.rows}, fill.args...)...); err != nil {
			w.Fatal(err)
		}
	}
}

// spoil has the proxy of the key stores answer something else from now on; with nil it answers as it should.
func spoil(with func(*xkstest.Answer)) func(*walk) {
	return func(w *walk) { w.proxy.Spoil(with) }
}

// advance moves the server's clock.
func advance(by time.Duration) func(*walk) {
	return func(w *walk) {
		in := server.AdvanceClockInput{Seconds: aws.Int64(int64(by / time.Second))}
		if err := server.Operate(w.Context(), w.profile, "AdvanceClock", in, new(json.RawMessage)); err != nil {
			w.Fatal(err)
		}
	}
}
