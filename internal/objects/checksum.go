package objects

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"net/http"
	"strconv"
	"strings"

	"vigil/internal/call"
)

// algorithms are the checksums of S3, by name. See the S3 user guide's "Checking object integrity in Amazon S3".
var algorithms = map[string]func() hash.Hash{
	"CRC32":     func() hash.Hash { return crc32.NewIEEE() },
	"CRC32C":    func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) },
	"CRC64NVME": func() hash.Hash { return crc64.New(nvme) },
	"SHA1":      sha1.New,
	"SHA256":    sha256.New,
}

// nvme is the polynomial of the NVM Express specification's 64-bit CRC, reflected.
var nvme = crc64.MakeTable(0x9a6c9329ac4bc9b5)

const checksumHeader = "X-Amz-Checksum-" // and the algorithm

// integrity checks a body against what its request says of it, and finds its checksum.
type integrity struct {
	in        *call.RESTRequest
	algorithm string // of the checksum, or empty
	sum       hash.Hash
	md5       hash.Hash
	wantMD5   []byte
}

// expect finds what a request says of its body. When it says no checksum, algorithm is that to find, or empty.
func expect(in *call.RESTRequest, algorithm string) (*integrity, error) {
	g := &integrity{in: in, algorithm: strings.ToUpper(in.Header.Get("X-Amz-Sdk-Checksum-Algorithm"))}
	if g.algorithm == "" {
		g.algorithm = algorithm
	}
	said := ""
	for name := range algorithms {
		if in.Header.Get(checksumHeader+name) != "" || strings.EqualFold(in.Header.Get("X-Amz-Trailer"), checksumHeader+name) {
			if said != "" {
				return nil, call.Errorf("InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
			}
			said = name
		}
	}
	if trailer := in.Header.Get("X-Amz-Trailer"); trailer != "" && !strings.EqualFold(trailer, checksumHeader+said) {
		return nil, call.Errorf("InvalidRequest", "The value specified in the x-amz-trailer header is not supported")
	}
	if said != "" {
		g.algorithm = said
	}
	if g.algorithm != "" {
		begin, ok := algorithms[g.algorithm]
		if !ok {
			return nil, call.Errorf("InvalidRequest", "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]")
		}
		g.sum = begin()
	}
	if text := in.Header.Get("Content-Md5"); text != "" {
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(raw) != md5.Size {
			return nil, call.Errorf("InvalidDigest", "The Content-MD5 you specified was invalid.")
		}
		g.md5, g.wantMD5 = md5.New(), raw
	}
	return g, nil
}

// body is the request's body as it is to be read.
func (g *integrity) body(limit int64) io.Reader {
	body := io.Reader(&limited{g.in.Body, limit})
	if g.sum != nil {
		body = io.TeeReader(body, g.sum)
	}
	if g.md5 != nil {
		body = io.TeeReader(body, g.md5)
	}
	return body
}

// check returns the checksum in base64, of a body that has been read to its end, or the error that it is not as was said.
func (g *integrity) check() (string, error) {
	if g.md5 != nil && string(g.md5.Sum(nil)) != string(g.wantMD5) {
		return "", call.Errorf("BadDigest", "The Content-MD5 you specified did not match what we received.")
	}
	if g.sum == nil {
		return "", nil
	}
	found := base64.StdEncoding.EncodeToString(g.sum.Sum(nil))
	for _, h := range []http.Header{g.in.Header, g.in.Trailer()} {
		said := h.Get(checksumHeader + g.algorithm)
		if said == "" {
			continue
		}
		if raw, err := base64.StdEncoding.DecodeString(said); err != nil || len(raw) != g.sum.Size() {
			return "", call.Errorf("InvalidRequest", "Value for x-amz-checksum-%s header is invalid.", strings.ToLower(g.algorithm))
		}
		if said != found {
			return "", call.Errorf("BadDigest", "The %s you specified did not match the calculated checksum.", g.algorithm)
		}
		return found, nil
	}
	if g.in.Header.Get("X-Amz-Trailer") != "" {
		return "", call.Errorf("MalformedTrailerError", "The request contained trailing data that was not well-formed or did not conform to our published schema.")
	}
	return found, nil
}

// limited fails when there is more than left.
type limited struct {
	from io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.from.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}

// ofParts is the checksum of the parts' checksums, which is what an upload in parts has when it is COMPOSITE, or empty when a part has none.
func ofParts(algorithm string, parts []Part) string {
	begin, ok := algorithms[algorithm]
	if !ok {
		return ""
	}
	sum := begin()
	for _, part := range parts {
		raw, err := base64.StdEncoding.DecodeString(part.Checksum)
		if err != nil || part.ChecksumAlgorithm != algorithm {
			return ""
		}
		sum.Write(raw)
	}
	return base64.StdEncoding.EncodeToString(sum.Sum(nil)) + "-" + strconv.Itoa(len(parts))
}
