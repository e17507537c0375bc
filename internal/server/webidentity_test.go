package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	trailtypes "github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/go-jose/go-jose/v4"

	"vigil"
	"vigil/internal/server"
)

// A workload without any keys shows the token of its own identity provider and encrypts, with the SDK's own clients. The exchange
// is not signed; it is on record when the token is right, and when it is not, it is nobody's.
func TestAWebIdentityBecomesASessionThatEncrypts(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	running, err := server.Start(context.Background(), server.Config{Listen: "127.0.0.1:0", Data: dir, Region: "eu-central-1", AllowLocalTargets: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(running.Stop)
	root, err := server.ReadProfile(dir, "default")
	if err != nil {
		t.Fatal(err)
	}
	const region = "eu-central-1"
	url, mine := running.URL(), static(root.AccessKeyID, root.Secret, "")
	admin := iam.New(iam.Options{Region: region, BaseEndpoint: &url, Credentials: mine})
	history := cloudtrail.New(cloudtrail.Options{Region: region, BaseEndpoint: &url, Credentials: mine})
	key, err := kms.New(kms.Options{Region: region, BaseEndpoint: &url, Credentials: mine}).CreateKey(ctx, &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}

	issuer, thumbprint, sign := provider(t)
	created, err := admin.CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{Url: &issuer, ClientIDList: []string{"vigil"},
		ThumbprintList: []string{thumbprint}})
	if err != nil {
		t.Fatal(err)
	}
	role, err := admin.CreateRole(ctx, &iam.CreateRoleInput{RoleName: new("workload"), AssumeRolePolicyDocument: new(fmt.Sprintf(
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Federated":%q},"Action":"sts:AssumeRoleWithWebIdentity",`+
			`"Condition":{"StringEquals":{"%s:sub":"pod-7"}}}}`, *created.OpenIDConnectProviderArn, strings.TrimPrefix(issuer, "https://")))})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: new("workload"), PolicyArn: new("arn:aws:iam::aws:policy/AdministratorAccess")}); err != nil {
		t.Fatal(err)
	}

	stranger := sts.New(sts.Options{Region: region, BaseEndpoint: &url, RetryMaxAttempts: 1})
	exchange := func(token string) (*ststypes.Credentials, error) {
		out, err := stranger.AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{RoleArn: role.Role.Arn, RoleSessionName: new("run"), WebIdentityToken: &token})
		if err != nil {
			return nil, err
		}
		return out.Credentials, nil
	}
	if _, err := exchange("not.a.token"); err == nil || !strings.Contains(err.Error(), "InvalidIdentityToken") {
		t.Errorf("a bad token: %v", err)
	}
	if _, err := exchange(sign("pod-8")); err == nil || !strings.Contains(err.Error(), "AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity") {
		t.Errorf("another subject: %v", err)
	}
	c, err := exchange(sign("pod-7"))
	if err != nil {
		t.Fatal(err)
	}
	session := kms.New(kms.Options{Region: region, BaseEndpoint: &url, Credentials: static(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)})
	if _, err := session.Encrypt(ctx, &kms.EncryptInput{KeyId: key.KeyMetadata.Arn, Plaintext: []byte("attack at dawn")}); err != nil {
		t.Fatal(err)
	}
	changed := []byte(*c.SessionToken)
	changed[40] ^= 1
	forged := kms.New(kms.Options{Region: region, BaseEndpoint: &url, RetryMaxAttempts: 1,
		Credentials: static(*c.AccessKeyId, *c.SecretAccessKey, string(changed))})
	if _, err := forged.ListKeys(ctx, &kms.ListKeysInput{}); err == nil || !strings.Contains(err.Error(), "UnrecognizedClientException") {
		t.Errorf("a forged token: %v", err)
	}

	exchanges := find(t, history, trailtypes.LookupAttributeKeyEventName, "AssumeRoleWithWebIdentity")
	if len(exchanges) != 2 {
		t.Fatalf("there are %d records of the exchange, want those of the two good tokens", len(exchanges))
	}
	if got := exchanges[0]; got.UserIdentity.Type != "WebIdentityUser" || got.UserIdentity.UserName != "pod-7" || got.ErrorCode != "" ||
		got.RecipientAccountID != server.DefaultAccount || got.AWSRegion != region || strings.Contains(string(got.ResponseElements), *c.SecretAccessKey) ||
		strings.Contains(string(got.ResponseElements), *c.SessionToken) || !strings.Contains(string(got.ResponseElements), *c.AccessKeyId) {
		t.Errorf("the exchange is on record as %+v %s", got, got.ResponseElements)
	}
	if got := exchanges[1]; got.ErrorCode != "AccessDenied" || got.UserIdentity.UserName != "pod-8" {
		t.Errorf("the denied exchange is on record as %+v", got)
	}
	encrypts := find(t, history, trailtypes.LookupAttributeKeyAccessKeyId, *c.AccessKeyId)
	if len(encrypts) != 1 || encrypts[0].EventName != "Encrypt" || encrypts[0].UserIdentity.ARN != "arn:aws:sts::"+server.DefaultAccount+":assumed-role/workload/run" {
		t.Errorf("the session's records are %+v", encrypts)
	}
	// IAM is not of a region: what was asked for in eu-central-1 happened in us-east-1.
	inVirginia := cloudtrail.New(cloudtrail.Options{Region: "us-east-1", BaseEndpoint: &url, Credentials: mine})
	if got := find(t, inVirginia, trailtypes.LookupAttributeKeyEventName, "CreateRole"); len(got) != 1 || got[0].AWSRegion != "us-east-1" {
		t.Errorf("CreateRole is on record as %+v", got)
	}
}

func static(id, secret, token string) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: token}, nil
	})
}

// provider is an identity provider with a certificate that no authority vouches for.
func provider(t *testing.T) (issuer, thumbprint string, sign func(subject string) string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var s *httptest.Server
	s = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/.well-known/openid-configuration" {
			fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, s.URL, s.URL+"/keys")
			return
		}
		json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "ES256"}}})
	}))
	t.Cleanup(s.Close)
	sum := sha1.Sum(s.Certificate().Raw)
	return s.URL, hex.EncodeToString(sum[:]), func(subject string) string {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		claims, _ := json.Marshal(map[string]any{"iss": s.URL, "sub": subject, "aud": "vigil", "exp": time.Now().Add(time.Hour).Unix()})
		signed, err := signer.Sign(claims)
		if err != nil {
			t.Fatal(err)
		}
		text, err := signed.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
}

// find are the records that have an attribute, the newest first.
func find(t *testing.T, history *cloudtrail.Client, attribute trailtypes.LookupAttributeKey, value string) (found []*vigil.Record) {
	t.Helper()
	out, err := history.LookupEvents(t.Context(), &cloudtrail.LookupEventsInput{
		LookupAttributes: []trailtypes.LookupAttribute{{AttributeKey: attribute, AttributeValue: &value}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range out.Events {
		r, err := vigil.ParseRecord([]byte(*e.CloudTrailEvent))
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, r)
	}
	return found
}
