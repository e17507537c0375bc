package metrics

import (
	"encoding/binary"
	"encoding/json"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"

	"vigil/internal/call"
	"vigil/internal/paging"
)

// listOf is the list that a request asks for.
func listOf(c *call.Call, request any) paging.List {
	// The order of members is that of the type, and no member is a map, so that equal requests have equal texts.
	text, _ := json.Marshal(request)
	return paging.Of(c.Account(), c.Region, string(text))
}

// readToken returns the place of a token that was given for the same request.
func readToken(c *call.Call, request any, token string) ([]byte, error) {
	place, ok := listOf(c, request).Place(token)
	if !ok {
		return nil, errToken(c)
	}
	return place, nil
}

// errToken is what the operation has for a token that is not valid.
func errToken(c *call.Call) error {
	if c.Operation == "ListMetrics" {
		return call.Errorf(invalidValue, "The value for parameter NextToken is invalid.")
	}
	return call.Errorf(invalidToken, "The value for parameter NextToken is invalid.")
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
	return listOf(c, dataRequest(in)).Token(place)
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
