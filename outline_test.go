package vigil_test

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"vigil"
)

// typicalRecord is of the usual length: 1,200 bytes.
const typicalRecord = `{"eventVersion":"1.11","userIdentity":{"type":"AssumedRole","principalId":"AROAIOSFODNN7EXAMPLE:service-9","arn":"arn:aws:sts::111122223333:assumed-role/payments/service-9","accountId":"111122223333","accessKeyId":"ASIAIOSFODNN70000101","sessionContext":{"sessionIssuer":{"type":"Role","principalId":"AROAIOSFODNN7EXAMPLE","arn":"arn:aws:iam::111122223333:role/payments","accountId":"111122223333","userName":"payments"},"attributes":{"creationDate":"2026-11-23T02:41:27Z","mfaAuthenticated":"false"}}},"eventTime":"2026-11-23T02:41:27Z","eventSource":"kms.amazonaws.com","eventName":"Decrypt","awsRegion":"us-east-1","sourceIPAddress":"192.0.2.1","userAgent":"aws-sdk-java/2.31.6 md/io#sync md/http#Apache ua/2.1 os/Linux#6.1 lang/java#21.0.7 md/OpenJDK_64-Bit_Server_VM#21.0.7","requestParameters":{"encryptionContext":{"tenant":"acme","purpose":"invoices"},"keyId":"arn:aws:kms:us-east-1:111122223333:key/00000095-12ab-34cd-56ef-1234567890ab","encryptionAlgorithm":"SYMMETRIC_DEFAULT"},"responseElements":null,"additionalEventData":{"keyMaterialId":"96083e4fb6dbc41d77578c213a6b6669c044dd4c143e96755396d2bf11fd6068"},"requestID":"270b50e2-91d8-4a75-944a-6b6d745f5e46","eventID":"1dcb415f-1370-4589-ac3e-64f2ad02355f","readOnly":true,"resources":[{"accountId":"111122223333","type":"AWS::KMS::Key","ARN":"arn:aws:kms:us-east-1:111122223333:key/00000095-12ab-34cd-56ef-1234567890ab"}],"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"111122223333","eventCategory":"Management","tlsDetails":{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_256_GCM_SHA384","clientProvidedHostHeader":"kms.us-east-1.amazonaws.com"}}`

// oddRecords are records, and what is nearly one.
var oddRecords = []string{
	``, ` `, `{`, `{}`, ` {} `, `{}x`, `{} {}`, `null`, `nul`, `[]`, `7`, `"a"`, `{"a":1,}`, `{,"a":1}`, `{"a" 1}`, `{"a":1 "b":2}`, `{"a":1,,"b":2}`, `{1:2}`, `{"a":}`,
	`{"a":[]}`, `{"a":[1,]}`, `{"a":[,1]}`, `{"a":[1 2]}`, `{"a":[1}`, `{"a":{]}`, `{"a":[[],{}]}`, "{\"a\"\t:\r\n[ ] }", `{"a":tru}`, `{"a":truex}`, `{"a":false,"b":null}`,
	`{"a":0}`, `{"a":-0}`, `{"a":01}`, `{"a":-}`, `{"a":1.}`, `{"a":.5}`, `{"a":1.5e+10}`, `{"a":1e}`, `{"a":1E-7}`, `{"a":+1}`, `{"a":1e5.5}`, `{"a":123456789012345678901234567890}`,
	`{"a":1,"a":2}`, `{"a":1,"A":2}`, `{"a":1,"\u0061":2}`, `{"b":{"a":1},"c":{"a":1}}`, `{"b":{"a":1,"c":{},"a":1}}`, `{"":1,"":2}`, `{"nameThatGoesOn1name":1,"nameThatGoesOn2name":1}`, `{"nameThatDiffers1nowhereElse":1,"nameThatDiffers2nowhereElse":1}`, `{"encryptionContext1":1,"encryptionContext2":1,"encryptionContext1":1}`,
	"{\"a\":\"\x01\"}", "{\"a\":\"\xff\"}", "{\"\xc3\":1}", `{"a":"é"}`, "{\"a\":\"\x7f\"}", `{"a":"\n\"\\\/"}`, `{"a":"\x"}`, `{"a":"\ud800"}`, `{"a":"\ud83d\ude00"}`, `{"a":"\`, `{"a":"\"`, `{"a":"\u12"}`,
	"\ufeff{}", "{\"a\":1}\x00", "{\x00}", "{\"a\":\u00a01}",
	`{"eventTime":"2026-01-10T00:51:00Z","userIdentity":null,"resources":null,"readOnly":null,"eventName":null}`,
	`{"eventTime":"2026-01-10T00:51:00+02:00","resources":[null,{"type":"a\u0062\n","ARNPrefix":"x"}],"userIdentity":{"type":"AssumedRole"}}`,
	`{"event\u0054ime":"1969-12-31T23:59:59.5Z","eventName":"\ud83d\ude00"}`, `{"eventTime":"2026-01-10T00:51:00Z","eventID":7}`, `{"@timestamp":"2024-02-29T00:00:00Z","insightDetails":{"insightType":"ApiCallRateInsight"}}`,
	`{"a":` + strings.Repeat("[", 9_999) + strings.Repeat("]", 9_999) + `}`, `{"a":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`,
}

// recordsOfTests are the records that are tested with, and odd ones.
func recordsOfTests(t testing.TB) (all [][]byte) {
	files, err := filepath.Glob("testdata/documented/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, "internal/trail/testdata/records.ndjson", "internal/keylife/testdata/real.ndjson") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(file, ".ndjson") {
			all = append(all, text)
			continue
		}
		all = append(all, bytes.Split(bytes.TrimSpace(text), []byte("\n"))...)
	}
	if len(all) < 50 {
		t.Fatalf("there are only %d records", len(all))
	}
	for _, odd := range append(oddRecords, typicalRecord) {
		all = append(all, []byte(odd))
	}
	many := []byte(`{"eventTime":"2026-01-10T00:51:00Z"`)
	for i := range 1000 {
		many = append(many, `,"`+strings.Repeat("n", i)+`":1`...)
	}
	return append(all, append(many, '}'), append(many, `,"nnn":1}`...))
}

// checkReadStrict holds ReadStrict against jsontext and Read: what is JSON is what jsontext says, and its outline is Read's.
func checkReadStrict(t *testing.T, data []byte) {
	var r vigil.OutlineReader
	var got, want vigil.Outline
	before := bytes.Clone(data)
	data = data[:len(data):len(data)]
	err := r.ReadStrict(data, &got)
	if !bytes.Equal(data, before) {
		t.Fatalf("%q was changed", before)
	}
	wantErr := vigil.ErrNotJSON
	if jsontext.Value(data).IsValid() {
		wantErr = new(vigil.OutlineReader).Read(data, &want)
	}
	if err != wantErr || err == nil && !reflect.DeepEqual(got, want) {
		t.Errorf("%.300q: %v, %+v; want %v, %+v", data, err, got, wantErr, want)
	}
}

func TestReadStrict(t *testing.T) {
	for _, data := range recordsOfTests(t) {
		checkReadStrict(t, data)
		for i := 0; i < len(data) && len(data) < 3000; i += 11 { // what is cut short, or has something else somewhere
			checkReadStrict(t, data[:i])
			for _, c := range []byte("\"\\{}[],:0e\x00 x\xc3") {
				other := bytes.Clone(data)
				other[i] = c
				checkReadStrict(t, other)
			}
		}
	}
}

func FuzzReadStrict(f *testing.F) {
	for _, data := range recordsOfTests(f) {
		f.Add(data)
	}
	f.Fuzz(checkReadStrict)
}

// TestOutlineTimes holds the times of outlines against those of package time.
func TestOutlineTimes(t *testing.T) {
	check := func(text string) {
		var want time.Time
		wantErr := want.UnmarshalText([]byte(text))
		var o vigil.Outline
		err := new(vigil.OutlineReader).Read([]byte(`{"eventTime":"`+text+`"}`), &o)
		if (err == nil) != (wantErr == nil) || err == nil && o.Second != want.Unix() {
			t.Errorf("%s: %d, %v; want %d, %v", text, o.Second, err, want.Unix(), wantErr)
		}
	}
	for _, text := range []string{"", "2026-11-23", "2026-11-23T02:41:27", "2026-11-23T02:41:27.25Z", "2026-11-23T02:41:27+01:00", "2026-11-23t02:41:27Z", "2026-11-23T24:00:00Z",
		"2026-11-23T23:60:00Z", "2026-11-23T23:59:60Z", "2026-00-23T00:00:00Z", "2026-13-23T00:00:00Z", "2026-01-00T00:00:00Z", "2026-04-31T00:00:00Z", "2026-0x-01T00:00:00Z",
		"2026-11-23T02:41:2:Z", "2026-11-23T02:41:/7Z", "2025-02-29T00:00:00Z", "2024-02-29T00:00:00Z", "2026-11-23T02-41-27Z"} {
		check(text)
	}
	for _, year := range []int{0, 1, 4, 100, 400, 1600, 1900, 1969, 1970, 1999, 2000, 2023, 2024, 2100, 9999} {
		for day := range 366 {
			check(time.Date(year, 1, 1+day, day%24, day%60, (day*7)%60, 0, time.UTC).Format("2006-01-02T15:04:05Z"))
		}
	}
}

// BenchmarkOutline reads a typical record's outline.
func BenchmarkOutline(b *testing.B) {
	data := []byte(typicalRecord)
	var r vigil.OutlineReader
	var o vigil.Outline
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Read(data, &o); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOutlineStrict reads it as one that nobody has checked.
func BenchmarkOutlineStrict(b *testing.B) {
	data := []byte(typicalRecord)
	var r vigil.OutlineReader
	var o vigil.Outline
	b.ReportAllocs()
	for b.Loop() {
		if err := r.ReadStrict(data, &o); err != nil {
			b.Fatal(err)
		}
	}
}
