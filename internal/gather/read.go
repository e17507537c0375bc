// Package gather reads CloudTrail records from where CloudTrail and its tools leave them: log files in folders and buckets, the results of Lake queries, what
// `aws cloudtrail lookup-events` prints, records on lines, and single records. It checks the form of what it reads, and not what the records say.
//
// source.go finds files, bucket.go objects, read.go tells the forms apart, and digests.go holds log files against their digests.
package gather

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"
	"sync/atomic"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/klauspost/compress/gzip"

	"vigil"
)

// Contents is what a source turned out to be.
type Contents struct {
	Digest []byte // of a digest file: its JSON, which has no records
	// Other says that the source is known to be no records, such as the signature of a query's results.
	Other bool

	logFile []byte // what it is uncompressed
}

// Hash is of a log file: SHA-256 of what it is uncompressed, in lower-case hexadecimal, as digests have it. Of other forms it is empty. Whoever changes
// records asks for it before.
func (c Contents) Hash() string {
	if c.logFile == nil {
		return ""
	}
	sum := sha256.Sum256(c.logFile)
	return hex.EncodeToString(sum[:])
}

// Place is where in a source something is: of records in an array the number, and of those on lines the line, from 1.
type Place struct {
	Line, Record int
}

func (p Place) String() string {
	switch {
	case p.Line > 0:
		return fmt.Sprintf("line %d", p.Line)
	case p.Record > 0:
		return fmt.Sprintf("record %d", p.Record)
	}
	return ""
}

// Taker is told what is found. The data are JSON objects without line ends, and are its own.
type Taker struct {
	// Begin is told what the source is before its first record, and may be nil. An error ends the reading.
	Begin  func(Contents) error
	Record func(data []byte, at Place) error // an error ends the reading
	Fault  func(at Place, err error)         // something that is no record, behind which the reading goes on
}

func (t Taker) begin(c Contents) error {
	if t.Begin == nil {
		return nil
	}
	return t.Begin(c)
}

// MaxFile is the most that a file may hold, uncompressed, that is read as a whole: CloudTrail's own are 50 MB at most compressed.
const MaxFile = 1 << 30

// maxLine is the longest line.
const maxLine = 4 << 20

// errNoForm is returned for what is none of the forms.
var errNoForm = errors.New("not CloudTrail records: it is neither a log file, nor the results of a query or a look-up, nor records on lines")

// Read reads a source of that name, compressed with gzip or not. A log file, and the output of a tool, is whole or not at all: when its form is broken, no record of it
// is told. Records on lines, and the rows of a query, are told one by one.
func Read(name string, r io.Reader, t Taker) (Contents, error) {
	u := unpackers.Get().(*unpacker)
	defer u.putBack()
	in, err := u.open(r)
	if err != nil {
		return Contents{}, err
	}
	if path.Base(name) == "result_sign.json" {
		return Contents{Other: true}, nil
	}
	head, err := in.Peek(headSize)
	if err != nil && err != io.EOF {
		return Contents{}, err
	}
	begin := bytes.TrimLeft(head, " \t\r\n\ufeff")
	switch {
	case len(begin) == 0 && err == io.EOF:
		return Contents{}, nil
	case len(begin) == 0:
		return Contents{}, errNoForm
	case begin[0] == '[':
		return readWhole(in, t, readArray)
	case begin[0] != '{':
		if err := t.begin(Contents{}); err != nil {
			return Contents{}, err
		}
		return Contents{}, readRows(in, t)
	}
	switch member := firstMember(begin); {
	case member == "Records":
		return readWhole(in, t, readLogFile)
	case member == "Events", member == "NextToken":
		return readWhole(in, t, readLookUp)
	case member == "QueryStatus", member == "QueryStatistics", member == "QueryResultRows":
		return readWhole(in, t, readQueryResults)
	case isDigest(name, member):
		data, err := readAll(in)
		if err != nil {
			return Contents{}, err
		}
		return Contents{Digest: data}, nil
	}
	if err := t.begin(Contents{}); err != nil {
		return Contents{}, err
	}
	return Contents{}, readValues(in, t)
}

// headSize is how much of a source is looked at to tell its form.
const headSize = 4096

// firstMember is the name of an object's first member, if it is a plain one.
func firstMember(head []byte) string {
	rest := bytes.TrimLeft(head[1:], " \t\r\n")
	if len(rest) == 0 || rest[0] != '"' {
		return ""
	}
	name, _, _ := bytes.Cut(rest[1:], []byte{'"'})
	return string(name)
}

func isDigest(name, firstMember string) bool {
	return firstMember == "awsAccountId" || IsDigest(name)
}

// unpacker is what one source after the other is read with: buffers, and the state of gzip, of some 200 KiB together.
type unpacker struct {
	given, inflated *bufio.Reader
	zip             gzip.Reader
}

var unpackers = sync.Pool{New: func() any {
	return &unpacker{given: bufio.NewReaderSize(nil, 64<<10), inflated: bufio.NewReaderSize(nil, 64<<10)}
}}

// open is r, uncompressed if it is compressed.
func (u *unpacker) open(r io.Reader) (*bufio.Reader, error) {
	u.given.Reset(r)
	if magic, _ := u.given.Peek(2); len(magic) < 2 || magic[0] != 0x1f || magic[1] != 0x8b {
		return u.given, nil
	}
	if err := u.zip.Reset(u.given); err != nil {
		return nil, fmt.Errorf("not valid gzip: %w", err)
	}
	u.inflated.Reset(&u.zip)
	return u.inflated, nil
}

func (u *unpacker) putBack() {
	u.given.Reset(nil)
	u.inflated.Reset(nil)
	unpackers.Put(u)
}

// lastSize is that of the source that was last read as a whole: the next one is likely to be as large.
var lastSize atomic.Int64

// maxGuess is the most memory that is asked for by a guess.
const maxGuess = 8 << 20

func readAll(r io.Reader) ([]byte, error) {
	size := min(lastSize.Load(), maxGuess)
	data := make([]byte, 0, size+size/8+bytes.MinRead)
	for {
		n, err := r.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if len(data) > MaxFile {
			return nil, fmt.Errorf("it is larger than %d bytes", MaxFile)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if len(data) == cap(data) {
			data = append(make([]byte, 0, 2*len(data)), data...)
		}
	}
	lastSize.Store(int64(len(data)))
	if len(data) < cap(data)/2 {
		return bytes.Clone(data), nil // its records may be kept for long
	}
	return data, nil
}

// readWhole reads what has one JSON value, and tells its records if all of it is of that form.
func readWhole(r io.Reader, t Taker, read func(*whole) error) (Contents, error) {
	data, err := readAll(r)
	if err != nil {
		return Contents{}, err
	}
	w := whole{data: bytes.TrimPrefix(data, []byte("\ufeff"))}
	w.Decoder = jsontext.NewDecoder(bytes.NewBuffer(w.data)) // which it reads in place
	if err := read(&w); err != nil {
		return Contents{}, w.explain(err)
	}
	var contents Contents
	if w.logFile {
		contents.logFile = data
	}
	if err := t.begin(contents); err != nil {
		return contents, err
	}
	for n, one := range w.records {
		at := Place{Record: n + 1}
		if one.fault != nil {
			t.Fault(at, one.fault)
			continue
		}
		if err := t.Record(one.data, at); err != nil {
			return Contents{}, err
		}
	}
	return contents, nil
}

// whole is a JSON value that is read, and the records that were found in it.
type whole struct {
	*jsontext.Decoder
	data    []byte
	logFile bool
	records []oneOf
}

type oneOf struct {
	data  []byte
	fault error
}

// explain says where the reading ended.
func (w *whole) explain(err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("byte %d: it ends too early", len(w.data))
	}
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		return fmt.Errorf("byte %d: %w", syntax.ByteOffset, syntax.Err)
	}
	return err
}

// members reads an object and calls member with each name, to read the value if it wants it.
func (w *whole) members(member func(name string) (taken bool, err error)) error {
	if w.PeekKind() != '{' {
		return w.unexpected("an object")
	}
	if _, err := w.ReadToken(); err != nil {
		return err
	}
	for {
		name, err := w.ReadToken()
		if err != nil {
			return err
		}
		if name.Kind() == '}' {
			return nil
		}
		taken, err := member(name.String())
		if err == nil && !taken {
			err = w.SkipValue()
		}
		if err != nil {
			return err
		}
	}
}

// end says whether something follows.
func (w *whole) end(err error) error {
	if err != nil {
		return err
	}
	if _, err := w.ReadToken(); err != io.EOF {
		return fmt.Errorf("byte %d: something follows the records", w.InputOffset())
	}
	return nil
}

// elements reads an array and calls element for each, to read it.
func (w *whole) elements(element func() error) error {
	if w.PeekKind() != '[' {
		return w.unexpected("an array")
	}
	if _, err := w.ReadToken(); err != nil {
		return err
	}
	for w.PeekKind() != ']' {
		if err := element(); err != nil {
			return err
		}
	}
	_, err := w.ReadToken()
	return err
}

// unexpected is the error of a value of another kind, or that of reading it.
func (w *whole) unexpected(what string) error {
	if _, err := w.ReadToken(); err != nil {
		return err
	}
	return fmt.Errorf("byte %d: there should be %s", w.InputOffset(), what)
}

// record takes the next value as a record.
func (w *whole) record() error {
	value, err := w.ReadValue()
	if err != nil {
		return err
	}
	end := w.InputOffset()
	data := w.data[end-int64(len(value)) : end : end]
	w.records = append(w.records, oneOfObject(data))
	return nil
}

// oneOfObject is a record on one line.
func oneOfObject(data []byte) oneOf {
	if len(data) == 0 || data[0] != '{' {
		return oneOf{fault: fmt.Errorf("a record must be an object, and not %.20s", data)}
	}
	if hasLineEnd(data) {
		value := jsontext.Value(bytes.Clone(data))
		if err := value.Compact(); err != nil {
			return oneOf{fault: err}
		}
		data = value
	}
	return oneOf{data: data}
}

func hasLineEnd(data []byte) bool {
	return bytes.IndexByte(data, '\n') >= 0 || bytes.IndexByte(data, '\r') >= 0
}

// text takes the next value, a string, as a record written as JSON.
func (w *whole) text() error {
	value, err := w.ReadValue()
	if err != nil {
		return err
	}
	var text string
	if err := jsonv2.Unmarshal(value, &text); err != nil {
		w.records = append(w.records, oneOf{fault: errors.New("a record must be a string with JSON in it")})
		return nil
	}
	w.records = append(w.records, oneOfText([]byte(text)))
	return nil
}

// oneOfText is a record that was written as text.
func oneOfText(data []byte) oneOf {
	data = bytes.TrimSpace(data)
	if !jsontext.Value(data).IsValid() {
		return oneOf{fault: errors.New("not valid JSON")}
	}
	return oneOfObject(data)
}

// readLogFile reads {"Records": […]}.
func readLogFile(w *whole) error {
	w.logFile = true
	if records, ok := vigil.LogFileRecords(w.data); ok {
		for _, data := range records {
			w.records = append(w.records, oneOfObject(data))
		}
		return nil
	}
	return decodeLogFile(w)
}

// decodeLogFile is readLogFile for any file, and says what is wrong with it.
func decodeLogFile(w *whole) error {
	return w.end(w.members(func(name string) (bool, error) {
		if name != "Records" {
			return false, nil
		}
		return true, w.elements(w.record)
	}))
}

// readArray reads […].
func readArray(w *whole) error { return w.end(w.elements(w.record)) }

// readLookUp reads what `aws cloudtrail lookup-events` prints: {"Events": [{"CloudTrailEvent": "…", …}], …}.
func readLookUp(w *whole) error {
	return w.end(w.members(func(name string) (bool, error) {
		if name != "Events" {
			return false, nil
		}
		return true, w.elements(func() error {
			before := len(w.records)
			err := w.members(func(name string) (bool, error) {
				if name != "CloudTrailEvent" {
					return false, nil
				}
				return true, w.text()
			})
			if err == nil && len(w.records) == before {
				w.records = append(w.records, oneOf{fault: errors.New("the event has no CloudTrailEvent")})
			}
			return err
		})
	}))
}

// readQueryResults reads what `aws cloudtrail get-query-results` prints: {"QueryResultRows": [[{"eventJson": "…"}, …]], …}.
func readQueryResults(w *whole) error {
	return w.end(w.members(func(name string) (bool, error) {
		if name != "QueryResultRows" {
			return false, nil
		}
		return true, w.elements(func() error {
			before := len(w.records)
			err := w.elements(func() error {
				return w.members(func(column string) (bool, error) {
					if !strings.EqualFold(column, eventColumn) {
						return false, nil
					}
					return true, w.text()
				})
			})
			if err == nil && len(w.records) == before {
				w.records = append(w.records, oneOf{fault: errNoColumn})
			}
			return err
		})
	}))
}

// readValues reads records one after the other: on lines, or, if the first line is not one, wherever they end.
func readValues(in *bufio.Reader, t Taker) error {
	first, err := readLine(in, nil)
	if err != nil && err != io.EOF {
		return err
	}
	if one := bytes.TrimSpace(first); len(one) > 0 && !jsontext.Value(one).IsValid() {
		return readStream(io.MultiReader(bytes.NewReader(first), in), t)
	}
	for line := 1; ; line++ {
		if line > 1 {
			if first, err = readLine(in, nil); err != nil && err != io.EOF {
				return fmt.Errorf("line %d: %w", line, err)
			}
		}
		if data := bytes.TrimSpace(first); len(data) > 0 {
			one := oneOfText(data)
			if one.fault != nil {
				t.Fault(Place{Line: line}, one.fault)
			} else if err := t.Record(one.data, Place{Line: line}); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}

// readLine reads a line with its end, appending to dst. At the end of the input its error is io.EOF.
func readLine(in *bufio.Reader, dst []byte) ([]byte, error) {
	for {
		part, err := in.ReadSlice('\n')
		dst = append(dst, part...)
		if len(dst) > maxLine {
			return dst, fmt.Errorf("it is longer than %d bytes", maxLine)
		}
		if err != bufio.ErrBufferFull {
			return dst, err
		}
	}
}

// readStream reads JSON values that follow each other.
func readStream(r io.Reader, t Taker) error {
	d := jsontext.NewDecoder(r)
	for n := 1; ; n++ {
		value, err := d.ReadValue()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			w := whole{data: make([]byte, 0)}
			if errors.Is(err, io.ErrUnexpectedEOF) {
				return fmt.Errorf("record %d: it ends too early", n)
			}
			return fmt.Errorf("record %d: %w", n, w.explain(err))
		}
		one := oneOfObject(bytes.Clone(value))
		if one.fault != nil {
			t.Fault(Place{Record: n}, one.fault)
		} else if err := t.Record(one.data, Place{Record: n}); err != nil {
			return err
		}
	}
}

// eventColumn is the column of a Lake query's results that has the record.
const eventColumn = "eventJson"

var errNoColumn = errors.New("there is no column eventJson: a query that is to be imported must select it")

// readRows reads the results of a Lake query as CSV.
func readRows(in *bufio.Reader, t Taker) error {
	if head, _ := in.Peek(3); string(head) == "\ufeff" {
		_, _ = in.Discard(3)
	}
	rows := csv.NewReader(in)
	names, err := rows.Read()
	if err != nil {
		return errNoForm
	}
	column := -1
	for i, name := range names {
		if strings.EqualFold(strings.TrimSpace(name), eventColumn) {
			column = i
		}
	}
	if column < 0 {
		if len(names) < 2 {
			return errNoForm
		}
		return errNoColumn
	}
	rows.ReuseRecord = true
	for {
		row, err := rows.Read()
		if err == io.EOF {
			return nil
		}
		var wrong *csv.ParseError
		if errors.As(err, &wrong) {
			if errors.Is(err, csv.ErrFieldCount) {
				t.Fault(Place{Line: wrong.StartLine}, wrong.Err)
				continue
			}
			return err // where the next row begins nobody knows
		}
		if err != nil {
			return err
		}
		line, _ := rows.FieldPos(column)
		one := oneOfText([]byte(row[column]))
		if one.fault != nil {
			t.Fault(Place{Line: line}, one.fault)
		} else if err := t.Record(one.data, Place{Line: line}); err != nil {
			return err
		}
	}
}
