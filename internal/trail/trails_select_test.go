package trail_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
)

func TestSelectorsSayWhatATrailTakes(t *testing.T) {
	h := open(t)
	h.createGroup(alice, "events")
	h.createTrail(alice, "mine", "events", false)
	h.happen(alice, "All")
	writes := []types.EventSelector{{ReadWriteType: types.ReadWriteTypeReadOnly}}
	do[cloudtrail.PutEventSelectorsOutput](h, alice, "PutEventSelectors", &cloudtrail.PutEventSelectorsInput{TrailName: new("mine"), EventSelectors: writes})
	read := alice.record(h.clock.Now(), "Read")
	read.ReadOnly = true
	h.commit(read)
	h.happen(alice, "Write")
	got := h.delivered(alice, "events", "111122223333_CloudTrail_us-east-1")
	h.is("the last of the stream", got[len(got)-2:], "All", "Read")

	// The selectors are another trail's no matter, and its deletion takes them away.
	do[cloudtrail.DeleteTrailOutput](h, alice, "DeleteTrail", &cloudtrail.DeleteTrailInput{Name: new("mine")})
	h.createTrail(alice, "mine", "events", false)
	out := do[cloudtrail.GetEventSelectorsOutput](h, alice, "GetEventSelectors", &cloudtrail.GetEventSelectorsInput{TrailName: new("mine")})
	if len(out.EventSelectors) != 1 || out.EventSelectors[0].ReadWriteType != types.ReadWriteTypeAll {
		t.Errorf("a new trail has the selectors %+v", out)
	}
}

// Whoever changes the selectors cannot hide what has happened and is not delivered yet.
func TestSelectorsDoNotReachIntoThePast(t *testing.T) {
	h := open(t)
	h.createGroup(alice, "events")
	h.createTrail(alice, "mine", "events", false)
	h.followed()
	h.stopTrails()
	h.happen(alice, "Before")
	do[cloudtrail.PutEventSelectorsOutput](h, alice, "PutEventSelectors", &cloudtrail.PutEventSelectorsInput{TrailName: new("mine"),
		EventSelectors: []types.EventSelector{{ExcludeManagementEventSources: []string{"kms.amazonaws.com"}}}})
	h.happen(alice, "After")
	h.begin()
	got := h.delivered(alice, "events", "111122223333_CloudTrail_us-east-1")
	if !slices.Contains(got, "Before") || slices.Contains(got, "After") {
		t.Errorf("delivered: %q", got)
	}
}

func TestTrailsAskForDataEvents(t *testing.T) {
	h := open(t)
	asks := func(want bool) {
		t.Helper()
		if got := h.trail.AsksForData(alice.account, "AWS::S3::Object"); got != want {
			t.Errorf("asks: %v", got)
		}
	}
	asks(false)
	h.createGroup(alice, "events")
	h.createTrail(alice, "mine", "events", false)
	asks(false)
	put := &cloudtrail.PutEventSelectorsInput{TrailName: new("mine"), EventSelectors: []types.EventSelector{{
		DataResources: []types.DataResource{{Type: new("AWS::S3::Object"), Values: []string{"arn:aws:s3"}}}}}}
	do[cloudtrail.PutEventSelectorsOutput](h, alice, "PutEventSelectors", put)
	asks(true)
	if h.trail.AsksForData(bob.account, "AWS::S3::Object") || h.trail.AsksForData(alice.account, "AWS::SNS::Topic") {
		t.Error("others ask too")
	}
	h.stopTrails()
	h.begin() // a new process
	asks(true)
	do[cloudtrail.StopLoggingOutput](h, alice, "StopLogging", &cloudtrail.StopLoggingInput{Name: new("mine")})
	asks(false)
	do[cloudtrail.StartLoggingOutput](h, alice, "StartLogging", &cloudtrail.StartLoggingInput{Name: new("mine")})
	asks(true)
	do[cloudtrail.DeleteTrailOutput](h, alice, "DeleteTrail", &cloudtrail.DeleteTrailInput{Name: new("mine")})
	asks(false)
}

func TestTagsOfTrails(t *testing.T) {
	h := open(t)
	tag := func(key, value string) types.Tag { return types.Tag{Key: &key, Value: &value} }
	do[cloudtrail.CreateTrailOutput](h, alice, "CreateTrail", &cloudtrail.CreateTrailInput{Name: new("mine"), S3BucketName: alice.bucket(),
		TagsList: []types.Tag{tag("team", "red"), tag("cost", "1")}})
	arn := alice.trail("mine")
	tags := func() (all []string) {
		t.Helper()
		for _, list := range do[cloudtrail.ListTagsOutput](h, alice, "ListTags", &cloudtrail.ListTagsInput{ResourceIdList: []string{*arn}}).ResourceTagList {
			for _, one := range list.TagsList {
				all = append(all, *list.ResourceId+" "+*one.Key+"="+*one.Value)
			}
		}
		return all
	}
	h.is("at first", tags(), *arn+" cost=1", *arn+" team=red")
	do[cloudtrail.AddTagsOutput](h, alice, "AddTags", &cloudtrail.AddTagsInput{ResourceId: arn, TagsList: []types.Tag{tag("team", "blue"), tag("stage", "")}})
	h.is("added", tags(), *arn+" cost=1", *arn+" stage=", *arn+" team=blue")
	do[cloudtrail.RemoveTagsOutput](h, alice, "RemoveTags", &cloudtrail.RemoveTagsInput{ResourceId: arn, TagsList: []types.Tag{{Key: new("cost")}, {Key: new("unknown")}}})
	h.is("removed", tags(), *arn+" stage=", *arn+" team=blue")

	var many []types.Tag
	for i := range 49 {
		many = append(many, tag(fmt.Sprint(i), ""))
	}
	h.refused(alice, "AddTags", &cloudtrail.AddTagsInput{ResourceId: arn, TagsList: many}, "TagsLimitExceededException")
	h.is("none of too many", tags(), *arn+" stage=", *arn+" team=blue")
	do[cloudtrail.AddTagsOutput](h, alice, "AddTags", &cloudtrail.AddTagsInput{ResourceId: arn, TagsList: many[:48]})
	h.refused(alice, "AddTags", &cloudtrail.AddTagsInput{ResourceId: arn, TagsList: []types.Tag{tag("a", ""), tag("a", "")}}, "InvalidTagParameterException")
	h.refused(alice, "AddTags", &cloudtrail.AddTagsInput{ResourceId: new("mine"), TagsList: many[:1]}, "CloudTrailARNInvalidException")
	h.refused(alice, "AddTags", &cloudtrail.AddTagsInput{ResourceId: alice.trail("other"), TagsList: many[:1]}, "ResourceNotFoundException")
	h.refused(bob, "AddTags", &cloudtrail.AddTagsInput{ResourceId: arn, TagsList: many[:1]}, "AccessDeniedException")
	h.refused(alice, "ListTags", &cloudtrail.ListTagsInput{ResourceIdList: []string{*arn, *alice.trail("other")}}, "ResourceNotFoundException")
	h.refused(alice, "AddTags", &cloudtrail.AddTagsInput{ResourceId: new("arn:aws:cloudtrail:us-east-1:111122223333:dashboard/d"), TagsList: many[:1]}, "ResourceTypeNotSupportedException")
}
