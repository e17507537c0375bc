package alarms

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

// Point is a statistic of one period.
type Point struct {
	Time        time.Time // when the period begins
	Value       float64
	SampleCount float64
}

// slot is a period of the evaluation range, with its point if there is one.
type slot struct {
	time  time.Time
	point *Point
}

// more is how many periods beyond EvaluationPeriods are looked at for real points. CloudWatch's documentation shows 5 for 3 and gives
// no formula.
const more = 2

// rangeOf is the length of the evaluation range in periods.
func (c *config) rangeOf() int { return int(c.EvaluationPeriods) + more }

// The treatments of missing data.
const (
	treatMissing      = "missing"
	treatIgnore       = "ignore"
	treatBreaching    = "breaching"
	treatNotBreaching = "notBreaching"
)

func (c *config) treatment() string {
	switch {
	case c.Namespace == "AWS/DynamoDB": // whatever is configured, says CloudWatch's documentation
		return treatIgnore
	case c.TreatMissingData == "":
		return treatMissing
	}
	return c.TreatMissingData
}

// verdict is what an evaluation comes to.
type verdict struct {
	state  types.StateValue // "" to keep the state
	used   []*Point         // real points that were evaluated, oldest first
	filled int              // missing points that stood in for real ones
}

// evaluate judges the periods of the evaluation range, oldest first. It follows "Configuring how CloudWatch alarms treat missing data"
// of the user guide: the newest real points decide; only when there are fewer than EvaluationPeriods are others made up.
func (c *config) evaluate(slots []slot) verdict {
	n := int(c.EvaluationPeriods)
	var v verdict
	oldest := 0 // age of the oldest real point, in periods; that of the newest period is 1
	for i, s := range slots {
		if s.point == nil {
			continue
		}
		if len(v.used) == 0 {
			oldest = len(slots) - i
		}
		v.used = append(v.used, s.point)
	}
	v.used = v.used[max(0, len(v.used)-n):]
	v.filled = n - len(v.used)
	if c.tooFewSamples(v.used) {
		return v
	}
	v.state = c.judge(v, oldest)
	return v
}

func (c *config) judge(v verdict, oldest int) types.StateValue {
	m, breaching := c.toAlarm(), c.breaching(v.used)
	if v.filled > 0 && c.treatment() == treatBreaching {
		breaching += v.filled
	}
	switch {
	case breaching >= m:
		return types.StateValueAlarm
	case v.filled == 0 || c.treatment() == treatBreaching || c.treatment() == treatNotBreaching:
		return types.StateValueOk
	case len(v.used) == 0 && c.treatment() == treatMissing:
		return types.StateValueInsufficientData
	case len(v.used) > breaching:
		return types.StateValueOk
	case c.treatment() == treatMissing && len(v.used) > 0 && oldest >= m:
		// Every real point breaches, and the first of them would have had time for enough others: that they are missing is no reason
		// to stay calm.
		return types.StateValueAlarm
	}
	return "" // a few breaching points that are too new to alarm, or nothing at all
}

// breaching is how many points breach.
func (c *config) breaching(points []*Point) (n int) {
	for _, p := range points {
		if c.breaches(p.Value) {
			n++
		}
	}
	return n
}

func (c *config) breaches(value float64) bool {
	switch c.ComparisonOperator {
	case types.ComparisonOperatorGreaterThanOrEqualToThreshold:
		return value >= c.Threshold
	case types.ComparisonOperatorGreaterThanThreshold:
		return value > c.Threshold
	case types.ComparisonOperatorLessThanThreshold:
		return value < c.Threshold
	default:
		return value <= c.Threshold
	}
}

// tooFewSamples says that a percentile is not to be judged: a point is of less than 10/(1-p) values, or 10/p below the median.
func (c *config) tooFewSamples(points []*Point) bool {
	if c.EvaluateLowSampleCountPercentile != lowSamplesIgnore || !strings.HasPrefix(c.ExtendedStatistic, "p") {
		return false
	}
	percent, err := strconv.ParseFloat(c.ExtendedStatistic[1:], 64)
	if err != nil {
		return false
	}
	rest := percent // of 100, in the smaller of the two parts
	if percent >= 50 {
		rest = 100 - percent
	}
	if rest <= 0 {
		return false
	}
	for _, p := range points {
		if p.SampleCount < math.Round(1000/rest*1e6)/1e6 {
			return true
		}
	}
	return false
}

// reason tells in CloudWatch's words why a state comes after another.
func (c *config) reason(old types.StateValue, v verdict) string {
	if v.state == types.StateValueInsufficientData {
		return fmt.Sprintf("Insufficient Data: %s unknown.", were(v.filled, "datapoint"))
	}
	if len(v.used) == 0 {
		treated := "NonBreaching"
		if v.state == types.StateValueAlarm {
			treated = "Breaching"
		}
		return fmt.Sprintf("Threshold Crossed: no datapoints were received for %s and %s treated as [%s].",
			count(v.filled, "period"), were(v.filled, "missing datapoint"), treated)
	}
	alarm := v.state == types.StateValueAlarm
	var listed []string // those that speak for the new state, newest first
	for i := len(v.used) - 1; i >= 0; i-- {
		if p := v.used[i]; c.breaches(p.Value) == alarm {
			listed = append(listed, fmt.Sprintf("%s (%s)", double(p.Value), p.Time.UTC().Format("02/01/06 15:04:05")))
		}
	}
	if len(listed) == 0 { // what was made up decided alone
		return fmt.Sprintf("Threshold Crossed: %s treated as [%s].", were(v.filled, "missing datapoint"), treatedAs(alarm))
	}
	verb := "was"
	if len(listed) > 1 {
		verb = "were"
	}
	if !alarm {
		verb += " not"
	}
	compared := fmt.Sprintf("[%s] %s %s the threshold (%s)", strings.Join(listed, ", "), verb, comparisons[c.ComparisonOperator], double(c.Threshold))
	if old == types.StateValueInsufficientData {
		return fmt.Sprintf("Threshold Crossed: %s %s.", count(len(listed), "datapoint"), compared)
	}
	least := c.toAlarm()
	if !alarm {
		least = int(c.EvaluationPeriods) - least + 1
	}
	return fmt.Sprintf("Threshold Crossed: %d out of the last %d datapoints %s (minimum %s for %s -> %s transition).",
		len(listed), len(v.used), compared, count(least, "datapoint"), old, v.state)
}

var comparisons = map[types.ComparisonOperator]string{
	types.ComparisonOperatorGreaterThanOrEqualToThreshold: "greater than or equal to",
	types.ComparisonOperatorGreaterThanThreshold:          "greater than",
	types.ComparisonOperatorLessThanThreshold:             "less than",
	types.ComparisonOperatorLessThanOrEqualToThreshold:    "less than or equal to",
}

func treatedAs(breaching bool) string {
	if breaching {
		return "Breaching"
	}
	return "NonBreaching"
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func were(n int, what string) string {
	if n == 1 {
		return count(n, what) + " was"
	}
	return count(n, what) + " were"
}

// reasonData is StateReasonData.
type reasonData struct {
	Version             string      `json:"version"`
	QueryDate           string      `json:"queryDate"`
	StartDate           string      `json:"startDate,omitempty"`
	Unit                string      `json:"unit,omitempty"`
	Statistic           string      `json:"statistic,omitempty"`
	ExtendedStatistic   string      `json:"extendedStatistic,omitempty"`
	Period              int32       `json:"period"`
	RecentDatapoints    []double    `json:"recentDatapoints"`
	Threshold           double      `json:"threshold"`
	EvaluatedDatapoints []evaluated `json:"evaluatedDatapoints"`
}

type evaluated struct {
	Timestamp   string  `json:"timestamp"`
	SampleCount *double `json:"sampleCount,omitempty"`
	Value       *double `json:"value,omitempty"`
}

// reasonData gives the points that were evaluated, and when; newest first among the evaluated, as CloudWatch does.
func (c *config) reasonData(slots []slot, v verdict, at time.Time) []byte {
	d := reasonData{
		Version: "1.0", QueryDate: stamp(at), Unit: string(c.Unit), Statistic: string(c.Statistic), ExtendedStatistic: c.ExtendedStatistic,
		Period: c.Period, RecentDatapoints: []double{}, Threshold: double(c.Threshold),
	}
	for _, p := range v.used {
		if d.StartDate == "" {
			d.StartDate = stamp(p.Time)
		}
		d.RecentDatapoints = append(d.RecentDatapoints, double(p.Value))
	}
	for i := len(v.used) - 1; i >= 0; i-- {
		p := v.used[i]
		value, samples := double(p.Value), double(p.SampleCount)
		d.EvaluatedDatapoints = append(d.EvaluatedDatapoints, evaluated{stamp(p.Time), &samples, &value})
	}
	if len(v.used) == 0 {
		for i := range min(int(c.EvaluationPeriods), maxMissingListed) {
			d.EvaluatedDatapoints = append(d.EvaluatedDatapoints, evaluated{Timestamp: stamp(slots[len(slots)-1-i].time)})
		}
	}
	data := marshal(d)
	if len(data) > maxReasonData {
		d.EvaluatedDatapoints = nil
		data = marshal(d)
	}
	return data
}

const (
	maxReasonData    = 4000 // bytes, says the API's model
	maxMissingListed = 50
)

// double is a number as CloudWatch writes it, which is Java's way: 21.0, 1.0E7.
type double float64

func (d double) String() string {
	f := float64(d)
	if a := math.Abs(f); a != 0 && (a < 1e-3 || a >= 1e7) {
		mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'E', -1, 64), "E")
		if !strings.Contains(mantissa, ".") {
			mantissa += ".0"
		}
		e, _ := strconv.Atoi(exponent)
		return mantissa + "E" + strconv.Itoa(e)
	}
	text := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

// MarshalJSON implements json.Marshaler.
func (d double) MarshalJSON() ([]byte, error) { return []byte(d.String()), nil }

// stamp is a time as it is in CloudWatch's JSON.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000+0000") }
