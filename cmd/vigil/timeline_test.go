package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestTimelinesOfImportedRecords imports the records that AWS documents, and real ones, and reads the timelines of their keys: with all of the last
// ten years recent, and with a day.
func TestTimelinesOfImportedRecords(t *testing.T) {
	dir := t.TempDir()
	s := startVigil(t, dir, "--test-clock")
	then := time.Date(2036, 1, 1, 0, 0, 0, 0, time.UTC) // the day of the questions, whatever day it is
	s.advance(t, time.Until(then).Truncate(time.Hour))
	vigil := func(args ...string) []byte {
		t.Helper()
		cmd := exec.Command("vigil", append(args, "--data", dir)...)
		var out, problems bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &problems
		if err := cmd.Run(); err != nil {
			t.Fatalf("vigil %s: %v\n%s", strings.Join(args, " "), err, problems.Bytes())
		}
		return out.Bytes()
	}
	vigil("import", "testdata/import/documented")
	vigil("import", "testdata/import/real.ndjson.gz")
	vigil("import", "testdata/import/denied.ndjson") // of calls that were refused, on record without resources

	const all, day = "3650", "1"
	for _, c := range []struct{ name, account, days, key string }{
		{"1234abcd", "111122223333", all, "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"},
		{"0987dcba", "111122223333", day, "arn:aws:kms:us-west-2:111122223333:key/0987dcba-09fe-87dc-65ba-ab0987654321"},
		{"mrk", "111122223333", day, "arn:aws:kms:us-west-2:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab"},
		{"mrk-ap", "111122223333", day, "arn:aws:kms:ap-northeast-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab"},
		{"us-east-1", "111122223333", day, "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"},
		{"eu-west-1", "111122223333", day, "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"},
		{"1a2b3c4d", "default", day, "arn:aws:kms:eu-west-1:111122223333:key/1a2b3c4d-5e6f-1a2b-3c4d-5e6f1a2b3c4d"}, // the operator sees it too
		{"denied", "222222222222", day, "alias/payroll"},
		{"real-ssm", "111111111111", day, "alias/aws/ssm"},
		{"real-secretsmanager", "111111111111", day, "dad21b23-9915-42bd-981b-2a9f3c8f20c8"},
	} {
		args := []string{"key", "timeline", c.key, "--profile", c.account, "--days", c.days}
		golden(t, filepath.Join("testdata/timelines", c.name+".txt"), vigil(args...))
		asOf := regexp.MustCompile(`"asOf": "[^"]*"`)
		golden(t, filepath.Join("testdata/timelines", c.name+".json"), asOf.ReplaceAll(vigil(append(args, "--json")...), []byte(`"asOf": "2036-01-01T00:00:00Z"`)))
	}
	s.stop(t)
}

// golden compares what came out with a file.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n%s", name, firstDifference(want, got))
	}
}

// firstDifference is the first line that differs.
func firstDifference(want, got []byte) string {
	wants, gots := strings.Split(string(want), "\n"), strings.Split(string(got), "\n")
	for i := range min(len(wants), len(gots)) {
		if wants[i] != gots[i] {
			return fmt.Sprintf("line %d is\n%s\nand not\n%s", i+1, gots[i], wants[i])
		}
	}
	return fmt.Sprintf("%d lines and not %d", len(gots), len(wants))
}
