// Command vigil is a key management service that keeps watch.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/aws/smithy-go"

	"vigil/internal/server"
)

// command is a sub-command: its words, what it is for, and what it does with the rest of the line.
type command struct {
	name    string
	args    string
	summary string
	run     func(ctx context.Context, c *cli, args []string) error
}

var commands = []command{
	{"serve", "[flags]", "run the server", serve},
	{"env", "[--data DIR]", "print what a shell needs to use the server: eval \"$(vigil env)\"", env},
	{"account add", "ACCOUNT [--data DIR]", "add an account", accountAdd},
	{"clock advance", "DURATION [--data DIR]", "move the clock of a server that runs with --test-clock (8d, 36h, 90s)", clockAdvance},
	{"trail", "[--key ID] [--follow] [--last N] [--data DIR]", "print what happened, or the life of one key, as lines", trailLines},
	{"key timeline", "KEY [--json] [--days N] [--region R] [--profile P] [--data DIR]", "print the life of a key, and whether it is safe to delete it", keyTimeline},
	{"import", "DIR|FILE|s3://BUCKET/PREFIX [--follow] [--public-keys FILE] [--data DIR]", "bring in CloudTrail records that were made elsewhere", importRecords},
	{"prove", "EVENT_ID [--out FILE] [--data DIR]", "write the proof that an event is in the log, as a file", prove},
	{"verify", "FILE|DIR|s3://BUCKET/PREFIX [--log-key KEY] [--checkpoint FILE] [--public-keys FILE]", "check a proof file, the whole database of a data directory, or a trail's files in a bucket or a folder", verify},
	{"bench", "[--op Encrypt] [--clients 64] [--duration 10s] [--data DIR]", "load the running server and compare it with a bare HTTP echo", bench},
	{"version", "", "print the version", version},
}

// cli is where a command reads its surroundings and writes.
type cli struct {
	stdout, stderr io.Writer
	environ        []string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, &cli{os.Stdout, os.Stderr, os.Environ()}, os.Args[1:])
	stop()
	os.Exit(code)
}

// run carries out a command line and returns the exit code: 0, 1 for a failure, 2 for a line that makes no sense.
func run(ctx context.Context, c *cli, args []string) int {
	if len(args) == 1 && args[0] == echoCommand {
		return report(c, serveEcho(ctx, c))
	}
	switch {
	case len(args) == 0, len(args) == 1 && (args[0] == "help" || args[0] == "-h" || args[0] == "--help"):
		usage(c.stdout)
		return 0
	case args[0] == "help":
		args = append(args[1:], "--help")
	case args[0] == "--version":
		args = []string{"version"}
	}
	for _, cmd := range commands {
		if rest, ok := cutWords(args, cmd.name); ok {
			return report(c, cmd.run(ctx, c, rest))
		}
	}
	if len(args) == 2 && (args[1] == "-h" || args[1] == "--help") {
		if family := commandsOf(args[0]); len(family) > 0 {
			fmt.Fprint(c.stdout, "Usage:\n\n")
			usageOf(c.stdout, family)
			return 0
		}
	}
	return report(c, unknownCommand(args))
}

func report(c *cli, err error) int {
	if err == nil || errors.Is(err, errHelp) {
		return 0
	}
	text := err.Error()
	if refusal := smithy.APIError(nil); errors.As(err, &refusal) { // without what the SDK puts around it
		text = refusal.ErrorCode() + ": " + refusal.ErrorMessage()
	}
	if !strings.HasPrefix(text, "vigil ") { // those of a command's words begin with it
		text = "vigil: " + text
	}
	fmt.Fprintln(c.stderr, text)
	if wrong := (*usageError)(nil); errors.As(err, &wrong) {
		return 2
	}
	return 1
}

func usage(w io.Writer) {
	fmt.Fprint(w, "Vigil is a key management service that keeps watch: the AWS KMS API, and all that watches a key, on one endpoint.\n\nUsage:\n\n")
	usageOf(w, commands)
	fmt.Fprint(w, "\n`vigil COMMAND --help` lists a command's flags. Each flag can be given as VIGIL_FLAG in the environment too.\n")
}

func usageOf(w io.Writer, of []command) {
	for _, cmd := range of {
		fmt.Fprintf(w, "  vigil %s\n        %s\n", strings.TrimSpace(cmd.name+" "+cmd.args), cmd.summary)
	}
}

// commandsOf are the commands of two words that begin with this one.
func commandsOf(first string) []command {
	var family []command
	for _, cmd := range commands {
		if strings.HasPrefix(cmd.name, first+" ") {
			family = append(family, cmd)
		}
	}
	return family
}

func version(_ context.Context, c *cli, args []string) error {
	if _, err := parse(c, newFlags(c, "version"), args); err != nil {
		return err
	}
	fmt.Fprintln(c.stdout, "vigil", server.Version)
	return nil
}
