package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestParse parses lines of a command with flags of every kind and one word. What was set is printed in order of name.
func TestParse(t *testing.T) {
	for _, test := range []struct {
		line, environ string // separated by spaces
		want          string // the word and what is set, or the error
	}{
		{"8d", "", "8d"},
		{"8d --data d", "", "8d data=d"},
		{"--data d 8d", "", "8d data=d"},
		{"--data=d 8d -last 3", "", "8d data=d last=3"},
		{"--follow 8d --duration 1m30s", "", "8d duration=1m30s follow=true"},
		{"--follow=false 8d", "", "8d follow=false"},
		{"8d", "VIGIL_DATA=d", "8d data=d"},
		{"8d --data line", "VIGIL_DATA=environment", "8d data=line"},
		{"8d", "VIGIL_TLS_CERT=a.pem", "8d tls-cert=a.pem"},
		{"8d", "VIGIL_CLIENTS=64", "8d"},    // another command's
		{"8d", "VIGIL_TEST_STRICT=1", "8d"}, // a test's
		{"8d", "VIGILANT=1 HOME=/ VIGIL", "8d"},

		{"", "", "vigil try: WORD is missing"},
		{"--data d", "", "vigil try: WORD is missing"},
		{"8d 9d", "", `vigil try: "9d" is one word too many`},
		{"8d --dta d", "", "vigil try: --dta is not known; did you mean --data?"},
		{"8d --tls_cert a.pem", "", "vigil try: --tls_cert is not known; did you mean --tls-cert?"},
		{"8d --data", "", "vigil try: flag needs an argument: -data"},
		{"8d --last many", "", `vigil try: invalid value "many" for flag -last`},
		{"8d --follow=maybe", "", `vigil try: invalid boolean value "maybe" for -follow`},
		{"8d", "VIGIL_DTA=d", "VIGIL_DTA in the environment is not known; did you mean VIGIL_DATA?"},
		{"8d", "VIGIL_FOLOW=1", "VIGIL_FOLOW in the environment is not known; did you mean VIGIL_FOLLOW?"},
		{"8d", "VIGIL_FOLLOW=maybe", "VIGIL_FOLLOW=maybe in the environment is not a valid value"},
		{"8d", "VIGIL_LAST=", "VIGIL_LAST= in the environment is not a valid value"},
	} {
		t.Run(test.line+" "+test.environ, func(t *testing.T) {
			c := &cli{environ: strings.Fields(test.environ)}
			fs := flagsOfEveryKind(c)
			words, err := parse(c, fs, strings.Fields(test.line), "WORD")
			got := strings.Join(words, " ")
			if err != nil {
				got = err.Error()
			} else {
				fs.Visit(func(f *flag.Flag) { got += fmt.Sprintf(" %s=%v", f.Name, f.Value) })
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if wrong := (*usageError)(nil); err != nil && !errors.As(err, &wrong) {
				t.Errorf("%T is not an error of usage", err)
			}
		})
	}
}

// flagsOfEveryKind are some that commands have.
func flagsOfEveryKind(c *cli) *flag.FlagSet {
	fs := newFlags(c, "try")
	dataFlag(fs)
	fs.String("tls-cert", "", "a `FILE`")
	fs.Bool("follow", false, "go on")
	fs.Int("last", 50, "how many, `N`")
	fs.Duration("duration", 10*time.Second, "how long, `TIME`")
	return fs
}

// Help is of the words and flags, with their defaults, and goes where it can be piped.
func TestParseHelp(t *testing.T) {
	for _, line := range []string{"--help", "-h", "8d --help", "--data d -help"} {
		var out bytes.Buffer
		c := &cli{stdout: &out}
		if _, err := parse(c, flagsOfEveryKind(c), strings.Fields(line), "WORD"); !errors.Is(err, errHelp) {
			t.Errorf("%s: %v", line, err)
		}
		want := `Usage: vigil try WORD [flags]

  --data DIR                 the directory DIR with the server's data (default ./vigil-data)
  --duration TIME            how long, TIME (default 10s)
  --follow                   go on
  --last N                   how many, N (default 50)
  --tls-cert FILE            a FILE
`
		if out.String() != want {
			t.Errorf("%s prints\n%s\nand not\n%s", line, out.String(), want)
		}
	}
}

// Every flag of a command has a twin in the environment, or a misspelt variable would not be told from it.
func TestKnownFlags(t *testing.T) {
	for _, cmd := range commands {
		var out, problems bytes.Buffer
		c := &cli{stdout: &out, stderr: &problems}
		if code := run(t.Context(), c, append(strings.Fields(cmd.name), "--help")); code != 0 || problems.Len() > 0 {
			t.Errorf("%s --help: %d: %s", cmd.name, code, &problems)
		}
		if !strings.HasPrefix(out.String(), "Usage: vigil "+cmd.name) {
			t.Errorf("%s --help prints %s", cmd.name, &out)
		}
		for line := range strings.Lines(out.String()) {
			if name, ok := strings.CutPrefix(line, "  --"); ok && !slices.Contains(knownFlags, strings.Fields(name)[0]) {
				t.Errorf("%s has a flag that knownFlags has not: %s", cmd.name, line)
			}
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"serve", "env", "account add", "clock advance", "trail", "bench", "version"}
	for word, want := range map[string]string{
		"serve": "serve", "sreve": "serve", "server": "serve", "envv": "env", "account": "account add", "acount add": "account add",
		"clock advnace": "clock advance", "tail": "trail", "trial": "trail", "benchmark": "bench", "versoin": "version",
	} {
		if got := nearest(word, names); got != want {
			t.Errorf("%q is nearest to %q, and not %q", word, got, want)
		}
	}
	if got := nearest("anything", nil); got != "" {
		t.Errorf("of nothing, %q is nearest", got)
	}
}

func TestEdits(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"abc", "abd", 1}, {"abc", "ab", 1}, {"abc", "xabc", 1},
		{"abc", "acb", 2}, {"kitten", "sitting", 3},
	} {
		if got := edits(test.a, test.b); got != test.want {
			t.Errorf("%q to %q: %d edits, want %d", test.a, test.b, got, test.want)
		}
	}
}

func TestParseDuration(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"8d": 8 * day, "1d12h": 36 * time.Hour, "0.5d": 12 * time.Hour, "0d": 0, "1d0s": day, "36h": 36 * time.Hour, "90s": 90 * time.Second,
		"1h30m": 90 * time.Minute, "-1h": -time.Hour, "106751d": 106751 * day,
	} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%s is %s (%v), and not %s", text, got, err, want)
		}
	}
	// 213504 days are 2^64 nanoseconds and 25 minutes.
	for _, text := range []string{"", "d", "8", "soon", "8 d", "8d ", "8dd", "1d1d", "8days", "1d-2h", "-1d", "8D", "106752d", "213504d", "1e3d", "106751d24h"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
}

// A shell reads back what shellQuote writes; what needs no quotes has none.
func TestShellQuote(t *testing.T) {
	for word, want := range map[string]string{
		"/srv/vigil-data": "/srv/vigil-data", "": "''", "my data": "'my data'", "it's": `'it'\''s'`, "$(reboot)": "'$(reboot)'",
	} {
		if got := shellQuote(word); got != want {
			t.Errorf("%q is quoted as %s, and not %s", word, got, want)
		}
	}
}
