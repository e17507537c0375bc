package trail

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"

	"vigil/internal/call"
)

// A NextToken is base64 of: its version, a check of 12 bytes, and the position as three varints of encoding/binary. The
// check is over the position and the request that the token belongs to. It guards against mistakes, and needs no key:
// whoever makes up a token only chooses where among the caller's own events an answer begins.
const (
	tokenVersion = 1
	tokenCheck   = 12
)

func writeToken(c *call.Call, in *cloudtrail.LookupEventsInput, p position) string {
	var place []byte
	for _, n := range []int64{p.walk, p.last.second, p.last.seq} {
		place = binary.AppendVarint(place, n)
	}
	token := append([]byte{tokenVersion}, checkOf(c, in, place)...)
	return base64.RawURLEncoding.EncodeToString(append(token, place...))
}

// readToken reads a token that was made for a request with the same parameters, MaxResults aside, of the same account
// in the same region.
func readToken(c *call.Call, in *cloudtrail.LookupEventsInput) (position, bool) {
	token, err := base64.RawURLEncoding.Strict().DecodeString(*in.NextToken)
	if err != nil || len(token) < 1+tokenCheck || token[0] != tokenVersion {
		return position{}, false
	}
	check, place := token[1:1+tokenCheck], token[1+tokenCheck:]
	if !bytes.Equal(check, checkOf(c, in, place)) {
		return position{}, false
	}
	var n [3]int64
	for i := range n {
		var size int
		if n[i], size = binary.Varint(place); size <= 0 {
			return position{}, false
		}
		place = place[size:]
	}
	if len(place) > 0 {
		return position{}, false
	}
	return position{walk: n[0], last: hit{second: n[1], seq: n[2]}}, true
}

func checkOf(c *call.Call, in *cloudtrail.LookupEventsInput, place []byte) []byte {
	text := append([]byte{tokenVersion}, place...)
	add := func(part string) {
		text = binary.AppendUvarint(text, uint64(len(part)))
		text = append(text, part...)
	}
	add(c.Account())
	add(c.Region)
	add(string(in.EventCategory))
	for _, bound := range []*time.Time{in.StartTime, in.EndTime} {
		if bound == nil {
			add("")
		} else {
			add(bound.UTC().Format(time.RFC3339Nano))
		}
	}
	for _, a := range in.LookupAttributes {
		add(string(a.AttributeKey))
		add(aws.ToString(a.AttributeValue))
	}
	sum := sha256.Sum256(text)
	return sum[:tokenCheck]
}
