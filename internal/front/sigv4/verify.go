package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"hash"
	"net/http"
	"sync"
	"time"
)

// A Key is a signing key: derived from a secret access key for one day, region and service. It is as secret as the
// secret itself within that scope. DeriveKey makes it. It doesn't print, except as an unexported field of something printed with %v, where
// package fmt asks no methods.
type Key struct {
	bytes [sha256.Size]byte
	macs  *sync.Pool // of HMACs under it: keyed once and used again, they save a third of a verification's
}

// DeriveKey derives the signing key for date (yyyymmdd), region and service from a secret access key, by the IAM User
// Guide's "Derive a signing key". It takes a few microseconds; a server keeps the keys of a day.
func DeriveKey(secret, date, region, service string) Key {
	k := []byte("AWS4" + secret)
	for _, part := range [...]string{date, region, service, terminator} {
		k = mac(k, []byte(part))
	}
	return newKey([sha256.Size]byte(k))
}

func newKey(bytes [sha256.Size]byte) Key { return Key{bytes, new(sync.Pool)} }

// sign appends the signature of text to dst, which may be text's own memory.
func (k *Key) sign(dst, text []byte) []byte {
	mac, ok := k.macs.Get().(hash.Hash)
	if !ok {
		mac = hmac.New(sha256.New, k.bytes[:])
	}
	defer k.macs.Put(mac)
	mac.Reset()
	mac.Write(text)
	return mac.Sum(dst)
}

const hidden = "sigv4.Key(hidden)"

// Format prints a placeholder whatever the verb.
func (Key) Format(f fmt.State, _ rune) { fmt.Fprint(f, hidden) }

// MarshalText gives the same placeholder to encoding/json and to loggers.
func (Key) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Verify says whether the holder of key signed r, at a time that is acceptable now. It returns nil if so, otherwise an
// *Error. r has to be the request that s was parsed from.
//
// payloadHash is the SHA-256 of the body that was received, 64 lower-case hex digits; it is what binds the body to the
// signature, so it must have been computed and not be taken from the request. For S3 it is the value of the
// request's X-Amz-Content-Sha256 (which may be UNSIGNED-PAYLOAD or one of the STREAMING- values), and checking the body
// against that is the caller's.
//
// A signature in the Authorization header is acceptable within Skew of its time, either way; a presigned URL from Skew
// before its time to Expires after it. now should be the wall clock: clients sign with theirs.
func (s *Signature) Verify(r *http.Request, payloadHash string, key Key, now time.Time) error {
	if err := s.checkTime(now); err != nil {
		return err
	}
	c := canonicals.Get().(*canonical)
	defer c.release()
	if err := c.stringToSign(r, s, payloadHash); err != nil {
		return err
	}
	c.buf = key.sign(c.buf[:0], c.buf)
	if !hmac.Equal(c.buf, s.mac[:]) { // in constant time
		return refuse(Mismatch, textMismatch)
	}
	return nil
}

func (s *Signature) checkTime(now time.Time) error {
	age := Skew
	if s.Presigned {
		age = s.Expires
	}
	switch {
	case s.Time.Before(now.Add(-age)):
		return errExpired(s.Time, now, age)
	case s.Time.After(now.Add(Skew)):
		return errNotYet(s.Time, now)
	}
	return nil
}

func mac(key, data []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(data)
	return h.Sum(nil)
}
