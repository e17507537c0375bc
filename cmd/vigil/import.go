package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"vigil"
	"vigil/internal/gather"
	"vigil/internal/intake"
	"vigil/internal/server"
)

// followPause is how long `vigil import --follow` waits before it looks again.
const followPause = 2 * time.Second

// importRecords brings in CloudTrail records from a folder, a file or a bucket.
func importRecords(ctx context.Context, c *cli, args []string) error {
	fs := newFlags(c, "import")
	data := dataFlag(fs)
	follow := fs.Bool("follow", false, "go on with what comes, until interrupted")
	keys := fs.String("public-keys", "", "a `FILE` with what `aws cloudtrail list-public-keys` prints, to check the signatures of digests")
	words, err := parse(c, fs, args, "DIR|FILE|s3://BUCKET/PREFIX")
	if err != nil {
		return err
	}
	profile, err := server.ReadProfile(*data, "default")
	if err != nil {
		return err
	}
	if server.ServingProcess(*data) == 0 {
		return fmt.Errorf("no server runs on %s: start one with `vigil serve --data %s`", *data, *data)
	}
	debug.SetGCPercent(400) // what is read is passed on and let go: memory that is used once more costs less than to look for it
	i := &importer{
		cli: c, data: *data, profile: profile, client: &http.Client{Transport: profile.Transport()}, follow: *follow,
		accounts: map[string]bool{}, tried: map[string]string{}, digested: map[string]string{}, told: map[string]bool{},
	}
	if i.digests, err = newDigests(*keys); err != nil {
		return err
	}
	if i.from, err = gather.Open(ctx, words[0]); err != nil {
		return err
	}
	return i.run(ctx)
}

func newDigests(keysFile string) (*gather.Digests, error) {
	if keysFile == "" {
		return gather.NewDigests(nil), nil
	}
	keys, err := gather.ReadPublicKeys(keysFile)
	return gather.NewDigests(keys), err
}

// importer is one run of the command.
type importer struct {
	*cli
	data    string
	profile server.Profile
	client  *http.Client
	from    gather.Lister
	follow  bool

	digests  *gather.Digests
	digested map[string]string // the digests that were read, and in which version
	accounts map[string]bool   // those that the server has
	tried    map[string]string // the sources that were read or passed over in this run, and in which version
	trying   []string          // those of them that this round is about
	unread   []string          // those that the next round is about too
	told     map[string]bool   // what was wrong

	progress progress
}

// run imports what there is, and with --follow what comes then. A round after the first that does not come to its end, as the server or the bucket is
// away, is said and tried again.
func (i *importer) run(ctx context.Context) error {
	i.progress.begin(i.stderr)
	defer i.progress.end()
	err := i.round(ctx)
	switch {
	case err == nil || i.follow && ctx.Err() != nil:
	case i.progress.imported.Load() > 0:
		return fmt.Errorf("%w (run it again, to go on where it was)", err)
	default:
		return err
	}
	for failing := false; i.follow && i.pause(ctx); failing = err != nil {
		err = i.round(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			i.unread = i.trying
			if !failing {
				i.progress.print(i.stderr, "vigil import: %s: will be tried until it works\n", printable(err.Error()))
			}
			if there, err := server.ReadProfile(i.data, "default"); err == nil { // a server may come back at another address
				i.profile = there
			}
		case failing:
			i.progress.print(i.stderr, "vigil import: it works again\n")
		}
	}
	return i.report()
}

// pause waits for the next round, which is also about what could not be read in this one. It is false when there is none.
func (i *importer) pause(ctx context.Context) bool {
	for _, name := range i.unread {
		delete(i.tried, name)
	}
	i.trying, i.unread = nil, nil
	select {
	case <-ctx.Done():
		return false
	case <-time.After(followPause):
		return true
	}
}

// round goes once through what there is: first through the digests, by which the log files are checked, and then through the others.
func (i *importer) round(ctx context.Context) error {
	if err := i.readDigests(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// The sources are read in parallel, and taken in order.
	reads := make(chan *reading, 4*runtime.GOMAXPROCS(0))
	listed := make(chan error, 1)
	go func() {
		defer close(reads)
		listed <- i.list(ctx, reads)
	}()
	out := newSender(ctx, i)
	err := i.take(ctx, reads, out)
	if closeErr := out.close(err == nil); err == nil {
		err = closeErr
	}
	if err != nil {
		cancel()
	}
	if listErr := <-listed; err == nil {
		err = listErr
	}
	return err
}

// readDigests reads the digests that are new.
func (i *importer) readDigests(ctx context.Context) error {
	added := false
	_, err := i.from.List(ctx, func(s gather.Source) error {
		if !gather.IsDigest(s.Name) || i.digested[s.Name] == s.Version {
			return nil
		}
		switch err := i.readDigest(ctx, s); {
		case ctx.Err() != nil:
			return ctx.Err()
		case i.follow && errors.Is(err, gather.ErrUnavailable):
			return nil
		case err != nil:
			i.fault(s.Name, "", err)
		}
		i.digested[s.Name] = s.Version
		added = true
		return nil
	})
	if err != nil || !added {
		return err
	}
	for _, fault := range i.digests.Check() {
		i.say(fault)
	}
	return nil
}

func (i *importer) readDigest(ctx context.Context, s gather.Source) error {
	body, meta, err := s.Open(ctx)
	if err != nil {
		return err
	}
	defer body.Close()
	contents, err := gather.Read(s.Name, body, gather.Taker{})
	if err != nil {
		return err
	}
	return i.digests.Add(s.Name, contents.Digest, meta)
}

// asked is how many sources the server is asked about at a time.
const asked = 500

// list begins to read each source that the server does not know, in order.
func (i *importer) list(ctx context.Context, reads chan<- *reading) error {
	slots := make(chan struct{}, max(2, runtime.GOMAXPROCS(0)))
	var some []gather.Source
	flush := func() error {
		known, err := i.known(ctx, some)
		if err != nil {
			return err
		}
		for _, s := range some {
			if known[s.Name] {
				i.progress.skip()
				continue
			}
			r := &reading{source: s, digests: i.digests, parts: make(chan part, 4)}
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			select {
			case reads <- r:
			case <-ctx.Done():
				return ctx.Err()
			}
			go func() {
				defer func() { <-slots }()
				r.run(ctx)
			}()
		}
		some = some[:0]
		return nil
	}
	aside, err := i.from.List(ctx, func(s gather.Source) error {
		if gather.IsDigest(s.Name) {
			return nil
		}
		i.digests.See(s.Name)
		if i.tried[s.Name] == s.Version {
			return nil
		}
		i.tried[s.Name] = s.Version
		i.trying = append(i.trying, s.Name)
		if some = append(some, s); len(some) < asked {
			return nil
		}
		return flush()
	})
	i.progress.aside.Store(int64(aside))
	if err != nil {
		return err
	}
	return flush()
}

// known says which sources the server has read to their end.
func (i *importer) known(ctx context.Context, sources []gather.Source) (map[string]bool, error) {
	known := map[string]bool{}
	if len(sources) == 0 {
		return known, nil
	}
	type source struct{ Name, Version string }
	var in struct{ Sources []source }
	for _, s := range sources {
		in.Sources = append(in.Sources, source{s.Name, s.Version})
	}
	var out struct{ Names []string }
	if err := i.operate(ctx, "ListKnownSources", in, &out); err != nil {
		return nil, err
	}
	for _, name := range out.Names {
		known[name] = true
	}
	return known, nil
}

// take hands what is read to the sender, in order.
func (i *importer) take(ctx context.Context, reads <-chan *reading, out *sender) error {
	for r := range reads {
		bad := false
		records := 0
		for p := range r.parts {
			for _, f := range p.faults {
				i.fault(r.source.Name, f.at.String(), f.err)
				bad = true
			}
			if err := i.know(ctx, p.accounts); err != nil {
				return err
			}
			records += len(p.records)
			for _, one := range p.records {
				if err := out.add(r.source.Name, one); err != nil {
					return err
				}
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if r.err != nil {
			bad = true
			if i.follow && errors.Is(r.err, gather.ErrUnavailable) {
				i.unread = append(i.unread, r.source.Name)
			} else {
				i.fault(r.source.Name, "", r.err)
			}
		}
		i.progress.file()
		if !bad {
			if err := out.done(r.source, records); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// know makes the accounts that the server has not, so that their histories can be read.
func (i *importer) know(ctx context.Context, accounts []string) error {
	var in, out struct{ AccountIds []string }
	for _, account := range accounts {
		if !i.accounts[account] {
			in.AccountIds = append(in.AccountIds, account)
		}
	}
	if len(in.AccountIds) == 0 {
		return nil
	}
	for some := range slices.Chunk(in.AccountIds, 1000) {
		if err := i.operate(ctx, "ListUnknownAccounts", struct{ AccountIds []string }{some}, &out); err != nil {
			return err
		}
		for _, account := range out.AccountIds {
			if err := addAccount(ctx, i.data, "", account); err != nil {
				return err
			}
			i.progress.print(i.stdout, "Added account %s, whose records these are. Its root access key is profile %s.\n", account, account)
		}
		for _, account := range some {
			i.accounts[account] = true
		}
	}
	return nil
}

func (i *importer) operate(ctx context.Context, operation string, in, out any) error {
	return server.OperateWith(ctx, i.client, i.profile, operation, in, out)
}

// fault says what is wrong with a source.
func (i *importer) fault(source, at string, err error) {
	text := source + ": "
	if at != "" {
		text += at + ": "
	}
	i.say(text + err.Error())
}

func (i *importer) say(text string) {
	if !i.told[text] {
		i.told[text] = true
		i.progress.print(i.stderr, "vigil import: %s\n", printable(text))
	}
}

// report says what came of it.
func (i *importer) report() error {
	i.progress.end()
	p := &i.progress
	fmt.Fprintf(i.stdout, "Imported %s from %s.", count(p.imported.Load(), "record"), count(p.files.Load(), "file"))
	if n := p.known.Load(); n > 0 {
		fmt.Fprintf(i.stdout, " Of %s there were records already.", count(n, "event"))
	}
	if n := p.skipped.Load(); n > 0 {
		fmt.Fprintf(i.stdout, " %s imported before.", was(n, "file"))
	}
	if n := p.aside.Load(); n > 0 {
		fmt.Fprintf(i.stdout, " %s left aside, whose names are not those of records.", was(n, "file"))
	}
	fmt.Fprintln(i.stdout)
	if n := p.differing.Load(); n > 0 {
		fmt.Fprintf(i.stdout, "Of the records, %d have the id of another event of the account and say something else; they are kept beside it.\n", n)
	}
	if all, verified := i.digests.Len(); all > 0 {
		fmt.Fprintf(i.stdout, "Checked the log files against %s: hashes and chain", count(int64(all), "digest"))
		switch {
		case verified == 0:
			fmt.Fprint(i.stdout, "; SIGNATURES NOT CHECKED (--public-keys)")
		case verified == all:
			fmt.Fprint(i.stdout, ", and all signatures are valid")
		default:
			fmt.Fprintf(i.stdout, ", and the signatures of %d; SIGNATURES OF %d NOT CHECKED", verified, all-verified)
		}
		fmt.Fprintln(i.stdout, ".")
	}
	for _, name := range i.digests.Missing() {
		i.say(name + ": a digest lists it, and it is not there")
	}
	if n := len(i.told); n > 0 {
		return fmt.Errorf("%s found wrong, as said above; all else is imported", was(int64(n), "thing"))
	}
	return nil
}

// reading is a source that is read.
type reading struct {
	source  gather.Source
	digests *gather.Digests
	parts   chan part // closed when it is read; then err is why it could not be read to its end, or nil
	err     error
}

// part is some records of a source.
type part struct {
	records  []oneRecord
	accounts []string
	faults   []fault
	size     int
}

type oneRecord struct {
	at   time.Time
	data []byte
}

type fault struct {
	at  gather.Place
	err error
}

// partSize is how large a part grows, in bytes of records.
const partSize = 1 << 20

func (r *reading) run(ctx context.Context) {
	defer close(r.parts)
	r.err = r.read(ctx)
}

func (r *reading) read(ctx context.Context) error {
	body, _, err := r.source.Open(ctx)
	if err != nil {
		return err
	}
	defer body.Close()
	var p part
	flush := func() error {
		if len(p.records)+len(p.faults) == 0 {
			return nil
		}
		select {
		case r.parts <- p:
		case <-ctx.Done():
			return ctx.Err()
		}
		p = part{}
		return nil
	}
	var reader vigil.OutlineReader
	var o vigil.Outline
	contents, err := gather.Read(r.source.Name, body, gather.Taker{
		Begin: func(c gather.Contents) error {
			if r.digests.Altered(r.source.Name, c.Hash) {
				return errors.New("it is not what its digest says: it was altered, and is not imported")
			}
			return nil
		},
		Record: func(data []byte, at gather.Place) error {
			if err := intake.Check(&reader, &o, data); err != nil {
				p.faults = append(p.faults, fault{at, err})
				return nil
			}
			p.records = append(p.records, oneRecord{time.Unix(o.Second, 0).UTC(), data})
			if account := string(o.Account); !slices.Contains(p.accounts, account) {
				p.accounts = append(p.accounts, account)
			}
			if p.size += len(data); p.size < partSize {
				return nil
			}
			return flush()
		},
		Fault: func(at gather.Place, err error) { p.faults = append(p.faults, fault{at, err}) },
	})
	if err == nil && contents.Digest != nil {
		err = errors.New("it is a digest, and not called as one: it is not used")
	}
	return errors.Join(err, flush())
}
