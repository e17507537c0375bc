package gather

import (
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"vigil"
)

// Digests are the digest files of what is read, by which its log files are checked.
type Digests struct {
	keys    map[string]*rsa.PublicKey // by fingerprint; nil checks no signature
	digests []*digest
	byName  map[string]*digest // by what digests call each other: bucket and key
	files   map[string]*listed // by the log file's name without its folders, in which an account, a time and 16 random characters are
}

type digest struct {
	*vigil.SignedDigest
	source   string
	found    string // the signature that its source had
	faults   []string
	verified bool
}

type listed struct {
	vigil.DigestLogFile
	seen bool
}

// NewDigests is none. keys are those that digests may be signed with, by fingerprint; without any, signatures are not checked.
func NewDigests(keys map[string]*rsa.PublicKey) *Digests {
	return &Digests{keys: keys, byName: map[string]*digest{}, files: map[string]*listed{}}
}

// Add adds a digest file, which was read from a source with that metadata, if there is any.
func (d *Digests) Add(source string, document []byte, meta map[string]string) error {
	signed, err := vigil.ParseDigest(document)
	if err != nil {
		return err
	}
	one := &digest{SignedDigest: signed, source: source, found: meta[vigil.MetaSignature]}
	d.digests = append(d.digests, one)
	d.byName[one.S3Bucket+"/"+one.S3Object] = one
	return nil
}

// Check holds the digests against each other and against the keys. It is called when some were added, and returns what is wrong with all of them, each
// with the source's name.
func (d *Digests) Check() (faults []string) {
	seen := map[string]bool{}
	for name, f := range d.files {
		seen[name] = f.seen
	}
	clear(d.files)
	for _, one := range d.digests {
		one.Signature, one.faults, one.verified = one.found, nil, false
	}
	for _, one := range d.digests {
		if path.Base(one.S3Object) != path.Base(one.source) {
			one.fault("it is not the digest that it says it is, %s", path.Base(one.S3Object))
		}
		if one.PreviousDigestS3Object == nil || one.PreviousDigestS3Bucket == nil {
			continue
		}
		before := d.byName[*one.PreviousDigestS3Bucket+"/"+*one.PreviousDigestS3Object]
		if before == nil {
			continue // it was left out, or lies before what is read
		}
		if one.PreviousDigestHashValue != nil && *one.PreviousDigestHashValue != before.Hash() {
			before.fault("it is not what the digest after it says: it was altered")
		}
		if told := one.PreviousDigestSignature; told != nil && before.Signature == "" {
			before.Signature = *told // a copy of the file alone has no metadata
		} else if told != nil && *told != before.Signature {
			before.fault("its signature is not the one that the digest after it says")
		}
	}
	for _, one := range d.digests {
		if key := d.keys[strings.ToLower(one.PublicKeyFingerprint)]; d.keys != nil && one.Signature != "" {
			switch {
			case key == nil:
				one.fault("it is signed with a key that --public-keys does not have, %s", one.PublicKeyFingerprint)
			case one.Verify(key) != nil:
				one.fault("its signature is not valid: it was altered")
			default:
				one.verified = true
			}
		}
		for _, fault := range one.faults {
			faults = append(faults, one.source+": "+fault)
		}
		if len(one.faults) > 0 {
			continue // it counts for nothing, as who forged it could have forged what it lists
		}
		for _, f := range one.LogFiles {
			name := path.Base(f.S3Object)
			d.files[name] = &listed{DigestLogFile: f, seen: seen[name]}
		}
	}
	slices.Sort(faults)
	return faults
}

func (one *digest) fault(format string, args ...any) {
	one.faults = append(one.faults, fmt.Sprintf(format, args...))
}

// See notes that a source is there, whether it is read or not.
func (d *Digests) See(source string) {
	if f := d.files[path.Base(source)]; f != nil {
		f.seen = true
	}
}

// Altered says that a log file, of that hash, is not what a digest says that it was. It asks for the hash only if there is such a digest.
func (d *Digests) Altered(source string, hash func() string) bool {
	f := d.files[path.Base(source)]
	return f != nil && f.HashAlgorithm == vigil.DigestHashAlgorithm && f.HashValue != hash()
}

// Missing are the log files that digests list and that were not seen.
func (d *Digests) Missing() (names []string) {
	for _, f := range d.files {
		if !f.seen {
			names = append(names, "s3://"+f.S3Bucket+"/"+f.S3Object)
		}
	}
	slices.Sort(names)
	return names
}

// Len is how many digests there are, and how many of them have a signature that was checked and is valid.
func (d *Digests) Len() (all, verified int) {
	for _, one := range d.digests {
		if one.verified && len(one.faults) == 0 {
			verified++
		}
	}
	return len(d.digests), verified
}

// ReadPublicKeys reads what `aws cloudtrail list-public-keys` prints, from a file.
func ReadPublicKeys(file string) (map[string]*rsa.PublicKey, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var list struct {
		PublicKeyList []struct {
			Value       []byte
			Fingerprint string
		}
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("%s: not what `aws cloudtrail list-public-keys` prints: %w", file, err)
	}
	keys := map[string]*rsa.PublicKey{}
	for _, k := range list.PublicKeyList {
		key, err := vigil.DigestPublicKey(k.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: key %s: %w", file, k.Fingerprint, err)
		}
		keys[strings.ToLower(k.Fingerprint)] = key
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s has no public keys", file)
	}
	return keys, nil
}

// IsDigest says whether a source is a digest file by its name.
func IsDigest(name string) bool { return strings.Contains(path.Base(name), "_CloudTrail-Digest_") }
