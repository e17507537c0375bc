package main

import (
	"cmp"
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"vigil"
	"vigil/internal/objects"
	"vigil/internal/server"
	"vigil/internal/store"
)

// trailFiles is where a trail's files are that are to be verified.
type trailFiles struct {
	vigil.Buckets
	named    string // for messages
	bucket   string
	prefixes []string // of trails, without the slash
}

// verifyTrail holds the log files and digest files of a bucket, or of a folder that one was copied to, against each other and against their keys.
func verifyTrail(ctx context.Context, c *cli, t trailFiles, f verifyFlags) error {
	keys, err := digestKeys(ctx, c, t, f)
	if err != nil {
		return err
	}
	total, findings := 0, 0
	for _, prefix := range t.prefixes {
		r, err := vigil.VerifyDigests(ctx, t, vigil.DigestScope{Bucket: t.bucket, Prefix: prefix, Keys: keys})
		if err != nil {
			return err
		}
		for _, finding := range r.Findings {
			fmt.Fprintln(c.stdout, printable(finding.String()))
		}
		for _, key := range r.Unlisted {
			fmt.Fprintf(c.stdout, "not covered by any valid digest: s3://%s/%s\n", t.bucket, printable(key))
		}
		for _, chain := range r.Chains {
			fmt.Fprintf(c.stdout, "%s in %s: %d digests without a gap, from %s to %s.\n", printable(chain.Trail), printable(chain.Region), chain.Digests,
				chain.Start.Format(time.RFC3339), chain.End.Format(time.RFC3339))
		}
		if r.Digests > 0 {
			fmt.Fprintf(c.stdout, "%d of %d digest files and %d of %d log files are valid.\n", r.ValidDigests, r.Digests, r.ValidLogFiles, r.LogFiles)
		}
		if n := len(r.Later); n > 0 {
			fmt.Fprintf(c.stdout, "%s not proved yet, as the next digest is to name %s: from s3://%s/%s on.\n", map[bool]string{true: "1 later log file is", false: fmt.Sprintf("%d later log files are", n)}[n == 1],
				map[bool]string{true: "it", false: "them"}[n == 1], t.bucket, printable(slices.Min(r.Later)))
		}
		total, findings = total+r.Digests, findings+len(r.Findings)
	}
	switch {
	case total == 0:
		return fmt.Errorf("%s has no digest files of a trail, so there is nothing to verify", t.named)
	case findings > 0:
		return fmt.Errorf("%s is not what was signed: %s", t.named, count(int64(findings), "finding"))
	}
	fmt.Fprintf(c.stdout, "Good: %s is as it was signed, as far as these digests go.\n", t.named)
	return nil
}

// folderOf is the folder with the files of a trail.
func folderOf(prefix string) string {
	if prefix != "" {
		prefix += "/"
	}
	return prefix + "AWSLogs/"
}

// folderBucket is a bucket as plain files: copied from one, or one of Vigil's own, in which an object's metadata is beside it. A copy has no metadata, and so
// not the signatures of digests; but a digest has that of the one before it. Whoever may have written it there, it is verified like any other.
type folderBucket struct {
	dir, bucket string
	own         bool              // it is one of Vigil's own, and paths are as docs/formats/buckets.md has them
	signatures  map[string]string // of digests, by key, as the digest after it has it
}

// openFolder looks for the files of trails in a folder, or returns fs.ErrNotExist.
func openFolder(dir string) (t trailFiles, err error) {
	here := folderBucket{dir: dir}
	err = filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() || d.Name() != "AWSLogs" {
			return err
		}
		prefix, err := filepath.Rel(dir, filepath.Dir(at))
		if err != nil {
			return err
		}
		if prefix = filepath.ToSlash(prefix); prefix == "." {
			prefix = ""
		}
		t.prefixes = append(t.prefixes, prefix)
		if !here.own {
			here.own, err = hasEntries(at)
		}
		return cmp.Or(err, fs.SkipDir)
	})
	if err == nil && len(t.prefixes) == 0 {
		err = fmt.Errorf("there is no folder AWSLogs in %s: %w", dir, fs.ErrNotExist)
	}
	if err != nil {
		return t, err
	}
	for i, prefix := range t.prefixes {
		if key, ok := objects.KeyAt(prefix); here.own && ok {
			t.prefixes[i] = key
		}
	}
	t.named, t.Buckets = dir, &here
	err = here.readDigests(t.prefixes)
	t.bucket = here.bucket
	return t, err
}

// entryName ends the name of the file that says all about an object, in a bucket of Vigil's own.
const entryName = "%meta"

// hasEntries says whether a folder has objects as Vigil's own buckets have them.
func hasEntries(dir string) (found bool, err error) {
	err = filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
		if found = err == nil && strings.HasSuffix(at, entryName); found {
			return fs.SkipAll
		}
		return err
	})
	return found, err
}

// keyAt is the key of the object that a file below the folder stands for.
func (f *folderBucket) keyAt(file string) (key string, ok bool) {
	if !f.own {
		return filepath.ToSlash(file), true
	}
	if file, ok = strings.CutSuffix(file, entryName); !ok { // contents, which stand for nothing without an entry
		return "", false
	}
	return objects.KeyAt(file)
}

// pathOf is where the object of a key lies, or what is below the folder of a key.
func (f *folderBucket) pathOf(key string) string {
	if f.own {
		return filepath.Join(f.dir, objects.PathOf(key))
	}
	return filepath.Join(f.dir, filepath.FromSlash(key))
}

// readDigests looks into the digests for what the folder does not tell: signatures, and which bucket it is of, which is the one that the first says. That others
// are in the same one is verified.
func (f *folderBucket) readDigests(prefixes []string) error {
	bucket, signatures := "", map[string]string{}
	for _, prefix := range prefixes {
		for key, err := range f.List(context.Background(), "", folderOf(prefix)) {
			if err != nil {
				return err
			}
			if _, ok := vigil.ParseDigestKey(key); !ok {
				continue
			}
			object, err := f.Get(context.Background(), "", key)
			if err != nil {
				return err
			}
			digest, err := vigil.ReadDigest(object)
			object.Close()
			if err != nil {
				continue // which is found again
			}
			bucket = cmp.Or(bucket, digest.S3Bucket)
			if digest.PreviousDigestS3Object != nil && digest.PreviousDigestSignature != nil {
				signatures[*digest.PreviousDigestS3Object] = *digest.PreviousDigestSignature
			}
		}
	}
	f.bucket, f.signatures = cmp.Or(bucket, filepath.Base(f.dir)), signatures
	return nil
}

// List implements vigil.Buckets.
func (f *folderBucket) List(_ context.Context, bucket, prefix string) iter.Seq2[string, error] {
	var keys []string
	err := filepath.WalkDir(f.pathOf(strings.TrimSuffix(prefix, "/")), func(at string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		file, err := filepath.Rel(f.dir, at)
		if key, ok := f.keyAt(file); ok && strings.HasPrefix(key, prefix) && f.bucket == bucket {
			keys = append(keys, key)
		}
		return err
	})
	slices.Sort(keys)
	return func(yield func(string, error) bool) {
		if err != nil {
			yield("", err)
			return
		}
		for _, key := range keys {
			if !yield(key, nil) {
				return
			}
		}
	}
}

// Get implements vigil.Buckets.
func (f *folderBucket) Get(_ context.Context, bucket, key string) (*vigil.BucketObject, error) {
	if bucket != f.bucket || !f.own && !filepath.IsLocal(filepath.FromSlash(key)) {
		return nil, fs.ErrNotExist
	}
	at := f.pathOf(key)
	var entry struct {
		User       map[string]string `json:"user"`
		Data       string            `json:"data"`
		Encryption json.RawMessage   `json:"encryption"`
	}
	if f.own {
		meta, err := os.ReadFile(at + entryName)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(meta, &entry); err != nil || !filepath.IsLocal(entry.Data) {
			return nil, fmt.Errorf("%s%s is not the entry of an object: %w", at, entryName, errors.Join(err, fs.ErrInvalid))
		}
		if entry.Encryption != nil {
			return nil, fmt.Errorf("%s is encrypted with a KMS key: verify s3://%s while the server runs, which reads it for who may decrypt", at, bucket)
		}
		at = filepath.Join(filepath.Dir(at), entry.Data)
		if entry.User == nil {
			entry.User = map[string]string{}
		}
	}
	if signature := f.signatures[key]; entry.User == nil && signature != "" {
		entry.User = map[string]string{vigil.MetaSignature: signature}
	}
	file, err := os.Open(at)
	if err != nil {
		return nil, err
	}
	return &vigil.BucketObject{ReadCloser: file, Metadata: entry.User}, nil
}

// s3Buckets are buckets that are read by the S3 API.
type s3Buckets struct{ client *s3.Client }

// openS3 is the bucket of a URL s3://BUCKET/PREFIX: at --s3-endpoint, or of the server that runs on the data directory.
func openS3(target string, f verifyFlags) (trailFiles, error) {
	bucket, prefix, _ := strings.Cut(strings.TrimPrefix(target, "s3://"), "/")
	if bucket == "" {
		return trailFiles{}, fmt.Errorf("%s names no bucket", target)
	}
	prefix, _, _ = strings.Cut("/"+prefix, "/AWSLogs")
	t := trailFiles{named: target, bucket: bucket, prefixes: []string{strings.Trim(prefix, "/")}}
	if f.s3Endpoint == "" && server.ServingProcess(f.data) != 0 {
		profile, err := server.ReadProfile(f.data, "default")
		if err != nil {
			return t, err
		}
		t.Buckets = s3Buckets{s3.NewFromConfig(awsConfig(profile), func(o *s3.Options) { o.UsePathStyle = true })}
		return t, nil
	}
	client, err := server.S3Client(f.s3Endpoint, f.s3Region, f.s3Credentials)
	if err != nil && f.s3Endpoint == "" {
		err = fmt.Errorf("no server runs on %s (--data), and of buckets elsewhere: %w", f.data, err)
	}
	t.Buckets = s3Buckets{client}
	return t, err
}

// List implements vigil.Buckets.
func (b s3Buckets) List(ctx context.Context, bucket, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for pages := s3.NewListObjectsV2Paginator(b.client, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix}); pages.HasMorePages(); {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield("", err)
				return
			}
			for _, o := range page.Contents {
				if !yield(aws.ToString(o.Key), nil) {
					return
				}
			}
		}
	}
}

// Get implements vigil.Buckets.
func (b s3Buckets) Get(ctx context.Context, bucket, key string) (*vigil.BucketObject, error) {
	out, err := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if missing := (*types.NoSuchKey)(nil); errors.As(err, &missing) {
		return nil, fs.ErrNotExist
	}
	if err != nil {
		return nil, err
	}
	o := &vigil.BucketObject{ReadCloser: out.Body, Metadata: map[string]string{}}
	for name, value := range out.Metadata {
		o.Metadata[strings.ToLower(name)] = value
	}
	return o, nil
}

// digestKeys are the public keys that digests may be signed with, by fingerprint: those of a file, or else those of the data directory.
func digestKeys(ctx context.Context, c *cli, t trailFiles, f verifyFlags) (map[string]*rsa.PublicKey, error) {
	if f.publicKeys != "" {
		text, err := readLimited(f.publicKeys, 16<<20)
		if err != nil {
			return nil, err
		}
		var list keyList
		if err := json.Unmarshal(text, &list); err != nil {
			return nil, fmt.Errorf("%s is not what `aws cloudtrail list-public-keys` prints: %w", f.publicKeys, err)
		}
		keys := map[string]*rsa.PublicKey{}
		return keys, list.read(keys)
	}
	fmt.Fprintf(c.stdout, "The public keys are those of %s; --public-keys names a file of keys that were kept elsewhere.\n", f.data)
	if server.ServingProcess(f.data) == 0 {
		return storedKeys(ctx, f)
	}
	return servedKeys(ctx, t, f)
}

// keyList is what ListPublicKeys answers.
type keyList struct {
	PublicKeyList []struct {
		Value       []byte // PKCS #1, in base64
		Fingerprint string
	}
}

// read adds the listed keys to others.
func (l keyList) read(keys map[string]*rsa.PublicKey) error {
	for _, k := range l.PublicKeyList {
		key, err := vigil.DigestPublicKey(k.Value)
		if err != nil {
			return err
		}
		keys[k.Fingerprint] = key
	}
	return nil
}

// servedKeys asks the running server for the keys of all accounts and regions that there are digests of.
func servedKeys(ctx context.Context, t trailFiles, f verifyFlags) (map[string]*rsa.PublicKey, error) {
	keys := map[string]*rsa.PublicKey{}
	asked := map[[2]string]bool{}
	for _, prefix := range t.prefixes {
		for key, err := range t.List(ctx, t.bucket, folderOf(prefix)) {
			if err != nil {
				return nil, err
			}
			n, ok := vigil.ParseDigestKey(key)
			if of := [2]string{n.Account, n.Region}; !ok || asked[of] {
				continue
			} else {
				asked[of] = true
			}
			profile, err := server.ReadProfile(f.data, n.Account)
			if err != nil {
				if profile, err = server.ReadProfile(f.data, "default"); err != nil {
					return nil, err
				}
			}
			config := awsConfig(profile)
			config.Region = n.Region
			out, err := cloudtrail.NewFromConfig(config).ListPublicKeys(ctx, &cloudtrail.ListPublicKeysInput{StartTime: aws.Time(time.Unix(0, 0)), EndTime: aws.Time(time.Now().AddDate(200, 0, 0))})
			if err != nil {
				return nil, err
			}
			for _, k := range out.PublicKeyList {
				if keys[aws.ToString(k.Fingerprint)], err = vigil.DigestPublicKey(k.Value); err != nil {
					return nil, err
				}
			}
		}
	}
	return keys, nil
}

// storedKeys reads the keys from the database of a data directory whose server does not run.
func storedKeys(ctx context.Context, f verifyFlags) (map[string]*rsa.PublicKey, error) {
	db, err := openToVerify(ctx, f.data, f.database)
	if err != nil {
		return nil, fmt.Errorf("whose digests are they? Give --public-keys, or the data directory: %w", err)
	}
	defer db.Close()
	keys := map[string]*rsa.PublicKey{}
	err = db.View(ctx, func(tx store.Tx) error {
		rows, err := tx.Query(`SELECT fingerprint, public FROM trail_digest_key`)
		if err != nil {
			return fmt.Errorf("%s has no keys of digests: %w", f.data, err)
		}
		defer rows.Close()
		for rows.Next() {
			var fingerprint string
			var public []byte
			if err := rows.Scan(&fingerprint, &public); err != nil {
				return err
			}
			if keys[fingerprint], err = vigil.DigestPublicKey(public); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	return keys, err
}
