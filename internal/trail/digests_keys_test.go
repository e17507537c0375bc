package trail_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"

	"vigil"
)

// TestADigestOverTheEndOfAKeyIsFoundByItsTime has the digests of two trails span the time at which the signing key's year is over: who asks for the keys
// from after that time on, as validate-logs does, is given those of all digests that end after it.
func TestADigestOverTheEndOfAKeyIsFoundByItsTime(t *testing.T) {
	h := open(t)
	made := h.clock.Now()
	if _, _, err := h.trail.Sign(t.Context(), alice.account, alice.region, made, []byte("a text")); err != nil {
		t.Fatal(err)
	}
	over := made.Add(365 * 24 * time.Hour)
	h.clock.Advance(365*24*time.Hour - 40*time.Minute)
	h.start(alice, cloudtrail.CreateTrailInput{Name: new("early"), EnableLogFileValidation: new(true)})
	h.clock.Advance(20 * time.Minute)
	h.start(alice, cloudtrail.CreateTrailInput{Name: new("late"), EnableLogFileValidation: new(true)})
	h.clock.Advance(3 * time.Hour)
	h.until("all digests", func() bool { return len(h.keys(alice, *alice.bucket(), vigil.DigestFolder)) >= 5 })
	for _, name := range []string{"early", "late"} {
		if r := h.verifySince(over.Add(time.Minute), alice, name); !r.OK() || r.Digests < 2 {
			t.Errorf("%s: %v, %+v", name, r.Findings, r)
		}
	}
}
