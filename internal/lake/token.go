package lake

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"vigil/internal/call"
)

// A NextToken is base64 of a check of 12 bytes and of where the next answer begins. The check is over the request that the token
// belongs to. It guards against mistakes, and needs no key: whoever makes up a token only chooses where an answer begins.
const tokenCheck = 12

func checkOf(c *call.Call, about string) []byte {
	h := sha256.New()
	for _, part := range []string{c.Operation, c.Account(), c.Region, about} {
		binary.Write(h, binary.BigEndian, uint32(len(part)))
		h.Write([]byte(part))
	}
	return h.Sum(nil)[:tokenCheck]
}

func writeToken(c *call.Call, next int64, about string) *string {
	token := base64.RawURLEncoding.EncodeToString(binary.AppendUvarint(checkOf(c, about), uint64(next)))
	return &token
}

// readToken is where an answer begins; without a token, at 0.
func readToken(c *call.Call, token *string, about string) (int64, error) {
	if token == nil {
		return 0, nil
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(*token)
	if err == nil && len(data) > tokenCheck && bytes.Equal(data[:tokenCheck], checkOf(c, about)) {
		if next, n := binary.Uvarint(data[tokenCheck:]); n == len(data)-tokenCheck && next < 1<<62 {
			return int64(next), nil
		}
	}
	return 0, call.Errorf("InvalidNextTokenException", "The token is not valid, or was given for a request with other parameters.")
}
