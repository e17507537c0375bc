package alarms

import (
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/google/uuid"
)

// subject is that of CloudWatch's notifications.
func (t transition) subject() string {
	return string(t.new.value) + `: "` + t.alarm.name + `" in ` + regionName(t.alarm.region)
}

// message is the text that CloudWatch publishes to topics.
func (t transition) message() []byte {
	one := t.alarm
	type dimension struct {
		Value string `json:"value"`
		Name  string `json:"name"`
	}
	type trigger struct {
		MetricName, Namespace, StatisticType string
		Statistic                            string `json:",omitempty"`
		ExtendedStatistic                    string `json:",omitempty"`
		Unit                                 *string
		Dimensions                           []dimension
		Period, EvaluationPeriods            int32
		DatapointsToAlarm                    *int32 `json:",omitempty"`
		ComparisonOperator                   types.ComparisonOperator
		Threshold                            double
		TreatMissingData                     string
		EvaluateLowSampleCountPercentile     string
	}
	tr := trigger{
		MetricName: one.MetricName, Namespace: one.Namespace, StatisticType: "Statistic", Statistic: strings.ToUpper(string(one.Statistic)),
		Unit: optional(string(one.Unit)), Dimensions: []dimension{}, Period: one.Period, EvaluationPeriods: one.EvaluationPeriods,
		DatapointsToAlarm: one.DatapointsToAlarm, ComparisonOperator: one.ComparisonOperator, Threshold: double(one.Threshold),
		TreatMissingData: treatMissing, EvaluateLowSampleCountPercentile: one.EvaluateLowSampleCountPercentile,
	}
	if one.TreatMissingData != "" {
		tr.TreatMissingData = one.TreatMissingData
	}
	if one.ExtendedStatistic != "" {
		tr.StatisticType, tr.ExtendedStatistic = "ExtendedStatistic", one.ExtendedStatistic
	}
	for _, d := range one.Dimensions {
		tr.Dimensions = append(tr.Dimensions, dimension{d.Value, d.Name})
	}
	return marshal(struct {
		AlarmName                                         string
		AlarmDescription                                  *string
		AWSAccountId, AlarmConfigurationUpdatedTimestamp  string
		NewStateValue                                     types.StateValue
		NewStateReason, StateChangeTime, Region, AlarmArn string
		OldStateValue                                     types.StateValue
		OKActions, AlarmActions, InsufficientDataActions  []string
		ActionExecutedAfterMuteWindow                     bool
		Trigger                                           trigger
	}{
		one.name, one.AlarmDescription, one.account, stampMillis(one.updated), t.new.value, t.new.reason, stampMillis(t.new.updated),
		regionName(one.region), one.arn(), t.old.value, one.OKActions, one.AlarmActions, one.InsufficientDataActions, false, tr,
	})
}

type eventState struct {
	Value      types.StateValue `json:"value"`
	Reason     string           `json:"reason"`
	ReasonData string           `json:"reasonData,omitempty"`
	Timestamp  string           `json:"timestamp"`
}

func (s *state) event() eventState {
	return eventState{s.value, s.reason, s.data, stampMillis(s.updated)}
}

// event is "CloudWatch Alarm State Change" of EventBridge.
func (t transition) event() []byte {
	one := t.alarm
	dimensions := map[string]string{}
	for _, d := range one.Dimensions {
		dimensions[d.Name] = d.Value
	}
	configuration := map[string]any{"metrics": []any{map[string]any{
		// The id is made up by CloudWatch; here it is the same each time.
		"id": uuid.NewSHA1(uuid.NameSpaceURL, []byte(one.arn())).String(),
		"metricStat": map[string]any{
			"metric": map[string]any{"namespace": one.Namespace, "name": one.MetricName, "dimensions": dimensions},
			"period": one.Period, "stat": one.stat(),
		},
		"returnData": true,
	}}}
	if one.AlarmDescription != nil {
		configuration["description"] = *one.AlarmDescription
	}
	return marshal(map[string]any{
		"version": "0", "id": uuid.NewString(), "detail-type": "CloudWatch Alarm State Change", "source": "aws.cloudwatch",
		"account": one.account, "time": time.UnixMilli(t.new.updated).UTC().Format(time.RFC3339), "region": one.region,
		"resources": []string{one.arn()},
		"detail": map[string]any{
			"alarmName": one.name, "state": t.new.event(), "previousState": t.old.event(), "configuration": configuration,
		},
	})
}

func stampMillis(ms int64) string { return stamp(time.UnixMilli(ms)) }

// regionName is how CloudWatch's messages name a region; one that is not known stays as it is.
func regionName(region string) string {
	if name, ok := regionNames[region]; ok {
		return name
	}
	return region
}

var regionNames = map[string]string{
	"us-east-1": "US East (N. Virginia)", "us-east-2": "US East (Ohio)", "us-west-1": "US West (N. California)", "us-west-2": "US West (Oregon)",
	"eu-west-1": "EU (Ireland)", "eu-west-2": "EU (London)", "eu-west-3": "EU (Paris)", "eu-central-1": "EU (Frankfurt)", "eu-north-1": "EU (Stockholm)",
	"ap-southeast-1": "Asia Pacific (Singapore)", "ap-southeast-2": "Asia Pacific (Sydney)", "ap-northeast-1": "Asia Pacific (Tokyo)",
	"ap-northeast-2": "Asia Pacific (Seoul)", "ap-south-1": "Asia Pacific (Mumbai)", "ca-central-1": "Canada (Central)",
	"sa-east-1": "South America (Sao Paulo)",
}
