package front

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"vigil/internal/call"
	"vigil/internal/front/sigv4"
)

// authReason is a kind of refusal, with the code that each family of protocols has for it.
type authReason struct {
	json, query string
	queryStatus int
}

var (
	missingToken     = authReason{"MissingAuthenticationTokenException", "MissingAuthenticationToken", http.StatusForbidden}
	incomplete       = authReason{"IncompleteSignatureException", "IncompleteSignature", http.StatusBadRequest}
	invalidSignature = authReason{"InvalidSignatureException", "SignatureDoesNotMatch", http.StatusForbidden}
	unknownKey       = authReason{"UnrecognizedClientException", "InvalidClientTokenId", http.StatusForbidden}
	expiredToken     = authReason{"ExpiredTokenException", "ExpiredToken", http.StatusForbidden}
	malformedQuery   = authReason{"MalformedQueryString", "MalformedQueryString", http.StatusBadRequest}
)

// reasons says which refusal a fault of a signature is.
var reasons = map[sigv4.Reason]authReason{
	sigv4.MissingToken:   missingToken,
	sigv4.Incomplete:     incomplete,
	sigv4.MalformedQuery: malformedQuery,
}

// IsRegion says whether a name has the form of a region's: two to four letters, one to three words, and a number of one or two digits, as in
// us-gov-east-1. Any such region is served; keys live in the one they were made in.
func IsRegion(name string) bool {
	parts := 0
	for rest, more := name, true; more; parts++ {
		var part string
		part, rest, more = strings.Cut(rest, "-")
		from, to, most := byte('a'), byte('z'), len(part)
		switch {
		case parts == 0:
			most = 4
		case !more:
			from, to, most = '0', '9', 2
		}
		if len(part) == 0 || len(part) > most || parts == 0 && len(part) < 2 || !within(part, from, to) {
			return false
		}
	}
	return parts >= 3 && parts <= 5
}

func within(text string, from, to byte) bool {
	for i := range len(text) {
		if text[i] < from || text[i] > to {
			return false
		}
	}
	return true
}

// authenticate returns who signed the request, and the region they signed it for. The age of a signature is judged by the
// machine's own clock, as clients sign with theirs.
func (d *Door) authenticate(r *http.Request, req *request, body []byte) (call.Principal, string, error) {
	if req.operation != nil && req.operation.Unsigned {
		return call.Principal{}, d.region, nil
	}
	refuse := func(reason authReason, message string) (call.Principal, string, error) {
		e := &call.Error{Code: req.protocol.signatureCode(reason), Message: message, Status: http.StatusBadRequest}
		if _, query := req.protocol.(queryProtocol); query {
			e.Status = reason.queryStatus
		}
		return call.Principal{}, "", e
	}
	sig, err := sigv4.Parse(r)
	if err != nil {
		return refuse(reasonOf(err), messageOf(err))
	}
	if err := sig.ScopedTo(req.service.wire.SigningName); err != nil {
		return refuse(reasonOf(err), messageOf(err))
	}
	if !IsRegion(sig.Region) {
		return refuse(invalidSignature, "Credential should be scoped to a valid region, not '"+sig.Region+"'.")
	}
	secret, principal, err := d.secret(sig.AccessKeyID, sig.SessionToken)
	if errors.Is(err, call.ErrExpiredToken) {
		return refuse(expiredToken, "The security token included in the request is expired")
	}
	if err != nil {
		return refuse(unknownKey, "The security token included in the request is invalid.")
	}
	sum := sha256.Sum256(body)
	key, cached := d.keys.get(sig, secret)
	if err := sig.Verify(r, hex.EncodeToString(sum[:]), key, time.Now()); err != nil {
		return refuse(reasonOf(err), messageOf(err))
	}
	if !cached {
		d.keys.put(sig, secret, key)
	}
	return principal, sig.Region, nil
}

// isNobodys says that a call needed no signature and did not show in any other way who makes it.
func isNobodys(c *call.Call) bool { return c.Principal.Account == "" }

func reasonOf(err error) authReason {
	var e *sigv4.Error
	if errors.As(err, &e) {
		if reason, ok := reasons[e.Reason]; ok {
			return reason
		}
	}
	return invalidSignature
}

func messageOf(err error) string {
	var e *sigv4.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return ""
}

// signingKeys keeps the day's signing keys, each of which costs four HMACs to derive. Only keys that have verified a
// signature are kept, so that nobody else can fill it.
type signingKeys struct {
	mu   sync.RWMutex
	keys map[scope]sigv4.Key
}

type scope struct{ accessKeyID, secret, date, region, service string }

const maxSigningKeys = 4096

func (k *signingKeys) get(sig *sigv4.Signature, secret string) (sigv4.Key, bool) {
	k.mu.RLock()
	key, ok := k.keys[scopeOf(sig, secret)]
	k.mu.RUnlock()
	if ok {
		return key, true
	}
	return sigv4.DeriveKey(secret, sig.Date, sig.Region, sig.Service), false
}

func (k *signingKeys) put(sig *sigv4.Signature, secret string, key sigv4.Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil || len(k.keys) >= maxSigningKeys {
		k.keys = map[scope]sigv4.Key{}
	}
	k.keys[scopeOf(sig, secret)] = key
}

func scopeOf(sig *sigv4.Signature, secret string) scope {
	return scope{sig.AccessKeyID, secret, sig.Date, sig.Region, sig.Service}
}

// refusals counts requests that are nobody's, without a valid signature or of no operation, and logs some of them. They are not
// records, or anyone could fill the disk.
type refusals struct {
	log   *slog.Logger
	count atomic.Int64
	mu    sync.Mutex
	next  time.Time
}

func (f *refusals) note(r *http.Request, err error) {
	n := f.count.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); now.After(f.next) {
		f.next = now.Add(time.Second)
		f.log.Warn("A request was refused before it was anybody's.", "from", sourceIP(r), "error", err, "refused so far", n)
	}
}

// Refused is how many requests were turned away that are nobody's, and so not on record.
func (d *Door) Refused() int64 { return d.refusals.count.Load() }
