package kms_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/call"
	"vigil/internal/clock"
)

func (h *house) rotation(t testing.TB, who caller, key *string) *awskms.GetKeyRotationStatusOutput {
	t.Helper()
	return must[awskms.GetKeyRotationStatusOutput](t, h, who, "GetKeyRotationStatus", &awskms.GetKeyRotationStatusInput{KeyId: key})
}

func (h *house) rotations(t testing.TB, who caller, key *string, include types.IncludeKeyMaterial) []types.RotationsListEntry {
	t.Helper()
	return must[awskms.ListKeyRotationsOutput](t, h, who, "ListKeyRotations",
		&awskms.ListKeyRotationsInput{KeyId: key, IncludeKeyMaterial: include}).Rotations
}

func (h *house) enableRotation(t testing.TB, who caller, key *string, days int32) {
	t.Helper()
	in := &awskms.EnableKeyRotationInput{KeyId: key}
	if days != 0 {
		in.RotationPeriodInDays = &days
	}
	h.do(t, who, "EnableKeyRotation", in)
}

// rotated waits until a key has been rotated n times.
func (h *house) rotated(t testing.TB, who caller, key *string, n int) []types.RotationsListEntry {
	t.Helper()
	eventually(t, fmt.Sprintf("%s is rotated %d times", *key, n), func() bool { return len(h.rotations(t, who, key, "")) >= n })
	return h.rotations(t, who, key, "")
}

func (h *house) decrypt(t testing.TB, who caller, blob []byte) *awskms.DecryptOutput {
	t.Helper()
	return must[awskms.DecryptOutput](t, h, who, "Decrypt", &awskms.DecryptInput{CiphertextBlob: blob})
}

func TestRotationStatus(t *testing.T) {
	h := open(t)
	m := h.symmetric(t, alice)
	if s := h.rotation(t, alice, m.KeyId); s.KeyRotationEnabled || s.RotationPeriodInDays != nil || s.NextRotationDate != nil || *s.KeyId != *m.KeyId {
		t.Errorf("%s", asJSON(t, s))
	}
	check := func(what string, days int32, from time.Time) {
		t.Helper()
		s := h.rotation(t, alice, m.KeyId)
		if !s.KeyRotationEnabled || *s.RotationPeriodInDays != days || s.OnDemandRotationStartDate != nil ||
			s.NextRotationDate.Sub(from.Add(time.Duration(days)*day)).Abs() > time.Hour {
			t.Errorf("%s: %s", what, asJSON(t, s))
		}
	}
	enabled := h.clock.Now()
	h.enableRotation(t, alice, m.KeyId, 0)
	check("the default", 365, enabled)
	h.clock.Advance(10 * day)
	h.enableRotation(t, alice, m.KeyId, 365)
	check("the same period again", 365, enabled)
	h.enableRotation(t, alice, m.KeyId, 90)
	check("another period", 90, h.clock.Now())

	// A scheduled deletion shows it as off, and cancelling that brings it back.
	before := h.rotation(t, alice, m.KeyId).NextRotationDate
	h.schedule(t, alice, m.KeyId, 7)
	if s := h.rotation(t, alice, m.KeyId); s.KeyRotationEnabled || s.NextRotationDate != nil {
		t.Errorf("pending deletion: %s", asJSON(t, s))
	}
	h.do(t, alice, "CancelKeyDeletion", &awskms.CancelKeyDeletionInput{KeyId: m.KeyId})
	if s := h.rotation(t, alice, m.KeyId); !s.KeyRotationEnabled || !s.NextRotationDate.Equal(*before) {
		t.Errorf("after the cancelled deletion: %s", asJSON(t, s))
	}
	h.do(t, alice, "EnableKey", &awskms.EnableKeyInput{KeyId: m.KeyId})
	h.do(t, alice, "DisableKeyRotation", &awskms.DisableKeyRotationInput{KeyId: m.KeyId})
	if s := h.rotation(t, alice, m.KeyId); s.KeyRotationEnabled || s.NextRotationDate != nil {
		t.Errorf("disabled: %s", asJSON(t, s))
	}
}

// A rotated key encrypts with its new material and decrypts with all that it has had. The journal has the service event RotateKey.
func TestAutomaticRotation(t *testing.T) {
	h := open(t)
	m, unrotated := h.symmetric(t, alice), h.symmetric(t, alice)
	h.enableRotation(t, alice, m.KeyId, 90)
	blobs := [][]byte{h.encrypt(t, alice, *m.KeyId, "0", nil)}
	h.clock.Advance(90*day - time.Minute)
	if n := len(h.rotations(t, alice, m.KeyId, "")); n != 0 {
		t.Fatalf("rotated %d times before its time", n)
	}
	for i := 1; i <= 3; i++ {
		h.clock.Advance(90 * day)
		h.rotated(t, alice, m.KeyId, i)
		blobs = append(blobs, h.encrypt(t, alice, *m.KeyId, fmt.Sprint(i), nil))
	}
	all := h.rotations(t, alice, m.KeyId, "ALL_KEY_MATERIAL")
	if len(all) != 4 {
		t.Fatalf("%d materials", len(all))
	}
	for i, e := range all {
		want := types.KeyMaterialStateNonCurrent
		if i == 3 {
			want = types.KeyMaterialStateCurrent
		}
		first := i == 0
		if e.KeyMaterialState != want || *e.KeyId != *m.KeyId || (e.RotationDate == nil) != first || (e.RotationType == "") != first ||
			!first && e.RotationType != "AUTOMATIC" || e.ImportState != "" || e.ExpirationModel != "" {
			t.Errorf("material %d: %s", i, asJSON(t, e))
		}
		out := h.decrypt(t, alice, blobs[i])
		if string(out.Plaintext) != fmt.Sprint(i) || *out.KeyMaterialId != *e.KeyMaterialId {
			t.Errorf("blob %d decrypts to %q with %s", i, out.Plaintext, *out.KeyMaterialId)
		}
	}
	if d := h.describe(t, alice, *m.KeyId); *d.CurrentKeyMaterialId != *all[3].KeyMaterialId {
		t.Errorf("CurrentKeyMaterialId %s, want %s", *d.CurrentKeyMaterialId, *all[3].KeyMaterialId)
	}
	if n := len(h.rotations(t, alice, unrotated.KeyId, "ALL_KEY_MATERIAL")); n != 1 {
		t.Errorf("the other key has %d materials", n)
	}
	events := h.records(t, "RotateKey")
	if len(events) != 3 {
		t.Fatalf("%d RotateKey events", len(events))
	}
	e := *events[0]
	e.EventTime, e.EventID = time.Time{}, ""
	want := fmt.Sprintf(`{"eventVersion":"1.11","userIdentity":{"accountId":"111122223333","invokedBy":"AWS Internal"},`+
		`"eventTime":"0001-01-01T00:00:00Z","eventSource":"kms.amazonaws.com","eventName":"RotateKey","awsRegion":"us-west-2",`+
		`"sourceIPAddress":"AWS Internal","userAgent":"AWS Internal","requestParameters":null,"responseElements":null,"eventID":"","readOnly":false,`+
		`"resources":[{"accountId":"111122223333","type":"AWS::KMS::Key","ARN":"%s"}],"eventType":"AwsServiceEvent",`+
		`"managementEvent":true,"recipientAccountId":"111122223333","serviceEventDetails":{"rotationType":"AUTOMATIC","keyOrigin":"AWS_KMS",`+
		`"previousKeyMaterialId":"%s","currentKeyMaterialId":"%s","keyId":"%s"},"eventCategory":"Management"}`,
		*m.Arn, *all[0].KeyMaterialId, *all[1].KeyMaterialId, *m.KeyId)
	if got := string(e.AppendJSON(nil)); got != want {
		t.Errorf("the event is\n%s\nwant\n%s", got, want)
	}
}

// A disabled key is not rotated; one that is overdue is as soon as it is enabled, once however many periods have passed.
func TestOverdueRotationHappensWhenTheKeyIsEnabled(t *testing.T) {
	h := open(t)
	m := h.symmetric(t, alice)
	h.enableRotation(t, alice, m.KeyId, 90)
	h.do(t, alice, "DisableKey", &awskms.DisableKeyInput{KeyId: m.KeyId})
	h.clock.Advance(400 * day)
	witness := h.symmetric(t, alice) // when this one is destroyed, Run has looked at what was due
	h.schedule(t, alice, witness.KeyId, 7)
	h.clock.Advance(7 * day)
	h.gone(t, alice, witness)
	if n := len(h.rotations(t, alice, m.KeyId, "")); n != 0 {
		t.Fatalf("a disabled key was rotated %d times", n)
	}
	if s := h.rotation(t, alice, m.KeyId); !s.KeyRotationEnabled {
		t.Errorf("disabling the key changed %s", asJSON(t, s))
	}
	h.do(t, alice, "EnableKey", &awskms.EnableKeyInput{KeyId: m.KeyId})
	h.rotated(t, alice, m.KeyId, 1)
	if s := h.rotation(t, alice, m.KeyId); s.NextRotationDate.Before(h.clock.Now().Add(89 * day)) {
		t.Errorf("after the overdue rotation: %s, now %v", asJSON(t, s), h.clock.Now())
	}
	if n := len(h.records(t, "RotateKey")); n != 1 {
		t.Errorf("%d RotateKey events", n)
	}
}

// What comes due while nothing runs is rotated at the next start, and a restart forgets no material.
func TestRotationAcrossARestart(t *testing.T) {
	at, clk := place(t), clock.NewMovable(0)
	h := openIn(t, at, clk)
	m := h.symmetric(t, alice)
	h.enableRotation(t, alice, m.KeyId, 90)
	blob := h.encrypt(t, alice, *m.KeyId, "old", nil)
	h.do(t, alice, "RotateKeyOnDemand", &awskms.RotateKeyOnDemandInput{KeyId: m.KeyId})
	newer := h.encrypt(t, alice, *m.KeyId, "newer", nil)
	h.close()
	clk.Advance(91 * day)
	h = openIn(t, at, clk)
	entries := h.rotated(t, alice, m.KeyId, 2)
	if entries[0].RotationType != "ON_DEMAND" || entries[1].RotationType != "AUTOMATIC" {
		t.Errorf("%s", asJSON(t, entries))
	}
	for want, blob := range map[string][]byte{"old": blob, "newer": newer} {
		if got := h.decrypt(t, alice, blob); string(got.Plaintext) != want {
			t.Errorf("decrypted %q, want %q", got.Plaintext, want)
		}
	}
}

func TestRotateKeyOnDemand(t *testing.T) {
	h := open(t)
	m := h.symmetric(t, alice)
	h.enableRotation(t, alice, m.KeyId, 90)
	next := *h.rotation(t, alice, m.KeyId).NextRotationDate
	rotate := func() error { return h.try(alice, "RotateKeyOnDemand", &awskms.RotateKeyOnDemandInput{KeyId: m.KeyId}) }
	out, c, err := h.call(alice, "RotateKeyOnDemand", &awskms.RotateKeyOnDemandInput{KeyId: m.KeyId})
	if err != nil || *out.(*awskms.RotateKeyOnDemandOutput).KeyId != *m.KeyId || c.ResponseElements() != nil {
		t.Fatalf("%s, %v", asJSON(t, out), err)
	}
	if s := h.rotation(t, alice, m.KeyId); !s.NextRotationDate.Equal(next) {
		t.Errorf("the automatic rotation moved from %v to %v", next, s.NextRotationDate)
	}
	events := h.records(t, "RotateKey")
	if len(events) != 1 || !strings.Contains(string(events[0].ServiceEventDetails), `"rotationType":"ON_DEMAND"`) {
		t.Errorf("events %s", asJSON(t, events))
	}
	for range 24 {
		if err := rotate(); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, "the 26th", rotate(), "LimitExceededException: The on-demand rotations limit has been reached for the given keyId. "+
		"No more on-demand rotations can be performed for this key: KEY", *m.Arn)
	if n := len(h.records(t, "RotateKey")); n != 25 {
		t.Errorf("%d RotateKey events", n)
	}
	if n := len(h.rotations(t, alice, m.KeyId, "ALL_KEY_MATERIAL")); n != 26 {
		t.Errorf("%d materials", n)
	}
}

// Twenty minutes before an automatic rotation there is none on demand.
func TestRotateKeyOnDemandConflicts(t *testing.T) {
	h := open(t)
	m := h.symmetric(t, alice)
	h.enableRotation(t, alice, m.KeyId, 90)
	rotate := func() error { return h.try(alice, "RotateKeyOnDemand", &awskms.RotateKeyOnDemandInput{KeyId: m.KeyId}) }
	h.clock.Advance(90*day - 25*time.Minute)
	expect(t, "25 minutes before", rotate(), "", "")
	h.clock.Advance(6 * time.Minute)
	expect(t, "19 minutes before", rotate(), "ConflictException: An automatic rotation of this key is currently in progress or scheduled "+
		"to begin within the next 20 minutes.", "")
	h.clock.Advance(20 * time.Minute)
	h.rotated(t, alice, m.KeyId, 2)
	expect(t, "after it", rotate(), "", "")
}

// Only symmetric encryption keys can be rotated.
func TestKeysThatDoNotRotate(t *testing.T) {
	h := open(t)
	m := h.hmac(t, alice, "HMAC_256")
	for op, in := range requests(*m.KeyId) {
		switch op {
		case "EnableKeyRotation", "DisableKeyRotation", "GetKeyRotationStatus", "ListKeyRotations", "RotateKeyOnDemand":
			refused(t, op, h.try(alice, op, in), "UnsupportedOperationException", "")
		}
	}
}

func TestListKeyRotationsPageByPage(t *testing.T) {
	h := open(t)
	m := h.symmetric(t, alice)
	for range 5 {
		h.do(t, alice, "RotateKeyOnDemand", &awskms.RotateKeyOnDemandInput{KeyId: m.KeyId})
	}
	var ids []string
	in := &awskms.ListKeyRotationsInput{KeyId: m.KeyId, Limit: new(int32(2)), IncludeKeyMaterial: "ALL_KEY_MATERIAL"}
	for pages := 1; ; pages++ {
		out := must[awskms.ListKeyRotationsOutput](t, h, alice, "ListKeyRotations", in)
		for _, e := range out.Rotations {
			ids = append(ids, *e.KeyMaterialId)
		}
		if out.Truncated != (out.NextMarker != nil) {
			t.Errorf("%s", asJSON(t, out))
		}
		if in.Marker = out.NextMarker; in.Marker == nil {
			if pages != 3 {
				t.Errorf("%d pages", pages)
			}
			break
		}
	}
	var want []string
	for _, e := range h.rotations(t, alice, m.KeyId, "ALL_KEY_MATERIAL") {
		want = append(want, *e.KeyMaterialId)
	}
	if fmt.Sprint(ids) != fmt.Sprint(want) || len(ids) != 6 {
		t.Errorf("page by page %v, at once %v", ids, want)
	}
	in.Marker = new("x")
	refused(t, "another marker", h.try(alice, "ListKeyRotations", in), "InvalidMarkerException", "The marker is not valid for this request.")
}

// While keys are rotated, whoever uses them is not disturbed.
func TestUseDuringRotation(t *testing.T) {
	h := open(t)
	m := h.symmetric(t, alice)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			out, _, err := h.call(alice, "Encrypt", &awskms.EncryptInput{KeyId: m.KeyId, Plaintext: []byte("x")})
			if err == nil {
				_, _, err = h.call(alice, "Decrypt", &awskms.DecryptInput{CiphertextBlob: out.(*awskms.EncryptOutput).CiphertextBlob})
			}
			if err != nil {
				t.Errorf("during a rotation: %v", err)
				return
			}
		}
	}()
	var last *call.Call
	for range 20 {
		last = h.do(t, alice, "RotateKeyOnDemand", &awskms.RotateKeyOnDemandInput{KeyId: m.KeyId})
		blob := h.encrypt(t, alice, *m.KeyId, "x", nil)
		if got, want := *h.decrypt(t, alice, blob).KeyMaterialId, *h.describe(t, alice, *m.KeyId).CurrentKeyMaterialId; got != want {
			t.Errorf("after rotation %s the key encrypts with %s, not %s", last.RequestID, got, want)
		}
	}
	close(stop)
	<-stopped
}
