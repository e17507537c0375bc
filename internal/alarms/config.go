package alarms

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"vigil/internal/arn"
)

// config is what PutMetricAlarm says. Its JSON is kept in the database and shown in the history.
type config struct {
	ActionsEnabled                   bool                     `json:"actionsEnabled"`
	AlarmActions                     []string                 `json:"alarmActions"`
	AlarmDescription                 *string                  `json:"alarmDescription,omitempty"`
	ComparisonOperator               types.ComparisonOperator `json:"comparisonOperator"`
	DatapointsToAlarm                *int32                   `json:"datapointsToAlarm,omitempty"`
	Dimensions                       []Dimension              `json:"dimensions"`
	EvaluateLowSampleCountPercentile string                   `json:"evaluateLowSampleCountPercentile,omitempty"`
	EvaluationPeriods                int32                    `json:"evaluationPeriods"`
	ExtendedStatistic                string                   `json:"extendedStatistic,omitempty"`
	InsufficientDataActions          []string                 `json:"insufficientDataActions"`
	MetricName                       string                   `json:"metricName"`
	Namespace                        string                   `json:"namespace"`
	OKActions                        []string                 `json:"okActions"`
	Period                           int32                    `json:"period"` // seconds
	Statistic                        types.Statistic          `json:"statistic,omitempty"`
	Threshold                        float64                  `json:"threshold"`
	TreatMissingData                 string                   `json:"treatMissingData,omitempty"`
	Unit                             types.StandardUnit       `json:"unit,omitempty"`
}

const (
	lowSamplesIgnore   = "ignore"
	lowSamplesEvaluate = "evaluate"
)

// alarm is an alarm as it is configured. It does not change.
type alarm struct {
	alarmID
	id               int64
	created, updated int64 // milliseconds since 1970
	config
	text string // the configuration's JSON
}

func (one *alarm) parse(text string) error {
	one.text = text
	return json.Unmarshal([]byte(text), &one.config)
}

func (c *config) period() time.Duration { return time.Duration(c.Period) * time.Second }

// toAlarm is how many points have to breach.
func (c *config) toAlarm() int {
	if c.DatapointsToAlarm != nil {
		return int(*c.DatapointsToAlarm)
	}
	return int(c.EvaluationPeriods)
}

func (c *config) stat() string {
	if c.ExtendedStatistic != "" {
		return c.ExtendedStatistic
	}
	return string(c.Statistic)
}

// actions are those of a state.
func (c *config) actions(s types.StateValue) []string {
	switch s {
	case types.StateValueAlarm:
		return c.AlarmActions
	case types.StateValueOk:
		return c.OKActions
	}
	return c.InsufficientDataActions
}

// arn is the alarm's name in AWS: arn:aws:cloudwatch:us-east-1:111122223333:alarm:name.
func (id alarmID) arn() string {
	return arn.New("cloudwatch", id.region, id.account, "alarm:"+id.name).String()
}

// describe is the alarm as the API shows it.
func (one *alarm) describe(s *state) types.MetricAlarm {
	m := types.MetricAlarm{
		ActionsEnabled:                     &one.ActionsEnabled,
		AlarmActions:                       one.AlarmActions,
		AlarmArn:                           aws.String(one.arn()),
		AlarmConfigurationUpdatedTimestamp: fromMillis(one.updated),
		AlarmDescription:                   one.AlarmDescription,
		AlarmName:                          &one.name,
		ComparisonOperator:                 one.ComparisonOperator,
		DatapointsToAlarm:                  one.DatapointsToAlarm,
		Dimensions:                         []types.Dimension{},
		EvaluateLowSampleCountPercentile:   optional(one.EvaluateLowSampleCountPercentile),
		EvaluationPeriods:                  &one.EvaluationPeriods,
		ExtendedStatistic:                  optional(one.ExtendedStatistic),
		InsufficientDataActions:            one.InsufficientDataActions,
		MetricName:                         &one.MetricName,
		Namespace:                          &one.Namespace,
		OKActions:                          one.OKActions,
		Period:                             &one.Period,
		StateReason:                        &s.reason,
		StateReasonData:                    optional(s.data),
		StateTransitionedTimestamp:         fromMillis(s.transitioned),
		StateUpdatedTimestamp:              fromMillis(s.updated),
		StateValue:                         s.value,
		Statistic:                          one.Statistic,
		Threshold:                          &one.Threshold,
		TreatMissingData:                   optional(one.TreatMissingData),
		Unit:                               one.Unit,
	}
	for _, d := range one.Dimensions {
		m.Dimensions = append(m.Dimensions, types.Dimension{Name: &d.Name, Value: &d.Value})
	}
	return m
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func fromMillis(ms int64) *time.Time {
	t := time.UnixMilli(ms).UTC()
	return &t
}

// marshal is JSON with < and > as they are.
func marshal(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // what is given here are structs of texts and finite numbers
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
