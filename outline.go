package vigil

import (
	"bytes"
	"encoding/hex"
	"errors"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Outline is what one needs of a record to find it, to count it or to pass it on. Its texts are part of the record's data wherever that has no
// escapes. A text that the record has not is empty.
type Outline struct {
	Second        int64  // eventTime, in seconds since 1970, or the @timestamp that Logstash has put in its place
	Account       []byte // recipientAccountId, or the caller's account before version 1.02, which had no recipient
	Region        []byte
	Category      []byte // empty before version 1.07
	EventType     []byte
	EventID       []byte
	RequestID     []byte
	EventSource   []byte
	EventName     []byte
	ErrorCode     []byte
	AccessKeyID   []byte
	Caller        []byte // the account of who called: userIdentity.accountId
	CallerARN     []byte // userIdentity.arn
	PrincipalID   []byte // userIdentity.principalId
	SharedID      []byte // sharedEventID, of a call that has a record in several accounts
	UserAgent     []byte
	InsightType   []byte // of an Insights event, whose EventSource, EventName and ErrorCode are those that it is about
	Username      []byte // who the event history says it was: root, a user's name, a session's name, or the service that called
	InvokedBy     []byte // userIdentity.invokedBy: the service that called for who called, or by itself
	FromConsole   []byte // sessionCredentialFromConsole: true, or empty
	VPCEndpointID []byte
	Parameters    []byte // requestParameters, as JSON
	ReadOnly      bool
	Resources     []OutlineResource
}

// IsOwners says that the record is the one that an account has of another's call on what is its own. The caller's account has its
// own record of the call.
func (f *Outline) IsOwners() bool {
	return len(f.SharedID) > 0 && len(f.Caller) > 0 && !bytes.Equal(f.Caller, f.Account)
}

// ID is what tells the event from all others: its eventID. A record without one, as old and partner services write them, is told by its bytes, which
// data are: sha256: and their SHA-256 in hexadecimal.
func (f *Outline) ID(data []byte) []byte {
	if len(f.EventID) > 0 {
		return f.EventID
	}
	digest := Digest(data)
	return hex.AppendEncode([]byte("sha256:"), digest[:])
}

// OutlineResource is something that the call touched.
type OutlineResource struct{ Type, ARN []byte }

// OutlineReader reads outlines. The zero OutlineReader is ready.
//
// It looks at a record's structure and at what it wants, and does not check the rest: of data that is not JSON it says that it is no record,
// or gives an outline of what it took it for.
type OutlineReader struct {
	data []byte
	at   int // how far it has come
}

// ErrNotRecord is returned for data that is no CloudTrail record.
var ErrNotRecord = errors.New("vigil: not a CloudTrail record")

// Read fills f with the outline of a record of any event version, which must be a JSON object. It is many times as fast as ParseRecord.
// f refers to data.
func (r *OutlineReader) Read(data []byte, f *Outline) error {
	*f = Outline{Resources: f.Resources[:0]}
	r.data, r.at = data, 0

	var who outlineIdentity
	var eventTime, timestamp []byte
	err := r.object(func(name []byte) (err error) {
		switch string(name) {
		case "userIdentity":
			err = r.identity(&who)
		case "resources":
			f.Resources, err = r.resources(f.Resources)
		case "eventTime":
			eventTime, err = r.text()
		case "@timestamp":
			timestamp, err = r.text()
		case "eventSource":
			f.EventSource, err = r.text()
		case "eventType":
			f.EventType, err = r.text()
		case "eventName":
			f.EventName, err = r.text()
		case "awsRegion":
			f.Region, err = r.text()
		case "errorCode":
			f.ErrorCode, err = r.text()
		case "requestID":
			f.RequestID, err = r.text()
		case "eventID":
			f.EventID, err = r.text()
		case "userAgent":
			f.UserAgent, err = r.textOrSkip()
		case "insightDetails":
			err = r.insight(f)
		case "requestParameters":
			begin := r.begin()
			err = r.skip()
			f.Parameters = r.data[begin:r.at]
		case "readOnly":
			f.ReadOnly, err = r.truth()
		case "recipientAccountId":
			f.Account, err = r.text()
		case "sharedEventID":
			f.SharedID, err = r.text()
		case "eventCategory":
			f.Category, err = r.text()
		case "vpcEndpointId":
			f.VPCEndpointID, err = r.textOrSkip()
		case "sessionCredentialFromConsole":
			f.FromConsole, err = r.textOrSkip()
		default:
			err = r.skip()
		}
		return err
	})
	if err != nil {
		return err
	}
	if len(eventTime) == 0 {
		eventTime = timestamp
	}
	var at time.Time
	if err := at.UnmarshalText(eventTime); err != nil {
		return ErrNotRecord
	}
	f.Second = at.Unix()
	f.Username, f.AccessKeyID, f.Caller, f.CallerARN, f.PrincipalID = who.username(), who.accessKeyID, who.accountID, who.arn, who.principalID
	f.InvokedBy = who.invokedBy
	if len(f.Account) == 0 { // before version 1.02
		f.Account = who.accountID
	}
	return nil
}

// outlineIdentity is what an outline needs of userIdentity.
type outlineIdentity struct {
	typ, principalID, arn, accountID, accessKeyID, userName, invokedBy []byte
}

func (id *outlineIdentity) username() []byte {
	switch string(id.typ) {
	case "Root":
		return []byte("root")
	case "AssumedRole", "FederatedUser":
		if i := bytes.LastIndexByte(id.arn, '/'); i >= 0 {
			return id.arn[i+1:]
		}
		if i := bytes.LastIndexByte(id.principalID, ':'); i >= 0 {
			return id.principalID[i+1:]
		}
		return nil
	case "AWSService":
		return id.invokedBy
	}
	return id.userName
}

func (r *OutlineReader) identity(id *outlineIdentity) error {
	return r.object(func(name []byte) (err error) {
		switch string(name) {
		case "type":
			id.typ, err = r.text()
		case "principalId":
			id.principalID, err = r.text()
		case "arn":
			id.arn, err = r.text()
		case "accountId":
			id.accountID, err = r.text()
		case "accessKeyId":
			id.accessKeyID, err = r.text()
		case "userName":
			id.userName, err = r.text()
		case "invokedBy":
			id.invokedBy, err = r.text()
		default:
			err = r.skip()
		}
		return err
	})
}

// insight reads what an Insights event is about.
func (r *OutlineReader) insight(f *Outline) error {
	if r.next() != '{' {
		return r.skip()
	}
	return r.object(func(name []byte) (err error) {
		switch string(name) {
		case "insightType":
			f.InsightType, err = r.textOrSkip()
		case "eventSource":
			f.EventSource, err = r.textOrSkip()
		case "eventName":
			f.EventName, err = r.textOrSkip()
		case "errorCode":
			f.ErrorCode, err = r.textOrSkip()
		default:
			err = r.skip()
		}
		return err
	})
}

func (r *OutlineReader) resources(all []OutlineResource) ([]OutlineResource, error) {
	if r.next() != '[' { // null
		return all, r.skip()
	}
	for r.at++; r.next() != ']'; r.comma() {
		var one OutlineResource
		err := r.object(func(name []byte) (err error) {
			switch string(name) {
			case "type":
				one.Type, err = r.text()
			case "ARN", "ARNPrefix":
				one.ARN, err = r.text()
			default:
				err = r.skip()
			}
			return err
		})
		if err != nil {
			return all, err
		}
		all = append(all, one)
	}
	r.at++
	return all, nil
}

// object reads an object, or null as an empty one, and calls member with each name to read the value.
func (r *OutlineReader) object(member func(name []byte) error) error {
	switch r.next() {
	case 'n':
		return r.skip()
	case '{':
	default:
		return ErrNotRecord
	}
	for r.at++; r.next() != '}'; r.comma() {
		name, err := r.text()
		if err != nil || r.next() != ':' {
			return ErrNotRecord
		}
		r.at++
		if err := member(name); err != nil {
			return err
		}
	}
	r.at++
	return nil
}

// next passes over white space and returns the byte behind it, or 0 at the end of the data.
func (r *OutlineReader) next() byte {
	for ; r.at < len(r.data); r.at++ {
		switch c := r.data[r.at]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// begin is where the next value begins.
func (r *OutlineReader) begin() int {
	r.next()
	return r.at
}

func (r *OutlineReader) comma() {
	if r.next() == ',' {
		r.at++
	}
}

// quoted reads a string as it is written, without its quotes.
func (r *OutlineReader) quoted() ([]byte, error) {
	begin := r.at + 1
	for r.at = begin; ; {
		i := bytes.IndexByte(r.data[r.at:], '"')
		if i < 0 {
			return nil, ErrNotRecord
		}
		end := r.at + i
		r.at = end + 1
		backslashes := 0
		for end-backslashes > begin && r.data[end-backslashes-1] == '\\' {
			backslashes++
		}
		if backslashes%2 == 0 {
			return r.data[begin:end], nil
		}
	}
}

// text reads a string, or null as an empty one.
func (r *OutlineReader) text() ([]byte, error) {
	switch r.next() {
	case '"':
	case 'n':
		return nil, r.skip()
	default:
		return nil, ErrNotRecord
	}
	raw, err := r.quoted()
	if err != nil || bytes.IndexByte(raw, '\\') < 0 {
		return raw, err
	}
	return jsontext.AppendUnquote(nil, r.data[r.at-len(raw)-2:r.at])
}

// textOrSkip reads a string, and any other value as an empty one.
func (r *OutlineReader) textOrSkip() ([]byte, error) {
	if r.next() == '"' {
		return r.text()
	}
	return nil, r.skip()
}

func (r *OutlineReader) truth() (bool, error) {
	is := r.next() == 't'
	return is, r.skip()
}

// skip passes over a value.
func (r *OutlineReader) skip() error {
	for depth := 0; ; {
		switch r.next() {
		case '{', '[':
			depth++
			r.at++
		case '}', ']':
			if depth == 0 {
				return ErrNotRecord // no value
			}
			depth--
			r.at++
		case '"':
			if _, err := r.quoted(); err != nil {
				return err
			}
		case ',', ':':
			if depth == 0 {
				return ErrNotRecord
			}
			r.at++
			continue
		case 0:
			return ErrNotRecord
		default:
			r.literal()
		}
		if depth == 0 {
			return nil
		}
	}
}

// literal passes over a number, true, false or null.
func (r *OutlineReader) literal() {
	for ; r.at < len(r.data); r.at++ {
		switch r.data[r.at] {
		case ',', '}', ']', ' ', '\t', '\r', '\n':
			return
		}
	}
}

// Members gives the members of data, which must be a JSON object, in order: their names, and their values as they are written. It ends
// early when yield says no, and then says nothing of the rest. What it gives refers to data.
func (r *OutlineReader) Members(data []byte, yield func(name, value []byte) bool) error {
	r.data, r.at = data, 0
	if r.next() != '{' {
		return ErrNotRecord
	}
	for r.at++; r.next() != '}'; r.comma() {
		name, err := r.text()
		if err != nil || r.next() != ':' {
			return ErrNotRecord
		}
		r.at++
		r.next()
		begin := r.at
		if err := r.skip(); err != nil {
			return err
		}
		if !yield(name, data[begin:r.at]) {
			return nil
		}
	}
	return nil
}
