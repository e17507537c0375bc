package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/middleware"

	"vigil"
	"vigil/internal/arn"
	"vigil/internal/server"
)

// trailLines prints the event history as lines, oldest first. It is a client of LookupEvents like any other.
func trailLines(ctx context.Context, c *cli, args []string) (err error) {
	fs := newFlags(c, "trail")
	data := dataFlag(fs)
	key := fs.String("key", "", "only the life of a key: its `ID`, ARN or alias")
	follow := fs.Bool("follow", false, "go on printing what happens, until interrupted")
	last := fs.Int("last", 50, "how many events to begin with, `N`; 0 for all, which it is with --key")
	profileName := fs.String("profile", "default", "the `PROFILE` of the account to look at")
	if _, err := parse(c, fs, args); err != nil {
		return err
	}
	if *last < 0 {
		return &usageError{"vigil trail: --last must not be less than nothing"}
	}
	profile, err := server.ReadProfile(*data, *profileName)
	if err != nil {
		return err
	}
	defer func() {
		if errors.Is(err, syscall.ECONNREFUSED) && server.ServingProcess(*data) == 0 {
			err = fmt.Errorf("no server runs on %s: start one with `vigil serve --data %s`", *data, *data)
		}
	}()
	t := newTrailReader(profile)
	if *last == 0 {
		t.start = time.Unix(0, 0) // all is more than the 90 days that are looked through otherwise
	}
	if *key != "" {
		arn, err := t.keyARN(ctx, profile, *key)
		if err != nil {
			return err
		}
		t.start = time.Unix(0, 0) // a life is longer than that
		t.attributes = []types.LookupAttribute{{AttributeKey: types.LookupAttributeKeyResourceName, AttributeValue: &arn}}
		if !given(fs, "last") {
			*last = 0
		}
	}
	for first := true; ; first = false {
		n := 0
		if first {
			n = *last
		}
		events, err := t.newest(ctx, n)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		printEvents(c.stdout, events)
		if first && *key != "" && len(events) == 0 {
			fmt.Fprintln(c.stderr, "vigil trail: nothing is on record of", *t.attributes[0].AttributeValue)
		}
		if !*follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

// trailReader pages through LookupEvents.
type trailReader struct {
	client     *cloudtrail.Client
	attributes []types.LookupAttribute
	start      time.Time            // how far back the first look-up goes; zero is 90 days
	begun      time.Time            // of the newest event that the first look-up found
	newestAt   time.Time            // of the newest event seen
	seen       map[string]time.Time // the ids and times of the events that a look-up may find again
}

// overlap is how far before the newest event a look-up begins: a call that takes its time is on record after calls that began later.
const overlap = 5 * time.Second

func newTrailReader(p server.Profile) *trailReader {
	config := awsConfig(p)
	config.APIOptions = []func(*middleware.Stack) error{awsmiddleware.AddUserAgentKeyValue(trailAgent, server.Version)}
	return &trailReader{seen: map[string]time.Time{}, client: cloudtrail.NewFromConfig(config)}
}

// trailAgent names this command in the records of its own look-ups, which it does not print: following would never end.
const trailAgent = "vigil-trail"

// awsConfig is the configuration of the SDK's clients of the profile's server. They do not retry.
func awsConfig(p server.Profile) aws.Config {
	return aws.Config{Region: p.Region, BaseEndpoint: &p.Endpoint, Credentials: credentials(p), Retryer: func() aws.Retryer { return aws.NopRetryer{} },
		HTTPClient: &http.Client{Transport: p.Transport()}}
}

func credentials(p server.Profile) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: p.AccessKeyID, SecretAccessKey: p.Secret}, nil
	})
}

// keyARN is the ARN of a key that may be long gone.
func (t *trailReader) keyARN(ctx context.Context, p server.Profile, key string) (string, error) {
	if strings.Contains(key, ":key/") {
		return key, nil
	}
	if strings.Contains(key, "alias/") {
		out, err := kms.NewFromConfig(awsConfig(p)).DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &key})
		if err != nil {
			return "", err
		}
		return *out.KeyMetadata.Arn, nil
	}
	who, err := sts.NewFromConfig(awsConfig(p)).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", err
	}
	partition := strings.Split(*who.Arn, ":")[1]
	return fmt.Sprintf("arn:%s:kms:%s:%s:key/%s", partition, p.Region, *who.Account, key), nil
}

// newest returns the newest events that it has not returned before and that are not its own, at most n unless n is 0, oldest first.
func (t *trailReader) newest(ctx context.Context, n int) ([]types.Event, error) {
	in := &cloudtrail.LookupEventsInput{LookupAttributes: t.attributes}
	if !t.start.IsZero() {
		in.StartTime = &t.start
	}
	if from := t.newestAt.Add(-overlap); !t.begun.IsZero() {
		if from.Before(t.begun) {
			from = t.begun
		}
		in.StartTime = &from
		maps.DeleteFunc(t.seen, func(_ string, at time.Time) bool { return at.Before(from) })
	}
	var events []types.Event
	for pages := cloudtrail.NewLookupEventsPaginator(t.client, in); pages.HasMorePages() && (n == 0 || len(events) < n); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		events = append(events, t.unseen(page.Events)...)
	}
	if t.begun.IsZero() {
		t.begun = t.newestAt
	}
	if n > 0 && len(events) > n {
		events = events[:n]
	}
	slices.Reverse(events)
	return events, nil
}

// unseen leaves out events that were seen before, and this command's own, and remembers the others.
func (t *trailReader) unseen(events []types.Event) []types.Event {
	return slices.DeleteFunc(events, func(e types.Event) bool {
		id := aws.ToString(e.EventId)
		if id == "" { // as some records are that were made elsewhere
			id = aws.ToString(e.CloudTrailEvent)
		}
		_, seen := t.seen[id]
		t.seen[id] = *e.EventTime
		if e.EventTime.After(t.newestAt) {
			t.newestAt = *e.EventTime
		}
		return seen || isOwn(e)
	})
}

// isOwn says that an event is a look-up of this command's. No other call can pass for one, whatever it says of itself.
func isOwn(e types.Event) bool {
	if aws.ToString(e.EventName) != "LookupEvents" {
		return false
	}
	r, err := vigil.ParseRecord([]byte(aws.ToString(e.CloudTrailEvent)))
	return err == nil && strings.Contains(r.UserAgent, trailAgent+"/")
}

func printEvents(w io.Writer, events []types.Event) {
	for _, e := range events {
		line, err := eventLine([]byte(aws.ToString(e.CloudTrailEvent)))
		if err != nil {
			line = fmt.Sprintf("%s  %s  (a record that cannot be read: %v)", e.EventTime.UTC().Format(time.RFC3339), aws.ToString(e.EventName), err)
		}
		fmt.Fprintln(w, line)
	}
}

// eventLine is a record as a line for people: when, what, who, on what, and how it ended.
func eventLine(record []byte) (string, error) {
	r, err := vigil.ParseRecord(record)
	if err != nil {
		return "", err
	}
	parts := []string{r.EventTime.UTC().Format("2006-01-02T15:04:05Z"), fmt.Sprintf("%-20s", r.EventName), who(r)}
	for _, res := range r.Resources {
		_, name, _ := strings.Cut(res.ARN, ":"+res.AccountID+":")
		parts = append(parts, name)
	}
	parts = append(parts, parameters(r)...)
	if r.ErrorCode != "" {
		parts = append(parts, "FAILED "+r.ErrorCode)
		if r.ErrorMessage != "" {
			parts[len(parts)-1] += ": " + r.ErrorMessage
		}
	}
	return printable(strings.Join(parts, "  ")), nil
}

// printable spells out what would move a terminal's cursor or begin another line: messages repeat what callers have sent, and no
// caller may write lines here.
func printable(line string) string {
	var b strings.Builder
	for _, r := range line {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// who is a record's caller, shortly, and the service that called for it.
func who(r *vigil.Record) string {
	caller := callerOf(r.UserIdentity)
	if by := r.UserIdentity.InvokedBy; by != "" && by != caller {
		caller += " by " + by
	}
	return caller
}

func callerOf(u vigil.UserIdentity) string {
	a, err := arn.Parse(u.ARN)
	switch {
	case u.Type == "Root", u.Type == "AWSAccount" && u.PrincipalID == u.AccountID:
		return "root of " + u.AccountID
	case u.Type == "AWSAccount": // of which no more is told
		return u.PrincipalID + " of " + u.AccountID
	case err == nil: // user/alice, assumed-role/deploy/session
		return a.Resource + " of " + a.Account
	case u.ARN != "":
		return u.ARN
	case u.InvokedBy != "":
		return u.InvokedBy
	}
	return u.AccountID
}

// parameters are what a call was given, in order. What the line says already is left out, and what everybody gives: a symmetric
// algorithm, a thing left off. So is a key policy, which is a page of its own.
func parameters(r *vigil.Record) []string {
	var all map[string]any
	if json.Unmarshal(r.RequestParameters, &all) != nil {
		return nil
	}
	delete(all, "keyId")
	delete(all, "policy")
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		switch value := all[name].(type) {
		case string:
			named := slices.ContainsFunc(r.Resources, func(res vigil.Resource) bool { return strings.HasSuffix(res.ARN, value) })
			if value != "" && value != "SYMMETRIC_DEFAULT" && !named {
				parts = append(parts, fmt.Sprintf("%s=%q", name, value))
			}
		case bool:
			if value {
				parts = append(parts, name)
			}
		default:
			text, err := json.Marshal(value)
			if err == nil && string(text) != "[]" && string(text) != "{}" {
				parts = append(parts, name+"="+string(text))
			}
		}
	}
	return parts
}
