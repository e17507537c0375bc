// Package server puts the parts of Vigil together, starts them in order and stops them in reverse:
// seal, store, journal, followers, background parts, front. It holds wiring and nothing else.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"vigil/internal/alarms"
	"vigil/internal/call"
	"vigil/internal/clock"
	"vigil/internal/deliver"
	"vigil/internal/events"
	"vigil/internal/front"
	"vigil/internal/front/httpd"
	"vigil/internal/identity"
	"vigil/internal/intake"
	"vigil/internal/journal"
	"vigil/internal/kms"
	"vigil/internal/kms/attestation"
	"vigil/internal/kms/xks"
	"vigil/internal/lake"
	"vigil/internal/logs"
	"vigil/internal/metrics"
	"vigil/internal/notary"
	"vigil/internal/notify"
	"vigil/internal/objects"
	"vigil/internal/seal"
	"vigil/internal/store"
	"vigil/internal/store/postgres"
	"vigil/internal/store/sqlite"
	"vigil/internal/trail"
)

// Version is this build's version.
const Version = "0.1.0-dev"

// Config is the command line of `vigil serve`.
type Config struct {
	Listen       string // host:port; port 0 takes a free one
	Data         string // the data directory
	Database     string // postgres://…; empty for SQLite in the data directory
	Account      string // the first account, which operates the server; empty for whichever it is, 000000000000 at first
	Region       string // of the client configuration that is written; any region is served
	TLSCert      string
	TLSKey       string
	InsecureHTTP bool // allow plain HTTP on an address that is not loopback
	TestClock    bool // let the clock be moved

	AllowLocalTargets bool   // deliver to endpoints on loopback and link-local addresses too
	SMTPRelay         string // smtp://host:port?from=address; empty for no mail
	NitroRoot         string // a PEM file with the roots of attestation documents that are trusted; empty to trust none
	PublicURL         string // what subscribers elsewhere reach the server by; empty for the address that it listens on

	TrailDelivery time.Duration // how long after an event a trail's files have it at the latest; 0 for AWS's 5 minutes

	// S3Endpoint is the URL of the S3-compatible store that has the objects of buckets; empty for files in the data directory. Requests
	// are signed for S3Region, with the profile default of the file S3Credentials or, if that is empty, the environment's AWS_ACCESS_KEY_ID,
	// AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.
	S3Endpoint, S3Region, S3Credentials string

	// Retention is how long records are kept, at least MinRetention; 0 for ever.
	Retention time.Duration

	Witnesses []notary.Witness // who cosigns the log's checkpoints

	Functions map[string]string // the invoke URLs of functions that rules may have as targets, by ARN

	Proxies xks.Options // how the proxies of external key stores are reached; AllowLocalTargets and ProxyCA add to it
	ProxyCA string      // a file of certificate authorities that proxies are trusted by, besides the system's

	Log *slog.Logger
}

// DefaultAccount is the first account when none is asked for.
const DefaultAccount = "000000000000"

// Server is a running server.
type Server struct {
	cfg      Config
	log      *slog.Logger
	files    dataDir
	main     store.DB
	history  store.DB
	watch    store.DB
	journal  *journal.Journal
	notary   *notary.Notary
	clock    clock.Clock
	movable  *clock.Movable // nil without a test clock
	identity *identity.Identity
	kms      *kms.KMS
	trust    *attestation.Trust // nil without NitroRoot
	trail    *trail.Trail
	lake     *lake.Lake
	logs     *logs.Logs
	metrics  *metrics.Metrics
	notify   *notify.Notify
	outbox   *deliver.Outbox
	alarms   *alarms.Alarms
	events   *events.Events
	objects  *objects.Objects
	intake   *intake.Intake
	door     *front.Door
	http     *httpd.Server
	listener net.Listener
	ready    atomic.Bool
	firstRun bool

	// keep says from when on records must stay although they are past their retention; the zero time if none must.
	keep []func(context.Context) (time.Time, error)

	stops  []func()   // what has been started, to be stopped in reverse
	failed chan error // a part that ended by itself
}

// Start starts a server. On error nothing of it is left running.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	uuid.EnableRandPool() // request and event ids are not secret
	s := &Server{cfg: cfg, log: cfg.Log, failed: make(chan error, 8)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	for _, step := range []func(context.Context) error{
		s.openData, s.openStores, s.startClock, s.startJournal, s.openServices, s.openAccounts, s.openDoor, s.openListener,
		s.startFollowers, s.startFront,
	} {
		if err := step(ctx); err != nil {
			s.stop()
			return nil, err
		}
	}
	s.ready.Store(true)
	return s, nil
}

// URL is where the server answers.
func (s *Server) URL() string { return s.endpoint() }

// FirstRun says that this is the first start on the data directory that came this far.
func (s *Server) FirstRun() bool { return s.firstRun }

// Journal is for those who watch the server from inside its process.
func (s *Server) Journal() *journal.Journal { return s.journal }

// Run waits until ctx is done or a part fails, and stops the server: in-flight calls are answered and recorded first.
// It returns the failure, or nil.
func (s *Server) Run(ctx context.Context) error {
	var err error
	select {
	case <-ctx.Done():
		s.log.Info("Stopping: in-flight calls are finished and recorded first.")
	case err = <-s.failed:
		s.log.Error("A part of the server cannot go on; stopping.", "error", err)
	}
	s.Stop()
	return err
}

// Stop stops the server and returns when nothing of it runs.
func (s *Server) Stop() {
	s.ready.Store(false)
	s.stop()
}

func (s *Server) stop() {
	for i := len(s.stops) - 1; i >= 0; i-- {
		s.stops[i]()
	}
	s.stops = nil
}

// onStop adds a step to the stopping, which is done before those added earlier.
func (s *Server) onStop(waitsFor string, stop func()) {
	s.stops = append(s.stops, func() {
		begun := time.Now()
		stop()
		if took := time.Since(begun); took > time.Second {
			s.log.Info("Stopped.", "what", waitsFor, "took", took.Round(time.Millisecond))
		}
	})
}

// background runs a part until the server stops it. A part that ends before that is a failure.
func (s *Server) background(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		err := run(ctx)
		if ctx.Err() == nil {
			s.ready.Store(false)
			s.failed <- fmt.Errorf("%s ended: %w", name, errors.Join(err, errEnded))
		} else if err != nil && !errors.Is(err, context.Canceled) {
			s.log.Error("A part stopped with an error.", "part", name, "error", err)
		}
	})
	s.onStop(name, func() { cancel(); done.Wait() })
}

var errEnded = errors.New("it runs as long as the server does")

func (s *Server) openData(context.Context) error {
	if err := checkListen(s.cfg); err != nil {
		return err
	}
	if s.cfg.Retention != 0 && s.cfg.Retention < MinRetention {
		return fmt.Errorf("--retention %v: records are kept for a day at least, or for ever, which is 0", s.cfg.Retention)
	}
	trust, err := nitroRoots(s.cfg.NitroRoot)
	if err != nil {
		return err
	}
	s.trust = trust
	files, err := openDataDir(s.cfg.Data)
	if err != nil {
		return err
	}
	s.files = files
	s.onStop("the data directory", files.close)
	return nil
}

func (s *Server) openStores(ctx context.Context) error {
	open := func(name string) (store.DB, error) { return sqlite.Open(filepath.Join(s.files.path, name+".db")) }
	if s.cfg.Database != "" {
		open = func(name string) (store.DB, error) {
			return postgres.Open(ctx, s.cfg.Database, strings.ReplaceAll(name, "-", "_"))
		}
	}
	for _, database := range []struct {
		name string
		db   *store.DB
	}{{"vigil", &s.main}, {"vigil-history", &s.history}, {"vigil-watch", &s.watch}} {
		name := database.name
		opened, err := open(name)
		if err != nil {
			return fmt.Errorf("open the database %s: %w", name, err)
		}
		*database.db = opened
		s.onStop("the database "+name, func() {
			if err := opened.Close(); err != nil {
				s.log.Error("Closing a database failed.", "database", name, "error", err)
			}
		})
	}
	return nil
}

func (s *Server) startJournal(ctx context.Context) error {
	j, err := journal.Open(ctx, s.main, s.log)
	if err != nil {
		return err
	}
	s.journal = j
	s.background("the journal", j.Run)
	return nil
}

func (s *Server) openServices(ctx context.Context) error {
	newData := s.journal.Appended() == 0 // a lost root key is an error, not a reason to make another
	guard, err := seal.File(filepath.Join(s.files.path, "root.key"), newData)
	if err != nil {
		return err
	}
	root, err := seal.Unseal(ctx, s.main, guard)
	if err != nil {
		return err
	}
	if err := s.openNotary(ctx, root); err != nil {
		return err
	}
	if s.identity, err = identity.New(ctx, identity.Config{
		DB: s.main, Clock: s.clock, Secrets: root.For("identity access key"), Dial: deliver.Dialer(s.cfg.AllowLocalTargets).DialContext,
		LastUses: s.lastCalls,
	}); err != nil {
		return err
	}
	if err := s.openBuckets(ctx); err != nil {
		return err
	}
	if err := s.openTrails(ctx, root); err != nil {
		return err
	}
	if s.intake, err = intake.New(ctx, intake.Config{
		DB: s.main, Clock: s.clock, Journal: s.journal, Allow: s.identity.AllowOperator, Find: s.trail.FindEvents,
		HasAccount: s.identity.HasAccount,
	}); err != nil {
		return err
	}
	if s.lake, err = lake.New(ctx, lake.Config{
		DB: s.main, Watch: s.watch, Journal: s.journal, Clock: s.clock, Log: s.log,
		Principals: lake.Principals{UniqueID: s.identity.UniqueID, ARN: s.identity.ARN},
		Buckets:    lake.Buckets{Check: trailBuckets{s.objects}.Check, Put: s.putResult, Sign: s.trail.Sign},
	}); err != nil {
		return err
	}
	s.keep = append(s.keep, s.lake.Since)
	proxies, err := s.proxies()
	if err != nil {
		return err
	}
	s.kms, err = kms.New(ctx, kms.Config{
		DB: s.main, Clock: s.clock, Material: root.For("kms key material"), Journal: s.journal, Log: s.log,
		LastUse: s.lastUse, Principals: kms.Principals{UniqueID: s.identity.UniqueID, ARN: s.identity.ARN},
		Proxies: proxies, PutMetrics: s.putKeyStoreMetrics, Attestation: s.trust,
	})
	if err != nil {
		return err
	}
	return s.openWatch(ctx, root)
}

// hosts are the names of the server before which a bucket's may stand.
func (s *Server) hosts() []string {
	hosts := []string{"localhost"}
	named, _, _ := net.SplitHostPort(s.cfg.Listen)
	if s.cfg.TLSCert != "" {
		named = s.tlsName(named)
	}
	public, err := url.Parse(s.cfg.PublicURL)
	if err != nil {
		public = new(url.URL) // whoever uses it says so
	}
	for _, host := range []string{named, public.Hostname()} {
		if host != "" && net.ParseIP(host) == nil {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// lastUse is what KMS asks of CloudTrail's history: when a key was last used.
func (s *Server) lastUse(ctx context.Context, keyARN string) (kms.Usage, bool, error) {
	use, ok, err := s.trail.LastUse(ctx, keyARN)
	return kms.Usage{Operation: use.Operation, Time: use.Time, RequestID: use.RequestID, EventID: use.EventID}, ok, err
}

// lastCalls is what IAM asks of CloudTrail's history: when access keys and roles were last used.
func (s *Server) lastCalls(ctx context.Context, ids ...string) (map[string]identity.Use, error) {
	calls, err := s.trail.LastCalls(ctx, ids...)
	uses := make(map[string]identity.Use, len(calls))
	for id, c := range calls {
		uses[id] = identity.Use(c)
	}
	return uses, err
}

func (s *Server) startFollowers(context.Context) error {
	s.background("sealing", s.notary.Run)
	s.onStop("the last records to be sealed", s.sealRest)
	s.background("the event history", s.trail.Run)
	s.background("what comes due for keys", s.kms.Run)
	s.startWatch()
	s.background("retention", s.runRetention)
	return nil
}

// openListener takes the address. What arrives waits until the front is there.
func (s *Server) openListener(context.Context) (err error) {
	if s.listener, err = listen(s.cfg); err != nil {
		return err
	}
	s.onStop("the listener", func() { s.listener.Close() })
	return nil
}

// openDoor opens the door to the services themselves, which use each other through it. Clients come later.
func (s *Server) openDoor(context.Context) error {
	door, err := front.New(front.Config{
		Journal: s.journal, Clock: s.clock, Secret: s.identity.Lookup, Region: s.cfg.Region, Log: s.log,
		Services: []call.Service{
			s.kms.Service(), s.cloudTrail(), s.identity.IAM(), s.identity.STS(), s.logs.Service(), s.cloudWatch(), s.notify.Service(), s.events.Service(),
			s.vigilService(),
		},
		REST: s.objects.API(), Hosts: s.hosts(),
		Observe: s.observe, AsksForData: s.asksForData,
	})
	if err != nil {
		return err
	}
	s.door = door
	return nil
}

func (s *Server) startFront(context.Context) error {
	s.http = httpd.New(http.HandlerFunc(s.serveHTTP), s.log)
	s.firstRun = !s.files.hasConfig()
	if err := s.files.writeConfig(ClientConfig{Region: s.cfg.Region, Endpoint: s.endpoint(), CABundle: s.caBundle()}); err != nil {
		return err
	}
	s.onStop("calls in flight", s.drain)
	go func() {
		if err := s.http.Serve(s.listener); err != nil {
			s.failed <- fmt.Errorf("the listener ended: %w", err)
		}
	}()
	return nil
}

// serveHTTP is no http.ServeMux, which redirects paths such as // by itself: every request but this one is the door's to answer.
func (s *Server) serveHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/" && s.door.IsSignedREST(r) { // whatever the bucket is called
		s.door.ServeHTTP(w, r)
		return
	}
	if r.URL.Path == "/health" && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		s.health(w, r)
		return
	}
	if r.URL.Path == "/metrics" {
		s.metrics.Health().ServeHTTP(w, r)
		return
	}
	if open := s.notary.Open(r); open != nil {
		open.ServeHTTP(w, r)
		return
	}
	if open := s.notify.Open(r); open != nil {
		open.ServeHTTP(w, r)
		return
	}
	s.door.ServeHTTP(w, r)
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if !s.ready.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, "{\"status\":\"not ready\",\"version\":%q}\n", Version)
		return
	}
	if err := s.notary.Err(); err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, "{\"status\":\"not ready\",\"version\":%q,\"reason\":\"records are not sealed: vigil verify says why\"}\n", Version)
		return
	}
	fmt.Fprintf(w, "{\"status\":\"ready\",\"version\":%q,\"records\":%d}\n", Version, s.journal.Appended())
}

// checkListen refuses what cannot be served, and what would put keys on a network in the clear, before anything is made.
func checkListen(cfg Config) error {
	host, _, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return fmt.Errorf("--listen %s: %w", cfg.Listen, err)
	}
	if !front.IsRegion(cfg.Region) {
		return fmt.Errorf("--region %s: a region's name is like us-east-1", cfg.Region)
	}
	if (cfg.TLSCert == "") != (cfg.TLSKey == "") {
		return errors.New("--tls-cert and --tls-key go together")
	}
	if cfg.TLSCert != "" {
		_, err := loadCertificate(cfg)
		return err
	}
	if cfg.InsecureHTTP || isLoopback(host) {
		return nil
	}
	return fmt.Errorf("plain HTTP is only served on loopback: to listen on %s, give --tls-cert and --tls-key, or --insecure-http if something in front of Vigil does TLS", cfg.Listen)
}

// nitroRoots is whose attestation documents the operator trusts, or nil.
func nitroRoots(file string) (*attestation.Trust, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--nitro-root: %w", err)
	}
	trust, err := attestation.ParseRoots(text)
	if err != nil {
		return nil, fmt.Errorf("--nitro-root %s: %w", file, err)
	}
	return trust, nil
}
