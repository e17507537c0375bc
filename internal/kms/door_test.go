package kms_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/google/uuid"

	"vigil"
	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/clock"
	"vigil/internal/journal"
	"vigil/internal/kms"
	"vigil/internal/kms/attestation"
	"vigil/internal/kms/attestation/attestationtest"
	"vigil/internal/store"
	"vigil/internal/store/sqlite"
)

// house is the service on a real database and journal, with a clock that can be moved.
type house struct {
	db      store.DB
	clock   *clock.Movable
	journal *journal.Journal
	kms     *kms.KMS
	ops     map[string]call.Operation
	lastUse func(keyARN string) (kms.Usage, bool, error)
	close   func() // ends Run and the journal, and closes the database
}

// principals are those of the house that is opened next: all, unless openWith says otherwise.
var principals kms.Principals

// openTrusting opens the service with trust in an enclave's root.
func openTrusting(t testing.TB, e *attestationtest.Enclave) *house {
	t.Helper()
	trust, err := attestation.ParseRoots(e.RootPEM())
	if err != nil {
		t.Fatal(err)
	}
	return openIn(t, place(t), clock.NewMovable(0), func(config *kms.Config) { config.Attestation = trust })
}

func openWith(t testing.TB, known kms.Principals) *house {
	principals = known
	defer func() { principals = kms.Principals{} }()
	return open(t)
}

func open(t testing.TB) *house { return openIn(t, place(t), clock.NewMovable(0)) }

// place is a new place for a database, and openPlace opens the one that is there: SQLite's, unless TestPostgreSQL is
// running.
var (
	place     = func(t testing.TB) string { return filepath.Join(t.TempDir(), "vigil.db") }
	openPlace = sqlite.Open
)

// openIn opens the service on the database at a place, which it makes if there is none.
func openIn(t testing.TB, place string, clk *clock.Movable, with ...func(*kms.Config)) *house {
	t.Helper()
	ctx := context.Background()
	db, err := openPlace(place)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	j, err := journal.Open(ctx, db, log)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{db: db, clock: clk, journal: j, ops: make(map[string]call.Operation)}
	config := kms.Config{
		Principals: principals,
		DB:         db, Clock: clk, Material: newWrapper(t), Journal: j, Log: log,
		LastUse: func(_ context.Context, keyARN string) (kms.Usage, bool, error) { return h.lastUse(keyARN) },
	}
	for _, change := range with {
		change(&config)
	}
	h.kms, err = kms.New(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range h.kms.Service().Operations {
		h.ops[op.Name] = op
	}
	stopJournal, stopKMS, stopStores := run(t, j.Run), run(t, h.kms.Run), run(t, h.kms.RunKeyStores)
	h.close = sync.OnceFunc(func() {
		stopStores()
		stopKMS()
		stopJournal()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(h.close)
	return h
}

// run starts a background part, and returns what stops it and waits for its end.
func run(t testing.TB, part func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- part(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}

// wrapper is AES-256-GCM under a fixed key, so that one opened later unwraps what an earlier one wrapped.
type wrapper struct{ cipher.AEAD }

func newWrapper(t testing.TB) wrapper {
	block, err := aes.NewCipher([]byte("the root key of the kms's tests."))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	return wrapper{aead}
}

func (w wrapper) Wrap(plaintext, context []byte) ([]byte, error) {
	return w.Seal(nil, nil, plaintext, context), nil
}

func (w wrapper) Unwrap(wrapped, context []byte) ([]byte, error) {
	return w.Open(nil, nil, wrapped, context)
}

// caller is the root user of an account, calling a region.
type caller struct{ account, region string }

var (
	alice = caller{"111122223333", "us-west-2"}
	bob   = caller{"444455556666", "us-west-2"}
)

func (w caller) in(region string) caller { return caller{w.account, region} }

func (w caller) arn(resource string) string {
	return arn.New("kms", w.region, w.account, resource).String()
}

func (w caller) begin(at time.Time, op string) *call.Call {
	root := arn.Root(w.region, w.account)
	return &call.Call{
		Principal: call.Principal{Type: "Root", ARN: root, Account: w.account, PrincipalID: w.account},
		Service:   "kms", Operation: op, Region: w.region, Time: at,
		RequestID: uuid.NewString(), EventID: call.NewEventID(at),
	}
}

// call does what the door does: it begins a call, runs the handler, and has the journal commit the effect with a
// record. The record here has only what the tests look at.
func (h *house) call(who caller, op string, in any) (any, *call.Call, error) {
	ctx := context.Background()
	c := who.begin(h.clock.Now(), op)
	out, err := h.ops[op].Do(ctx, c, in)
	if err != nil {
		c.DropEffect()
	}
	committed := h.journal.Commit(ctx, c.PendingEffect(), func(effectErr error) []journal.Record {
		r := vigil.Record{
			EventTime: c.Time, EventName: op, EventID: c.EventID, RequestID: c.RequestID, Resources: c.Resources(), AWSRegion: who.region,
			UserIdentity: vigil.UserIdentity{Type: c.Principal.Type, ARN: c.Principal.ARN}, RecipientAccountID: who.account, AdditionalEventData: c.AdditionalEventData(), ResponseElements: c.ResponseElements(),
		}
		if failed := errors.Join(err, effectErr); failed != nil {
			r.ErrorMessage, r.ResponseElements = failed.Error(), nil
		}
		records := []journal.Record{{Time: c.Time, Data: r.AppendJSON(nil)}}
		if r.ErrorMessage == "" {
			for _, also := range c.AlsoRecords(r) {
				records = append(records, journal.Record{Time: c.Time, Data: also.AppendJSON(nil)})
			}
		}
		return records
	})
	if err == nil {
		err = committed
	}
	if err != nil {
		return nil, c, err
	}
	return out, c, nil
}

// try is call for who only wants to know whether it succeeds.
func (h *house) try(who caller, op string, in any) error {
	_, _, err := h.call(who, op, in)
	return err
}

// must is call for what succeeds.
func must[Out any](t testing.TB, h *house, who caller, op string, in any) *Out {
	t.Helper()
	out, _, err := h.call(who, op, in)
	if err != nil {
		t.Fatalf("%s: %v", op, err)
	}
	return out.(*Out)
}

// do is must for operations whose output does not matter.
func (h *house) do(t testing.TB, who caller, op string, in any) *call.Call {
	t.Helper()
	_, c, err := h.call(who, op, in)
	if err != nil {
		t.Fatalf("%s: %v", op, err)
	}
	return c
}

// refused checks that err is the API's error with this code and text.
func refused(t testing.TB, what string, err error, code, message string) {
	t.Helper()
	var e *call.Error
	if !errors.As(err, &e) {
		t.Errorf("%s: %v, want %s: %s", what, err, code, message)
		return
	}
	if e.Code != code || e.Message != message {
		t.Errorf("%s:\n got %s: %s\nwant %s: %s", what, e.Code, e.Message, code, message)
	}
}

// create makes a key and returns its metadata.
func (h *house) create(t testing.TB, who caller, in awskms.CreateKeyInput) *types.KeyMetadata {
	t.Helper()
	return must[awskms.CreateKeyOutput](t, h, who, "CreateKey", &in).KeyMetadata
}

// symmetric makes a symmetric encryption key.
func (h *house) symmetric(t testing.TB, who caller) *types.KeyMetadata {
	t.Helper()
	return h.create(t, who, awskms.CreateKeyInput{})
}

func (h *house) hmac(t testing.TB, who caller, spec types.KeySpec) *types.KeyMetadata {
	t.Helper()
	return h.create(t, who, awskms.CreateKeyInput{KeySpec: spec, KeyUsage: types.KeyUsageTypeGenerateVerifyMac})
}

// pair makes an asymmetric key.
func (h *house) pair(t testing.TB, who caller, spec types.KeySpec, usage types.KeyUsageType) *types.KeyMetadata {
	t.Helper()
	return h.create(t, who, awskms.CreateKeyInput{KeySpec: spec, KeyUsage: usage})
}

func (h *house) publicKey(t testing.TB, who caller, name string) []byte {
	t.Helper()
	return must[awskms.GetPublicKeyOutput](t, h, who, "GetPublicKey", &awskms.GetPublicKeyInput{KeyId: &name}).PublicKey
}

func (h *house) describe(t testing.TB, who caller, name string) *types.KeyMetadata {
	t.Helper()
	return must[awskms.DescribeKeyOutput](t, h, who, "DescribeKey", &awskms.DescribeKeyInput{KeyId: &name}).KeyMetadata
}

func (h *house) alias(t testing.TB, who caller, name, key string) {
	t.Helper()
	h.do(t, who, "CreateAlias", &awskms.CreateAliasInput{AliasName: &name, TargetKeyId: &key})
}

func (h *house) encrypt(t testing.TB, who caller, name, plaintext string, context map[string]string) []byte {
	t.Helper()
	return must[awskms.EncryptOutput](t, h, who, "Encrypt",
		&awskms.EncryptInput{KeyId: &name, Plaintext: []byte(plaintext), EncryptionContext: context}).CiphertextBlob
}

// records are the journal's records of that name, in its order.
func (h *house) records(t testing.TB, name string) (found []*vigil.Record) {
	t.Helper()
	last := h.do(t, alice, "GenerateRandom", &awskms.GenerateRandomInput{NumberOfBytes: new(int32(1))}) // what comes before it is all there
	var all []*vigil.Record
	eventually(t, "the journal is sequenced", func() bool {
		var seqs []int64
		for seq := range h.journal.Sequenced() {
			seqs = append(seqs, seq)
		}
		entries, err := h.journal.Get(context.Background(), seqs)
		if err != nil {
			t.Fatal(err)
		}
		all = nil
		for _, e := range entries {
			r, err := vigil.ParseRecord(e.Data)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, r)
		}
		return len(all) > 0 && all[len(all)-1].EventID == last.EventID
	})
	for _, r := range all {
		if r.EventName == name {
			found = append(found, r)
		}
	}
	return found
}

// eventually polls until something holds that other goroutines bring about.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("it never came about that %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// touched are the ARNs that a call touched, in order.
func touched(c *call.Call) (arns []string) {
	for _, r := range c.Resources() {
		arns = append(arns, fmt.Sprintf("%s %s %s", r.AccountID, r.Type, r.ARN))
	}
	return arns
}

func asJSON(t testing.TB, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// expect checks an error against "Code: text", in which KEY stands for a key's ARN, or against "" for none.
func expect(t testing.TB, what string, err error, want, keyARN string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if want = strings.ReplaceAll(want, "KEY", keyARN); got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func neverUsed(string) (kms.Usage, bool, error) { return kms.Usage{}, false, nil }

// count is how many rows a table has.
func (h *house) count(t testing.TB, table string) (n int) {
	t.Helper()
	err := h.db.View(context.Background(), func(tx store.Tx) error {
		return tx.QueryRow(`SELECT COUNT(*) FROM ` + table).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func nothingRecorded(error) []journal.Record { return nil }
