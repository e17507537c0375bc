package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/google/uuid"
	"github.com/klauspost/compress/gzip"

	"vigil"
	"vigil/internal/server"
	"vigil/internal/store"
	"vigil/internal/store/sqlite"
)

// awsTrail makes log files as CloudTrail of AWS delivers them: of two accounts with a thousand keys in two regions over sixty days, whose records have about 1,200 bytes.
type awsTrail struct {
	*rand.Rand
	zipf    *rand.Zipf
	begin   time.Time
	step    time.Duration
	records int
	some    *vigil.Record // one of them
}

const recordsPerFile = 500

func newAWSTrail(records int) *awsTrail {
	r := rand.New(rand.NewPCG(7, 8))
	const days = 60
	return &awsTrail{Rand: r, zipf: rand.NewZipf(r, 1.2, 8, 999), records: records,
		begin: time.Now().Add(-days * 24 * time.Hour).UTC().Truncate(time.Second), step: (days*24 - 2) * time.Hour / time.Duration(records)}
}

func (a *awsTrail) id() string {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:], a.Uint64())
	binary.BigEndian.PutUint64(id[8:], a.Uint64())
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id.String()
}

var (
	awsAccounts = []string{"111122223333", "444455556666"}
	awsRegions  = []string{"eu-central-1", "us-east-1"}
)

func (a *awsTrail) record(account, region string, at time.Time) *vigil.Record {
	names := []string{"Encrypt", "Decrypt", "Decrypt", "Decrypt", "GenerateDataKey", "GenerateDataKey", "DescribeKey", "Sign"}
	key := fmt.Sprintf("arn:aws:kms:%s:%s:key/%08x-12ab-34cd-56ef-1234567890ab", region, account, a.zipf.Uint64())
	role := fmt.Sprintf("service-%d", a.IntN(20))
	return &vigil.Record{
		EventVersion: "1.11",
		UserIdentity: vigil.UserIdentity{Type: "AssumedRole", PrincipalID: "AROAIOSFODNN7EXAMPLE:" + role, ARN: "arn:aws:sts::" + account + ":assumed-role/payments/" + role,
			AccountID: account, AccessKeyID: fmt.Sprintf("ASIAIOSFODNN7%07d", a.IntN(500)),
			SessionContext: &vigil.SessionContext{SessionIssuer: &vigil.SessionIssuer{Type: "Role", PrincipalID: "AROAIOSFODNN7EXAMPLE", ARN: "arn:aws:iam::" + account + ":role/payments",
				AccountID: account, UserName: "payments"}, Attributes: &vigil.SessionAttributes{CreationDate: at.Format(time.RFC3339), MFAAuthenticated: "false"}}},
		EventTime: at, EventSource: "kms.amazonaws.com", EventName: names[a.IntN(len(names))], AWSRegion: region, SourceIPAddress: "192.0.2.1",
		UserAgent:           "aws-sdk-java/2.31.6 md/io#sync md/http#Apache ua/2.1 os/Linux#6.1 lang/java#21.0.7 md/OpenJDK_64-Bit_Server_VM#21.0.7",
		RequestParameters:   []byte(`{"encryptionContext":{"tenant":"acme","purpose":"invoices"},"keyId":"` + key + `","encryptionAlgorithm":"SYMMETRIC_DEFAULT"}`),
		AdditionalEventData: []byte(`{"keyMaterialId":"96083e4fb6dbc41d77578c213a6b6669c044dd4c143e96755396d2bf11fd6068"}`),
		RequestID:           a.id(), EventID: a.id(), ReadOnly: true,
		Resources: []vigil.Resource{{AccountID: account, Type: "AWS::KMS::Key", ARN: key}},
		EventType: vigil.AwsAPICall, ManagementEvent: true, RecipientAccountID: account, EventCategory: "Management",
		TLSDetails: &vigil.TLSDetails{TLSVersion: "TLSv1.3", CipherSuite: "TLS_AES_256_GCM_SHA384", ClientProvidedHostHeader: "kms." + region + ".amazonaws.com"},
	}
}

// write writes the files below dir.
func (a *awsTrail) write(t *testing.T, dir string) {
	t.Helper()
	at := a.begin
	var file bytes.Buffer
	z, err := gzip.NewWriterLevel(&file, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	for n, left := 0, a.records; left > 0; n++ {
		account, region := awsAccounts[n%2], awsRegions[n/2%2]
		file.Reset()
		z.Reset(&file)
		text := []byte(`{"Records":[`)
		for i := range min(recordsPerFile, left) {
			if i > 0 {
				text = append(text, ',')
			}
			at = at.Add(a.step)
			a.some = a.record(account, region, at.Add(-time.Duration(a.IntN(600))*time.Second))
			text = a.some.AppendJSON(text)
			left--
		}
		if _, err := z.Write(append(text, "]}"...)); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		folder := filepath.Join(dir, "AWSLogs", account, "CloudTrail", region, at.Format("2006/01/02"))
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		unique := hex.EncodeToString(binary.BigEndian.AppendUint64(nil, a.Uint64()))
		name := fmt.Sprintf("%s_CloudTrail_%s_%s_%s.json.gz", account, region, at.Format("20060102T1504Z"), unique)
		if err := os.WriteFile(filepath.Join(folder, name), file.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// vigilImport runs the command and returns what it prints.
func vigilImport(t *testing.T, data string, args ...string) string {
	t.Helper()
	out, err := exec.Command("vigil", append([]string{"import", "--data", data}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("vigil import: %v\n%s", err, out)
	}
	return string(out)
}

// TestImportMany imports many records and looks events up among them. VIGIL_TEST_MILLION=1 makes it two million.
func TestImportMany(t *testing.T) {
	n := 20000
	if os.Getenv("VIGIL_TEST_MILLION") == "1" {
		n = 2000000
	}
	files, dir := t.TempDir(), t.TempDir()
	trail := newAWSTrail(n)
	trail.write(t, files)
	s := startVigil(t, dir)

	begun := time.Now()
	out := vigilImport(t, dir, files)
	took := time.Since(begun)
	t.Logf("%d records in %v: %.0f/s", n, took.Round(time.Millisecond), float64(n)/took.Seconds())
	if !strings.Contains(out, fmt.Sprintf("Imported %d records", n)) {
		t.Fatalf("vigil import printed %s", out)
	}
	s.caughtUp(t)
	t.Logf("followed after %v: %.0f/s", time.Since(begun).Round(time.Millisecond), float64(n)/time.Since(begun).Seconds())

	profile, err := server.ReadProfile(dir, trail.some.RecipientAccountID)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{profile: profile}
	p.profile.Region = trail.some.AWSRegion
	client := cloudtrail.NewFromConfig(p.config())
	for _, a := range []types.LookupAttribute{
		{},
		{AttributeKey: types.LookupAttributeKeyEventId, AttributeValue: &trail.some.EventID},
		{AttributeKey: types.LookupAttributeKeyEventName, AttributeValue: &trail.some.EventName},
		{AttributeKey: types.LookupAttributeKeyEventName, AttributeValue: aws.String("DeleteKey")},
		{AttributeKey: types.LookupAttributeKeyUsername, AttributeValue: aws.String("service-3")},
		{AttributeKey: types.LookupAttributeKeyResourceName, AttributeValue: &trail.some.Resources[0].ARN},
		{AttributeKey: types.LookupAttributeKeyResourceName,
			AttributeValue: aws.String(fmt.Sprintf("arn:aws:kms:%s:%s:key/%08x-12ab-34cd-56ef-1234567890ab", p.profile.Region, trail.some.RecipientAccountID, 0))},
		{AttributeKey: types.LookupAttributeKeyAccessKeyId, AttributeValue: &trail.some.UserIdentity.AccessKeyID},
		{AttributeKey: types.LookupAttributeKeyReadOnly, AttributeValue: aws.String("true")},
	} {
		for _, days := range []int{0, 5, 40} { // the newest, and those of some time ago
			in := &cloudtrail.LookupEventsInput{}
			if a.AttributeKey != "" {
				in.LookupAttributes = []types.LookupAttribute{a}
			}
			if days > 0 {
				in.EndTime = aws.Time(time.Now().Add(-time.Duration(days) * 24 * time.Hour))
			}
			var out *cloudtrail.LookupEventsOutput
			least := time.Hour
			for range 3 {
				begun := time.Now()
				if out, err = client.LookupEvents(t.Context(), in); err != nil {
					t.Fatal(err)
				}
				least = min(least, time.Since(begun))
			}
			t.Logf("%-13s %2d days ago: %2d events in %v", a.AttributeKey, days, len(out.Events), least.Round(time.Microsecond))
			for i := 1; i < len(out.Events); i++ {
				if out.Events[i].EventTime.After(*out.Events[i-1].EventTime) {
					t.Errorf("%s: event %d is newer than the one before it", a.AttributeKey, i)
				}
			}
			if days == 0 && a.AttributeKey == types.LookupAttributeKeyEventId && (len(out.Events) != 1 || *out.Events[0].EventId != trail.some.EventID) {
				t.Errorf("the event %s is not found by its id", trail.some.EventID)
			}
		}
	}
	begun = time.Now()
	out = vigilImport(t, dir, files)
	t.Logf("again: %v", time.Since(begun).Round(time.Millisecond))
	if !strings.Contains(out, "Imported 0 records from 0 files.") {
		t.Errorf("importing again printed %s", out)
	}
	if n > 100000 { // all of it under other names, so that each event is compared
		moved := filepath.Join(t.TempDir(), "moved")
		if err := os.Rename(files, moved); err != nil {
			t.Fatal(err)
		}
		begun = time.Now()
		out = vigilImport(t, dir, moved)
		t.Logf("again, moved: %.0f/s", float64(n)/time.Since(begun).Seconds())
		if !strings.Contains(out, fmt.Sprintf("Of %d events there were records already", n)) {
			t.Errorf("importing the moved files printed %s", out)
		}
	}
	s.stop(t)
}

// caughtUp waits until every follower has followed all that is appended.
func (p *process) caughtUp(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		text := string(p.get(t, "/metrics"))
		lagging := !strings.Contains(text, "vigil_follower_lag_records{")
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "vigil_follower_lag_records{") && !strings.HasSuffix(strings.TrimSpace(line), " 0") {
				lagging = true
			}
		}
		if !lagging {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the followers do not catch up")
		}
	}
}

// TestImportCrash kills the import, and the server, at random moments. In the end every record is there once.
func TestImportCrash(t *testing.T) {
	files, dir := t.TempDir(), t.TempDir()
	const n = 30000
	newAWSTrail(n).write(t, files)
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 3))
	s := startVigil(t, dir)
	for round := range 8 {
		ctx, cancel := context.WithCancel(t.Context())
		cmd := exec.CommandContext(ctx, "vigil", "import", "--data", dir, files)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(100+random.IntN(400)) * time.Millisecond)
		if round%2 == 0 {
			_ = cmd.Process.Signal(syscall.SIGKILL)
		} else {
			s.kill(t)
			s = startVigil(t, dir)
		}
		_ = cmd.Wait() // it was killed, says that the server is gone, or was done
		cancel()
	}
	vigilImport(t, dir, files)
	s.stop(t)

	open := func() (store.DB, error) { return sqlite.Open(filepath.Join(dir, "vigil.db")) }
	checkJournal(t, open)
	seen := map[string]int{}
	eachRecord(t, open, func(data []byte, imported time.Time) {
		r, err := vigil.ParseRecord(data)
		if err != nil {
			t.Fatal(err)
		}
		if !imported.IsZero() {
			seen[r.EventID]++
		}
	})
	for id, times := range seen {
		if times != 1 {
			t.Errorf("event %s is there %d times", id, times)
		}
	}
	if len(seen) != n {
		t.Errorf("%d events are there, want %d", len(seen), n)
	}
	if out, err := exec.Command("vigil", "verify", dir).CombinedOutput(); err != nil {
		t.Errorf("vigil verify: %v\n%s", err, out)
	}
}

// eachRecord reads the journal of a stopped server.
func eachRecord(t *testing.T, open func() (store.DB, error), each func(data []byte, imported time.Time)) {
	t.Helper()
	db, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(context.Background(), func(tx store.Tx) error {
		rows, err := tx.Query(`SELECT body FROM journal_page WHERE count > 0`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var body []byte
			if err := rows.Scan(&body); err != nil {
				return err
			}
			records, err := vigil.DecodePage(body)
			if err != nil {
				return err
			}
			for _, r := range records {
				each(r.Data, r.Imported)
			}
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
}
