package trail_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"

	"vigil"
	"vigil/internal/call"
)

// TestTheFirstFileOfARegionIsDigested has another region's first events happen in the slot in which its trail begins to log, or to be of all regions.
func TestTheFirstFileOfARegionIsDigested(t *testing.T) {
	for name, begin := range map[string]func(*house){
		"logging begins": func(h *house) {
			h.start(alice, cloudtrail.CreateTrailInput{Name: new("wide"), EnableLogFileValidation: new(true), IsMultiRegionTrail: new(true)})
		},
		"it comes to be of all regions": func(h *house) {
			h.start(alice, cloudtrail.CreateTrailInput{Name: new("wide"), EnableLogFileValidation: new(true)})
			h.clock.Advance(90*time.Minute + 7*time.Millisecond)
			h.widen()
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			h.clock.Advance(123 * time.Millisecond)
			begin(h)
			h.happen(alice.in("eu-west-1"), "Far")
			h.clock.Advance(2 * time.Hour)
			h.until("a digest of the region", func() bool { return len(h.keys(alice, *alice.bucket(), vigil.DigestFolder+"/eu-west-1/")) > 0 })
			h.is("file", h.contents(alice, *alice.bucket(), "/CloudTrail/eu-west-1/"), "Far")
			if r := h.verify(alice, "wide", "eu-west-1"); !r.OK() || len(r.Unlisted) > 0 {
				t.Errorf("%v, %+v", r.Findings, r)
			}
		})
	}
}

// TestWhatHappenedBeforeATrailIsOfItsRegionOnlyIsDelivered has a trail be taken back from all regions, and from global services, while events of theirs are not yet
// delivered; after them, that region's chain of digests ends.
func TestWhatHappenedBeforeATrailIsOfItsRegionOnlyIsDelivered(t *testing.T) {
	h := open(t)
	away := alice.in("eu-west-1")
	h.start(alice, cloudtrail.CreateTrailInput{Name: new("wide"), EnableLogFileValidation: new(true), IsMultiRegionTrail: new(true)})
	h.followed()
	h.stopTrails()
	global := alice.record(h.clock.Now(), "CreateUser")
	global.EventSource = "iam.amazonaws.com"
	h.commit(global)
	h.happen(away, "Far")
	h.clock.Advance(time.Millisecond)
	do[cloudtrail.UpdateTrailOutput](h, alice, "UpdateTrail", &cloudtrail.UpdateTrailInput{Name: new("wide"), IsMultiRegionTrail: new(false), IncludeGlobalServiceEvents: new(false)})
	h.happen(away, "FarAfter")
	global.EventName, global.EventTime = "DeleteUser", h.clock.Now()
	h.commit(global)
	h.begin()
	h.hasFiles(alice, *alice.bucket(), "/CloudTrail/us-east-1/", "StartLogging", "CreateUser", "UpdateTrail")
	h.hasFiles(alice, *alice.bucket(), "/CloudTrail/eu-west-1/", "Far")

	h.clock.Advance(5 * time.Hour)
	h.until("digests of five hours", func() bool { return len(h.keys(alice, *alice.bucket(), vigil.DigestFolder+"/us-east-1/")) >= 5 })
	r := h.verify(alice, "wide", "eu-west-1")
	if n := len(h.keys(alice, *alice.bucket(), vigil.DigestFolder+"/eu-west-1/")); n != 1 || !r.OK() || len(r.Unlisted) > 0 {
		t.Errorf("%d digests of the other region; %v, %+v", n, r.Findings, r)
	}

	// The region's chain begins anew when the trail is of all regions again.
	h.widen()
	h.happen(away, "FarAgain")
	h.clock.Advance(2 * time.Hour)
	h.until("a digest of the region", func() bool { return len(h.keys(alice, *alice.bucket(), vigil.DigestFolder+"/eu-west-1/")) > 1 })
	if r := h.verify(alice, "wide", "eu-west-1"); !r.OK() || len(r.Unlisted) > 0 || len(r.Chains) != 3 {
		t.Errorf("%v, %+v", r.Findings, r)
	}
}

// widen has the trail be of all regions.
func (h *house) widen() {
	h.Helper()
	do[cloudtrail.UpdateTrailOutput](h, alice, "UpdateTrail", &cloudtrail.UpdateTrailInput{Name: new("wide"), IsMultiRegionTrail: new(true), IncludeGlobalServiceEvents: new(true)})
}

// TestAllRegionsSayThatTheBucketIsAway has files of two regions wait for one bucket.
func TestAllRegionsSayThatTheBucketIsAway(t *testing.T) {
	h := open(t)
	h.start(alice, cloudtrail.CreateTrailInput{Name: new("wide"), EnableLogFileValidation: new(true), IsMultiRegionTrail: new(true)})
	h.happen(alice, "Near")
	h.happen(alice.in("eu-west-1"), "Far")
	h.hasFiles(alice, *alice.bucket(), "/CloudTrail/eu-west-1/", "Far")
	h.buckets.failing(func(string) (error, error) { return &call.Error{Code: "AccessDenied", Status: 403}, nil })
	h.happen(alice, "Near")
	h.happen(alice.in("eu-west-1"), "Far")
	h.followed()
	h.clock.Advance(10 * time.Minute)
	for _, region := range []string{"us-east-1", "eu-west-1"} {
		h.until("the error in "+region, func() bool {
			failure := h.status(alice.in(region), alice.trail("wide")).LatestDeliveryError
			return failure != nil && *failure == "AccessDenied"
		})
	}
	if s := h.status(alice.in("us-west-2"), alice.trail("wide")); s.LatestDeliveryError != nil {
		t.Errorf("status of a region without files: %+v", s)
	}
	h.buckets.failing(nil)
	h.hasFiles(alice, *alice.bucket(), "/CloudTrail/eu-west-1/", "Far", "Far")
	for _, region := range []string{"us-east-1", "eu-west-1"} {
		h.until("no error in "+region, func() bool { return h.status(alice.in(region), alice.trail("wide")).LatestDeliveryError == nil })
	}
}
