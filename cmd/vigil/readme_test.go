package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadme runs the transcript of the README and compares what it prints, but for what differs each time: ids and times.
func TestReadme(t *testing.T) {
	if ok, err := haveClient("client:aws"); err != nil {
		t.Fatal(err)
	} else if !ok {
		t.Skip("the AWS CLI is missing")
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(readme), "```console\n")
	transcript, _, end := strings.Cut(rest, "```")
	if !ok || !end {
		t.Fatal("README.md has no transcript")
	}

	dir := t.TempDir()
	startVigil(t, filepath.Join(dir, "vigil-data"))
	var script strings.Builder
	for line := range strings.Lines(transcript) {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			// The id in a command is that of the key that the transcript has made.
			command = strings.ReplaceAll(strings.TrimSuffix(command, "\n"), exampleKey, `"$key"`)
			fmt.Fprintf(&script, "printf '%%s\\n' %s\n%s\n", shellQuote(strings.TrimSuffix(line, "\n")), command)
			if strings.Contains(command, "create-key") {
				script.WriteString("key=$(aws kms list-keys --query 'Keys[0].KeyId' --output text)\n")
			}
		}
	}
	cmd := exec.Command("bash", "-c", script.String())
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "AWS_EC2_METADATA_DISABLED=true")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("the last command failed: %v", err)
	}
	if got, want := usualIDs(string(out)), usualIDs(transcript); got != want {
		t.Errorf("the transcript prints\n%s\nand the README says\n%s", got, want)
	}
}

const exampleKey = "1234abcd-12ab-34cd-56ef-1234567890ab"

var (
	keyIDs     = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	eventTimes = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)
)

// usualIDs puts the README's ids and times in place of those of this run.
func usualIDs(text string) string {
	return eventTimes.ReplaceAllString(keyIDs.ReplaceAllString(text, exampleKey), "2026-03-01T12:00:00Z")
}
