package front_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"

	"vigil/internal/front/sigv4"
	"vigil/vigiltest"
)

// house is a running server, whose clock was moved, and what there is in it to be refused.
type house struct {
	*vigiltest.Server
	operator, alien signer            // the root users of two accounts
	names           map[string]string // what <NAME> stands for in requests and messages
	secrets         []string          // what no answer and no record may hold
}

// plaintext is what the house encrypts, with a context of tenant 7. Its base64 has no padding, so that more can follow it.
const plaintext = "attack at dawn, and bring the ladder"

func newHouse(t *testing.T) *house {
	srv := vigiltest.NewServer(t)
	srv.Advance(t, 8*24*time.Hour)
	account, alien, encoded := srv.Account, "444455556666", base64.StdEncoding.EncodeToString([]byte(plaintext))
	h := &house{
		Server:   srv,
		operator: signerOf(t, srv.Credentials),
		alien:    signerOf(t, srv.AddAccount(t, alien)),
		names: map[string]string{
			"ACCOUNT": account, "ROOT": "arn:aws:iam::" + account + ":root",
			"ALIEN": alien, "ALIEN ROOT": "arn:aws:iam::" + alien + ":root",
			"KEYS": "arn:aws:kms:us-east-1:" + account + ":key", "ALIASES": "arn:aws:kms:us-east-1:" + account + ":alias",
			"GONE": "00000000-1111-2222-3333-444444444444", "PLAINTEXT": encoded,
		},
	}
	h.secrets = []string{h.operator.secret, h.alien.secret, plaintext, encoded}

	for _, name := range []string{"KEY", "SECOND", "DISABLED", "PENDING"} {
		h.names[name] = keyID(h.ask(t, "CreateKey", `{}`))
	}
	h.names["MAC"] = keyID(h.ask(t, "CreateKey", `{"KeySpec":"HMAC_256","KeyUsage":"GENERATE_VERIFY_MAC"}`))
	h.ask(t, "CreateAlias", `{"AliasName":"alias/app","TargetKeyId":"<KEY>"}`)
	const encrypt = `","Plaintext":"<PLAINTEXT>","EncryptionContext":{"tenant":"7"}}`
	h.names["BLOB"] = h.ask(t, "Encrypt", `{"KeyId":"<KEY>`+encrypt)["CiphertextBlob"].(string)
	h.names["DISABLED BLOB"] = h.ask(t, "Encrypt", `{"KeyId":"<DISABLED>`+encrypt)["CiphertextBlob"].(string)
	h.ask(t, "DisableKey", `{"KeyId":"<DISABLED>"}`)
	h.ask(t, "ScheduleKeyDeletion", `{"KeyId":"<PENDING>"}`)
	return h
}

func keyID(created map[string]any) string {
	return created["KeyMetadata"].(map[string]any)["KeyId"].(string)
}

// fill puts the house's names into a text.
func (h *house) fill(text string) string {
	var pairs []string
	for name, value := range h.names {
		pairs = append(pairs, "<"+name+">", value)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// ask makes a call of KMS as the operator, which must succeed.
func (h *house) ask(t *testing.T, operation, body string) (out map[string]any) {
	t.Helper()
	resp, answer := send(t, h.operator.sign(h.post("TrentService."+operation, body)))
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", operation, answer)
	}
	if len(answer) > 0 {
		if err := json.Unmarshal(answer, &out); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// post is a request of the JSON protocol, not signed yet.
func (h *house) post(target, body string) *http.Request {
	r := h.request(http.MethodPost, "/", h.fill(body))
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", target)
	return r
}

// form is a request of the query protocol, not signed yet.
func (h *house) form(body string) *http.Request {
	r := h.request(http.MethodPost, "/", body)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	return r
}

func (h *house) request(method, path, body string) *http.Request {
	r, err := http.NewRequest(method, h.URL+path, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	return r
}

// signer signs requests for KMS in us-east-1, unless it is told otherwise.
type signer struct {
	id, secret, token string
	region, service   string
	at                time.Time // now, unless it is set
}

func signerOf(t *testing.T, from aws.CredentialsProvider) signer {
	c, err := from.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return signer{id: c.AccessKeyID, secret: c.SecretAccessKey, region: "us-east-1", service: "kms"}
}

// to signs for another service.
func (s signer) to(service string) signer {
	s.service = service
	return s
}

// in signs for another region.
func (s signer) in(region string) signer {
	s.region = region
	return s
}

// sign signs a request, and returns it.
func (s signer) sign(r *http.Request) *http.Request {
	body, err := r.GetBody()
	if err != nil {
		panic(err)
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, body); err != nil {
		panic(err)
	}
	if s.at.IsZero() {
		s.at = time.Now()
	}
	key := sigv4.DeriveKey(s.secret, s.at.UTC().Format("20060102"), s.region, s.service)
	if err := sigv4.Sign(r, hex.EncodeToString(hash.Sum(nil)), s.id, s.token, key, s.region, s.service, s.at); err != nil {
		panic(err)
	}
	return r
}

// Retrieve makes a signer the credentials of an SDK's client.
func (s signer) Retrieve(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: s.id, SecretAccessKey: s.secret}, nil
}

// send makes a request and returns the whole answer. It follows no redirects.
func send(t *testing.T, r *http.Request) (*http.Response, []byte) {
	t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

// events are all events of the history: of both accounts, and of both regions that are called.
func (h *house) events(t *testing.T) (events []string) {
	for _, who := range []signer{h.operator, h.operator.in("eu-west-1"), h.alien} {
		client := cloudtrail.New(cloudtrail.Options{Region: who.region, BaseEndpoint: &h.URL, Credentials: who})
		pages := cloudtrail.NewLookupEventsPaginator(client, &cloudtrail.LookupEventsInput{})
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Events {
				events = append(events, *e.CloudTrailEvent)
			}
		}
	}
	return events
}

// noSecrets fails when a text holds a secret access key or the plaintext.
func (h *house) noSecrets(t *testing.T, text string) {
	t.Helper()
	for _, secret := range h.secrets {
		if strings.Contains(text, secret) {
			t.Errorf("a secret is told: %s", strings.ReplaceAll(text, secret, "<SECRET>"))
		}
	}
}
