package lake

import (
	"encoding/binary"

	"vigil/internal/call"
	"vigil/internal/paging"
)

// A NextToken has where the next answer begins, as a varint of encoding/binary.

func writeToken(c *call.Call, next int64, about string) *string {
	return listOf(c, about).Token(binary.AppendUvarint(nil, uint64(next)))
}

// readToken is where an answer begins; without a token, at 0.
func readToken(c *call.Call, token *string, about string) (int64, error) {
	if token == nil {
		return 0, nil
	}
	place, ok := listOf(c, about).Place(*token)
	if next, n := binary.Uvarint(place); ok && n > 0 && n == len(place) && next < 1<<62 {
		return int64(next), nil
	}
	return 0, call.Errorf("InvalidNextTokenException", "The token is not valid, or was given for a request with other parameters.")
}

func listOf(c *call.Call, about string) paging.List {
	return paging.Of(c.Operation, c.Account(), c.Region, about)
}
