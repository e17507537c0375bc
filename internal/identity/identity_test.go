package identity_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sts"

	"vigil/internal/call"
	"vigil/internal/clock"
	"vigil/internal/identity"
	"vigil/internal/store"
	"vigil/internal/store/sqlite"
)

// secrets is AES-GCM under one key.
type secrets struct{ aead cipher.AEAD }

func newSecrets(t *testing.T, key byte) secrets {
	t.Helper()
	block, err := aes.NewCipher(bytes.Repeat([]byte{key}, 32))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	return secrets{aead}
}

func (s secrets) Wrap(plaintext, context []byte) ([]byte, error) {
	return s.aead.Seal(nil, nil, plaintext, context), nil
}

func (s secrets) Unwrap(blob, context []byte) ([]byte, error) {
	return s.aead.Open(nil, nil, blob, context)
}

func openDB(t *testing.T, path string) store.DB {
	t.Helper()
	db, err := sqlite.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func open(t *testing.T, db store.DB) *identity.Identity {
	t.Helper()
	id, err := identity.New(t.Context(), identity.Config{DB: db, Clock: clock.Wall{}, Secrets: newSecrets(t, 1)})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func start(t *testing.T) (*identity.Identity, store.DB) {
	t.Helper()
	db := openDB(t, filepath.Join(t.TempDir(), "vigil.db"))
	return open(t, db), db
}

func addAccount(t *testing.T, id *identity.Identity, db store.DB, account string) identity.Credentials {
	t.Helper()
	credentials, effect, err := id.NewAccount(account)
	if err == nil {
		err = db.Update(t.Context(), effect)
	}
	if err != nil {
		t.Fatal(err)
	}
	return credentials
}

func rootOf(account, accessKeyID string) call.Principal {
	return call.Principal{Type: "Root", ARN: "arn:aws:iam::" + account + ":root", Account: account, PrincipalID: account, AccessKeyID: accessKeyID}
}

// wantRoot fails unless the credentials are those of the account's root user.
func wantRoot(t *testing.T, id *identity.Identity, c identity.Credentials, account string) {
	t.Helper()
	secret, p, err := id.Lookup(c.AccessKeyID, "")
	if err != nil || secret != c.SecretAccessKey() || !reflect.DeepEqual(p, rootOf(account, c.AccessKeyID)) {
		t.Errorf("%s: %+v, the secret is right: %v, error: %v", c.AccessKeyID, p, secret == c.SecretAccessKey(), err)
	}
}

func TestAccountsAndTheirKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vigil.db")
	db := openDB(t, path)
	id := open(t, db)
	if id.Operator() != "" {
		t.Errorf("before the first account, the operator is %q", id.Operator())
	}
	accounts := []string{"999988887777", "111122223333", "000000000000"}
	credentials := make(map[string]identity.Credentials)
	for _, account := range accounts {
		credentials[account] = addAccount(t, id, db, account)
	}
	check := func(t *testing.T, id *identity.Identity) {
		if id.Operator() != accounts[0] {
			t.Errorf("the operator is %q", id.Operator())
		}
		for account, c := range credentials {
			wantRoot(t, id, c, account)
		}
	}
	t.Run("at once", func(t *testing.T) { check(t, id) })
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	t.Run("after a restart", func(t *testing.T) { check(t, open(t, openDB(t, path))) })
}

func TestUnknownKeys(t *testing.T) {
	id, db := start(t)
	c := addAccount(t, id, db, "111122223333")
	for _, key := range []string{"", "AKIAIOSFODNN7EXAMPLE", strings.ToLower(c.AccessKeyID), c.AccessKeyID + "A", c.SecretAccessKey()} {
		if secret, p, err := id.Lookup(key, ""); err == nil || secret != "" || p.Account != "" {
			t.Errorf("%q is known as %v", key, p)
		}
	}
}

func TestCredentialsHaveTheFormOfAWS(t *testing.T) {
	id, _ := start(t)
	keyForm, secretForm := regexp.MustCompile(`^AKIA[A-Z2-7]{16}$`), regexp.MustCompile(`^[A-Za-z0-9+/]{40}$`)
	seen := make(map[string]bool)
	for range 100 {
		c, _, err := id.NewAccount("111122223333")
		if err != nil {
			t.Fatal(err)
		}
		if !keyForm.MatchString(c.AccessKeyID) || !secretForm.MatchString(c.SecretAccessKey()) || c.Account != "111122223333" {
			t.Fatalf("%v, with a secret of %d characters", c, len(c.SecretAccessKey()))
		}
		if seen[c.AccessKeyID] || seen[c.SecretAccessKey()] {
			t.Fatal("made twice")
		}
		seen[c.AccessKeyID], seen[c.SecretAccessKey()] = true, true
	}
}

func TestSecretsAreNeitherPrintedNorStored(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vigil.db")
	db := openDB(t, path)
	id := open(t, db)
	c := addAccount(t, id, db, "111122223333")
	type holder struct{ c identity.Credentials }
	for _, v := range []any{c, &c, holder{c}, []any{c}, id} {
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("m", "v", v)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "v", v)
		for _, text := range []string{fmt.Sprintf("%v", v), fmt.Sprintf("%+v", v), fmt.Sprintf("%#v", v), fmt.Sprintf("%s", v), fmt.Sprintf("%d", v), log.String()} {
			if strings.Contains(text, c.SecretAccessKey()) {
				t.Errorf("%T is printed as %s", v, strings.ReplaceAll(text, c.SecretAccessKey(), "<SECRET>"))
			}
		}
	}
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if data, _ := os.ReadFile(file); bytes.Contains(data, []byte(c.SecretAccessKey())) {
			t.Errorf("%s holds the secret", filepath.Base(file))
		}
	}
}

func TestAnAccountIsMadeOnce(t *testing.T) {
	id, db := start(t)
	first, firstEffect, err := id.NewAccount("111122223333")
	if err != nil {
		t.Fatal(err)
	}
	second, secondEffect, err := id.NewAccount("111122223333")
	if err != nil {
		t.Fatal(err)
	}
	// As the committer does it: both in one batch, each in its savepoint.
	var one, two error
	err = db.Update(t.Context(), func(tx store.Tx) error {
		one = tx.Savepoint(firstEffect)
		two = tx.Savepoint(secondEffect)
		return nil
	})
	if err != nil || one != nil {
		t.Fatal(err, one)
	}
	if e, ok := errors.AsType[*call.Error](two); !ok || e.Code != "AlreadyExistsException" || e.Message != "An account with the ID 111122223333 already exists." {
		t.Errorf("the second: %v", two)
	}
	for when, id := range map[string]*identity.Identity{"at once": id, "loaded": open(t, db)} {
		t.Run(when, func(t *testing.T) {
			wantRoot(t, id, first, "111122223333")
			if _, _, err := id.Lookup(second.AccessKeyID, ""); err == nil {
				t.Error("the second key works")
			}
		})
	}
}

func TestNothingIsKnownOfAnEffectThatWasUndone(t *testing.T) {
	id, db := start(t)
	c, effect, err := id.NewAccount("111122223333")
	if err != nil {
		t.Fatal(err)
	}
	full := errors.New("disk full")
	err = db.Update(t.Context(), func(tx store.Tx) error {
		if err := effect(tx); err != nil {
			return err
		}
		if _, _, err := id.Lookup(c.AccessKeyID, ""); err == nil {
			t.Error("the key works before it is committed")
		}
		return full
	})
	if !errors.Is(err, full) {
		t.Fatal(err)
	}
	if _, _, err := id.Lookup(c.AccessKeyID, ""); err == nil || id.Operator() != "" {
		t.Errorf("found: %v, operator %q", err == nil, id.Operator())
	}
}

func TestAccountIDsAreTwelveDigits(t *testing.T) {
	id, _ := start(t)
	for _, account := range []string{"", "11112222333", "1111222233334", "11112222333a", "１１１１２２２２３３３３", "111122223333\n"} {
		_, effect, err := id.NewAccount(account)
		if e, ok := errors.AsType[*call.Error](err); !ok || e.Code != "ValidationException" || effect != nil {
			t.Errorf("%q: %v", account, err)
		}
	}
}

func TestASecretThatCannotBeUnwrappedStopsTheStart(t *testing.T) {
	id, db := start(t)
	one, two := addAccount(t, id, db, "111122223333"), addAccount(t, id, db, "444455556666")
	_, err := identity.New(t.Context(), identity.Config{DB: db, Clock: clock.Wall{}, Secrets: newSecrets(t, 2)})
	if err == nil || !strings.Contains(err.Error(), "identity: the secret of access key AKIA") {
		t.Errorf("with another key: %v", err)
	}

	// Nor can one key's secret be put in the place of another's.
	err = db.Update(t.Context(), func(tx store.Tx) error {
		_, err := tx.Exec(`UPDATE identity_access_key SET secret = (SELECT secret FROM identity_access_key WHERE id = $1) WHERE id = $2`,
			one.AccessKeyID, two.AccessKeyID)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = identity.New(t.Context(), identity.Config{DB: db, Clock: clock.Wall{}, Secrets: newSecrets(t, 1)})
	if err == nil || !strings.Contains(err.Error(), "identity: the secret of access key "+two.AccessKeyID) {
		t.Errorf("with a swapped secret: %v", err)
	}
}

func TestGetCallerIdentity(t *testing.T) {
	id, _ := start(t)
	service := id.STS()
	if service.Name != "sts" || service.EventSource != "sts.amazonaws.com" || service.InternalError != "InternalFailure" {
		t.Errorf("the service is %+v", service)
	}
	op := service.Operations[slices.IndexFunc(service.Operations, func(o call.Operation) bool { return o.Name == "GetCallerIdentity" })]
	if op.Name != "GetCallerIdentity" || !op.ReadOnly || op.Data {
		t.Errorf("the operation is %s, read-only: %v, data: %v", op.Name, op.ReadOnly, op.Data)
	}
	c := &call.Call{Principal: rootOf("111122223333", "AKIAIOSFODNN7EXAMPLE"), Service: "sts", Operation: op.Name}
	out, err := op.Do(t.Context(), c, op.NewInput())
	if err != nil {
		t.Fatal(err)
	}
	got := out.(*sts.GetCallerIdentityOutput)
	if *got.Account != "111122223333" || *got.Arn != "arn:aws:iam::111122223333:root" || *got.UserId != "111122223333" {
		t.Errorf("%s, %s, %s", *got.Account, *got.Arn, *got.UserId)
	}
}

func TestCreateAccount(t *testing.T) {
	id, db := start(t)
	operator := addAccount(t, id, db, "111122223333")

	c, out, err := createAccount(t, id, rootOf("111122223333", operator.AccessKeyID), "444455556666")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := id.Lookup(*out.AccessKeyId, ""); err == nil {
		t.Error("the key works before the call is recorded")
	}
	if record := string(c.ResponseElements()); record != `{"accountId":"444455556666","accessKeyId":"`+*out.AccessKeyId+`"}` {
		t.Errorf("the record says %s", strings.ReplaceAll(record, *out.SecretAccessKey, "<SECRET>"))
	}
	if err := db.Update(t.Context(), c.PendingEffect()); err != nil {
		t.Fatal(err)
	}
	secret, p, err := id.Lookup(*out.AccessKeyId, "")
	if err != nil || secret != *out.SecretAccessKey || !reflect.DeepEqual(p, rootOf("444455556666", *out.AccessKeyId)) || *out.AccountId != "444455556666" {
		t.Errorf("the new key is %+v, error: %v", p, err)
	}

	for _, test := range []struct {
		name, account string
		who           call.Principal
		want          call.Error
	}{
		{"again", "444455556666", rootOf("111122223333", operator.AccessKeyID),
			call.Error{Code: "AlreadyExistsException", Message: "An account with the ID 444455556666 already exists."}},
		{"another account's root", "777788889999", p,
			call.Error{Code: "AccessDeniedException", Message: "User: arn:aws:iam::444455556666:root is not authorized to perform: " +
				"vigil:CreateAccount on resource: * because no identity-based policy allows the vigil:CreateAccount action"}},
		{"not root", "777788889999", call.Principal{Type: "IAMUser", ARN: "arn:aws:iam::111122223333:user/Alice", Account: "111122223333"},
			call.Error{Code: "AccessDeniedException", Message: "User: arn:aws:iam::111122223333:user/Alice is not authorized to perform: " +
				"vigil:CreateAccount on resource: * because no identity-based policy allows the vigil:CreateAccount action"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, out, err := createAccount(t, id, test.who, test.account)
			e, ok := errors.AsType[*call.Error](err)
			if !ok || e.Code != test.want.Code || e.Message != test.want.Message || e.Status != 400 {
				t.Errorf("got %v", err)
			}
			if out != nil || c.PendingEffect() != nil {
				t.Error("it has an output or an effect")
			}
		})
	}
}

// Before there is an operator, nobody is it.
func TestCreateAccountWithoutOperator(t *testing.T) {
	id, _ := start(t)
	if _, _, err := createAccount(t, id, call.Principal{Type: "Root"}, "111122223333"); err == nil {
		t.Error("allowed")
	}
}

func createAccount(t *testing.T, id *identity.Identity, who call.Principal, account string) (*call.Call, *identity.CreateAccountOutput, error) {
	t.Helper()
	op := id.Vigil()[0]
	if op.Name != "CreateAccount" || op.ReadOnly || op.Data {
		t.Fatalf("the operation is %s", op.Name)
	}
	in := op.NewInput().(*identity.CreateAccountInput)
	in.AccountId = &account
	c := &call.Call{Principal: who, Service: "vigil", Operation: op.Name}
	out, err := op.Do(context.Background(), c, in)
	if err != nil {
		return c, nil, err
	}
	return c, out.(*identity.CreateAccountOutput), nil
}

func BenchmarkLookup(b *testing.B) {
	db, err := sqlite.Open(filepath.Join(b.TempDir(), "vigil.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	block, _ := aes.NewCipher(make([]byte, 32))
	aead, _ := cipher.NewGCMWithRandomNonce(block)
	id, err := identity.New(b.Context(), identity.Config{DB: db, Clock: clock.Wall{}, Secrets: secrets{aead}})
	if err != nil {
		b.Fatal(err)
	}
	c, effect, err := id.NewAccount("111122223333")
	if err == nil {
		err = db.Update(b.Context(), effect)
	}
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := id.Lookup(c.AccessKeyID, ""); err != nil {
			b.Fatal("not found")
		}
	}
}
