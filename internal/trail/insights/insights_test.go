package insights

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"vigil"
)

// call is n calls of an operation in a minute.
type calls struct {
	name, failure, caller string
	reads                 bool
	n                     int
}

// model adds calls to a model, minute by minute, over a restart each day, and notes what it says.
type model struct {
	*testing.T
	*Model
	minute int64
	said   []string
	events []Event
}

func newModel(t *testing.T) *model {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Unix() / 60
	return &model{T: t, Model: New(begin), minute: begin}
}

func (m *model) pass(minutes int64, each ...calls) {
	m.Helper()
	for range minutes {
		for _, c := range each {
			o := vigil.Outline{Second: m.minute * 60, Category: []byte("Management"), EventType: []byte(vigil.AwsAPICall), EventSource: []byte("kms.amazonaws.com"),
				EventName: []byte(c.name), ErrorCode: []byte(c.failure), CallerARN: []byte(c.caller), UserAgent: []byte("aws-cli"), ReadOnly: c.reads}
			for range c.n {
				m.Add(&o)
			}
		}
		m.minute++
		m.close()
		if m.minute%day == 0 {
			m.restart()
		}
	}
}

func (m *model) close() {
	for _, e := range m.Close(m.minute) {
		d := e.Details
		m.said = append(m.said, fmt.Sprintf("%s %s %s%s %.4g over %.4g for %d", d.State, d.InsightType[3:7], d.EventName, d.ErrorCode,
			float64(d.Context.Statistics.Insight.Average), float64(d.Context.Statistics.Baseline.Average), d.Context.Statistics.InsightDuration))
		m.events = append(m.events, e)
	}
}

// restart is what a new process does: it reads what was kept.
func (m *model) restart() {
	text, err := json.Marshal(m.Model)
	if err != nil {
		m.Fatal(err)
	}
	m.Model = new(Model)
	if err := json.Unmarshal(text, m.Model); err != nil {
		m.Fatal(err)
	}
}

func (m *model) says(want ...string) {
	m.Helper()
	if got := strings.Join(m.said, "\n"); got != strings.Join(want, "\n") {
		m.Errorf("said\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	m.said = nil
}

const oneDay = 24 * 60

func TestABurstOfCallsIsAnInsight(t *testing.T) {
	m := newModel(t)
	m.pass(oneDay, calls{name: "CreateKey", n: 2})
	m.says()
	m.pass(3, calls{name: "CreateKey", n: 100})
	m.says("Start Call CreateKey 100 over 2 for 1")
	m.pass(2, calls{name: "CreateKey", n: 2})
	m.says("End Call CreateKey 100 over 2 for 3")
	if m.events[0].SharedID != m.events[1].SharedID || m.events[0].EventID == m.events[1].EventID {
		t.Error("the start and the end do not have one sharedEventID and two eventIDs")
	}
}

func TestWhatIsUsualIsNoInsight(t *testing.T) {
	m := newModel(t)
	m.pass(oneDay-1, calls{name: "CreateKey", n: 2})
	m.pass(1, calls{name: "CreateKey", n: 500}) // while it learns
	m.says()
	m.pass(oneDay, calls{name: "CreateKey", n: 3}, calls{name: "Decrypt", n: 1000, reads: true}, calls{name: "Sign", n: 9})
	m.says()
	// One minute in ten is busy: that is how it is with these calls, be it more than the mean.
	for range 3 * oneDay / 10 {
		m.pass(1, calls{name: "Encrypt", n: 50})
		m.pass(9)
	}
	m.said = nil // the first busy minute was an insight
	m.pass(1, calls{name: "Encrypt", n: 50})
	m.pass(9)
	m.says()
	// Reads have no rate of calls, however many.
	m.pass(1, calls{name: "Decrypt", n: 100000, reads: true})
	m.says()
}

func TestABurstOfErrorsIsAnInsight(t *testing.T) {
	m := newModel(t)
	m.pass(oneDay, calls{name: "Decrypt", n: 10, reads: true})
	m.pass(2, calls{name: "Decrypt", failure: "AccessDenied", n: 30, reads: true})
	m.pass(1, calls{name: "Decrypt", n: 10, reads: true})
	m.says("Start Erro DecryptAccessDenied 30 over 0 for 1", "End Erro DecryptAccessDenied 30 over 0 for 2")
}

func TestANewRateBecomesUsual(t *testing.T) {
	m := newModel(t)
	m.pass(oneDay, calls{name: "CreateKey", n: 1})
	m.pass(oneDay+1, calls{name: "CreateKey", n: 40})
	m.says("Start Call CreateKey 40 over 1 for 1", "End Call CreateKey 40 over 1 for 1440")
	m.pass(oneDay, calls{name: "CreateKey", n: 40})
	m.says()
}

func TestALeapOfTheClock(t *testing.T) {
	m := newModel(t)
	m.pass(2*oneDay, calls{name: "CreateKey", n: 1})
	m.pass(1, calls{name: "CreateKey", n: 40})
	m.minute += 30 * oneDay // nothing happens for a month
	m.close()
	m.says("Start Call CreateKey 40 over 1 for 1", "End Call CreateKey 40 over 1 for 1")
	if len(m.Series) > 0 {
		t.Errorf("it still knows %d series of a month ago", len(m.Series))
	}
	m.pass(1, calls{name: "CreateKey", n: 40})
	m.says("Start Call CreateKey 40 over 0 for 1")
}

func TestEventsOfAnotherTimeAreNotCounted(t *testing.T) {
	m := newModel(t)
	m.pass(oneDay, calls{name: "CreateKey", n: 1})
	now := m.minute
	m.minute -= 60 // as imported events are
	m.pass(1, calls{name: "CreateKey", n: 500})
	m.minute = now
	m.pass(2, calls{name: "CreateKey", n: 1})
	m.says()
}

func TestAnInsightSaysWhoseDoingItIs(t *testing.T) {
	m := newModel(t)
	m.pass(oneDay, calls{name: "CreateKey", n: 3, caller: "arn:aws:iam::111122223333:user/usual"})
	m.pass(1, calls{name: "CreateKey", n: 90, caller: "arn:aws:iam::111122223333:user/new"}, calls{name: "CreateKey", failure: "LimitExceededException", n: 10, caller: "arn:aws:iam::111122223333:user/usual"})
	record, err := m.events[0].Record("111122223333", "us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	ids := strings.NewReplacer(m.events[0].EventID, "EVENT", m.events[0].SharedID, "SHARED")
	want := `{"eventVersion":"1.11","eventTime":"2026-01-02T00:00:00Z","awsRegion":"us-east-1","eventID":"EVENT","eventType":"AwsCloudTrailInsight",` +
		`"recipientAccountId":"111122223333","sharedEventID":"SHARED","insightDetails":{"state":"Start","eventSource":"kms.amazonaws.com","eventName":"CreateKey",` +
		`"insightType":"ApiCallRateInsight","insightContext":{"statistics":{"baseline":{"average":3},"insight":{"average":100},"insightDuration":1,"baselineDuration":1440},` +
		`"attributions":[{"attribute":"userIdentityArn","insight":[{"value":"arn:aws:iam::111122223333:user/new","average":90},{"value":"arn:aws:iam::111122223333:user/usual","average":10}],` +
		`"baseline":[{"value":"arn:aws:iam::111122223333:user/usual","average":3}]},{"attribute":"userAgent","insight":[{"value":"aws-cli","average":100}],"baseline":[{"value":"aws-cli","average":3}]},` +
		`{"attribute":"errorCode","insight":[{"value":"null","average":90},{"value":"LimitExceededException","average":10}],"baseline":[{"value":"null","average":3}]}]}},"eventCategory":"Insight"}`
	if got := ids.Replace(string(record)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A model does not grow with what callers make up.
func TestAttributesAreBounded(t *testing.T) {
	m := newModel(t)
	for i := range 1000 {
		m.pass(1, calls{name: "CreateKey", n: 1, caller: fmt.Sprint("arn:", i)})
	}
	for _, s := range m.Series {
		for _, d := range s.Days {
			if n := len(d.Values[0]); n > values+1 {
				t.Errorf("%d values of a day are kept", n)
			}
		}
	}
}
