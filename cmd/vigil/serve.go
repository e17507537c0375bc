package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"time"

	"vigil/internal/kms/xks"
	"vigil/internal/server"
	"vigil/internal/trail"
)

// serve runs the server until it is told to stop.
func serve(ctx context.Context, c *cli, args []string) error {
	cfg := server.Config{Log: slog.New(slog.NewTextHandler(c.stderr, nil))}
	fs := newFlags(c, "serve")
	data := dataFlag(fs)
	fs.StringVar(&cfg.Listen, "listen", "127.0.0.1:4599", "the `ADDRESS` to answer on; port 0 takes a free one")
	fs.StringVar(&cfg.Database, "database", "", "a PostgreSQL `URL`, instead of SQLite in the data directory")
	fs.StringVar(&cfg.Account, "account", "", "the first `ACCOUNT`, which operates the server; "+server.DefaultAccount+" if not given")
	fs.StringVar(&cfg.Region, "region", "us-east-1", "the `REGION` of the client configuration that is written; every region is served")
	fs.StringVar(&cfg.TLSCert, "tls-cert", "", "a `FILE` with the certificate chain to serve HTTPS with, in PEM form")
	fs.StringVar(&cfg.TLSKey, "tls-key", "", "a `FILE` with the certificate's private key, in PEM form")
	fs.BoolVar(&cfg.InsecureHTTP, "insecure-http", false, "serve plain HTTP on an address that is not loopback")
	fs.BoolVar(&cfg.AllowLocalTargets, "allow-local-targets", false, "deliver to endpoints on loopback and link-local addresses too")
	fs.Var((*functions)(&cfg.Functions), "function", "where to invoke a function, `ARN=URL`, that is a rule's target; may be given again")
	fs.DurationVar(&cfg.Proxies.Timeout, "xks-timeout", xks.DefaultTimeout, "how long the proxy of an external key store has for an answer, a `DURATION`")
	fs.StringVar(&cfg.ProxyCA, "xks-ca", "", "a `FILE` of certificate authorities, in PEM form, that may vouch for such proxies besides the system's")
	fs.StringVar(&cfg.NitroRoot, "nitro-root", "", "a `FILE` with the root certificates of Nitro attestation documents to trust, in PEM form")
	s3Flags(fs, &cfg.S3Endpoint, &cfg.S3Region, &cfg.S3Credentials)
	fs.Var((*days)(&cfg.Retention), "retention", "how long records are kept, a `TIME` like 90d; 0 for ever")
	fs.Var((*witnesses)(&cfg.Witnesses), "witness", "who cosigns checkpoints of the log, `URL=KEY`; may be given again")
	fs.StringVar(&cfg.PublicURL, "public-url", "", "the `URL` by which subscribers on other machines reach the server")
	fs.DurationVar(&cfg.TrailDelivery, "trail-delivery", trail.DefaultWithin, "how long after an event a trail's files have it at most, a `DURATION` of 1s to 5m")
	fs.StringVar(&cfg.SMTPRelay, "smtp-relay", "", "hand mail to a relay, `URL` like smtp://relay.example.com:25?from=vigil@example.com")
	fs.BoolVar(&cfg.TestClock, "test-clock", false, "let \"vigil clock advance\" move the clock; for tests")
	if _, err := parse(c, fs, args); err != nil {
		return err
	}
	if cfg.TrailDelivery < time.Second || cfg.TrailDelivery > trail.DefaultWithin {
		return &usageError{fmt.Sprintf("--trail-delivery %s: it is from 1s to 5m", cfg.TrailDelivery)}
	}
	cfg.Data = *data
	tuneCollector(c)
	tuneScheduler(c)

	s, err := server.Start(ctx, cfg)
	if err != nil {
		return err
	}
	greet(c, s, cfg)
	return s.Run(ctx)
}

// s3Flags are the flags that say where an S3-compatible store is.
func s3Flags(fs *flag.FlagSet, endpoint, region, credentials *string) {
	fs.StringVar(endpoint, "s3-endpoint", "", "the `URL` of the S3-compatible store with the objects of buckets")
	fs.StringVar(region, "s3-region", "us-east-1", "the `REGION` that requests to it are signed for")
	fs.StringVar(credentials, "s3-credentials", "", "a `FILE` of AWS's form with its credentials; AWS_ACCESS_KEY_ID and its twins if not given")
}

// days is the value of a flag that is a time span, which may have days.
type days time.Duration

func (d *days) String() string { return "0" }

func (d *days) Set(text string) error {
	parsed, err := parseDuration(text)
	*d = days(parsed)
	return err
}

// functions is the value of --function, which may be given more than once. In the environment its values are parted by spaces.
type functions map[string]string

func (f *functions) String() string { return "" }

func (f *functions) Set(text string) error {
	for _, one := range strings.Fields(text) {
		name, endpoint, ok := strings.Cut(one, "=")
		if !ok {
			return errors.New("it is not like ARN=URL")
		}
		if *f == nil {
			*f = functions{}
		}
		(*f)[name] = endpoint
	}
	return nil
}

// tuneCollector trades memory that a server has for processor time: by Go's own settings a heap as small as Vigil's is collected
// many times a second. The limit keeps the process below 150 MB, unless more is in use. Who sets GOGC or GOMEMLIMIT knows better.
func tuneCollector(c *cli) {
	for _, v := range c.environ {
		if strings.HasPrefix(v, "GOGC=") || strings.HasPrefix(v, "GOMEMLIMIT=") {
			return
		}
	}
	debug.SetGCPercent(800)
	debug.SetMemoryLimit(leastLimit)
	runtime.SetFinalizer(new(collection), (*collection).end)
}

// leastLimit is what a server may use in any case, in bytes.
const leastLimit = 100 << 20

// collection becomes garbage with each garbage collection.
type collection struct{ _ *byte } // not so small that it shares its place

// end sets the limit for the next collection. When what is in use comes near the limit, as while much is imported or asked for at once, the
// collector would do nothing but look for memory in vain: there may be twice as much besides.
func (c *collection) end() {
	runtime.SetFinalizer(c, (*collection).end)
	use := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(use)
	limit := max(leastLimit, 3*int64(use[0].Value.Uint64()))
	if limit /= 1 << 20; limit != debug.SetMemoryLimit(-1)>>20 {
		debug.SetMemoryLimit(limit << 20)
	}
}

// tuneScheduler has one more goroutine run at a time than there are processors, as one of them is often waiting for the disk. Otherwise
// its place goes to another only after Go's monitor has seen it wait, for which the monitor wakes up thousands of times a second.
// Who sets GOMAXPROCS knows better.
func tuneScheduler(c *cli) {
	for _, v := range c.environ {
		if strings.HasPrefix(v, "GOMAXPROCS=") {
			return
		}
	}
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
}

// greet says what a person needs to go on.
func greet(c *cli, s *server.Server, cfg server.Config) {
	if s.FirstRun() {
		fmt.Fprintf(c.stdout, "Made %s: the root key in root.key, the root access key in credentials. Keep a copy of both on another machine: without root.key no key can be read again.\n", cfg.Data)
	}
	fmt.Fprintf(c.stdout, "Vigil %s answers on %s\n", server.Version, s.URL())
	fmt.Fprintf(c.stdout, "Its log's public key is %s\n", s.LogKey())
	fmt.Fprintf(c.stdout, "Use it from another shell:  eval \"$(vigil env --data %s)\" && aws kms list-keys\n", shellQuote(cfg.Data))
}
