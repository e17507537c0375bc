package vigil

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/klauspost/compress/gzip"
)

// Folders under AWSLogs/ACCOUNT/ of a bucket that a trail delivers to.
const (
	LogFolder     = "CloudTrail"         // management and data events
	InsightFolder = "CloudTrail-Insight" // Insights events
	DigestFolder  = "CloudTrail-Digest"
)

// LogFileKey is the key of a log file, by the CloudTrail user guide's "CloudTrail log file name format". folder is LogFolder or
// InsightFolder, at the time of delivery, of which the name has the minute, and unique what tells files of one minute apart: 16 letters and digits.
// prefix is the trail's, or empty.
func LogFileKey(prefix, account, folder, region string, at time.Time, unique string) string {
	return bucketFolder(prefix, account, folder, region, at) +
		account + "_" + folder + "_" + region + "_" + at.UTC().Format("20060102T1504Z") + "_" + unique + ".json.gz"
}

// bucketFolder is the folder of a day's files, with a slash at its end.
func bucketFolder(prefix, account, folder, region string, at time.Time) string {
	return regionFolder(prefix, account, folder, region) + at.UTC().Format("2006/01/02/")
}

func regionFolder(prefix, account, folder, region string) string {
	if prefix != "" {
		prefix = strings.TrimSuffix(prefix, "/") + "/"
	}
	return prefix + "AWSLogs/" + account + "/" + folder + "/" + region + "/"
}

// LogFileWriter writes a log file: {"Records":[…]}, compressed with gzip. Only what is compressed is kept in memory.
type LogFileWriter struct {
	out   bytes.Buffer
	zip   *gzip.Writer
	sum   hash.Hash
	count int
}

// logFileLevel is how hard files are compressed: records are so alike that more makes them little smaller, at twice the time.
const logFileLevel = 3

var comma = []byte{','}

// NewLogFileWriter begins a file.
func NewLogFileWriter() *LogFileWriter {
	w := &LogFileWriter{sum: sha256.New()}
	w.zip, _ = gzip.NewWriterLevel(&w.out, logFileLevel) // which is one
	w.write([]byte(`{"Records":[`))
	return w
}

// Add writes a record, which is one JSON object.
func (w *LogFileWriter) Add(record []byte) {
	if w.count++; w.count > 1 {
		w.write(comma)
	}
	w.write(record)
}

// Count is how many records there are.
func (w *LogFileWriter) Count() int { return w.count }

// Close ends the file. It returns it, and what a digest has of it: the SHA-256 of what was compressed, in hexadecimal.
func (w *LogFileWriter) Close() (file []byte, sum string) {
	w.write([]byte(`]}`))
	_ = w.zip.Close() // a buffer takes all
	return w.out.Bytes(), hex.EncodeToString(w.sum.Sum(nil))
}

func (w *LogFileWriter) write(data []byte) {
	_, _ = w.zip.Write(data)
	w.sum.Write(data)
}

// LogFileRecords gives the records of a log file, uncompressed, as they are written in data: valid JSON values of any kind. It says no for what is not
// JSON, as OutlineReader.ReadStrict judges it, or no log file, and also for a file in which names are written with escapes, or are many hundreds in an
// object: of that a slower reader has to judge.
func LogFileRecords(data []byte) (records [][]byte, ok bool) {
	var s scanner
	s.reset(data, true)
	c, at := s.next(0)
	if c != '{' {
		return nil, false
	}
	var file object
	name, at, more := s.enterObject(&file, at)
	for ; more; name, at, more = s.member(&file, at) {
		if string(name) != "Records" {
			at = s.skip(at)
			continue
		}
		if c, at = s.next(at); c != '[' {
			return nil, false
		}
		begun := false
		begin, more := s.element(&begun, s.enter(at))
		for ; more; begin, more = s.element(&begun, at) {
			at = s.skip(begin)
			records = append(records, data[begin:at:at])
		}
		at = begin
	}
	if !s.isEnd(at) || !utf8.Valid(data) {
		return nil, false
	}
	return records, true
}

// compress is data as a gzip file.
func compress(data []byte) []byte {
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	_, _ = zip.Write(data) // a buffer takes all
	_ = zip.Close()
	return out.Bytes()
}

// maxInflated is how much a file may be when it is inflated, in bytes: some tens of times what CloudTrail's largest are, so that one that was made to
// fill memory or time does not.
const maxInflated = 4 << 30

// ErrNotGzip is returned for a file that is no whole gzip file.
var ErrNotGzip = errors.New("it is not a whole gzip file")

// HashLogFile reads a compressed log file to its end and returns what a digest has of it: the SHA-256 of the inflated bytes, in hexadecimal.
// A file that is damaged so that it cannot be inflated gives ErrNotGzip; other errors are r's.
func HashLogFile(r io.Reader) (string, error) {
	source := &sourceReader{r: r}
	zip, err := gzip.NewReader(source)
	if err != nil {
		return "", source.explain(err)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, &io.LimitedReader{R: zip, N: maxInflated}); err != nil {
		return "", source.explain(err)
	}
	if n, _ := zip.Read(make([]byte, 1)); n > 0 {
		return "", fmt.Errorf("%w: it is larger than any log file", ErrNotGzip)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// sourceReader tells the errors of what is read from those of reading it as gzip.
type sourceReader struct {
	r   io.Reader
	err error
}

func (s *sourceReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

func (s *sourceReader) explain(err error) error {
	if s.err != nil {
		return s.err
	}
	return fmt.Errorf("%w: %v", ErrNotGzip, err)
}
