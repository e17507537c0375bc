package logs

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"unicode/utf8"

	"vigil/internal/query"
)

// The words of a page let a search pass over it unread: who looks for a key ARN reads only the pages that have the key's id in them.
//
// A word is a run of the letters, digits and marks below, between 3 and 100 bytes long. A page has the words of its messages as they
// are and, where a message has a backslash, also as they are without JSON's escapes, so that what a JSON value says is found however
// it was written. They are kept as a Bloom filter: 12 bits for each different word and 7 hashes, which makes one page in 300 be read
// for nothing. A page without words, such as one of an unknown version, is always read.
const (
	minWord, maxWord = 3, 100
	wordsVersion     = 1
	bitsPerWord      = 12
	wordHashes       = 7
)

// inWord says which bytes words are made of.
var inWord = func() (in [256]bool) {
	for c := range in {
		in[c] = '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '-' || c == '_' || c == '.'
	}
	return in
}()

// wordSet collects the words of a page as their hashes. The zero value is ready.
type wordSet struct {
	hashes  []uint64
	recent  [4096]uint64 // what was added lately, as most words of a log come again and again
	escaped []byte
}

func (w *wordSet) reset() {
	w.hashes = w.hashes[:0]
	clear(w.recent[:])
}

// add takes the words of a message.
func (w *wordSet) add(message []byte) {
	if w.addPlain(message) {
		w.escaped = unescape(w.escaped[:0], message)
		w.addPlain(w.escaped)
	}
}

// addPlain takes the words of a text as it is, and says whether there is a backslash in it.
func (w *wordSet) addPlain(text []byte) (backslash bool) {
	for i := 0; i < len(text); {
		c := text[i]
		if !inWord[c] {
			backslash = backslash || c == '\\'
			i++
			continue
		}
		start, h := i, uint64(hashStart)
		for ; i < len(text) && inWord[text[i]]; i++ {
			h = (h ^ uint64(text[i])) * hashPrime
		}
		if n := i - start; n < minWord || n > maxWord {
			continue
		}
		h = mix(h)
		if slot := &w.recent[h%uint64(len(w.recent))]; *slot != h {
			*slot = h
			w.hashes = append(w.hashes, h)
		}
	}
	return backslash
}

// The hash of a word is FNV-1a of 64 bits, mixed so that each part of it is as good as any other. It never changes.
const (
	hashStart = 14695981039346656037
	hashPrime = 1099511628211
)

func mix(h uint64) uint64 {
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return h ^ h>>32
}

func hashWord(word []byte) uint64 {
	h := uint64(hashStart)
	for _, c := range word {
		h = (h ^ uint64(c)) * hashPrime
	}
	return mix(h)
}

// encode returns the filter of the words that were added: a byte for the version and then the bits, in bytes of which the lowest
// bit is the first.
func (w *wordSet) encode() []byte {
	slices.Sort(w.hashes)
	w.hashes = slices.Compact(w.hashes)
	filter := make([]byte, 1+(len(w.hashes)*bitsPerWord+63)/64*8)
	filter[0] = wordsVersion
	for _, h := range w.hashes {
		for i := range wordHashes {
			bit := wordBit(h, i, len(filter)-1)
			filter[1+bit/8] |= 1 << (bit % 8)
		}
	}
	return filter
}

// wordBit is the i-th bit of a word in a filter of so many bytes: i steps of the hash's lower half from its upper half, and that as
// a share of the filter's length.
func wordBit(h uint64, i, size int) uint64 {
	at := uint32(h>>32) + uint32(i)*(uint32(h)|1)
	high, _ := bits.Mul64(uint64(at)<<32, uint64(size)*8)
	return high
}

// mayHave says whether a page can have a word. It errs on one side only.
func mayHave(filter []byte, h uint64) bool {
	size := len(filter) - 1
	if size < 0 || filter[0] != wordsVersion {
		return true
	}
	if size == 0 {
		return false
	}
	for i := range wordHashes {
		if bit := wordBit(h, i, size); filter[1+bit/8]&(1<<(bit%8)) == 0 {
			return false
		}
	}
	return true
}

// needle is what a page must have to be worth reading: for each group, all words of at least one alternative.
type needle [][][]uint64

// needleOf works out what pages have that have matches of a pattern.
func needleOf(f *query.Filter) (n needle) {
	if f.Kind() == query.JSON {
		for _, values := range f.Values() {
			var alternatives [][]uint64
			for _, v := range values {
				// Whatever is around a value is in no word, so its first and last words are whole. A number can be written in many ways.
				alternatives = append(alternatives, wholeWords([]byte(v.Value), 0, len(v.Value)))
				if looksNumeric(v.Value) {
					alternatives[len(alternatives)-1] = nil
				}
			}
			n.add(alternatives)
		}
		return n
	}
	for _, group := range f.Terms() {
		var alternatives [][]uint64
		for _, term := range group {
			// A term may be within a longer word, and so may its first and last words.
			from, to := 0, len(term)
			for from < to && inWord[term[from]] {
				from++
			}
			for to > from && inWord[term[to-1]] {
				to--
			}
			alternatives = append(alternatives, wholeWords(term, from, to))
		}
		n.add(alternatives)
	}
	return n
}

// add adds a group, unless one of its alternatives asks for nothing.
func (n *needle) add(alternatives [][]uint64) {
	for _, words := range alternatives {
		if len(words) == 0 {
			return
		}
	}
	if len(alternatives) > 0 {
		*n = append(*n, alternatives)
	}
}

func (n needle) mayMatch(filter []byte) bool {
	for _, group := range n {
		if !slices.ContainsFunc(group, func(words []uint64) bool {
			return !slices.ContainsFunc(words, func(h uint64) bool { return !mayHave(filter, h) })
		}) {
			return false
		}
	}
	return true
}

// wholeWords are the words of a part of a text that pages would have.
func wholeWords(text []byte, from, to int) (words []uint64) {
	for i := from; i < to; {
		start := i
		for i < to && inWord[text[i]] {
			i++
		}
		if n := i - start; n >= minWord && n <= maxWord {
			words = append(words, hashWord(text[start:i]))
		}
		if i == start {
			i++
		}
	}
	return words
}

func looksNumeric(value string) bool {
	for _, c := range value {
		if c != '-' && c != '+' && c != '.' && c != 'e' && c != 'E' && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// unescape appends a JSON text to dst with the escapes of its strings undone.
func unescape(dst, text []byte) []byte {
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c != '\\' || i+1 == len(text) {
			dst = append(dst, c)
			continue
		}
		i++
		switch text[i] {
		case 'b', 'f', 'n', 'r', 't':
			dst = append(dst, ' ') // what it is makes no word
		case 'u':
			r, ok := hexRune(text[i+1:])
			if !ok {
				dst = append(dst, ' ')
				continue
			}
			dst = utf8.AppendRune(dst, r)
			i += 4
		default:
			dst = append(dst, text[i])
		}
	}
	return dst
}

// hexRune reads four hexadecimal digits. Half of a surrogate pair is no rune of its own, but as little part of a word as the whole.
func hexRune(text []byte) (rune, bool) {
	if len(text) < 4 {
		return 0, false
	}
	var digits [4]byte
	for i, c := range text[:4] {
		switch {
		case '0' <= c && c <= '9':
			digits[i] = c - '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			digits[i] = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
	}
	return rune(binary.BigEndian.Uint16([]byte{digits[0]<<4 | digits[1], digits[2]<<4 | digits[3]})), true
}
