package vigil

import (
	"bytes"
	"encoding/hex"
	"errors"
	"time"
	"unicode/utf8"

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
type OutlineReader struct{ scanner }

// Errors of reading outlines.
var (
	ErrNotJSON   = errors.New("vigil: not valid JSON")
	ErrNotRecord = errors.New("vigil: not a CloudTrail record")
)

// Read fills f with the outline of a record of any event version, which must be a JSON object. It is many times as fast as ParseRecord.
// f refers to data.
//
// It is for what is known to be JSON: of other data it returns ErrNotRecord, or an outline of what it took it for.
func (r *OutlineReader) Read(data []byte, f *Outline) error {
	_, err := r.read(data, f, false)
	return err
}

// ReadStrict is Read for data of which nothing is known. It returns ErrNotJSON for what is not one JSON value by RFC 7493 (I-JSON): by the grammar of
// RFC 8259, in UTF-8, with no name twice in an object; numbers may be any.
func (r *OutlineReader) ReadStrict(data []byte, f *Outline) error {
	if end, err := r.read(data, f, true); err == nil && r.isEnd(end) && utf8.Valid(data) {
		return nil
	}
	if !jsontext.Value(data).IsValid() {
		return ErrNotJSON
	}
	return r.Read(data, f)
}

func (r *OutlineReader) read(data []byte, f *Outline, strict bool) (end int, err error) {
	*f = Outline{Resources: f.Resources[:0]}
	r.reset(data, strict)

	var who outlineIdentity
	var eventTime, timestamp []byte
	var o object
	name, at, more := r.first(&o, 0)
	for ; more; name, at, more = r.member(&o, at) {
		switch string(name) {
		case "userIdentity":
			at = r.identity(&who, at)
		case "resources":
			at = r.resources(f, at)
		case "eventTime":
			eventTime, at = r.textOrNull(at)
		case "@timestamp":
			timestamp, at = r.textOrNull(at)
		case "eventSource":
			f.EventSource, at = r.textOrNull(at)
		case "eventType":
			f.EventType, at = r.textOrNull(at)
		case "eventName":
			f.EventName, at = r.textOrNull(at)
		case "awsRegion":
			f.Region, at = r.textOrNull(at)
		case "errorCode":
			f.ErrorCode, at = r.textOrNull(at)
		case "requestID":
			f.RequestID, at = r.textOrNull(at)
		case "eventID":
			f.EventID, at = r.textOrNull(at)
		case "userAgent":
			f.UserAgent, at = r.textOrSkip(at)
		case "insightDetails":
			at = r.insight(f, at)
		case "requestParameters":
			_, begin := r.next(at)
			at = r.skip(begin)
			f.Parameters = data[begin:at]
		case "readOnly":
			var c byte
			c, at = r.next(at)
			f.ReadOnly, at = c == 't', r.skip(at)
		case "recipientAccountId":
			f.Account, at = r.textOrNull(at)
		case "sharedEventID":
			f.SharedID, at = r.textOrNull(at)
		case "eventCategory":
			f.Category, at = r.textOrNull(at)
		case "vpcEndpointId":
			f.VPCEndpointID, at = r.textOrSkip(at)
		case "sessionCredentialFromConsole":
			f.FromConsole, at = r.textOrSkip(at)
		default:
			at = r.skip(at)
		}
	}
	if len(eventTime) == 0 {
		eventTime = timestamp
	}
	second, ok := unixSecond(eventTime)
	if r.failed || !ok {
		return at, ErrNotRecord
	}
	f.Second = second
	f.Username, f.AccessKeyID, f.Caller, f.CallerARN, f.PrincipalID = who.username(), who.accessKeyID, who.accountID, who.arn, who.principalID
	f.InvokedBy = who.invokedBy
	if len(f.Account) == 0 { // before version 1.02
		f.Account = who.accountID
	}
	return at, nil
}

// unixSecond reads a time as Time.UnmarshalText does, in seconds since 1970.
func unixSecond(text []byte) (second int64, ok bool) {
	if second, ok = usualSecond(text); ok {
		return second, true
	}
	var at time.Time
	err := at.UnmarshalText(text)
	return at.Unix(), err == nil
}

// usualSecond is unixSecond for times as CloudTrail writes them, 2006-01-02T15:04:05Z, on most days.
func usualSecond(text []byte) (second int64, ok bool) {
	if len(text) != len("2006-01-02T15:04:05Z") || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' || text[16] != ':' || text[19] != 'Z' {
		return 0, false
	}
	var wrong uint
	two := func(at int) int64 {
		tens, ones := uint(text[at]-'0'), uint(text[at+1]-'0')
		if tens > 9 || ones > 9 {
			wrong++
		}
		return int64(tens*10 + ones)
	}
	year, month, day := two(0)*100+two(2), two(5), two(8)
	hour, minute, second := two(11), two(14), two(17)
	if wrong > 0 || year < 1 || month < 1 || month > 12 || day < 1 || day > 30 || month == 2 && day > 28 || hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	if month -= 3; month < 0 { // a year from March on, with its leap day at its end
		month += 12
		year--
	}
	days := year*365 + year/4 - year/100 + year/400 + (month*153+2)/5 + day - 719_469
	return ((days*24+hour)*60+minute)*60 + second, true
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

func (r *OutlineReader) identity(id *outlineIdentity, at int) int {
	var o object
	name, at, more := r.first(&o, at)
	for ; more; name, at, more = r.member(&o, at) {
		switch string(name) {
		case "type":
			id.typ, at = r.textOrNull(at)
		case "principalId":
			id.principalID, at = r.textOrNull(at)
		case "arn":
			id.arn, at = r.textOrNull(at)
		case "accountId":
			id.accountID, at = r.textOrNull(at)
		case "accessKeyId":
			id.accessKeyID, at = r.textOrNull(at)
		case "userName":
			id.userName, at = r.textOrNull(at)
		case "invokedBy":
			id.invokedBy, at = r.textOrNull(at)
		default:
			at = r.skip(at)
		}
	}
	return at
}

// insight reads what an Insights event is about.
func (r *OutlineReader) insight(f *Outline, at int) int {
	if c, at := r.next(at); c != '{' {
		return r.skip(at)
	}
	var o object
	name, at, more := r.first(&o, at)
	for ; more; name, at, more = r.member(&o, at) {
		switch string(name) {
		case "insightType":
			f.InsightType, at = r.textOrSkip(at)
		case "eventSource":
			f.EventSource, at = r.textOrSkip(at)
		case "eventName":
			f.EventName, at = r.textOrSkip(at)
		case "errorCode":
			f.ErrorCode, at = r.textOrSkip(at)
		default:
			at = r.skip(at)
		}
	}
	return at
}

func (r *OutlineReader) resources(f *Outline, at int) int {
	c, at := r.next(at)
	if c != '[' { // null
		return r.skip(at)
	}
	begun := false
	at, more := r.element(&begun, r.enter(at))
	for ; more; at, more = r.element(&begun, at) {
		var one OutlineResource
		at = r.resource(&one, at)
		f.Resources = append(f.Resources, one)
	}
	return at
}

func (r *OutlineReader) resource(one *OutlineResource, at int) int {
	var o object
	name, at, more := r.first(&o, at)
	for ; more; name, at, more = r.member(&o, at) {
		switch string(name) {
		case "type":
			one.Type, at = r.textOrNull(at)
		case "ARN", "ARNPrefix":
			one.ARN, at = r.textOrNull(at)
		default:
			at = r.skip(at)
		}
	}
	return at
}

// first enters the object that begins at at, or null as an empty one, and goes to its first member.
func (r *OutlineReader) first(o *object, at int) (name []byte, value int, more bool) {
	switch c, at := r.next(at); c {
	case '{':
		return r.enterObject(o, at)
	case 'n':
		return nil, r.skip(at), false
	}
	return nil, r.fail(), false
}

// textOrNull reads a string, or null as an empty one.
func (r *OutlineReader) textOrNull(at int) (text []byte, end int) {
	switch c, at := r.next(at); c {
	case '"':
		return r.text(at)
	case 'n':
		return nil, r.skip(at)
	}
	return nil, r.fail()
}

// textOrSkip reads a string, and any other value as an empty one.
func (r *OutlineReader) textOrSkip(at int) (text []byte, end int) {
	c, at := r.next(at)
	if c == '"' {
		return r.text(at)
	}
	return nil, r.skip(at)
}

// Members gives the members of data, which must be a JSON object, in order: their names, and their values as they are written. It ends
// early when yield says no, and then says nothing of the rest. What it gives refers to data.
func (r *OutlineReader) Members(data []byte, yield func(name, value []byte) bool) error {
	r.reset(data, false)
	c, at := r.next(0)
	if c != '{' {
		return ErrNotRecord
	}
	var o object
	name, at, more := r.enterObject(&o, at)
	for ; more; name, at, more = r.member(&o, at) {
		_, begin := r.next(at)
		if at = r.skip(begin); r.failed {
			break
		}
		if !yield(name, data[begin:at]) {
			return nil
		}
	}
	if r.failed {
		return ErrNotRecord
	}
	return nil
}
