package trail

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"vigil"
	"vigil/internal/call"
	"vigil/internal/store"
)

// How long a trail whose bucket did not take something waits before it tries again: at first, and at most. And how long a bucket has to take it.
const (
	filePause    = time.Second
	maxFilePause = time.Minute
	putTimeout   = 2 * time.Minute
)

// maxCouriers is how many trails deliver at a time.
const maxCouriers = 8

// RunFiles delivers log files and digest files to the buckets of trails until ctx is done. Each trail is by itself: one whose bucket does not
// take its files is tried again, later and later up to a minute, and nobody waits for it. It is called once, and only when there are Buckets.
func (t *Trail) RunFiles(ctx context.Context) error {
	if t.buckets == nil {
		return errors.New("trails: there are no buckets")
	}
	c := &couriers{busy: map[int64]bool{}, free: make(chan struct{}, maxCouriers)}
	defer c.all.Wait()
	for ctx.Err() == nil {
		now := t.clock.Now()
		if err := t.deliverFiles(ctx, c, now); err != nil && ctx.Err() == nil {
			t.log.Error("What is due of the trails' files could not be read.", "error", err)
		}
		_ = t.clock.Sleep(ctx, time.UnixMilli(t.slotEnd(now.UnixMilli())))
	}
	return nil
}

// couriers are the goroutines that deliver, one for a trail.
type couriers struct {
	all  sync.WaitGroup
	free chan struct{}

	mu   sync.Mutex
	busy map[int64]bool // by trail; true has it look again when it is done, as something has become due since it began
}

// deliverFiles has a courier at work for each trail that has something due.
func (t *Trail) deliverFiles(ctx context.Context, c *couriers, now time.Time) error {
	trails, err := t.dueTrails(ctx, now)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range trails {
		_, busy := c.busy[id]
		c.busy[id] = busy
		if busy {
			continue
		}
		c.all.Go(func() {
			for again := true; again && ctx.Err() == nil; again = c.done(id) {
				t.courier(ctx, c, id)
			}
		})
	}
	return nil
}

// done says whether a courier is to look again. If not, it is not busy any more.
func (c *couriers) done(id int64) (again bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if again = c.busy[id]; again {
		c.busy[id] = false
	} else {
		delete(c.busy, id)
	}
	return again
}

// courier delivers what is due of one trail, until that is done.
func (t *Trail) courier(ctx context.Context, c *couriers, id int64) {
	for pause := filePause; ; pause = min(2*pause, maxFilePause) {
		select {
		case c.free <- struct{}{}:
		case <-ctx.Done():
			return
		}
		err := t.deliverTrail(ctx, id)
		<-c.free
		if err == nil || ctx.Err() != nil {
			return
		}
		t.log.Log(ctx, level(pause), "A trail's files could not be delivered and will be tried again.", "trail", id, "error", err)
		if t.clock.Sleep(ctx, t.clock.Now().Add(pause)) != nil {
			return
		}
	}
}

// level is how loud a failure is: one that lasts is told once in a while, not each time.
func level(pause time.Duration) slog.Level {
	if pause == filePause || pause == maxFilePause {
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

// dueTrails are the trails of which a file or a digest is due, or a chain of digests is to begin.
func (t *Trail) dueTrails(ctx context.Context, now time.Time) (due []int64, err error) {
	chains := map[place]bool{}
	seen := map[int64]bool{}
	add := func(id int64) {
		if !seen[id] {
			seen[id] = true
			due = append(due, id)
		}
	}
	err = t.watch.View(ctx, func(tx store.Tx) error {
		ids, err := store.Column[int64](tx, `SELECT DISTINCT trail FROM trail_file WHERE state = $1 OR state = $2 OR (state = $3 AND due <= $4)`, fileFull, fileAddressed, fileOpen, now.UnixMilli())
		if err != nil {
			return err
		}
		for _, id := range ids {
			add(id)
		}
		all, err := store.List(tx, scanChain, `SELECT `+chainColumns+` FROM trail_chain`)
		for _, chain := range all {
			chains[place{chain.trail, chain.region}] = true
			if chain.end() <= now.UnixMilli() {
				add(chain.trail)
			}
		}
		return err
	})
	t.trailsMu.RLock()
	defer t.trailsMu.RUnlock()
	for _, trails := range t.trails {
		for _, one := range trails {
			if one.validates(one.home, now.UnixMilli()) && !chains[place{one.id, one.home}] {
				add(one.id)
			}
		}
	}
	return due, err
}

// place is a trail in a region.
type place struct {
	trail  int64
	region string
}

// deliverTrail delivers all that is due of a trail, in the order in which it became due: a digest comes after the files of its hour. When a digest cannot be
// delivered, the files after it are all the same, and the next digests wait.
func (t *Trail) deliverTrail(ctx context.Context, id int64) error {
	now := t.clock.Now()
	if err := t.journal.Wait(ctx, trailsFollower); err != nil { // what happened before now is in its file's row
		return err
	}
	var held error // why digests wait
	for ctx.Err() == nil {
		one := t.trailOf(id)
		if one == nil {
			return t.forgetFiles(ctx, id)
		}
		if err := t.beginHomeChain(ctx, one, now); err != nil {
			return err
		}
		file, chain, err := t.next(ctx, id, now.UnixMilli(), held != nil)
		if err != nil {
			return errors.Join(held, err)
		}
		switch {
		case file != nil:
			if err := t.deliverFile(ctx, one, file); err != nil {
				return errors.Join(held, err)
			}
		case chain != nil:
			held = t.deliverDigest(ctx, one, chain)
		default:
			return held
		}
	}
	return ctx.Err()
}

// trailOf finds a trail by its id, also one that is deleted as long as it is remembered.
func (t *Trail) trailOf(id int64) *aTrail {
	t.trailsMu.RLock()
	defer t.trailsMu.RUnlock()
	for _, trails := range t.trails {
		for _, one := range trails {
			if one.id == id {
				return one
			}
		}
	}
	return nil
}

// forgetFiles gives up what could not be delivered of a trail that was deleted so long ago that it is forgotten.
func (t *Trail) forgetFiles(ctx context.Context, id int64) error {
	return t.watch.Update(ctx, func(tx store.Tx) error {
		for _, table := range []string{"trail_file", "trail_chain", "trail_file_status"} {
			if _, err := tx.Exec(`DELETE FROM `+table+` WHERE trail = $1`, id); err != nil {
				return err
			}
		}
		return nil
	})
}

// next is what of a trail is to be delivered next: a file or a digest, or neither. While digests wait it is a file that none of them, as it is signed, leaves out.
func (t *Trail) next(ctx context.Context, id, now int64, digestsWait bool) (file *fileRow, digest *chain, err error) {
	err = t.watch.View(ctx, func(tx store.Tx) error {
		files, err := store.List(tx, scanFile, `SELECT `+fileColumns+` FROM trail_file WHERE trail = $1 AND (state = $2 OR state = $3 OR (state = $4 AND due <= $5))
			AND ($6 = 0 OR NOT EXISTS (SELECT 1 FROM trail_chain c WHERE c.trail = trail_file.trail AND c.region = trail_file.region AND c.ends >= trail_file.due))
			ORDER BY due, id LIMIT 1`, id, fileFull, fileAddressed, fileOpen, now, truth(digestsWait))
		if err != nil {
			return err
		}
		if len(files) > 0 {
			file = files[0]
		}
		if digestsWait {
			return nil
		}
		chains, err := store.List(tx, scanChain, `SELECT `+chainColumns+` FROM trail_chain WHERE trail = $1 ORDER BY begun, region`, id)
		if err != nil {
			return err
		}
		for _, c := range chains { // the one that ends first
			if c.end() <= now && (digest == nil || c.end() < digest.end()) {
				digest = c
			}
		}
		return nil
	})
	if file != nil && digest != nil {
		if digest.ends > 0 || digest.end() < file.due { // one that is signed has its files already
			file = nil
		} else {
			digest = nil
		}
	}
	return file, digest, err
}

// deliverFile brings one file into its bucket.
func (t *Trail) deliverFile(ctx context.Context, one *aTrail, f *fileRow) error {
	if err := t.addressFile(ctx, one, f); err != nil {
		return err
	}
	body, hash, count, err := t.content(ctx, f)
	if err != nil {
		return err
	}
	if count > 0 {
		o := Object{Body: body, ContentType: "application/json", ContentEncoding: "gzip"}
		one.seal(&o)
		if err := t.put(ctx, one, statusFiles, f.bucket, f.object, o); err != nil {
			if isRefusal(err) && !f.refused {
				f.refused = true
				return errors.Join(err, t.watch.Update(ctx, func(tx store.Tx) error { return f.update(tx) }))
			}
			return err
		}
	}
	f.hash, f.state = hash, fileDelivered
	return t.watch.Update(ctx, func(tx store.Tx) error {
		digested, err := hasChain(tx, f.trail, f.region)
		if err != nil {
			return err
		}
		if digested && count > 0 {
			err = f.update(tx)
		} else {
			_, err = tx.Exec(`DELETE FROM trail_file WHERE id = $1`, f.id)
		}
		if err != nil {
			return err
		}
		if err := t.noteFile(tx, delivery{at: t.clock.Now().UnixMilli()}, f.trail, f.region, statusFiles); err != nil {
			return err
		}
		return t.notifyTopic(tx, one, f)
	})
}

// addressFile gives a file its key, for good unless its bucket refuses it and the trail then has another. No record is added to it from here on.
func (t *Trail) addressFile(ctx context.Context, one *aTrail, f *fileRow) error {
	address := func() (bucket, object string) {
		return one.bucket, vigil.LogFileKey(one.prefix, one.account, f.folder, f.region, time.UnixMilli(f.due), unique())
	}
	if f.state == fileAddressed {
		if !f.refused || f.bucket == one.bucket {
			return nil
		}
		f.bucket, f.object = address()
		f.refused = false
		return t.watch.Update(ctx, func(tx store.Tx) error { return f.update(tx) })
	}
	return t.watch.Update(ctx, func(tx store.Tx) error {
		now, err := scanFile(tx.QueryRow(`SELECT `+fileColumns+` FROM trail_file WHERE id = $1`, f.id))
		if err != nil {
			return err
		}
		*f = *now
		present := t.clock.Now().UnixMilli()
		f.due = min(f.due, present)
		begun, err := t.beginChain(tx, one, f.region, f.due)
		if err != nil {
			return err
		}
		if begun > f.due { // it came late, after the digest of its hour
			f.due = present
		}
		f.state = fileAddressed
		f.bucket, f.object = address()
		return f.update(tx)
	})
}

// put puts something into a trail's bucket. Why it could not is in the trail's status, in each region whose own files or digests wait for it.
func (t *Trail) put(ctx context.Context, one *aTrail, kind statusKind, bucket, key string, o Object) error {
	ctx, cancel := context.WithTimeout(ctx, putTimeout)
	defer cancel()
	err := t.buckets.Put(ctx, one.account, bucket, key, o)
	if err == nil {
		return nil
	}
	noted := t.watch.Update(context.WithoutCancel(ctx), func(tx store.Tx) error {
		regions, failed := waiting(tx, one.id, kind, t.clock.Now().UnixMilli())
		for _, region := range regions {
			failed = errors.Join(failed, t.noteFile(tx, delivery{failure: deliveryError(err)}, one.id, region, kind))
		}
		return failed
	})
	return errors.Join(err, noted)
}

// waiting are the regions of which a trail has files, or digests, that are due.
func waiting(tx store.Tx, trail int64, kind statusKind, now int64) ([]string, error) {
	if kind == statusDigests {
		return store.Column[string](tx, `SELECT region FROM trail_chain WHERE trail = $1 AND (ends > 0 OR begun <= $2)`, trail, now-digestEvery.Milliseconds())
	}
	return store.Column[string](tx, `SELECT DISTINCT region FROM trail_file WHERE trail = $1 AND (state = $2 OR state = $3 OR (state = $4 AND due <= $5))`,
		trail, fileFull, fileAddressed, fileOpen, now)
}

// isRefusal says that an error is the store's, which has surely done nothing.
func isRefusal(err error) bool {
	var refused *call.Error
	return errors.As(err, &refused) && refused.Status < 500
}

// deliveryError is what a trail's status has of an error: the code that S3 has for it.
func deliveryError(err error) string {
	var api *call.Error
	var system syscall.Errno
	switch {
	case errors.As(err, &api):
		return api.Code
	case errors.As(err, &system): // such as a full disk
		return "InternalError: " + system.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return "RequestTimeout"
	}
	return "InternalError"
}
