package selectors

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
)

// Limits of basic selectors, as the CloudTrail user guide has them under "Quotas".
const (
	maxBasic         = 5
	maxDataResources = 250
)

// excludable are the services whose management events a trail may leave out.
var excludable = []string{"kms.amazonaws.com", "rdsdata.amazonaws.com"}

// Basic compiles basic selectors. It fills in what AWS fills in for members that are not given, in place.
func Basic(list []types.EventSelector) (*Set, error) {
	if len(list) == 0 || len(list) > maxBasic {
		return nil, fmt.Errorf("a trail has between 1 and %d event selectors, not %d", maxBasic, len(list))
	}
	set, resources := new(Set), 0
	for i := range list {
		one := &list[i]
		fillBasic(one)
		resources += countValues(one.DataResources)
		compiled, err := compileBasic(one)
		if err != nil {
			return nil, err
		}
		set.any = append(set.any, compiled...)
	}
	if resources > maxDataResources {
		return nil, fmt.Errorf("the event selectors of a trail name at most %d data resources, not %d", maxDataResources, resources)
	}
	return set, nil
}

func fillBasic(s *types.EventSelector) {
	if s.ReadWriteType == "" {
		s.ReadWriteType = types.ReadWriteTypeAll
	}
	if s.IncludeManagementEvents == nil {
		s.IncludeManagementEvents = aws.Bool(true)
	}
	if s.DataResources == nil {
		s.DataResources = []types.DataResource{}
	}
	if s.ExcludeManagementEventSources == nil {
		s.ExcludeManagementEventSources = []string{}
	}
}

func countValues(resources []types.DataResource) (n int) {
	for _, r := range resources {
		n += len(r.Values)
	}
	return n
}

func compileBasic(s *types.EventSelector) ([]selector, error) {
	var base selector
	switch s.ReadWriteType {
	case types.ReadWriteTypeAll:
	case types.ReadWriteTypeReadOnly:
		base.readOnly = aws.Bool(true)
	case types.ReadWriteTypeWriteOnly:
		base.readOnly = aws.Bool(false)
	default:
		return nil, fmt.Errorf("ReadWriteType is All, ReadOnly or WriteOnly, not %q", s.ReadWriteType)
	}
	for _, source := range s.ExcludeManagementEventSources {
		if !slices.Contains(excludable, source) {
			return nil, fmt.Errorf("ExcludeManagementEventSources may name %s, not %q", strings.Join(excludable, " and "), source)
		}
	}
	var all []selector
	if *s.IncludeManagementEvents {
		management := base
		management.category = Management
		if len(s.ExcludeManagementEventSources) > 0 {
			management.fields = []fieldTest{{values["eventSource"], condition{deselects: operators{equals: slices.Clone(s.ExcludeManagementEventSources)}}}}
		}
		all = append(all, management)
	}
	for _, r := range s.DataResources {
		data := base
		data.category, data.resourceType = Data, aws.ToString(r.Type)
		var err error
		if data.resourceARN, err = basicResources(data.resourceType, r.Values); err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

// basicTypes are the types of resources that basic selectors know, with what the ARNs of all of them begin with.
var basicTypes = map[string]string{
	"AWS::S3::Object":       "arn:aws:s3",
	"AWS::Lambda::Function": "arn:aws:lambda",
	"AWS::DynamoDB::Table":  "arn:aws:dynamodb",
}

// basicResources is the condition that resources of a type are among the values: objects by what their ARN begins with, and
// others by their own ARN; the service's prefix stands for all.
func basicResources(typ string, list []string) (*condition, error) {
	all, known := basicTypes[typ]
	if !known {
		return nil, fmt.Errorf("a data resource of an event selector has the type AWS::S3::Object, AWS::Lambda::Function or AWS::DynamoDB::Table, not %q", typ)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("a data resource of type %s has no values", typ)
	}
	c := new(condition)
	for _, value := range list {
		switch {
		case value == all:
			return nil, nil
		case !strings.HasPrefix(value, all+":"):
			return nil, fmt.Errorf("value %q of a data resource of type %s is not an ARN of that service", value, typ)
		case typ == "AWS::S3::Object":
			if bucket, _, path := strings.Cut(strings.TrimPrefix(value, "arn:aws:s3:::"), "/"); bucket != "" && !path {
				return nil, fmt.Errorf("value %q of a data resource names a bucket: its objects are %q", value, value+"/")
			}
			c.selects.begins = append(c.selects.begins, value)
		default:
			c.selects.equals = append(c.selects.equals, value)
		}
	}
	return c, nil
}
