package objects

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/arn"
	"vigil/internal/call"
)

// An object under a KMS key (SSE-KMS) has a data key of its own, which KMS made and has to decrypt for each who reads the object. Its
// contents are cut into chunks, each encrypted by AES-256-GCM with the chunk's number, and whether it is the last, as its nonce: chunks
// cannot be moved, left out or cut off. docs/formats/buckets.md has the form.

// sealedChunk is how many bytes of contents are encrypted together.
const sealedChunk = 64 << 10

// sealOverhead is how much longer a chunk is when it is encrypted.
const sealOverhead = 16

// serviceName is S3 where it uses a key for a caller.
const serviceName = "s3.amazonaws.com"

// errSealed says that what is stored is not what was encrypted.
var errSealed = errors.New("objects: encrypted contents were changed")

// Encryption is how an object is encrypted.
type Encryption struct {
	KMSKey  string            `json:"kmsKey"`            // its ARN
	DataKey []byte            `json:"dataKey"`           // as KMS encrypted it
	Context map[string]string `json:"context,omitempty"` // of the data key, beside aws:s3:arn
}

// Seal says how what is put is to be encrypted.
type Seal struct {
	KMSKey  string            // its ARN
	By      call.Principal    // who uses the key, by way of a service or as one
	Context map[string]string // beside aws:s3:arn
}

// UseKey calls an operation of KMS in the name of by: see front.Door.Perform.
type UseKey func(ctx context.Context, by call.Principal, region, operation string, in any) (out any, requestID string, err error)

// CanEncrypt says whether objects can be put under KMS keys, which is where they are kept in files: an S3-compatible store would have to be told of a
// key of its own KMS.
func (o *Objects) CanEncrypt() bool { return o.useKey != nil && o.store.Local() }

// PutSealed is Put of an object that is encrypted with a data key, for which KMS is asked. It must not be called in a transaction. What KMS
// refuses has S3's code for it, such as KMS.DisabledException, or AccessDenied.
func (o *Objects) PutSealed(ctx context.Context, account, bucket, key string, m Metadata, seal Seal, body io.Reader) (Info, error) {
	b, err := o.owned(account, bucket)
	if err != nil {
		return Info{}, err
	}
	if !validKey(key) {
		return Info{}, errKey(key)
	}
	end, err := b.begin()
	if err != nil {
		return Info{}, err
	}
	defer end()
	return o.putSealed(ctx, bucket, key, m, seal, body, func(_, _ *Info) error { return nil })
}

func (o *Objects) putSealed(ctx context.Context, bucket, key string, m Metadata, seal Seal, body io.Reader, settle Settle) (Info, error) {
	if !o.CanEncrypt() {
		return Info{}, notBuilt("Encryption with a KMS key of objects in another S3-compatible store")
	}
	e := &Encryption{KMSKey: seal.KMSKey, Context: seal.Context}
	out, _, err := o.useKey(ctx, seal.By, regionOf(seal.KMSKey), "GenerateDataKey", &kms.GenerateDataKeyInput{
		KeyId: &seal.KMSKey, KeySpec: kmstypes.DataKeySpecAes256, EncryptionContext: e.context(bucket, key),
	})
	if err != nil {
		return Info{}, keyError(err)
	}
	made := out.(*kms.GenerateDataKeyOutput)
	e.KMSKey, e.DataKey = aws.ToString(made.KeyId), made.CiphertextBlob
	aead, err := newAEAD(made.Plaintext)
	if err != nil {
		return Info{}, err
	}
	m.Encryption = e
	sealing := &sealingReader{body: body, aead: aead}
	return o.store.Put(ctx, bucket, Info{Key: key, Metadata: m}, sealing, func(next, present *Info) error {
		next.Size = sealing.size
		return settle(next, present)
	})
}

// unseal has KMS give reader the data key of an object, and makes the object's reader one of the contents. One that is not encrypted
// stays as it is. It closes the object when it fails.
func (o *Objects) unseal(ctx context.Context, reader call.Principal, bucket string, found *Object) error {
	e := found.Encryption
	if e == nil {
		return nil
	}
	err := func() error {
		if o.useKey == nil {
			return notBuilt("Reading an object that is encrypted with a KMS key")
		}
		reader.Service = serviceName
		out, _, err := o.useKey(ctx, reader, regionOf(e.KMSKey), "Decrypt", &kms.DecryptInput{
			KeyId: &e.KMSKey, CiphertextBlob: e.DataKey, EncryptionContext: e.context(bucket, found.Key),
		})
		if err != nil {
			return keyError(err)
		}
		aead, err := newAEAD(out.(*kms.DecryptOutput).Plaintext)
		if err != nil {
			return err
		}
		found.ReadSeekCloser = &unsealingReader{sealed: found.ReadSeekCloser, aead: aead, size: found.Size, held: -1}
		return nil
	}()
	if err != nil {
		found.Close()
	}
	return err
}

// context is the encryption context of an object's data key, which S3 has be the object's ARN.
func (e *Encryption) context(bucket, key string) map[string]string {
	all := map[string]string{"aws:s3:arn": "arn:" + arn.Partition(regionOf(e.KMSKey)) + ":s3:::" + bucket + "/" + key}
	maps.Copy(all, e.Context)
	return all
}

func regionOf(key string) string {
	a, _ := arn.Parse(key)
	return a.Region
}

// write puts how an object is encrypted into the headers of an answer.
func (e *Encryption) write(h http.Header) {
	if e != nil {
		h["x-amz-server-side-encryption"] = []string{"aws:kms"}
		h["x-amz-server-side-encryption-aws-kms-key-id"] = []string{e.KMSKey}
	}
}

// keyError is what S3 says of an error of KMS's.
func keyError(err error) error {
	var e *call.Error
	switch {
	case !errors.As(err, &e) || e.Status >= 500:
		return fmt.Errorf("objects: KMS failed: %w", errors.New(err.Error()))
	case e.Code == "AccessDeniedException":
		return &call.Error{Code: "AccessDenied", Message: e.Message, Status: http.StatusForbidden, Cause: err}
	}
	return &call.Error{Code: "KMS." + e.Code, Message: e.Message, Status: http.StatusBadRequest, Cause: err}
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// nonce is that of a chunk: its number in 11 bytes, and 1 for the last.
func nonce(chunk int64, last bool) []byte {
	n := make([]byte, 12)
	binary.BigEndian.PutUint64(n[3:11], uint64(chunk))
	if last {
		n[11] = 1
	}
	return n
}

// sealingReader reads a body encrypted.
type sealingReader struct {
	body  io.Reader
	aead  cipher.AEAD
	size  int64 // of what was read of the body
	chunk int64
	plain []byte // what was read ahead: to know the last chunk, one has to have seen what comes after
	out   []byte
	done  bool
}

func (s *sealingReader) Read(p []byte) (int, error) {
	for len(s.out) == 0 {
		if s.done {
			return 0, io.EOF
		}
		if err := s.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.out)
	s.out = s.out[n:]
	return n, nil
}

func (s *sealingReader) next() error {
	if s.plain == nil {
		s.plain = make([]byte, 0, sealedChunk+1)
	}
	n, err := io.ReadFull(s.body, s.plain[len(s.plain):sealedChunk+1])
	s.size += int64(n)
	s.plain = s.plain[:len(s.plain)+n]
	if s.done = err == io.EOF || err == io.ErrUnexpectedEOF; err != nil && !s.done {
		return err
	}
	now := s.plain[:min(len(s.plain), sealedChunk)]
	s.out = s.aead.Seal(nil, nonce(s.chunk, s.done), now, nil)
	s.chunk++
	s.plain = s.plain[:copy(s.plain, s.plain[len(now):])]
	return nil
}

// unsealingReader reads the contents of an encrypted object, from anywhere on.
type unsealingReader struct {
	sealed io.ReadSeekCloser
	aead   cipher.AEAD
	size   int64 // of the contents
	at     int64
	chunk  []byte // decrypted
	held   int64  // its number; -1 is none
	next   int64  // the chunk that sealed is at
}

func (u *unsealingReader) Read(p []byte) (int, error) {
	last := max(u.size-1, 0) / sealedChunk
	if u.at >= u.size && u.size > 0 || u.size == 0 && u.held == 0 {
		return 0, io.EOF
	}
	if n := u.at / sealedChunk; n != u.held {
		if err := u.open(n, n == last); err != nil {
			return 0, err
		}
	}
	n := copy(p, u.chunk[u.at-u.held*sealedChunk:])
	u.at += int64(n)
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (u *unsealingReader) open(chunk int64, last bool) error {
	if u.next != chunk {
		if _, err := u.sealed.Seek(chunk*(sealedChunk+sealOverhead), io.SeekStart); err != nil {
			return err
		}
	}
	u.held, u.next = -1, -1
	size := int64(sealedChunk)
	if last {
		size = u.size - chunk*sealedChunk
	}
	sealed := make([]byte, size+sealOverhead)
	if _, err := io.ReadFull(u.sealed, sealed); err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return errSealed
		}
		return err
	}
	plain, err := u.aead.Open(sealed[:0], nonce(chunk, last), sealed, nil)
	if err != nil {
		return errSealed
	}
	u.chunk, u.held, u.next = plain, chunk, chunk+1
	return nil
}

func (u *unsealingReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += u.at
	case io.SeekEnd:
		offset += u.size
	}
	if offset < 0 {
		return u.at, errors.New("seek to before the beginning")
	}
	u.at = offset
	return u.at, nil
}

func (u *unsealingReader) Close() error { return u.sealed.Close() }
