package vigil

import (
	"cmp"
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"slices"
	"strings"
	"time"
)

// Buckets is where a trail's files are read: an object store, or folders.
type Buckets interface {
	// List gives the keys with a prefix, in the order of their bytes.
	List(ctx context.Context, bucket, prefix string) iter.Seq2[string, error]
	// Get opens an object. Its error is fs.ErrNotExist, or within it, for one that is not there. Any other error ends what is done.
	Get(ctx context.Context, bucket, key string) (*BucketObject, error)
}

// BucketObject is an open object.
type BucketObject struct {
	io.ReadCloser
	// Metadata is the writer's own, names in lower case without x-amz-meta-. It is nil where only contents are kept, as in a folder that
	// a bucket was copied to.
	Metadata map[string]string
}

// DigestProblem is what can be wrong with a trail's files.
type DigestProblem string

// The problems.
const (
	DigestMissing   DigestProblem = "digest missing"        // the digest after it names it, and it is not there
	DigestAltered   DigestProblem = "digest altered"        // its signature or the hash in the digest after it is another
	DigestMalformed DigestProblem = "digest malformed"      // it is not a digest file
	DigestMoved     DigestProblem = "digest moved"          // it says that it is another object
	DigestUnsigned  DigestProblem = "digest not verifiable" // there is no signature of it, or not the key that it names
	DigestNotNext   DigestProblem = "digest out of order"   // it does not begin where the one that it names as previous ends
	LogFileMissing  DigestProblem = "log file missing"
	LogFileAltered  DigestProblem = "log file altered"
	LogFileUnlisted DigestProblem = "log file in no digest" // it is of a time that valid digests cover, and none of them names it
)

// DigestFinding is something that is wrong with an object.
type DigestFinding struct {
	Problem     DigestProblem
	Bucket, Key string
	Detail      string // what more there is to say, in words
}

func (f DigestFinding) String() string {
	text := fmt.Sprintf("%s: s3://%s/%s", f.Problem, f.Bucket, f.Key)
	if f.Detail != "" {
		text += ": " + f.Detail
	}
	return text
}

// DigestChain is the digests of a trail in a Region that follow each other without a gap.
type DigestChain struct {
	DigestName           // of the last; End is when the last ends
	Start      time.Time // when the first begins
	Digests    int
}

// DigestReport is what VerifyDigests has found.
type DigestReport struct {
	Digests, ValidDigests   int
	LogFiles, ValidLogFiles int
	Findings                []DigestFinding
	// Chains are what is covered. Nothing of before a chain's Start or after its End is proved: whoever wants to know that the last
	// digests were not removed looks at End.
	Chains []DigestChain
	// Unlisted are log files that no valid digest names and that nothing is said about by those that there are: of a time in which the trail's files
	// were not validated, or of a digest that is not valid. With a scope of one trail they may also be another's.
	Unlisted []string
	// Later are log files after the end of the last digest of their Region: the next digest is to name them.
	Later []string
}

// OK says that nothing is wrong.
func (r *DigestReport) OK() bool { return len(r.Findings) == 0 }

// DigestScope says what VerifyDigests looks at.
type DigestScope struct {
	Bucket string
	Prefix string                    // of the trail, or empty
	Keys   map[string]*rsa.PublicKey // that digests may be signed with, by fingerprint
	Trail  string                    // only that trail's; empty is all
	// From and To restrict it to digests that end within them. A zero time is no restriction.
	From, To time.Time
}

// VerifyDigests holds the log files and digest files of a bucket against each other and against the keys: each digest's place and signature, that the
// next one has its hash and signature and begins where it ends, and each log file's hash. A file whose digest is not valid counts for nothing, as a
// forger could have written both. A digest that lies there without metadata is verified by the signature in the one after it.
//
// It reads through its interface only and keeps a few hundred bytes a digest. What is wrong is in the report; an error says that
// something could not be read.
func VerifyDigests(ctx context.Context, buckets Buckets, scope DigestScope) (*DigestReport, error) {
	scope.Prefix = strings.TrimSuffix(scope.Prefix, "/")
	v := &digestVerifier{buckets: buckets, scope: scope, listed: map[string]bool{}, report: new(DigestReport)}
	names, err := v.find(ctx)
	if err != nil {
		return nil, err
	}
	for _, trail := range names {
		if err := v.walk(ctx, trail); err != nil {
			return nil, err
		}
	}
	if err := v.findUnlisted(ctx, names); err != nil {
		return nil, err
	}
	return v.report, nil
}

type digestVerifier struct {
	buckets Buckets
	scope   DigestScope
	listed  map[string]bool // keys of log files in the scope's bucket that valid digests name
	report  *DigestReport
}

func (v *digestVerifier) found(problem DigestProblem, bucket, key, format string, args ...any) {
	v.report.Findings = append(v.report.Findings, DigestFinding{problem, bucket, key, fmt.Sprintf(format, args...)})
}

// find lists the digests, in order for each trail and Region.
func (v *digestVerifier) find(ctx context.Context) ([][]DigestName, error) {
	prefix := "AWSLogs/"
	if v.scope.Prefix != "" {
		prefix = v.scope.Prefix + "/" + prefix
	}
	var all []DigestName
	for key, err := range v.buckets.List(ctx, v.scope.Bucket, prefix) {
		if err != nil {
			return nil, fmt.Errorf("the keys of %s: %w", v.scope.Bucket, err)
		}
		n, ok := ParseDigestKey(key)
		if !ok || n.Prefix != v.scope.Prefix || v.scope.Trail != "" && n.Trail != v.scope.Trail ||
			n.End.Before(v.scope.From) || !v.scope.To.IsZero() && n.End.After(v.scope.To) {
			continue
		}
		all = append(all, n)
	}
	slices.SortStableFunc(all, func(a, b DigestName) int {
		return cmp.Or(cmp.Compare(a.base(), b.base()), a.End.Compare(b.End))
	})
	var trails [][]DigestName
	for i, n := range all {
		if i == 0 || all[i-1].base() != n.base() {
			trails = append(trails, nil)
		}
		last := &trails[len(trails)-1]
		*last = append(*last, n)
	}
	return trails, nil
}

// walk checks the digests of a trail in a Region from the newest to the oldest, as each vouches for the one before.
func (v *digestVerifier) walk(ctx context.Context, names []DigestName) error {
	var next *SignedDigest // the one that was looked at before, if it is valid
	var chain *DigestChain
	there := map[string]bool{}
	for _, n := range names {
		there[n.Key()] = true
	}
	for _, n := range slices.Backward(names) {
		linked := next != nil && next.PreviousDigestS3Object != nil && *next.PreviousDigestS3Object == n.Key() && *next.PreviousDigestS3Bucket == v.scope.Bucket
		if next != nil && !linked {
			v.checkGone(next, there)
		}
		if !linked {
			next = nil
		}
		d, err := v.digest(ctx, n, next)
		if err != nil {
			return err
		}
		if d != nil {
			if next != nil && next.StartTime != d.EndTime {
				v.found(DigestNotNext, v.scope.Bucket, next.S3Object, "it begins at %s, and the one before it ends at %s", next.StartTime, d.EndTime)
			}
			if chain == nil || next == nil {
				v.report.Chains = append(v.report.Chains, DigestChain{DigestName: n})
				chain = &v.report.Chains[len(v.report.Chains)-1]
			}
			chain.Start, _ = time.Parse(time.RFC3339, d.StartTime)
			chain.Digests++
			if err := v.logFiles(ctx, d); err != nil {
				return err
			}
		}
		next = d
	}
	if next != nil {
		v.checkGone(next, there)
	}
	return nil
}

// checkGone notes that the digest before d, if it has one in the scope, is not there.
func (v *digestVerifier) checkGone(d *SignedDigest, there map[string]bool) {
	if d.PreviousDigestS3Object == nil {
		return
	}
	bucket, key := *d.PreviousDigestS3Bucket, *d.PreviousDigestS3Object
	n, ok := ParseDigestKey(key)
	if bucket != v.scope.Bucket || ok && (n.Prefix != v.scope.Prefix || n.End.Before(v.scope.From)) {
		return // it is elsewhere, or before what is looked at
	}
	if !there[key] {
		v.found(DigestMissing, bucket, key, "%s names it", d.S3Object)
	} else {
		v.found(DigestNotNext, v.scope.Bucket, d.S3Object, "it names %s as the one before it, and there are others between", key)
	}
}

// digest reads and checks one digest; next is the valid one after it that names it, or nil. It returns nil when it is not valid.
func (v *digestVerifier) digest(ctx context.Context, n DigestName, next *SignedDigest) (*SignedDigest, error) {
	v.report.Digests++
	bucket, key := v.scope.Bucket, n.Key()
	object, err := v.buckets.Get(ctx, bucket, key)
	if errors.Is(err, fs.ErrNotExist) {
		v.found(DigestMissing, bucket, key, "it went while it was looked at")
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("s3://%s/%s: %w", bucket, key, err)
	}
	defer object.Close()
	d, err := ReadDigest(object)
	if errors.Is(err, ErrNotDigest) {
		v.found(DigestMalformed, bucket, key, "%v", err)
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("s3://%s/%s: %w", bucket, key, err)
	}
	d.Signature = object.Metadata[MetaSignature]
	if problem, detail := v.checkDigest(d, key, next); problem != "" {
		v.found(problem, bucket, key, "%s", detail)
		return nil, nil
	}
	v.report.ValidDigests++
	return d, nil
}

func (v *digestVerifier) checkDigest(d *SignedDigest, key string, next *SignedDigest) (DigestProblem, string) {
	if d.S3Bucket != v.scope.Bucket || d.S3Object != key {
		return DigestMoved, fmt.Sprintf("it says that it is s3://%s/%s", d.S3Bucket, d.S3Object)
	}
	if next != nil {
		if next.PreviousDigestHashValue == nil || *next.PreviousDigestHashValue != d.Hash() {
			return DigestAltered, "the digest after it has another hash of it"
		}
		if next.PreviousDigestSignature == nil || d.Signature != "" && *next.PreviousDigestSignature != d.Signature {
			return DigestAltered, "the digest after it has another signature of it"
		}
		d.Signature = *next.PreviousDigestSignature
	}
	if d.Signature == "" {
		return DigestUnsigned, "its signature is not in the object's metadata, and there is no digest after it that has it"
	}
	public := v.scope.Keys[d.PublicKeyFingerprint]
	if public == nil {
		return DigestUnsigned, "there is no public key with the fingerprint " + d.PublicKeyFingerprint
	}
	if err := d.Verify(public); err != nil {
		return DigestAltered, err.Error()
	}
	return "", ""
}

// logFiles checks the log files of a valid digest.
func (v *digestVerifier) logFiles(ctx context.Context, d *SignedDigest) error {
	for _, f := range d.LogFiles {
		v.report.LogFiles++
		if f.S3Bucket == v.scope.Bucket {
			v.listed[f.S3Object] = true
		}
		problem, detail, err := v.logFile(ctx, f)
		if err != nil {
			return fmt.Errorf("s3://%s/%s: %w", f.S3Bucket, f.S3Object, err)
		}
		if problem != "" {
			v.found(problem, f.S3Bucket, f.S3Object, "%s", detail)
			continue
		}
		v.report.ValidLogFiles++
	}
	return nil
}

func (v *digestVerifier) logFile(ctx context.Context, f DigestLogFile) (problem DigestProblem, detail string, err error) {
	object, err := v.buckets.Get(ctx, f.S3Bucket, f.S3Object)
	if errors.Is(err, fs.ErrNotExist) {
		return LogFileMissing, "", nil
	} else if err != nil {
		return "", "", err
	}
	defer object.Close()
	sum, err := HashLogFile(object)
	switch {
	case errors.Is(err, ErrNotGzip):
		return LogFileAltered, err.Error(), nil
	case err != nil:
		return "", "", err
	case sum != f.HashValue:
		return LogFileAltered, "its hash is another than its digest's", nil
	}
	return "", "", nil
}

// deliverySlack is how long before the end of a digest a file is by its name that the digest after it may name. CloudTrail's names are of about when a file
// is delivered, to the minute.
const deliverySlack = 10 * time.Minute

// findUnlisted finds the log files that no valid digest names, in the folders that the digests are of. CloudTrail's own tool passes them over. But a
// digest names all files of its time, so that one more is not the trail's: somebody put it there for others to read, or another trail that is not validated has
// the same folder, and then its files prove nothing either.
func (v *digestVerifier) findUnlisted(ctx context.Context, trails [][]DigestName) error {
	ends := map[string]time.Time{}
	var folders []string
	for _, names := range trails {
		first, last := names[0], names[len(names)-1]
		for _, folder := range []string{LogFolder, InsightFolder} {
			folder = regionFolder(first.Prefix, first.Account, folder, first.Region)
			if _, known := ends[folder]; !known {
				folders = append(folders, folder)
			}
			if last.End.After(ends[folder]) {
				ends[folder] = last.End
			}
		}
	}
	for _, folder := range folders {
		for key, err := range v.buckets.List(ctx, v.scope.Bucket, folder) {
			if err != nil {
				return fmt.Errorf("the keys of %s: %w", v.scope.Bucket, err)
			}
			at, ok := logFileTime(key)
			if !ok || v.listed[key] || at.Before(v.scope.From) || !v.scope.To.IsZero() && at.After(v.scope.To) {
				continue
			}
			switch by := v.covering(folder, at); {
			case by != nil:
				v.found(LogFileUnlisted, v.scope.Bucket, key, "the digests of %s name all files from %s to %s", by.Trail, by.Start.Format(time.RFC3339), by.End.Format(time.RFC3339))
			case at.Add(deliverySlack).After(ends[folder]):
				v.report.Later = append(v.report.Later, key)
			default:
				v.report.Unlisted = append(v.report.Unlisted, key)
			}
		}
	}
	return nil
}

// covering is a chain of digests that names all files of a folder at a time, or nil.
func (v *digestVerifier) covering(folder string, at time.Time) *DigestChain {
	if v.scope.Trail != "" { // others, which are not looked at, may have files in the same folder
		return nil
	}
	for i, c := range v.report.Chains {
		if (regionFolder(c.Prefix, c.Account, LogFolder, c.Region) == folder || regionFolder(c.Prefix, c.Account, InsightFolder, c.Region) == folder) &&
			!at.Before(c.Start) && !at.Add(deliverySlack).After(c.End) {
			return &v.report.Chains[i]
		}
	}
	return nil
}

// logFileTime is when a log file was delivered, by its key: to the minute.
func logFileTime(key string) (time.Time, bool) {
	const layout, end = "20060102T1504Z", "_0123456789abcdef.json.gz"
	if len(key) < len(layout)+len(end) {
		return time.Time{}, false
	}
	key = key[:len(key)-len(end)]
	at, err := time.Parse(layout, key[len(key)-len(layout):])
	return at, err == nil
}
