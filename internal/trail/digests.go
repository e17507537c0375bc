package trail

import (
	"context"
	"errors"
	"slices"
	"time"

	"vigil"
	"vigil/internal/store"
)

// Digests. While a trail's files are validated, a row of trail_chain says for each region where its chain of digests is: when the next one
// begins, and what the next one says of the previous. An hour later the digest is made of the files that were delivered in between, signed and
// written into the row; then it is put, again and again if need be; then the row is that of the next. A chain ends with the digest of the hour in
// which the trail has stopped logging, was deleted, or its validation was switched off. Hours that nobody was there for, as the server
// was not running, are made up for in their order.

// digestEvery is how much time a digest is of.
const digestEvery = time.Hour

// chain is a row of trail_chain.
type chain struct {
	trail                           int64
	region                          string
	begun                           int64
	bucket, object, hash, signature string
	ends                            int64
	document                        []byte
	signed                          string
	refused                         bool
}

const chainColumns = `trail, region, begun, bucket, object, hash, signature, ends, document, signed, refused`

func scanChain(row store.Scanner) (*chain, error) {
	c := new(chain)
	var refused int64
	err := row.Scan(&c.trail, &c.region, &c.begun, &c.bucket, &c.object, &c.hash, &c.signature, &c.ends, &c.document, &c.signed, &refused)
	c.refused = refused != 0
	return c, err
}

func (c *chain) update(tx store.Tx) error {
	if c.document == nil {
		c.document = []byte{}
	}
	_, err := tx.Exec(`UPDATE trail_chain SET begun = $3, bucket = $4, object = $5, hash = $6, signature = $7, ends = $8, document = $9, signed = $10, refused = $11
		WHERE trail = $1 AND region = $2`, c.trail, c.region, c.begun, c.bucket, c.object, c.hash, c.signature, c.ends, c.document, c.signed, truth(c.refused))
	return err
}

// end is when the next digest ends.
func (c *chain) end() int64 {
	if c.ends > 0 {
		return c.ends
	}
	return c.begun + digestEvery.Milliseconds()
}

// validates says whether a trail's files of a region are in digests at a time.
func (t *aTrail) validates(region string, at int64) bool {
	return t.covers(region, at) && t.validFrom > 0 && at >= t.validFrom && (t.validUntil == 0 || at < t.validUntil) && (t.deleted == 0 || at <= t.deleted) && t.logs(at)
}

// validated says whether a trail's files are to be in digests.
func (t *aTrail) validated() bool { return t.validFrom > 0 && t.validUntil == 0 }

// validate switches validation on or off, if it is not so already.
func (t *aTrail) validate(on bool, at int64) {
	switch {
	case on && !t.validated():
		t.validFrom, t.validUntil = at, 0
	case !on && t.validated():
		t.validUntil = at
	}
}

// validSince is since when, up to a time, a trail has logged and been validated in a region.
func (t *aTrail) validSince(region string, at int64) int64 {
	since := max(t.validFrom, t.coversSince(region, at))
	for _, p := range slices.Backward(t.logging) {
		if p.begin <= at {
			return max(since, p.begin)
		}
	}
	return since
}

func wholeSecond(ms int64) int64 { return ms - ms%1000 }

func hasChain(tx store.Tx, trail int64, region string) (there bool, err error) {
	var n int64
	err = tx.QueryRow(`SELECT COUNT(*) FROM trail_chain WHERE trail = $1 AND region = $2`, trail, region).Scan(&n)
	return n > 0, err
}

// beginHomeChain begins the chain of a trail's home region, where there are digests even if there is never a file.
func (t *Trail) beginHomeChain(ctx context.Context, one *aTrail, now time.Time) error {
	if !one.validates(one.home, now.UnixMilli()) {
		return nil
	}
	var there bool
	err := t.watch.View(ctx, func(tx store.Tx) (err error) {
		there, err = hasChain(tx, one.id, one.home)
		return err
	})
	if err != nil || there {
		return err
	}
	return t.watch.Update(ctx, func(tx store.Tx) error {
		return insertChain(tx, one.id, one.home, wholeSecond(one.validSince(one.home, now.UnixMilli())))
	})
}

// beginChain begins the chain of a region in which a trail has a file, if it has none. It returns when the next digest begins, or 0 without.
func (t *Trail) beginChain(tx store.Tx, one *aTrail, region string, due int64) (begun int64, err error) {
	err = tx.QueryRow(`SELECT begun FROM trail_chain WHERE trail = $1 AND region = $2`, one.id, region).Scan(&begun)
	if !errors.Is(err, store.ErrNoRows) {
		return begun, err
	}
	since := one.validSince(region, due)
	at := max(since, due-t.slot().Milliseconds()) // when the file's records begin
	if !one.validates(region, at) {
		return 0, nil
	}
	if region == one.home {
		at = since
	}
	at = wholeSecond(at)
	return at, insertChain(tx, one.id, region, at)
}

func insertChain(tx store.Tx, trail int64, region string, begun int64) error {
	_, err := tx.Exec(`INSERT INTO trail_chain (`+chainColumns+`) VALUES ($1, $2, $3, '', '', '', '', 0, $4, '', 0)`, trail, region, begun, []byte{})
	return err
}

// deliverDigest brings the next digest of a chain into its bucket.
func (t *Trail) deliverDigest(ctx context.Context, one *aTrail, c *chain) error {
	if c.ends == 0 || c.refused && t.isMoved(one, c) {
		if err := t.signDigest(ctx, one, c); err != nil {
			return err
		}
	}
	d, err := vigil.ParseDigest(c.document)
	if err != nil {
		return err
	}
	o := Object{Body: d.File(), ContentType: "application/json", ContentEncoding: "gzip",
		Metadata: map[string]string{vigil.MetaSignature: c.signed, vigil.MetaSignatureAlgorithm: vigil.DigestSignatureAlgorithm}}
	if err := t.put(ctx, one, statusDigests, d.S3Bucket, d.S3Object, o); err != nil {
		if isRefusal(err) && !c.refused {
			c.refused = true
			return errors.Join(err, t.watch.Update(ctx, func(tx store.Tx) error { return c.update(tx) }))
		}
		return err
	}
	ended := c.ends
	next := &chain{trail: c.trail, region: c.region, begun: ended, bucket: d.S3Bucket, object: d.S3Object, hash: d.Hash(), signature: c.signed}
	return t.watch.Update(ctx, func(tx store.Tx) error {
		if _, err := tx.Exec(`DELETE FROM trail_file WHERE trail = $1 AND region = $2 AND state = $3`, c.trail, c.region, fileDigested); err != nil {
			return err
		}
		if err := t.noteFile(tx, delivery{at: t.clock.Now().UnixMilli()}, c.trail, c.region, statusDigests); err != nil {
			return err
		}
		// The last slot's files may be due only after this digest.
		if one.validates(c.region, ended) || one.validates(c.region, ended-t.slot().Milliseconds()) {
			return next.update(tx)
		}
		if _, err := tx.Exec(`DELETE FROM trail_chain WHERE trail = $1 AND region = $2`, c.trail, c.region); err != nil {
			return err
		}
		_, err := tx.Exec(`DELETE FROM trail_file WHERE trail = $1 AND region = $2 AND state = $3`, c.trail, c.region, fileDelivered)
		return err
	})
}

// isMoved says that the trail's bucket is another than the one that a signed digest is for.
func (t *Trail) isMoved(one *aTrail, c *chain) bool {
	d, err := vigil.ParseDigest(c.document)
	return err == nil && d.S3Bucket != one.bucket
}

// signDigest makes the chain's next digest of the files that were delivered up to its end, and writes it down. From then on it is the one of that hour.
func (t *Trail) signDigest(ctx context.Context, one *aTrail, c *chain) error {
	end := c.end()
	key, err := t.digestKey(ctx, one.account, c.region, c.begun, end)
	if err != nil {
		return err
	}
	name := vigil.DigestName{Prefix: one.prefix, Account: one.account, Region: c.region, Trail: one.name, Home: one.home, End: time.UnixMilli(end)}
	d := vigil.DigestFile{AccountID: one.account, StartTime: vigil.DigestTime(time.UnixMilli(c.begun)), EndTime: vigil.DigestTime(name.End),
		S3Bucket: one.bucket, S3Object: name.Key(), PublicKeyFingerprint: key.fingerprint}
	if c.object != "" {
		algorithm := vigil.DigestHashAlgorithm
		d.PreviousDigestS3Bucket, d.PreviousDigestS3Object, d.PreviousDigestHashValue = &c.bucket, &c.object, &c.hash
		d.PreviousDigestHashAlgorithm, d.PreviousDigestSignature = &algorithm, &c.signature
	}
	return t.watch.Update(ctx, func(tx store.Tx) error {
		if _, err := tx.Exec(`UPDATE trail_file SET state = $1 WHERE trail = $2 AND region = $3 AND state = $4 AND due <= $5`,
			fileDigested, c.trail, c.region, fileDelivered, end); err != nil {
			return err
		}
		files, err := store.List(tx, scanFile, `SELECT `+fileColumns+` FROM trail_file WHERE trail = $1 AND region = $2 AND state = $3 ORDER BY id`, c.trail, c.region, fileDigested)
		if err != nil {
			return err
		}
		listFiles(&d, files)
		signed, err := d.Sign(key.private)
		if err != nil {
			return err
		}
		c.ends, c.document, c.signed, c.refused = end, signed.Document, signed.Signature, false
		return c.update(tx)
	})
}

// listFiles has a digest list files.
func listFiles(d *vigil.DigestFile, files []*fileRow) {
	for i, f := range files {
		oldest, newest := vigil.DigestTime(time.Unix(f.oldest, 0)), vigil.DigestTime(time.Unix(f.newest, 0))
		d.LogFiles = append(d.LogFiles, vigil.DigestLogFile{S3Bucket: f.bucket, S3Object: f.object, HashValue: f.hash, HashAlgorithm: vigil.DigestHashAlgorithm,
			NewestEventTime: newest, OldestEventTime: oldest})
		if i == 0 || oldest < *d.OldestEventTime { // texts of this form are in the order of their times
			d.OldestEventTime = &oldest
		}
		if i == 0 || newest > *d.NewestEventTime {
			d.NewestEventTime = &newest
		}
	}
}
