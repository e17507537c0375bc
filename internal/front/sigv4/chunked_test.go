package sigv4

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// chunkExample are the bodies of the S3 API Reference's examples: "Example: PUT Object" of "Signature Calculations for the Authorization
// Header: Transferring Payload in Multiple Chunks", and of "… Including Trailing Headers".
func chunkExample(form string) (*Signature, Key, string) {
	signatures := map[string][]string{
		StreamingPayload: {"4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
			"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
			"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
			"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"},
		StreamingPayloadTrailer: {"106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
			"b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
			"1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
			"2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"},
	}[form]
	s := &Signature{stamp: "20130524T000000Z", scope: "20130524/us-east-1/s3/aws4_request"}
	if form == StreamingUnsigned {
		return s, Key{}, "10000\r\n" + strings.Repeat("a", 65536) + "\r\n400\r\n" + strings.Repeat("a", 1024) +
			"\r\n0\r\nx-amz-checksum-crc32c:sOO8/Q==\r\n\r\n"
	}
	var mac []byte
	fmt.Sscanf(signatures[0], "%x", &mac)
	copy(s.mac[:], mac)
	body := "10000;chunk-signature=" + signatures[1] + "\r\n" + strings.Repeat("a", 65536) + "\r\n" +
		"400;chunk-signature=" + signatures[2] + "\r\n" + strings.Repeat("a", 1024) + "\r\n" +
		"0;chunk-signature=" + signatures[3] + "\r\n"
	if form == StreamingPayloadTrailer {
		body += "x-amz-checksum-crc32c:sOO8/Q==\n" +
			"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n"
	}
	return s, DeriveKey("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "20130524", "us-east-1", "s3"), body + "\r\n"
}

var chunkForms = []string{StreamingPayload, StreamingPayloadTrailer, StreamingUnsigned}

func TestChunksOfTheDocumentation(t *testing.T) {
	for _, form := range chunkForms {
		s, key, body := chunkExample(form)
		c := s.Chunks(iotest.HalfReader(strings.NewReader(body)), form, key)
		got, err := io.ReadAll(c)
		if err != nil || string(got) != strings.Repeat("a", 66560) {
			t.Errorf("%s: %d bytes, %v", form, len(got), err)
		}
		want := "sOO8/Q=="
		if form == StreamingPayload {
			want = ""
		}
		if got := c.Trailer().Get("X-Amz-Checksum-Crc32c"); got != want {
			t.Errorf("%s: the trailer says %q, want %q", form, got, want)
		}
	}
}

// The documentation has an empty line behind the trailer and before its signature: some clients send one, and others none.
func TestAnEmptyLineMayFollowATrailer(t *testing.T) {
	unsigned, none, body := chunkExample(StreamingUnsigned)
	for rest, want := range map[string]error{"\r\n": nil, "x-amz-checksum-crc32:AAAAAA==\r\n\r\n": ErrChunks, "\r\n\r\n": ErrChunks} {
		c := unsigned.Chunks(strings.NewReader(body+rest), StreamingUnsigned, none)
		if got, err := io.ReadAll(c); !errors.Is(err, want) || len(got) != 66560 || c.Trailer().Get("X-Amz-Checksum-Crc32c") != "sOO8/Q==" {
			t.Errorf("then %q: %d bytes, %v, want %v", rest, len(got), err, want)
		}
	}
	s, key, body := chunkExample(StreamingPayloadTrailer)
	for _, apart := range []string{"\n", "\r\n"} {
		c := s.Chunks(strings.NewReader(strings.Replace(body, "x-amz-trailer-sig", apart+"x-amz-trailer-sig", 1)), StreamingPayloadTrailer, key)
		if got, err := io.ReadAll(c); err != nil || len(got) != 66560 || c.Trailer().Get("X-Amz-Checksum-Crc32c") != "sOO8/Q==" {
			t.Errorf("after %q: %d bytes, %v", apart, len(got), err)
		}
		c = s.Chunks(strings.NewReader(strings.Replace(body, "x-amz-trailer-sig", apart+apart+"x-amz-trailer-sig", 1)), StreamingPayloadTrailer, key)
		if _, err := io.ReadAll(c); err == nil {
			t.Errorf("after %q twice it is taken", apart)
		}
	}
}

func TestChunksRefuseWhatWasChanged(t *testing.T) {
	mismatch := func(err error) bool { e, ok := errors.AsType[*Error](err); return ok && e.Reason == Mismatch }
	malformed := func(err error) bool { return errors.Is(err, ErrChunks) }
	short := func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }
	for _, test := range []struct {
		name, form, from, to string
		want                 func(error) bool
	}{
		{"a byte of the data", StreamingPayload, "\r\naaa", "\r\naba", mismatch},
		{"a byte of the last chunk", StreamingPayload, "aaa\r\n0;", "aab\r\n0;", mismatch},
		{"a signature", StreamingPayload, "signature=ad80", "signature=ad81", mismatch},
		{"the last signature", StreamingPayload, "signature=b6c6", "signature=b6c7", mismatch},
		{"no signature", StreamingPayload, ";chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648", "", malformed},
		{"another extension", StreamingPayload, "chunk-signature=ad80", "chunk-verified=ad80", malformed},
		{"a size that is none", StreamingPayload, "10000;", "1000g;", malformed},
		{"a size too large", StreamingPayload, "10000;", "10000000000000000;", malformed},
		{"a size too small", StreamingPayload, "10000;", "ffff;", malformed},
		{"the last chunk left out", StreamingPayload, "0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n", "", short},
		{"a trailer that was not announced", StreamingPayload, "df9\r\n", "df9\r\nx-amz-checksum-crc32:AAAAAA==\r\n", malformed},
		{"the trailer's value", StreamingPayloadTrailer, "sOO8/Q==", "sOO8/A==", mismatch},
		{"the trailer's signature", StreamingPayloadTrailer, "signature:d81f", "signature:d81e", mismatch},
		{"the trailer's signature left out", StreamingPayloadTrailer, "x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n", "", mismatch},
		{"a trailer twice", StreamingUnsigned, "sOO8/Q==", "sOO8/Q==\r\nx-amz-checksum-crc32c:AAAAAA==", malformed},
		{"a signature that nobody asked for", StreamingUnsigned, "10000\r\n", "10000;chunk-signature=00\r\n", malformed},
		{"something after the end", StreamingUnsigned, "Q==\r\n\r\n", "Q==\r\n\r\nmore", malformed},
	} {
		s, key, body := chunkExample(test.form)
		changed := strings.Replace(body, test.from, test.to, 1)
		if changed == body {
			t.Fatalf("%s: nothing was changed", test.name)
		}
		if _, err := io.ReadAll(s.Chunks(strings.NewReader(changed), test.form, key)); !test.want(err) {
			t.Errorf("%s: got %v", test.name, err)
		}
	}
}

// A body that is cut anywhere is never taken for a whole one.
func TestChunksRefuseACutBody(t *testing.T) {
	for _, form := range chunkForms {
		s, key, body := chunkExample(form)
		for cut := range len(body) - len("\r\n") {
			if cut > 200 && cut < 65536 { // inside the first chunk's data
				continue
			}
			if _, err := io.ReadAll(s.Chunks(strings.NewReader(body[:cut]), form, key)); err == nil {
				t.Fatalf("%s: cut to %d of %d bytes it is taken", form, cut, len(body))
			}
		}
	}
}

func FuzzChunks(f *testing.F) {
	for i, form := range chunkForms {
		_, _, body := chunkExample(form)
		f.Add(i, body)
	}
	f.Add(2, "3\r\nabc\r\n0\r\n\r\n")
	f.Fuzz(func(t *testing.T, i int, body string) {
		form := chunkForms[uint(i)%uint(len(chunkForms))]
		s, key, _ := chunkExample(form)
		whole, err := io.ReadAll(s.Chunks(strings.NewReader(body), form, key))
		slow, slowErr := io.ReadAll(s.Chunks(iotest.OneByteReader(strings.NewReader(body)), form, key))
		if string(whole) != string(slow) || (err == nil) != (slowErr == nil) {
			t.Errorf("in one piece %q, %v; byte by byte %q, %v", whole, err, slow, slowErr)
		}
		if len(whole) > len(body) {
			t.Error("there is more in it than there is of it")
		}
	})
}
