package vigil

import (
	"bytes"
	"compress/gzip"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// A digest file says of an hour which log files a trail delivered in a Region, and is signed. Each names the one before, so that they are a
// chain. The form is that of the CloudTrail user guide's "CloudTrail digest file structure", and the signature that of its "Custom
// implementations of CloudTrail log file integrity validation".

// The names of the algorithms, as they are written in a digest file.
const (
	DigestSignatureAlgorithm = "SHA256withRSA"
	DigestHashAlgorithm      = "SHA-256"
)

// Names of the metadata of a digest file's object, after x-amz-meta-, and of the value of the second.
const (
	MetaSignature          = "signature"           // in hexadecimal
	MetaSignatureAlgorithm = "signature-algorithm" // DigestSignatureAlgorithm
)

// DigestFile is the document in a digest file. Fields are written in the order in which AWS writes them. Texts that are nil are written as null: those
// about the previous digest in the first of a chain, and the times of events when there are no log files.
type DigestFile struct {
	AccountID                   string          `json:"awsAccountId"`
	StartTime                   string          `json:"digestStartTime"` // as DigestTime writes it
	EndTime                     string          `json:"digestEndTime"`
	S3Bucket                    string          `json:"digestS3Bucket"`
	S3Object                    string          `json:"digestS3Object"`
	PublicKeyFingerprint        string          `json:"digestPublicKeyFingerprint"`
	SignatureAlgorithm          string          `json:"digestSignatureAlgorithm"`
	NewestEventTime             *string         `json:"newestEventTime"`
	OldestEventTime             *string         `json:"oldestEventTime"`
	PreviousDigestS3Bucket      *string         `json:"previousDigestS3Bucket"`
	PreviousDigestS3Object      *string         `json:"previousDigestS3Object"`
	PreviousDigestHashValue     *string         `json:"previousDigestHashValue"` // hexadecimal, of the inflated file
	PreviousDigestHashAlgorithm *string         `json:"previousDigestHashAlgorithm"`
	PreviousDigestSignature     *string         `json:"previousDigestSignature"` // hexadecimal
	LogFiles                    []DigestLogFile `json:"logFiles"`
}

// DigestLogFile is what a digest says of a log file.
type DigestLogFile struct {
	S3Bucket        string `json:"s3Bucket"`
	S3Object        string `json:"s3Object"`
	HashValue       string `json:"hashValue"` // hexadecimal, of the inflated file
	HashAlgorithm   string `json:"hashAlgorithm"`
	NewestEventTime string `json:"newestEventTime"`
	OldestEventTime string `json:"oldestEventTime"`
}

// DigestTime writes a time as digests have it: UTC, in whole seconds.
func DigestTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// DigestName is what the key of a digest file says.
type DigestName struct {
	Prefix  string // of the trail, or empty
	Account string
	Region  string // of the log files
	Trail   string
	Home    string // the trail's home Region
	End     time.Time
}

// Key is the key of a digest file.
func (n DigestName) Key() string {
	return bucketFolder(n.Prefix, n.Account, DigestFolder, n.Region, n.End) + n.base() + n.End.UTC().Format("20060102T150405Z") + ".json.gz"
}

func (n DigestName) base() string {
	return n.Account + "_" + DigestFolder + "_" + n.Region + "_" + n.Trail + "_" + n.Home + "_"
}

// ParseDigestKey reads the key of a digest file. ok is false for a key that is not one.
func ParseDigestKey(key string) (n DigestName, ok bool) {
	before, after, ok := strings.Cut("/"+key, "/AWSLogs/")
	parts := strings.Split(after, "/") // ACCOUNT/CloudTrail-Digest/REGION/YYYY/MM/DD/FILE
	if len(parts) == 8 {               // of an organization, whose id comes first
		return n, false
	}
	if !ok || len(parts) != 7 || parts[1] != DigestFolder {
		return n, false
	}
	n = DigestName{Prefix: strings.TrimPrefix(before, "/"), Account: parts[0], Region: parts[2]}
	text, ok := strings.CutPrefix(parts[6], n.Account+"_"+DigestFolder+"_"+n.Region+"_")
	text, isFile := strings.CutSuffix(text, ".json.gz")
	fields := strings.Split(text, "_") // a trail's name may have underscores, which a Region's has not
	if !ok || !isFile || len(fields) < 3 {
		return n, false
	}
	end, err := time.Parse("20060102T150405Z", fields[len(fields)-1])
	n.End, n.Home, n.Trail = end, fields[len(fields)-2], strings.Join(fields[:len(fields)-2], "_")
	return n, err == nil && n.Key() == key
}

// SignedDigest is a digest file as it lies in a bucket: the document's bytes, which all hashes are of, and the signature.
type SignedDigest struct {
	DigestFile
	Document  []byte // inflated
	Signature string // hexadecimal; empty when it is not known
}

// Sign makes a digest file of d, whose algorithms it fills in.
func (d DigestFile) Sign(key *rsa.PrivateKey) (*SignedDigest, error) {
	d.SignatureAlgorithm = DigestSignatureAlgorithm
	if d.LogFiles == nil {
		d.LogFiles = []DigestLogFile{}
	}
	document, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	s := &SignedDigest{DigestFile: d, Document: document}
	sum := sha256.Sum256([]byte(s.stringToSign()))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	s.Signature = hex.EncodeToString(signature)
	return s, err
}

// Follow has d come after another digest.
func (d *DigestFile) Follow(previous *SignedDigest) {
	hash, algorithm := previous.Hash(), DigestHashAlgorithm
	d.PreviousDigestS3Bucket, d.PreviousDigestS3Object = &previous.S3Bucket, &previous.S3Object
	d.PreviousDigestHashValue, d.PreviousDigestHashAlgorithm = &hash, &algorithm
	d.PreviousDigestSignature = &previous.Signature
}

// File is the digest file: the document, compressed with gzip.
func (s *SignedDigest) File() []byte { return compress(s.Document) }

// Hash is the SHA-256 of the document, in hexadecimal.
func (s *SignedDigest) Hash() string {
	sum := sha256.Sum256(s.Document)
	return hex.EncodeToString(sum[:])
}

// stringToSign is what the signature is of.
func (s *SignedDigest) stringToSign() string {
	previous := "null"
	if s.PreviousDigestSignature != nil {
		previous = *s.PreviousDigestSignature
	}
	return s.EndTime + "\n" + s.S3Bucket + "/" + s.S3Object + "\n" + s.Hash() + "\n" + previous
}

// Errors of digests.
var (
	ErrNotDigest       = errors.New("it is not a digest file")
	ErrDigestSignature = errors.New("its signature is not right")
)

// maxDigest is how large a digest may be when it is inflated, in bytes. An entry of a log file has about 500.
const maxDigest = 64 << 20

// ReadDigest reads a digest file. An error is ErrNotDigest for a file that is none, or else r's.
func ReadDigest(r io.Reader) (*SignedDigest, error) {
	source := &sourceReader{r: r}
	zip, err := gzip.NewReader(source)
	var document []byte
	if err == nil {
		document, err = io.ReadAll(io.LimitReader(zip, maxDigest+1))
	}
	switch {
	case source.err != nil:
		return nil, source.err
	case err != nil:
		return nil, fmt.Errorf("%w: %v", ErrNotDigest, err)
	case len(document) > maxDigest:
		return nil, fmt.Errorf("%w: it has more than %d bytes", ErrNotDigest, maxDigest)
	}
	return ParseDigest(document)
}

// ParseDigest reads the document of a digest file.
func ParseDigest(document []byte) (*SignedDigest, error) {
	s := &SignedDigest{Document: document}
	decoder := json.NewDecoder(bytes.NewReader(document))
	if err := decoder.Decode(&s.DigestFile); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrNotDigest, err)
	}
	if decoder.More() {
		return nil, fmt.Errorf("%w: there is more behind its document", ErrNotDigest)
	}
	for _, text := range []string{s.StartTime, s.EndTime} {
		if _, err := time.Parse(time.RFC3339, text); err != nil {
			return nil, fmt.Errorf("%w: %q is not a time", ErrNotDigest, text)
		}
	}
	if s.S3Bucket == "" || s.S3Object == "" || s.PublicKeyFingerprint == "" || s.LogFiles == nil {
		return nil, fmt.Errorf("%w: a field is missing", ErrNotDigest)
	}
	return s, nil
}

// Verify checks the digest's signature. It returns ErrDigestSignature when that is not key's.
func (s *SignedDigest) Verify(key *rsa.PublicKey) error {
	signature, err := hex.DecodeString(s.Signature)
	if err != nil {
		return ErrDigestSignature
	}
	sum := sha256.Sum256([]byte(s.stringToSign()))
	if rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) != nil {
		return ErrDigestSignature
	}
	return nil
}

// DigestPublicKey is a key that digests are signed with, as ListPublicKeys gives it: a PKCS #1 RSAPublicKey (RFC 8017, appendix A.1.1) in DER.
func DigestPublicKey(der []byte) (*rsa.PublicKey, error) {
	key, err := x509.ParsePKCS1PublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("the public key of digests is not a PKCS #1 key: %w", err)
	}
	return key, nil
}

// DigestFingerprint names a public key of Vigil's in digests: the first 16 bytes of the SHA-256 of its PKCS #1 form, in hexadecimal.
func DigestFingerprint(key *rsa.PublicKey) string {
	sum := sha256.Sum256(x509.MarshalPKCS1PublicKey(key))
	return hex.EncodeToString(sum[:16])
}
