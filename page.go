package vigil

import (
	"bytes"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
)

// A page is how the journal keeps records: those of one commit, compressed together. docs/formats/journal-page.md gives
// the form byte by byte. Records that were imported are in pages of form 2, which say when that was.
const (
	pageVersion         = 1
	importedPageVersion = 2
	// MaxPageSize is the most that a page may hold before compression, in bytes. It bounds what a damaged page can make a
	// reader allocate.
	MaxPageSize = 64 << 20
)

// pageDictionary is typical records, which compression of form 1 starts from, so that a page of one
// record is small too. It is part of the format: it never changes.
//
//go:embed page_dictionary_v1.json
var pageDictionary []byte

const pageDictionaryID = 1

// ErrPage is returned for bytes that are not a whole, undamaged page.
var ErrPage = errors.New("not a valid journal page")

// PageWriter collects records and encodes them as a page. The zero value is ready; Reset makes it so again.
type PageWriter struct {
	// Imported is when the page's records were brought in from elsewhere, or zero for records of this journal's own.
	Imported time.Time

	times   []int64
	lengths []int
	data    []byte
	raw     []byte
	body    []byte
}

// Add appends a record to the page. It copies data. Times are kept in milliseconds.
func (w *PageWriter) Add(at time.Time, data []byte) {
	w.times = append(w.times, at.UnixMilli())
	w.lengths = append(w.lengths, len(data))
	w.data = append(w.data, data...)
}

// Len is how many records the page has.
func (w *PageWriter) Len() int { return len(w.times) }

// Size is how many bytes of records the page has.
func (w *PageWriter) Size() int { return len(w.data) }

// Times are the times of the earliest and the latest record, in milliseconds since 1970; zero for an empty page.
func (w *PageWriter) Times() (first, last int64) {
	for i, t := range w.times {
		if i == 0 || t < first {
			first = t
		}
		if i == 0 || t > last {
			last = t
		}
	}
	return first, last
}

// Reset empties the page and keeps its memory, unless an unusual page has made that large.
func (w *PageWriter) Reset() {
	const keep = 4 << 20
	if cap(w.data) > keep {
		*w = PageWriter{}
		return
	}
	w.times, w.lengths, w.data = w.times[:0], w.lengths[:0], w.data[:0]
	w.Imported = time.Time{}
}

// Encode returns the page. The bytes are valid until the next Encode or Reset.
func (w *PageWriter) Encode() []byte {
	w.raw = w.raw[:0]
	last := int64(0)
	for _, t := range w.times {
		w.raw = binary.AppendVarint(w.raw, t-last)
		last = t
	}
	for _, n := range w.lengths {
		w.raw = binary.AppendUvarint(w.raw, uint64(n))
	}
	w.raw = append(w.raw, w.data...)

	w.body = w.body[:0]
	if w.Imported.IsZero() {
		w.body = append(w.body, pageVersion)
	} else {
		w.body = binary.AppendVarint(append(w.body, importedPageVersion), w.Imported.UnixMilli())
	}
	w.body = binary.AppendUvarint(w.body, uint64(len(w.times)))
	w.body = binary.AppendUvarint(w.body, uint64(len(w.raw)))
	w.body = pageEncoder().EncodeAll(w.raw, w.body)
	return w.body
}

// Records returns what DecodePage returns of the encoded page, in memory of their own, without encoding or decoding it.
func (w *PageWriter) Records() []PageRecord {
	var imported time.Time
	if !w.Imported.IsZero() {
		imported = time.UnixMilli(w.Imported.UnixMilli()).UTC()
	}
	records := make([]PageRecord, len(w.times))
	data := bytes.Clone(w.data)
	for i, n := range w.lengths {
		records[i] = PageRecord{Time: time.UnixMilli(w.times[i]).UTC(), Data: data[:n:n], Imported: imported}
		data = data[n:]
	}
	return records
}

// PageRecord is one record of a page.
type PageRecord struct {
	Time     time.Time // UTC, to the millisecond; of an imported record, its eventTime
	Data     []byte
	Imported time.Time // when the record was brought in from elsewhere, UTC, to the millisecond; zero for one of the journal's own
}

// ImportedPage returns an imported page as one that was imported at that time, without touching what is compressed in it. Of bytes that
// are no page of imported records it returns ErrPage; it does not look further than that.
func ImportedPage(page []byte, at time.Time) ([]byte, error) {
	_, rest, err := importTime(page)
	if err != nil {
		return nil, err
	}
	dst := make([]byte, 0, len(rest)+1+binary.MaxVarintLen64)
	dst = binary.AppendVarint(append(dst, importedPageVersion), at.UnixMilli())
	return append(dst, rest...), nil
}

// PageImported says when a page's records were brought in from elsewhere, without decompressing it. ok is false for a page of the journal's own, and of bytes
// that are no page.
func PageImported(page []byte) (at time.Time, ok bool) {
	ms, _, err := importTime(page)
	if err != nil {
		return time.Time{}, false
	}
	return time.UnixMilli(ms).UTC(), true
}

// importTime reads the beginning of a page of form 2, and returns what follows.
func importTime(page []byte) (at int64, rest []byte, err error) {
	if len(page) == 0 || page[0] != importedPageVersion {
		return 0, nil, fmt.Errorf("%w: not one of imported records", ErrPage)
	}
	at, n := binary.Varint(page[1:])
	if n <= 0 {
		return 0, nil, fmt.Errorf("%w: header cut short", ErrPage)
	}
	return at, page[1+n:], nil
}

// DecodePage returns the records of a page, in the order in which they were added, or ErrPage.
// Their data share one piece of memory that is theirs alone.
func DecodePage(page []byte) ([]PageRecord, error) {
	if len(page) == 0 {
		return nil, fmt.Errorf("%w: empty", ErrPage)
	}
	var imported time.Time
	rest := page[1:]
	switch page[0] {
	case pageVersion:
	case importedPageVersion:
		at, after, err := importTime(page)
		if err != nil {
			return nil, err
		}
		imported, rest = time.UnixMilli(at).UTC(), after
	default:
		return nil, fmt.Errorf("%w: version %d is not known", ErrPage, page[0])
	}
	count, rest, ok := uvarint(rest)
	if !ok {
		return nil, fmt.Errorf("%w: header cut short", ErrPage)
	}
	size, rest, ok := uvarint(rest)
	if !ok || size > MaxPageSize || count > size {
		return nil, fmt.Errorf("%w: impossible size", ErrPage)
	}
	raw, err := pageDecoder().DecodeAll(rest, make([]byte, 0, size))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPage, err)
	}
	if uint64(len(raw)) != size {
		return nil, fmt.Errorf("%w: %d bytes where the header says %d", ErrPage, len(raw), size)
	}
	return splitPage(raw, int(count), imported)
}

// splitPage cuts what a page holds into its count records.
func splitPage(raw []byte, count int, imported time.Time) ([]PageRecord, error) {
	records := make([]PageRecord, count)
	at := int64(0)
	for i := range records {
		delta, n := binary.Varint(raw)
		if n <= 0 {
			return nil, fmt.Errorf("%w: times cut short", ErrPage)
		}
		raw = raw[n:]
		at += delta
		records[i].Time, records[i].Imported = time.UnixMilli(at).UTC(), imported
	}
	lengths := make([]uint64, count)
	for i := range lengths {
		if lengths[i], raw, _ = uvarint(raw); raw == nil {
			return nil, fmt.Errorf("%w: lengths cut short", ErrPage)
		}
	}
	for i, n := range lengths {
		if n > uint64(len(raw)) {
			return nil, fmt.Errorf("%w: records cut short", ErrPage)
		}
		records[i].Data = raw[:n:n]
		raw = raw[n:]
	}
	if len(raw) != 0 {
		return nil, fmt.Errorf("%w: %d bytes too many", ErrPage, len(raw))
	}
	return records, nil
}

// uvarint reads a number from the front of b and returns what follows it, nil when there is no number.
func uvarint(b []byte) (uint64, []byte, bool) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil, false
	}
	return v, b[n:], true
}

// The encoder and decoder are made once: both hold tables that are larger than a page, and both are safe to share.
var (
	pageEncoder = sync.OnceValue(func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
			zstd.WithWindowSize(1<<20), zstd.WithEncoderCRC(true), zstd.WithEncoderDictRaw(pageDictionaryID, pageDictionary))
		if err != nil {
			panic("vigil: " + err.Error()) // the options above are constants
		}
		return e
	})
	pageDecoder = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(MaxPageSize),
			zstd.WithDecoderDictRaw(pageDictionaryID, pageDictionary))
		if err != nil {
			panic("vigil: " + err.Error())
		}
		return d
	})
)
