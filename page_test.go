package vigil_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"testing"
	"time"

	"vigil"
)

// sampleRecord is a record as the door makes it for an Encrypt, with ids that do not repeat.
func sampleRecord(n int) []byte {
	r := vigil.Record{
		EventVersion: vigil.RecordVersion,
		UserIdentity: vigil.UserIdentity{Type: "Root", PrincipalID: "111122223333", ARN: "arn:aws:iam::111122223333:root",
			AccountID: "111122223333", AccessKeyID: "AKIAIOSFODNN7EXAMPLE"},
		EventTime:   time.Date(2026, 3, 1, 12, 0, n%60, 0, time.UTC),
		EventSource: "kms.amazonaws.com", EventName: "Encrypt", AWSRegion: "eu-central-1", SourceIPAddress: "192.0.2.7",
		UserAgent:           "aws-sdk-go-v2/1.47.7 ua/2.1 os/linux lang/go#1.26.8 md/GOOS#linux md/GOARCH#amd64 api/kms#1.62.4",
		RequestParameters:   json.RawMessage(`{"encryptionAlgorithm":"SYMMETRIC_DEFAULT","encryptionContext":{"tenant":"t-7"},"keyId":"1234abcd-12ab-34cd-56ef-1234567890ab"}`),
		AdditionalEventData: json.RawMessage(`{"keyMaterialId":"96083e4fb6dbc41d77578a213a6b6669c044dd4c143e96755396d2bf11fd6068"}`),
		RequestID:           fmt.Sprintf("%08x-63bc-41e4-bc2b-%012x", uint32(n)*2654435761, uint64(n)*11400714819323198485>>16),
		EventID:             fmt.Sprintf("%08x-0e8d-7e05-bf4b-%012x", uint32(n)*40503+7, uint64(n)*6364136223846793005>>16),
		ReadOnly:            true,
		Resources:           []vigil.Resource{{AccountID: "111122223333", Type: "AWS::KMS::Key", ARN: "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"}},
		EventType:           vigil.AwsAPICall, ManagementEvent: true, RecipientAccountID: "111122223333", EventCategory: "Management",
	}
	return r.AppendJSON(nil)
}

func TestPageKeepsRecords(t *testing.T) {
	for _, count := range []int{0, 1, 2, 64, 1000} {
		var w vigil.PageWriter
		start := time.UnixMilli(1767225600123).UTC()
		for i := range count {
			w.Add(start.Add(time.Duration(i%7)*time.Millisecond), sampleRecord(i))
		}
		page := bytes.Clone(w.Encode())
		records, err := vigil.DecodePage(page)
		if err != nil || len(records) != count {
			t.Fatalf("%d records: got %d, %v", count, len(records), err)
		}
		for i, r := range records {
			if !bytes.Equal(r.Data, sampleRecord(i)) || !r.Time.Equal(start.Add(time.Duration(i%7)*time.Millisecond)) {
				t.Fatalf("record %d of %d came back as %v %s", i, count, r.Time, r.Data)
			}
		}
		if count > 0 {
			t.Logf("%d records: %d bytes each", count, len(page)/count)
		}
	}
}

// What a page's writer says of its records is what a reader of the page is told, also of what the page does not keep, and it stays so.
func TestRecordsOfAPageWriter(t *testing.T) {
	zone := time.FixedZone("", 3600)
	for _, imported := range []time.Time{{}, time.Date(2026, 1, 2, 3, 4, 5, 678_901_234, zone)} {
		w := vigil.PageWriter{Imported: imported}
		for i := range 20 {
			w.Add(time.Date(2026, 3, 1, 12, 0, i, i*1_111_111, zone), sampleRecord(i))
		}
		w.Add(time.Date(1960, 1, 1, 0, 0, 0, 999_999, zone), []byte{})
		got := w.Records()
		want, err := vigil.DecodePage(w.Encode())
		if err != nil {
			t.Fatal(err)
		}
		w.Reset()
		for range 30 {
			w.Add(time.Now(), []byte("something else, that takes the writer's memory"))
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("the writer's are %v, the reader's %v", got, want)
		}
	}
	if got := new(vigil.PageWriter).Records(); len(got) != 0 {
		t.Errorf("an empty page has %v", got)
	}
}

// A page that was written once is readable for ever: this one was written by the first form 1.
func TestFrozenPage(t *testing.T) {
	page, err := os.ReadFile("testdata/page-v1.bin")
	if err != nil {
		t.Fatal(err)
	}
	records, err := vigil.DecodePage(page)
	if err != nil || len(records) != 3 {
		t.Fatalf("got %d records, %v", len(records), err)
	}
	for i, r := range records {
		if !bytes.Equal(r.Data, sampleRecord(i)) {
			t.Errorf("record %d: %s", i, r.Data)
		}
	}
}

func TestDamagedPageIsRefused(t *testing.T) {
	var w vigil.PageWriter
	for i := range 3 {
		w.Add(time.UnixMilli(1767225600123), sampleRecord(i))
	}
	page := bytes.Clone(w.Encode())
	for i := range page {
		for _, bit := range []byte{1, 0x80} {
			damaged := bytes.Clone(page)
			damaged[i] ^= bit
			records, err := vigil.DecodePage(damaged)
			if err == nil && len(records) == 3 && bytes.Equal(records[0].Data, sampleRecord(0)) &&
				bytes.Equal(records[1].Data, sampleRecord(1)) && bytes.Equal(records[2].Data, sampleRecord(2)) {
				continue // a bit that nothing reads, in the header of a zstd frame
			}
			if !errors.Is(err, vigil.ErrPage) {
				t.Errorf("byte %d changed: %d records, error %v", i, len(records), err)
			}
		}
	}
	for n := range page {
		if _, err := vigil.DecodePage(page[:n]); !errors.Is(err, vigil.ErrPage) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
}

func FuzzDecodePage(f *testing.F) {
	var w vigil.PageWriter
	w.Add(time.UnixMilli(1767225600123), sampleRecord(0))
	f.Add(bytes.Clone(w.Encode()))
	w.Add(time.UnixMilli(1767225600124), []byte("{}"))
	f.Add(bytes.Clone(w.Encode()))
	f.Fuzz(func(t *testing.T, page []byte) {
		records, err := vigil.DecodePage(page)
		if err != nil {
			return
		}
		var w vigil.PageWriter
		for _, r := range records {
			w.Add(r.Time, r.Data)
		}
		again, err := vigil.DecodePage(w.Encode())
		if err != nil || len(again) != len(records) {
			t.Fatalf("a page that was read cannot be written: %v", err)
		}
	})
}

func BenchmarkEncodePage(b *testing.B) {
	for _, count := range []int{1, 32, 64} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			var w vigil.PageWriter
			size := 0
			for b.Loop() {
				w.Reset()
				for i := range count {
					w.Add(time.UnixMilli(1767225600123), sampleRecords[i])
				}
				size = len(w.Encode())
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(count), "ns/record")
			b.ReportMetric(float64(size)/float64(count), "bytes/record")
		})
	}
}

func BenchmarkAppendRecord(b *testing.B) {
	r, err := vigil.ParseRecord(sampleRecord(1))
	if err != nil {
		b.Fatal(err)
	}
	var dst []byte
	for b.Loop() {
		dst = r.AppendJSON(dst[:0])
	}
}

func BenchmarkParseRecord(b *testing.B) {
	data := sampleRecord(1)
	for b.Loop() {
		if _, err := vigil.ParseRecord(data); err != nil {
			b.Fatal(err)
		}
	}
}

var sampleRecords = func() (all [][]byte) {
	for i := range 64 {
		all = append(all, sampleRecord(i))
	}
	return all
}()

// An imported page says of its records when they came, and that can be set without touching them.
func TestImportedPage(t *testing.T) {
	var w vigil.PageWriter
	w.Imported = time.UnixMilli(1)
	for i := range 5 {
		w.Add(time.Date(2020+i, 1, 1, 0, 0, 0, 0, time.UTC), sampleRecord(i))
	}
	at := time.UnixMilli(1767225600123).UTC()
	page, err := vigil.ImportedPage(w.Encode(), at)
	if err != nil {
		t.Fatal(err)
	}
	records, err := vigil.DecodePage(page)
	if err != nil || len(records) != 5 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	for i, r := range records {
		if r.Imported != at || r.Time.Year() != 2020+i || !bytes.Equal(r.Data, sampleRecord(i)) {
			t.Errorf("record %d came back as %v %v %s", i, r.Imported, r.Time, r.Data)
		}
	}
	w.Reset()
	w.Add(at, sampleRecord(0))
	if _, err := vigil.ImportedPage(w.Encode(), at); !errors.Is(err, vigil.ErrPage) {
		t.Errorf("a page of the journal's own was taken for an imported one: %v", err)
	}
	for cut := range 12 {
		if _, err := vigil.DecodePage(page[:cut]); !errors.Is(err, vigil.ErrPage) {
			t.Errorf("the first %d bytes: %v", cut, err)
		}
	}
}
