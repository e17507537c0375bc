package pattern

import (
	"bytes"
	"fmt"
	"os"
	"testing"
)

// cloudTrailEvents are "AWS API Call via CloudTrail" events of KMS, each around a record from AWS's documentation.
func cloudTrailEvents(t testing.TB) [][]byte {
	t.Helper()
	data, err := os.ReadFile("testdata/cloudtrail.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Split(bytes.TrimSpace(data), []byte("\n"))
}

// rules makes n rules as they are written to watch keys: most name one key, one caller or one address among many, and
// nearly all of them ask for the same source and kind of event.
func rules(t testing.TB, n int) []*Pattern {
	t.Helper()
	names := []string{"Decrypt", "Encrypt", "GenerateDataKey", "CreateKey", "ScheduleKeyDeletion", "DisableKey", "CreateGrant",
		"ReEncrypt", "PutKeyPolicy", "Sign", "EnableKey", "CancelKeyDeletion", "UpdateAlias", "DeleteAlias", "RetireGrant", "RevokeGrant"}
	forms := []string{
		`"detail":{"eventSource":["kms.amazonaws.com"],"eventName":["%[2]s","%[3]s"],"requestParameters":{"keyId":["arn:aws:kms:us-west-2:111122223333:key/%08[1]x-12ab-34cd-56ef-1234567890ab"]}}`,
		`"detail":{"eventName":["%[2]s"],"resources":{"ARN":["arn:aws:kms:us-west-2:111122223333:key/%08[1]x-12ab-34cd-56ef-1234567890ab"]}}`,
		`"detail":{"eventName":["%[2]s"],"userIdentity":{"arn":[{"prefix":"arn:aws:sts::111122223333:assumed-role/app-%[1]d/"}]}}`,
		`"detail":{"eventName":["%[2]s","%[3]s"],"userIdentity":{"accountId":["%012[1]d"]}}`,
		`"detail":{"eventName":["%[2]s"],"errorCode":[{"exists":true}],"recipientAccountId":["%012[1]d"]}`,
		`"detail":{"eventName":[{"anything-but":["Decrypt","%[2]s"]}],"userIdentity":{"accessKeyId":["AKIA%012[1]d"]}}`,
		`"detail":{"eventName":["%[2]s"],"sourceIPAddress":[{"cidr":"10.%[4]d.%[5]d.0/24"}]}`,
		`"detail":{"eventName":["ScheduleKeyDeletion"],"requestParameters":{"pendingWindowInDays":[{"numeric":["<",%[6]d]}],"keyId":["%08[1]x"]}}`,
		`"detail":{"requestParameters":{"encryptionContext":{"tenant":["t%[1]d"]}},"eventName":["%[2]s"]}`,
		`"detail":{"eventName":["%[2]s"],"userAgent":[{"suffix":"app-%[1]d"},{"wildcard":"agent-%[1]d/*"},{"equals-ignore-case":"Agent %[1]d"}]}`,
	}
	var all []*Pattern
	for i := range n {
		text := fmt.Sprintf(`{"source":["aws.kms"],"detail-type":["AWS API Call via CloudTrail"],`+forms[i%len(forms)]+"}%[7]s",
			i, names[i%len(names)], names[(i/3)%len(names)], i/256, i%256, 7+i%20, "")
		switch {
		case i%100 == 99: // one in a hundred asks for little
			text = fmt.Sprintf(`{"source":["aws.kms"],"detail":{"eventName":["%s"]}}`, names[i/100%len(names)])
		case i%50 == 49: // and some for something else
			text = fmt.Sprintf(`{"source":["aws.service%d"],"detail-type":["Change %d"]}`, i, i)
		}
		p, err := Parse(text)
		if err != nil {
			t.Fatal(text, err)
		}
		all = append(all, p)
	}
	return all
}

func BenchmarkSet(b *testing.B) {
	events := cloudTrailEvents(b)
	size := 0
	for _, e := range events {
		size += len(e)
	}
	for _, n := range []int{1, 10, 100, 1000, 10_000} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			set := NewSet[int]()
			for i, p := range rules(b, n) {
				set.Add(i, p)
			}
			var dst []int
			matched := 0
			b.SetBytes(int64(size / len(events)))
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				var err error
				if dst, err = set.Matches(events[i%len(events)], dst[:0]); err != nil {
					b.Fatal(err)
				}
				matched += len(dst)
				i++
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(matched)/float64(b.N), "matches/event")
		})
	}
}

// BenchmarkLoop is what BenchmarkSet is measured against: each pattern by itself.
func BenchmarkLoop(b *testing.B) {
	events, all := cloudTrailEvents(b), rules(b, 1000)
	i := 0
	for b.Loop() {
		for _, p := range all {
			if _, err := p.Match(events[i%len(events)]); err != nil {
				b.Fatal(err)
			}
		}
		i++
	}
}

// BenchmarkBuild is the first Matches after a change in a set of 1,000 rules.
func BenchmarkBuild(b *testing.B) {
	event, all := cloudTrailEvents(b)[0], rules(b, 1000)
	set := NewSet[int]()
	for i, p := range all {
		set.Add(i, p)
	}
	for b.Loop() {
		set.Add(0, all[0])
		if _, err := set.Matches(event, nil); err != nil {
			b.Fatal(err)
		}
	}
}
