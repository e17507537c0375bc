package query_test

import (
	"testing"

	"vigil/internal/query"
)

// BenchmarkFilter asks patterns about CloudTrail records of about 1.2 KB.
func BenchmarkFilter(b *testing.B) {
	records := scriptLines(b, "testdata/cloudtrail.ndjson")
	for _, bench := range []struct{ name, pattern string }{
		{"json/literal-absent", `{ $.eventName = "ScheduleKeyDeletion" && $.resources[0].ARN = "arn:aws:kms:us-east-1:111122223333:key/1" }`},
		{"json/one-literal-absent", `{ $.eventSource = "kms.amazonaws.com" && $.errorMessage = "* is pending deletion." }`},
		{"json/alternatives-absent", `{ ($.eventName = CreateTrail) || ($.eventName = UpdateTrail) || ($.eventName = DeleteTrail) || ($.eventName = StopLogging) }`},
		{"json/key-arn", `{ $.eventName = "Decrypt" && $.resources[0].ARN = "arn:aws:kms:us-east-1:111111111111:key/dad21b23-9915-42bd-981b-2a9f3c8f20c8" }`},
		{"json/two-selectors", `{ $.eventSource = "*.amazonaws.com" && $.recipientAccountId != "000000000000" }`},
		{"json/nested-selectors", `{ $.userIdentity.sessionContext.attributes.mfaAuthenticated = * || $.resources[*].ARN = * }`},
		{"json/not-exists", `{ $.errorCode NOT EXISTS && $.readOnly IS TRUE }`},
		{"json/regex", `{ $.sourceIPAddress = %^10\.[0-9]+% }`},
		{"terms/absent", `ScheduleKeyDeletion`},
		{"terms/two", `amazonaws -ScheduleKeyDeletion`},
	} {
		b.Run(bench.name, func(b *testing.B) { benchmarkFilter(b, bench.pattern, records) })
	}
	line := []string{`127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534`}
	b.Run("fields", func(b *testing.B) {
		benchmarkFilter(b, `[ip, user, username, timestamp, request =*.html*, status_code = 4*, bytes > 1000]`, line)
	})
}

func benchmarkFilter(b *testing.B, pattern string, lines []string) {
	f, err := query.ParseFilter(pattern)
	if err != nil {
		b.Fatal(err)
	}
	var messages [][]byte
	size, matches := 0, 0
	for _, line := range lines {
		messages = append(messages, []byte(line))
		size += len(line)
	}
	b.ReportAllocs()
	b.SetBytes(int64(size / len(messages)))
	for i := 0; b.Loop(); i++ {
		if f.Match(messages[i%len(messages)]) {
			matches++
		}
	}
	b.ReportMetric(100*float64(matches)/float64(b.N), "%match")
}

func BenchmarkSelector(b *testing.B) {
	records := scriptLines(b, "testdata/cloudtrail.ndjson")
	f, err := query.ParseFilter(`{ $.eventName = * }`)
	if err != nil {
		b.Fatal(err)
	}
	s, err := f.Selector("$.userIdentity.accountId")
	if err != nil {
		b.Fatal(err)
	}
	record := []byte(records[0])
	b.ReportAllocs()
	for b.Loop() {
		s.Text(record)
	}
}

func BenchmarkParseFilter(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := query.ParseFilter(`{ $.eventSource = kms* && $.errorMessage = "* is pending deletion."}`); err != nil {
			b.Fatal(err)
		}
	}
}
