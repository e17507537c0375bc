package sigv4

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"slices"
	"strings"
)

// The values of X-Amz-Content-Sha256 that are no hash. See the S3 API Reference, "Authenticating Requests: Using the Authorization
// Header", under "Transferring Payload in Chunks".
const (
	UnsignedPayload         = "UNSIGNED-PAYLOAD"
	StreamingPayload        = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	StreamingPayloadTrailer = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	StreamingUnsigned       = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
)

// ErrChunks says that a body is not of the form aws-chunked.
var ErrChunks = errors.New("the body is not well-formed aws-chunked")

// Limits of what is between the chunks.
const (
	maxChunkLine    = 1 << 10 // bytes of a chunk's own line, or of a trailer's
	maxTrailerLines = 16
	maxChunkDigits  = 16 // of its size, in hexadecimal
)

const trailerSignature = "x-amz-trailer-signature"

var emptyHash = sha256.Sum256(nil)

// Chunks takes the framing of aws-chunked off a body, and verifies the signatures in it.
//
// Bytes are handed out before the signature of their chunk has been seen: what was read may be used only when Read has
// returned io.EOF. It returns an *Error for a signature that is not right, ErrChunks for what has not the form, and
// io.ErrUnexpectedEOF for a body that ends too soon.
type Chunks struct {
	body    *bufio.Reader
	key     *Key // nil when chunks are not signed
	head    string
	prior   string // the signature before: of the request, then of each chunk
	claimed string // the present chunk's own
	sum     hash.Hash
	left    uint64 // bytes of the present chunk that are still to come
	inside  bool   // a chunk is begun, and its end not seen
	trailer bool   // lines may follow the last chunk
	lines   http.Header
	err     error
}

// Chunks reads body as the X-Amz-Content-Sha256 of a verified request has it, which is one of the STREAMING- values. key is the one
// that the request was verified with.
func (s *Signature) Chunks(body io.Reader, form string, key Key) *Chunks {
	c := &Chunks{body: bufio.NewReaderSize(body, 64<<10), trailer: form != StreamingPayload, lines: http.Header{}}
	if form != StreamingUnsigned {
		c.key, c.prior, c.sum = &key, hex.EncodeToString(s.mac[:]), sha256.New()
		c.head = s.stamp + "\n" + s.scope + "\n"
	}
	return c
}

// Trailer is what came after the last chunk, without its signature. It is whole when Read has returned io.EOF.
func (c *Chunks) Trailer() http.Header { return c.lines }

// Read implements io.Reader.
func (c *Chunks) Read(p []byte) (int, error) {
	for c.err == nil && c.left == 0 {
		if c.inside {
			c.err = c.endChunk()
		} else {
			c.err = c.beginChunk()
		}
	}
	if c.err != nil {
		return 0, c.err
	}
	if uint64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.body.Read(p)
	c.left -= uint64(n)
	if c.sum != nil {
		c.sum.Write(p[:n])
	}
	c.err = tooSoon(err)
	return n, c.err
}

// beginChunk reads a chunk's own line. After that of the last, whose size is 0, it reads what follows, and returns io.EOF.
func (c *Chunks) beginChunk() error {
	line, err := c.line()
	if err != nil {
		return err
	}
	digits, extension, signed := strings.Cut(line, ";")
	if signed != (c.key != nil) {
		return ErrChunks
	}
	if c.left, err = chunkSize(digits); err != nil {
		return err
	}
	if signed {
		var ok bool
		if c.claimed, ok = strings.CutPrefix(extension, "chunk-signature="); !ok {
			return ErrChunks
		}
		c.sum.Reset()
	}
	if c.left > 0 {
		c.inside = true
		return nil
	}
	if err := c.verifyChunk(); err != nil {
		return err
	}
	return c.end()
}

func chunkSize(digits string) (size uint64, err error) {
	if digits == "" || len(digits) > maxChunkDigits {
		return 0, ErrChunks
	}
	for i := range len(digits) {
		d := hexDigit(digits[i])
		if d < 0 {
			return 0, ErrChunks
		}
		size = size<<4 | uint64(d)
	}
	return size, nil
}

// endChunk checks a chunk of which all bytes have been read.
func (c *Chunks) endChunk() error {
	c.inside = false
	var end [2]byte
	if _, err := io.ReadFull(c.body, end[:]); err != nil {
		return tooSoon(err)
	}
	if string(end[:]) != "\r\n" {
		return ErrChunks
	}
	return c.verifyChunk()
}

func (c *Chunks) verifyChunk() error {
	if c.key == nil {
		return nil
	}
	return c.verify("AWS4-HMAC-SHA256-PAYLOAD\n", hex.EncodeToString(emptyHash[:])+"\n"+hex.EncodeToString(c.sum.Sum(nil)), c.claimed)
}

// verify checks one signature of the chain, which becomes the one before the next.
func (c *Chunks) verify(algorithm, rest, claimed string) error {
	text := []byte(algorithm + c.head + c.prior + "\n" + rest)
	want := hex.EncodeToString(c.key.sign(nil, text))
	if !hmac.Equal([]byte(want), []byte(claimed)) { // in constant time
		return refuse(Mismatch, textMismatch)
	}
	c.prior = want
	return nil
}

// end reads what follows the last chunk: the trailer's lines, its signature, and an empty line.
func (c *Chunks) end() error {
	var names []string
	signature, apart := "", false
	for n := 0; ; n++ {
		line, err := c.line()
		if err == io.ErrUnexpectedEOF && n > 0 && line == "" { // some signers leave the empty line out
			break
		}
		if err != nil {
			return err
		}
		if line == "" && len(names) > 0 && signature == "" && !apart { // others put one more behind the trailer, as S3's examples do
			apart = true
			continue
		}
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		if apart && name != trailerSignature {
			return ErrChunks
		}
		if !ok || !c.trailer || n == maxTrailerLines || !headerName(name) || c.lines.Get(name) != "" {
			return ErrChunks
		}
		if name == trailerSignature {
			if signature != "" {
				return ErrChunks
			}
			signature = value
			continue
		}
		names = append(names, name)
		c.lines.Set(name, value)
	}
	if c.key != nil && c.trailer {
		if err := c.verifyTrailer(names, signature); err != nil {
			return err
		}
	}
	if _, err := c.body.ReadByte(); err != io.EOF {
		if err == nil {
			err = ErrChunks
		}
		return err
	}
	return io.EOF
}

func (c *Chunks) verifyTrailer(names []string, signature string) error {
	slices.Sort(names)
	var text bytes.Buffer
	for _, name := range names {
		text.WriteString(name + ":" + c.lines.Get(name) + "\n")
	}
	sum := sha256.Sum256(text.Bytes())
	return c.verify("AWS4-HMAC-SHA256-TRAILER\n", hex.EncodeToString(sum[:]), signature)
}

// line reads one line, without its end, which is CR LF or, as some signers have it in trailers, LF. At the end of the body it is
// empty, with io.ErrUnexpectedEOF.
func (c *Chunks) line() (string, error) {
	line, err := c.body.ReadSlice('\n')
	switch {
	case err == bufio.ErrBufferFull || len(line) > maxChunkLine:
		return "", ErrChunks
	case err != nil:
		if len(line) > 0 && err == io.EOF {
			return "", ErrChunks
		}
		return "", tooSoon(err)
	}
	return string(bytes.TrimSuffix(line[:len(line)-1], []byte("\r"))), nil
}

func tooSoon(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
