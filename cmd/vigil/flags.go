package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

// usageError is a command line or an environment that makes no sense.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

// errHelp ends a command that was asked for its flags.
var errHelp = errors.New("help was asked for")

// envPrefix is what the environment's twin of a flag begins with. Variables of tests are not configuration.
const (
	envPrefix     = "VIGIL_"
	testEnvPrefix = "VIGIL_TEST_"
)

// knownFlags are the flags of all commands, by which a misspelt variable is told from another command's.
var knownFlags = []string{"listen", "data", "database", "account", "region", "tls-cert", "tls-key", "insecure-http", "test-clock",
	"allow-local-targets", "smtp-relay", "public-url", "function", "xks-timeout", "xks-ca", "nitro-root",
	"trail-delivery", "op", "spec", "clients", "duration", "watch", "key", "follow", "last", "profile", "json", "days", "witness",
	"out", "log-key", "checkpoint", "dropped-before", "retention", "s3-endpoint", "s3-region", "s3-credentials", "public-keys"}

// newFlags is an empty flag set of a command.
func newFlags(c *cli, name string) *flag.FlagSet {
	fs := flag.NewFlagSet("vigil "+name, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // what is wrong is said once, by report
	fs.Usage = func() {}
	return fs
}

// dataFlag is the flag that every command has.
func dataFlag(fs *flag.FlagSet) *string {
	return fs.String("data", "./vigil-data", "the directory `DIR` with the server's data")
}

// parse sets the flags from the environment and then from args, in which flags and other words may stand in any order, and
// returns the other words, of which there must be as many as are named.
func parse(c *cli, fs *flag.FlagSet, args []string, words ...string) ([]string, error) {
	if err := fromEnviron(fs, c.environ); err != nil {
		return nil, err
	}
	var given []string
	for {
		if err := fs.Parse(args); err != nil {
			return nil, explain(c, fs, err, words)
		}
		if fs.NArg() == 0 {
			break
		}
		given = append(given, fs.Arg(0))
		args = fs.Args()[1:]
	}
	if len(given) != len(words) {
		if len(given) > len(words) {
			return nil, &usageError{fmt.Sprintf("%s: %q is one word too many", fs.Name(), given[len(words)])}
		}
		return nil, &usageError{fmt.Sprintf("%s: %s is missing", fs.Name(), words[len(given)])}
	}
	return given, nil
}

// fromEnviron sets flags from their twins: VIGIL_TLS_CERT for --tls-cert.
func fromEnviron(fs *flag.FlagSet, environ []string) error {
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, envPrefix) || strings.HasPrefix(name, testEnvPrefix) {
			continue
		}
		key := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, envPrefix), "_", "-"))
		if !slices.Contains(knownFlags, key) {
			return &usageError{fmt.Sprintf("%s in the environment is not known; did you mean %s?", name, envName(nearest(key, knownFlags)))}
		}
		if fs.Lookup(key) == nil {
			continue // another command's
		}
		if err := fs.Set(key, value); err != nil {
			return &usageError{fmt.Sprintf("%s=%s in the environment is not a valid value", name, value)}
		}
	}
	return nil
}

// given says that a flag was set, on the command line or in the environment.
func given(fs *flag.FlagSet, name string) (set bool) {
	fs.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	return set
}

func envName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, "-", "_"))
}

// explain turns what package flag says into a line that names the nearest known flag.
func explain(c *cli, fs *flag.FlagSet, err error, words []string) error {
	var known []string
	fs.VisitAll(func(f *flag.Flag) { known = append(known, f.Name) })
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(c.stdout, "Usage: %s", fs.Name())
		for _, w := range words {
			fmt.Fprintf(c.stdout, " %s", w)
		}
		if len(known) > 0 {
			fmt.Fprint(c.stdout, " [flags]\n")
		}
		fmt.Fprintln(c.stdout)
		fs.VisitAll(func(f *flag.Flag) {
			value, usage := flag.UnquoteUsage(f)
			line := "  --" + f.Name
			if value != "" {
				line += " " + value
			}
			fmt.Fprintf(c.stdout, "%-28s %s", line, usage)
			if f.DefValue != "" && f.DefValue != "false" {
				fmt.Fprintf(c.stdout, " (default %s)", f.DefValue)
			}
			fmt.Fprintln(c.stdout)
		})
		return errHelp
	}
	const unknown = "flag provided but not defined: -"
	name, ok := strings.CutPrefix(err.Error(), unknown)
	switch {
	case ok && len(known) == 0:
		return &usageError{fmt.Sprintf("%s: --%s is not known; it takes no flags", fs.Name(), name)}
	case ok:
		return &usageError{fmt.Sprintf("%s: --%s is not known; did you mean --%s?", fs.Name(), name, nearest(name, known))}
	}
	return &usageError{fmt.Sprintf("%s: %s", fs.Name(), strings.TrimSuffix(err.Error(), ": parse error"))}
}

// unknownCommand says which command was meant.
func unknownCommand(args []string) error {
	var names []string
	for _, cmd := range commands {
		names = append(names, cmd.name)
	}
	asked := args[0]
	if family := commandsOf(asked); len(family) > 0 { // half of a command is nearer to it than edits say
		names = nil
		for _, cmd := range family {
			names = append(names, cmd.name)
		}
	}
	if len(args) > 1 && !strings.HasPrefix(args[1], "-") {
		asked += " " + args[1]
	}
	return &usageError{fmt.Sprintf("%q is not a command; did you mean `vigil %s`? `vigil help` lists them", asked, nearest(asked, names))}
}

// cutWords takes the words of a command's name off the front of a command line.
func cutWords(args []string, name string) (rest []string, ok bool) {
	words := strings.Fields(name)
	if len(args) < len(words) || !slices.Equal(args[:len(words)], words) {
		return nil, false
	}
	return args[len(words):], true
}

// nearest is the known word with the fewest edits between it and the one that was written.
func nearest(word string, known []string) string {
	best, least := "", 1<<30
	for _, k := range known {
		if d := edits(word, k); d < least {
			best, least = k, d
		}
	}
	return best
}

// edits is the Levenshtein distance.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// parseDuration reads a time span as package time does, and days besides: 8d, 1d12h.
func parseDuration(text string) (time.Duration, error) {
	days, rest, ok := strings.Cut(text, "d")
	if !ok {
		return time.ParseDuration(text)
	}
	wrong := fmt.Errorf("%q is not a duration such as 8d, 36h or 90s", text)
	n, err := time.ParseDuration(days + "h")
	if err != nil || n < 0 || n > math.MaxInt64/24 {
		return 0, wrong
	}
	if rest == "" {
		return 24 * n, nil
	}
	more, err := time.ParseDuration(rest)
	if err != nil || more < 0 || 24*n > math.MaxInt64-more {
		return 0, wrong
	}
	return 24*n + more, nil
}
