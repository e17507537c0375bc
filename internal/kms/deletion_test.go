package kms_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/call"
	"vigil/internal/clock"
	"vigil/internal/journal"
	"vigil/internal/kms"
	"vigil/internal/store"
)

const day = 24 * time.Hour

func (h *house) schedule(t testing.TB, who caller, key *string, days int32) *awskms.ScheduleKeyDeletionOutput {
	t.Helper()
	return must[awskms.ScheduleKeyDeletionOutput](t, h, who, "ScheduleKeyDeletion",
		&awskms.ScheduleKeyDeletionInput{KeyId: key, PendingWindowInDays: &days})
}

// gone waits until a key does not exist any more.
func (h *house) gone(t testing.TB, who caller, key *types.KeyMetadata) {
	t.Helper()
	eventually(t, "the key is destroyed", func() bool {
		err := h.try(who, "DescribeKey", &awskms.DescribeKeyInput{KeyId: key.KeyId})
		var e *call.Error
		return errors.As(err, &e) && e.Code == "NotFoundException"
	})
}

func TestScheduleKeyDeletion(t *testing.T) {
	h := open(t)
	m := h.symmetric(t, alice)
	in := &awskms.ScheduleKeyDeletionInput{KeyId: m.KeyId}
	got, c, err := h.call(alice, "ScheduleKeyDeletion", in)
	if err != nil {
		t.Fatal(err)
	}
	out := got.(*awskms.ScheduleKeyDeletionOutput)
	want := c.Time.Add(30 * day).Truncate(time.Millisecond)
	if *out.KeyId != *m.Arn || out.KeyState != "PendingDeletion" || *out.PendingWindowInDays != 30 || !out.DeletionDate.Equal(want) ||
		*in.PendingWindowInDays != 30 {
		t.Errorf("%s", asJSON(t, out))
	}
	if d := h.describe(t, alice, *m.KeyId); d.KeyState != "PendingDeletion" || d.Enabled || !d.DeletionDate.Equal(want) ||
		d.PendingDeletionWindowInDays != nil {
		t.Errorf("%s", asJSON(t, d))
	}

	cancel := must[awskms.CancelKeyDeletionOutput](t, h, alice, "CancelKeyDeletion", &awskms.CancelKeyDeletionInput{KeyId: m.KeyId})
	if *cancel.KeyId != *m.Arn {
		t.Errorf("%s", asJSON(t, cancel))
	}
	if d := h.describe(t, alice, *m.KeyId); d.KeyState != "Disabled" || d.DeletionDate != nil {
		t.Errorf("%s", asJSON(t, d))
	}
	for _, days := range []int32{1, 6, 31, 365} {
		err := h.try(alice, "ScheduleKeyDeletion",
			&awskms.ScheduleKeyDeletionInput{KeyId: m.KeyId, PendingWindowInDays: &days})
		refused(t, fmt.Sprint(days, " days"), err, "ValidationException", "PendingWindowInDays must be between 7 and 30")
	}
}

// When its window has passed, a key is gone with all that is its own, and the journal says so in the same commit.
func TestKeysAreDestroyedWhenTheirWindowHasPassed(t *testing.T) {
	h := open(t)
	m, other := h.symmetric(t, alice), h.symmetric(t, alice)
	h.alias(t, alice, "alias/doomed", *m.KeyId)
	h.do(t, alice, "TagResource", &awskms.TagResourceInput{KeyId: m.KeyId, Tags: []types.Tag{{TagKey: new("a"), TagValue: new("b")}}})
	blob := h.encrypt(t, alice, "alias/doomed", "x", nil)
	h.schedule(t, alice, other.KeyId, 30)
	h.schedule(t, alice, m.KeyId, 7)

	h.clock.Advance(7*day - time.Minute)
	if state := h.describe(t, alice, *m.KeyId).KeyState; state != "PendingDeletion" {
		t.Fatalf("a minute before its time the key is %s", state)
	}
	if events := h.records(t, "DeleteKey"); len(events) != 0 {
		t.Fatalf("%d keys are destroyed before their time", len(events))
	}
	h.clock.Advance(time.Minute)
	h.gone(t, alice, m)

	for name, refusal := range map[string]string{
		*m.KeyId:       "NotFoundException: Key 'KEY' does not exist",
		*m.Arn:         "NotFoundException: Key 'KEY' does not exist",
		"alias/doomed": "NotFoundException: Alias " + alice.arn("alias/doomed") + " is not found.",
	} {
		err := h.try(alice, "Encrypt", &awskms.EncryptInput{KeyId: &name, Plaintext: []byte("x")})
		expect(t, name, err, refusal, *m.Arn)
	}
	err := h.try(alice, "Decrypt", &awskms.DecryptInput{CiphertextBlob: blob})
	refused(t, "Decrypt", err, "AccessDeniedException", noSuchCMK)
	for _, table := range []string{"kms_key", "kms_material", "kms_alias", "kms_tag"} {
		want := 0
		if table == "kms_key" || table == "kms_material" {
			want = 1 // the other key's
		}
		if n := h.count(t, table); n != want {
			t.Errorf("%s has %d rows, want %d", table, n, want)
		}
	}

	events := h.records(t, "DeleteKey")
	if len(events) != 1 {
		t.Fatalf("%d DeleteKey events", len(events))
	}
	e := *events[0]
	if !e.EventTime.Before(h.clock.Now()) || e.EventTime.Before(h.clock.Now().Add(-time.Hour)) {
		t.Errorf("eventTime %v, it is %v", e.EventTime, h.clock.Now())
	}
	e.EventTime, e.EventID = time.Time{}, ""
	want := fmt.Sprintf(`{"eventVersion":"1.11","userIdentity":{"accountId":"111122223333","invokedBy":"AWS Internal"},`+
		`"eventTime":"0001-01-01T00:00:00Z","eventSource":"kms.amazonaws.com","eventName":"DeleteKey","awsRegion":"us-west-2",`+
		`"sourceIPAddress":"AWS Internal","userAgent":"AWS Internal","requestParameters":null,"responseElements":null,"eventID":"","readOnly":false,`+
		`"resources":[{"accountId":"111122223333","type":"AWS::KMS::Key","ARN":"%s"}],"eventType":"AwsServiceEvent",`+
		`"managementEvent":true,"recipientAccountId":"111122223333","eventCategory":"Management"}`, *m.Arn)
	if got := string(e.AppendJSON(nil)); got != want {
		t.Errorf("the event is\n%s\nwant\n%s", got, want)
	}

	h.clock.Advance(23 * day)
	h.gone(t, alice, other)
}

// A cancelled deletion does not happen, and a shorter one that is scheduled later happens first.
func TestRunFollowsWhatIsScheduled(t *testing.T) {
	h := open(t)
	kept, late, soon := h.symmetric(t, alice), h.symmetric(t, bob), h.symmetric(t, alice.in("eu-west-1"))
	h.schedule(t, alice, kept.KeyId, 8)
	h.schedule(t, bob, late.KeyId, 20)
	h.schedule(t, alice.in("eu-west-1"), soon.KeyId, 9)
	h.do(t, alice, "CancelKeyDeletion", &awskms.CancelKeyDeletionInput{KeyId: kept.KeyId})
	h.clock.Advance(9 * day)
	h.gone(t, alice.in("eu-west-1"), soon)
	if state := h.describe(t, alice, *kept.KeyId).KeyState; state != "Disabled" {
		t.Errorf("the kept key is %s", state)
	}
	if state := h.describe(t, bob, *late.KeyId).KeyState; state != "PendingDeletion" {
		t.Errorf("the later key is %s", state)
	}
	h.do(t, alice, "EnableKey", &awskms.EnableKeyInput{KeyId: kept.KeyId})
	h.encrypt(t, alice, *kept.KeyId, "x", nil)
}

// What comes due while nothing runs is destroyed at the next start.
func TestOverdueKeysAreDestroyedAtStart(t *testing.T) {
	at, clk := place(t), clock.NewMovable(0)
	h := openIn(t, at, clk)
	var doomed []*types.KeyMetadata
	for range 3 {
		m := h.symmetric(t, alice)
		h.schedule(t, alice, m.KeyId, 7)
		doomed = append(doomed, m)
	}
	h.close()
	clk.Advance(8 * day)
	h = openIn(t, at, clk)
	for _, m := range doomed {
		h.gone(t, alice, m)
	}
	if events := h.records(t, "DeleteKey"); len(events) != 3 {
		t.Errorf("%d DeleteKey events", len(events))
	}
}

// More keys than one transaction takes are destroyed too.
func TestManyKeysAreDestroyed(t *testing.T) {
	h := open(t)
	const n = 230
	for range n {
		h.schedule(t, alice, h.symmetric(t, alice).KeyId, 7)
	}
	h.clock.Advance(8 * day)
	eventually(t, "all are destroyed", func() bool { return h.count(t, "kms_key") == 0 })
	if events := h.records(t, "DeleteKey"); len(events) != n {
		t.Errorf("%d DeleteKey events, want %d", len(events), n)
	}
}

// faulty is the journal, failing as often as it is told.
type faulty struct {
	*journal.Journal
	err      error
	failures atomic.Int32
	failed   chan struct{} // closed when the last of them has happened
}

func (f *faulty) Commit(ctx context.Context, effect func(store.Tx) error, record func(error) []journal.Record) error {
	switch left := f.failures.Add(-1); {
	case left == 0:
		defer close(f.failed)
		return f.err
	case left > 0:
		return f.err
	}
	return f.Journal.Commit(ctx, effect, record)
}

// later is a second service on the same database, eight days ahead, whose background part has that journal.
func (h *house) later(t *testing.T, j *faulty) *house {
	t.Helper()
	j.Journal = h.journal
	second := *h
	second.clock = clock.NewMovable(8 * day)
	second.ops = make(map[string]call.Operation)
	var err error
	second.kms, err = kms.New(context.Background(), kms.Config{DB: h.db, Clock: second.clock, Material: newWrapper(t), Journal: j})
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range second.kms.Service().Operations {
		second.ops[op.Name] = op
	}
	return &second
}

// A commit that fails destroys nothing and records nothing, and is tried again.
func TestDestructionIsTriedAgain(t *testing.T) {
	h := open(t)
	m, other := h.symmetric(t, alice), h.symmetric(t, alice)
	h.schedule(t, alice, m.KeyId, 7)
	j := &faulty{err: errors.New("no space left"), failed: make(chan struct{})}
	j.failures.Store(1)
	later := h.later(t, j)
	defer run(t, later.kms.Run)()
	<-j.failed
	if state := later.describe(t, alice, *m.KeyId).KeyState; state != "PendingDeletion" {
		t.Errorf("after the failed commit the key is %s", state)
	}
	later.schedule(t, alice, other.KeyId, 7) // what is scheduled wakes it before its pause has passed
	later.gone(t, alice, m)
	if events := h.records(t, "DeleteKey"); len(events) != 1 {
		t.Errorf("%d DeleteKey events", len(events))
	}
}

func TestRunEndsWhenTheDatabaseIsTakenOver(t *testing.T) {
	h := open(t)
	h.schedule(t, alice, h.symmetric(t, alice).KeyId, 7)
	j := &faulty{err: fmt.Errorf("not recorded: %w", store.ErrFenced), failed: make(chan struct{})}
	j.failures.Store(1)
	if err := h.later(t, j).kms.Run(context.Background()); !errors.Is(err, store.ErrFenced) {
		t.Errorf("Run returned %v", err)
	}
}
