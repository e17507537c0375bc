package trail

import (
	"encoding/binary"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"

	"vigil/internal/call"
	"vigil/internal/paging"
)

// A NextToken has the position as three varints of encoding/binary. It is of an account, a region, and a request with the same parameters,
// MaxResults aside.

func writeToken(c *call.Call, in *cloudtrail.LookupEventsInput, p position) *string {
	var place []byte
	for _, n := range []int64{p.walk, p.last.second, p.last.seq} {
		place = binary.AppendVarint(place, n)
	}
	return lookupList(c, in).Token(place)
}

func readToken(c *call.Call, in *cloudtrail.LookupEventsInput) (position, bool) {
	place, ok := lookupList(c, in).Place(*in.NextToken)
	if !ok {
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
	p := position{walk: n[0], last: hit{second: n[1], seq: n[2]}}
	return p, *writeToken(c, in, p) == *in.NextToken // each position has one token
}

func lookupList(c *call.Call, in *cloudtrail.LookupEventsInput) paging.List {
	scope := []string{"LookupEvents", c.Account(), c.Region, string(in.EventCategory)}
	for _, bound := range []*time.Time{in.StartTime, in.EndTime} {
		if bound == nil {
			scope = append(scope, "")
		} else {
			scope = append(scope, bound.UTC().Format(time.RFC3339Nano))
		}
	}
	for _, a := range in.LookupAttributes {
		scope = append(scope, string(a.AttributeKey), aws.ToString(a.AttributeValue))
	}
	return paging.Of(scope...)
}
