package trail

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"

	"vigil/internal/call"
	"vigil/internal/policy"
)

// describe is the trail as DescribeTrails and GetTrail show it.
func (t *aTrail) describe() types.Trail {
	return types.Trail{
		CloudWatchLogsLogGroupArn:  unlessEmpty(t.groupARN),
		CloudWatchLogsRoleArn:      unlessEmpty(t.roleARN),
		HasCustomEventSelectors:    aws.Bool(t.isCustom()),
		HasInsightSelectors:        aws.Bool(len(t.insights) > 0),
		HomeRegion:                 aws.String(t.home),
		IncludeGlobalServiceEvents: aws.Bool(t.global),
		IsMultiRegionTrail:         aws.Bool(t.everywhere),
		IsOrganizationTrail:        aws.Bool(false),
		KmsKeyId:                   unlessEmpty(t.kmsKey),
		LogFileValidationEnabled:   aws.Bool(t.validated()),
		Name:                       aws.String(t.name),
		S3BucketName:               aws.String(t.bucket),
		S3KeyPrefix:                unlessEmpty(t.prefix),
		SnsTopicARN:                unlessEmpty(t.topicARN),
		//lint:ignore SA1019 CloudTrail still answers with it
		SnsTopicName: unlessEmpty(t.topicName()),
		TrailARN:     aws.String(t.arn().String()),
	}
}

func unlessEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// DescribeTrails shows the trails of the called region, shadow trails among them unless they are not wanted. Those that are
// named are shown alone, by a name in this region or by an ARN in any; unknown ones are left out.
func (t *Trail) DescribeTrails(_ context.Context, c *call.Call, in *cloudtrail.DescribeTrailsInput) (*cloudtrail.DescribeTrailsOutput, error) {
	if err := c.Allow("cloudtrail:DescribeTrails", policy.Resource{ARN: "*", Account: c.Account()}, nil); err != nil {
		return nil, err
	}
	named := make([]trailName, len(in.TrailNameList))
	for i, text := range in.TrailNameList {
		var err error
		if named[i], err = parseTrailName(c, text); err != nil {
			return nil, err
		}
	}
	wanted := func(one *aTrail) bool {
		if len(named) == 0 {
			return one.isIn(c.Region)
		}
		for _, name := range named {
			if name.names(one) {
				return true
			}
		}
		return false
	}
	shadows := in.IncludeShadowTrails == nil || *in.IncludeShadowTrails
	out := &cloudtrail.DescribeTrailsOutput{TrailList: []types.Trail{}}
	for _, one := range t.trailsOf(c.Account()) {
		if wanted(one) && (shadows || one.home == c.Region) {
			out.TrailList = append(out.TrailList, one.describe())
		}
	}
	return out, nil
}

// GetTrail shows a trail, by its name in its home region or by its ARN in any.
func (t *Trail) GetTrail(_ context.Context, c *call.Call, in *cloudtrail.GetTrailInput) (*cloudtrail.GetTrailOutput, error) {
	found, err := t.named(c, "GetTrail", aws.ToString(in.Name))
	if err != nil {
		return nil, err
	}
	d := found.describe()
	return &cloudtrail.GetTrailOutput{Trail: &d}, nil
}

// ListTrails names the account's trails of all regions, in one answer.
func (t *Trail) ListTrails(_ context.Context, c *call.Call, in *cloudtrail.ListTrailsInput) (*cloudtrail.ListTrailsOutput, error) {
	if err := c.Allow("cloudtrail:ListTrails", policy.Resource{ARN: "*", Account: c.Account()}, nil); err != nil {
		return nil, err
	}
	if in.NextToken != nil {
		return nil, call.Errorf("InvalidNextTokenException", "The token is not valid: all trails are listed in one answer.")
	}
	out := &cloudtrail.ListTrailsOutput{Trails: []types.TrailInfo{}}
	for _, one := range t.trailsOf(c.Account()) {
		out.Trails = append(out.Trails, types.TrailInfo{HomeRegion: aws.String(one.home), Name: aws.String(one.name), TrailARN: aws.String(one.arn().String())})
	}
	return out, nil
}
