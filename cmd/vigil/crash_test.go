package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go/middleware"

	"vigil"
	"vigil/internal/journal"
	"vigil/internal/notary/notarytest"
	"vigil/internal/server"
	"vigil/internal/store"
	"vigil/internal/store/postgres"
	"vigil/internal/store/sqlite"
	"vigil/internal/store/storetest"
)

// TestCrash kills the server at random moments under load, again and again, and then holds what it answered against
// what it has: every answered call is in the history exactly once; what the history says was done is just what is there.
func TestCrash(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		dir := t.TempDir()
		crash(t, 22, dir, func() (store.DB, error) { return sqlite.Open(filepath.Join(dir, "vigil.db")) })
	})
	t.Run("postgres", func(t *testing.T) {
		url := storetest.Postgres(t)
		crash(t, 6, t.TempDir(), func() (store.DB, error) { return postgres.Open(context.Background(), url, "vigil") }, "--database", url)
	})
}

func crash(t *testing.T, rounds int, dir string, open func() (store.DB, error), flags ...string) {
	told := &answers{requests: map[string]string{}}
	var auditor *notarytest.Reader
	start := func() *process {
		s := startVigil(t, dir, flags...)
		if auditor == nil {
			auditor = notarytest.NewReader(t, string(s.log(t, "key")), nil)
		}
		auditor.ReadFrom(func(resource string) []byte { return s.log(t, resource) })
		auditor.Visit(t)
		return s
	}
	killAgainAndAgain(t, rounds, start, func(ctx context.Context, s *process, round int) (clients []func()) {
		for client := range 12 {
			clients = append(clients, func() { told.callUntilItFails(ctx, s.kms(), fmt.Sprintf("r%d-c%d", round, client)) })
		}
		return clients
	})
	t.Logf("%d calls were answered over %d crashes", len(told.requests), rounds)

	s := start()
	history := s.history(t)
	told.compare(t, history)
	compareStates(t, s.kms(), history)
	tree := auditor.Visit(t)
	s.stop(t)
	checkJournal(t, open)
	checkInclusion(t, open, auditor, func() (stop func()) {
		s = startVigil(t, dir, flags...)
		auditor.ReadFrom(func(resource string) []byte { return s.log(t, resource) })
		return func() { s.stop(t) }
	}, tree.N)
	if out, err := exec.Command("vigil", append([]string{"verify", dir}, flags...)...).CombinedOutput(); err != nil {
		t.Errorf("vigil verify: %v\n%s", err, out)
	}
}

// checkInclusion has an independent reader find records, some of every crash, in the log at their places.
func checkInclusion(t *testing.T, open func() (store.DB, error), auditor *notarytest.Reader, serve func() (stop func()), n int64) {
	t.Helper()
	var seqs []int64
	for seq := int64(0); seq < n; seq += 1 + n/100 {
		seqs = append(seqs, seq)
	}
	db, err := open()
	if err != nil {
		t.Fatal(err)
	}
	var entries []journal.Entry
	j, err := journal.Open(t.Context(), db, slog.New(slog.DiscardHandler))
	if err == nil {
		entries, err = j.Get(t.Context(), seqs)
	}
	db.Close()
	if err != nil || len(entries) != len(seqs) {
		t.Fatalf("%d records of %d are there: %v", len(entries), len(seqs), err)
	}
	defer serve()()
	tree := auditor.Visit(t)
	for _, e := range entries {
		digest := sha256.Sum256(e.Data)
		auditor.Find(t, tree, e.Seq, append([]byte{1}, digest[:]...))
	}
}

// killAgainAndAgain starts a server and kills it at a random moment while clients call it until it is gone, as often as rounds says.
func killAgainAndAgain(t *testing.T, rounds int, start func() *process, clients func(ctx context.Context, s *process, round int) []func()) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	for round := range rounds {
		s := start()
		ctx, cancel := context.WithCancel(t.Context())
		var calling sync.WaitGroup
		for _, call := range clients(ctx, s, round) {
			calling.Go(call)
		}
		time.Sleep(time.Duration(random.IntN(400)) * time.Millisecond)
		s.kill(t)
		cancel()
		calling.Wait()
	}
}

// answers is what the clients were told, by the request's id.
type answers struct {
	mu       sync.Mutex
	requests map[string]string // to the operation
}

func (a *answers) note(operation string, metadata middleware.Metadata) {
	id, _ := awsmiddleware.GetRequestIDMetadata(metadata)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests[id] = operation
}

// callUntilItFails makes keys, gives them aliases, uses them, disables and enables them, until the server is gone.
func (a *answers) callUntilItFails(ctx context.Context, client *kms.Client, name string) {
	for n := 0; ; n++ {
		created, err := client.CreateKey(ctx, &kms.CreateKeyInput{Description: &name})
		if err != nil {
			return
		}
		a.note("CreateKey", created.ResultMetadata)
		key := created.KeyMetadata.KeyId
		alias, err := client.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: aws.String(fmt.Sprintf("alias/%s-%d", name, n)), TargetKeyId: key})
		if err != nil {
			return
		}
		a.note("CreateAlias", alias.ResultMetadata)
		for range 5 {
			sealed, err := client.Encrypt(ctx, &kms.EncryptInput{KeyId: key, Plaintext: []byte(name)})
			if err != nil {
				return
			}
			a.note("Encrypt", sealed.ResultMetadata)
		}
		disabled, err := client.DisableKey(ctx, &kms.DisableKeyInput{KeyId: key})
		if err != nil {
			return
		}
		a.note("DisableKey", disabled.ResultMetadata)
		if n%2 == 1 {
			continue
		}
		enabled, err := client.EnableKey(ctx, &kms.EnableKeyInput{KeyId: key})
		if err != nil {
			return
		}
		a.note("EnableKey", enabled.ResultMetadata)
	}
}

// compare looks every answered call up in the history.
func (a *answers) compare(t *testing.T, history []*vigil.Record) {
	t.Helper()
	recorded := map[string]int{}
	events := map[string]bool{}
	for _, r := range history {
		recorded[r.RequestID]++
		if events[r.EventID] {
			t.Errorf("event %s (%s) is in the history twice", r.EventID, r.EventName)
		}
		events[r.EventID] = true
	}
	for id, operation := range a.requests {
		if recorded[id] != 1 {
			t.Errorf("%s %s was answered, and is in the history %d times", operation, id, recorded[id])
		}
	}
}

// compareStates holds the keys and aliases that are there against what the history says was done, answered or not.
func compareStates(t *testing.T, client *kms.Client, history []*vigil.Record) {
	t.Helper()
	states, aliases := map[string]string{}, map[string]bool{}
	for _, r := range history {
		if r.ErrorCode != "" || len(r.Resources) == 0 {
			continue
		}
		key := r.Resources[0].ARN
		switch r.EventName {
		case "CreateKey", "EnableKey":
			states[key] = "Enabled"
		case "DisableKey":
			states[key] = "Disabled"
		case "CreateAlias":
			var in struct{ AliasName string }
			if err := json.Unmarshal(r.RequestParameters, &in); err != nil {
				t.Fatal(err)
			}
			aliases[in.AliasName] = true
		}
	}
	ctx := context.Background()
	pages := kms.NewListKeysPaginator(client, &kms.ListKeysInput{})
	there := 0
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range page.Keys {
			there++
			out, err := client.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: k.KeyId})
			if err != nil {
				t.Fatal(err)
			}
			if got, want := string(out.KeyMetadata.KeyState), states[*k.KeyArn]; got != want {
				t.Errorf("%s is %s, and by its history %q", *k.KeyArn, got, want)
			}
		}
	}
	if there != len(states) {
		t.Errorf("%d keys are there, and the history has %d made", there, len(states))
	}
	aliasPages := kms.NewListAliasesPaginator(client, &kms.ListAliasesInput{})
	for aliasPages.HasMorePages() {
		page, err := aliasPages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range page.Aliases {
			if !aliases[*a.AliasName] {
				t.Errorf("%s is there, and the history has not made it", *a.AliasName)
			}
			delete(aliases, *a.AliasName)
		}
	}
	for name := range aliases {
		t.Errorf("%s was made by the history, and is not there", name)
	}
}

// process is a server of its own.
type process struct {
	cmd     *exec.Cmd
	dir     string
	profile server.Profile
}

// startVigil starts the real binary on a data directory.
func startVigil(t *testing.T, dir string, flags ...string) *process {
	t.Helper()
	cmd := exec.Command("vigil", append([]string{"serve", "--data", dir, "--listen", "127.0.0.1:0"}, flags...)...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); !isReady(dir); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the server does not get ready")
		}
	}
	profile, err := server.ReadProfile(dir, "default")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return &process{cmd, dir, profile}
}

func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait() // it says that it was killed
}

// stop stops the server as an operator does.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
}

// config is for clients that call once and say what came of it.
func (p *process) config() aws.Config {
	return aws.Config{Region: p.profile.Region, BaseEndpoint: &p.profile.Endpoint, Credentials: credentials(p.profile),
		Retryer: func() aws.Retryer { return aws.NopRetryer{} }}
}

// reading is for clients that ask what there is, again if need be, as clients do unless they are told otherwise.
func (p *process) reading() aws.Config {
	c := p.config()
	c.Retryer = nil
	return c
}

func (p *process) kms() *kms.Client { return kms.NewFromConfig(p.config()) }

// log is a resource of the log of the server's records.
func (p *process) log(t *testing.T, resource string) []byte {
	t.Helper()
	return p.get(t, "/tlog/"+resource)
}

// get is what the server says to anybody.
func (p *process) get(t *testing.T, path string) []byte {
	t.Helper()
	resp, err := http.Get(p.profile.Endpoint + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v", path, resp.Status, err)
	}
	return body
}

// history is all that LookupEvents has, oldest first, but for the look-ups themselves.
func (p *process) history(t *testing.T) []*vigil.Record {
	t.Helper()
	client := cloudtrail.NewFromConfig(p.reading())
	var all []*vigil.Record
	pages := cloudtrail.NewLookupEventsPaginator(client, &cloudtrail.LookupEventsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Events {
			r, err := vigil.ParseRecord([]byte(*e.CloudTrailEvent))
			if err != nil {
				t.Fatal(err)
			}
			if r.EventName != "LookupEvents" {
				all = append(all, r)
			}
		}
	}
	slices.Reverse(all)
	return all
}

// checkJournal reads the whole journal of a stopped server for what must always hold.
func checkJournal(t *testing.T, open func() (store.DB, error)) {
	t.Helper()
	db, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	j, err := journal.Open(context.Background(), db, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Check(context.Background()); err != nil {
		t.Error(err)
	}
}
