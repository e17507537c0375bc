package metrics

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"

	"vigil/internal/call"
)

// A NextToken is base64 of a check and a place. The check is over the place and the request that the token was given for. It guards
// against mistakes, and needs no key: whoever makes up a token only chooses where among the caller's own metrics an answer begins.
const tokenCheck = 12

func writeToken(c *call.Call, request any, place []byte) *string {
	return aws.String(base64.RawURLEncoding.EncodeToString(append(checkOf(c, request, place), place...)))
}

// readToken returns the place of a token that was given for the same request.
func readToken(c *call.Call, request any, text string) ([]byte, error) {
	token, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(token) < tokenCheck || !bytes.Equal(token[:tokenCheck], checkOf(c, request, token[tokenCheck:])) {
		return nil, errToken(c)
	}
	return token[tokenCheck:], nil
}

// errToken is what the operation has for a token that is not valid.
func errToken(c *call.Call) error {
	if c.Operation == "ListMetrics" {
		return call.Errorf(invalidValue, "The value for parameter NextToken is invalid.")
	}
	return call.Errorf(invalidToken, "The value for parameter NextToken is invalid.")
}

func checkOf(c *call.Call, request any, place []byte) []byte {
	h := sha256.New()
	// The order of members is that of the type, and no member is a map, so that equal requests have equal texts.
	_ = json.NewEncoder(h).Encode([]any{c.Account(), c.Region, request, place})
	return h.Sum(nil)[:tokenCheck]
}

// dataPlace is where an answer of GetMetricData begins: at a query, behind the point of a time if it has begun.
type dataPlace struct {
	query int64
	begun bool
	after int64
}

func writeDataToken(c *call.Call, in *cloudwatch.GetMetricDataInput, p dataPlace) *string {
	place := binary.AppendVarint(nil, p.query)
	if p.begun {
		place = binary.AppendVarint(place, p.after)
	}
	return writeToken(c, dataRequest(in), place)
}

func readDataToken(c *call.Call, in *cloudwatch.GetMetricDataInput) (dataPlace, error) {
	if in.NextToken == nil {
		return dataPlace{}, nil
	}
	place, err := readToken(c, dataRequest(in), *in.NextToken)
	if err != nil {
		return dataPlace{}, err
	}
	var p dataPlace
	var size int
	if p.query, size = binary.Varint(place); size <= 0 || p.query < 0 {
		return p, errToken(c)
	}
	if place = place[size:]; len(place) > 0 {
		p.begun = true
		if p.after, size = binary.Varint(place); size != len(place) {
			return p, errToken(c)
		}
	}
	return p, nil
}

// dataRequest is what must be the same of one answer's request and the next's.
func dataRequest(in *cloudwatch.GetMetricDataInput) any {
	return []any{in.MetricDataQueries, in.StartTime.UTC(), in.EndTime.UTC(), in.ScanBy}
}
