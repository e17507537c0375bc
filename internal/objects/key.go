package objects

import (
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// MaxKey is the length of a key, in bytes of UTF-8.
const MaxKey = 1024

// maxName is the most bytes of a file's name that a part of a key takes. File systems have 255, of which some are left for what is put
// behind a name.
const maxName = 200

// How a key becomes a path is written in docs/formats/buckets.md. In short: the key's parts between slashes are folders and, at its
// end, a file; of a part, letters, digits and a few others stand for themselves, and any other byte is % and two hexadecimal
// digits. So no part is "..", or begins with a dot, and no name has two meanings.
const (
	emptyPart = "%"     // a part without any byte, as between two slashes or at the end of a key
	continued = "%+"    // ends a folder that has the beginning of a part which is too long for one name
	metaName  = "%meta" // ends the name of the file that says all about an object
)

// ordinary are the bytes that stand for themselves. A dot does so if it is not the first.
var ordinary = func() (set [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+@,:()!~") {
		set[c] = true
	}
	return set
}()

// pathOf is where a key's object lies, as the names of folders and, at the end, of the file.
func pathOf(key string) []string {
	var path []string
	for part := range strings.SplitSeq(key, "/") {
		path = appendPart(path, part)
	}
	return path
}

func appendPart(path []string, part string) []string {
	if part == "" {
		return append(path, emptyPart)
	}
	const digits = "0123456789ABCDEF"
	var name strings.Builder
	for i := range len(part) {
		c := part[i]
		if name.Len() > maxName-len("%00") {
			path = append(path, name.String()+continued)
			name.Reset()
		}
		if ordinary[c] && (c != '.' || name.Len() > 0) {
			name.WriteByte(c)
			continue
		}
		name.Write([]byte{'%', digits[c>>4], digits[c&15]})
	}
	return append(path, name.String())
}

// partOf is the part of a key that a name stands for. ok is false for what is no part's name.
func partOf(name string) (part string, ok bool) {
	if name == emptyPart {
		return "", true
	}
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c != '%' {
			if !ordinary[c] {
				return "", false
			}
			b.WriteByte(c)
			continue
		}
		if i+2 >= len(name) {
			return "", false
		}
		high, low := strings.IndexByte("0123456789ABCDEF", name[i+1]), strings.IndexByte("0123456789ABCDEF", name[i+2])
		if high < 0 || low < 0 {
			return "", false
		}
		b.WriteByte(byte(high<<4 | low))
		i += 2
	}
	return b.String(), name != ""
}

// PathOf is where a key's object lies below the folder of its bucket, as docs/formats/buckets.md has it.
func PathOf(key string) string { return filepath.Join(pathOf(key)...) }

// KeyAt is PathOf's inverse, for objects and for folders. ok is false for a path that no key has.
func KeyAt(path string) (key string, ok bool) {
	var parts []string
	beginning := ""
	for name := range strings.SplitSeq(filepath.ToSlash(path), "/") {
		name, more := strings.CutSuffix(name, continued)
		part, ok := partOf(name)
		if !ok {
			return "", false
		}
		if beginning += part; !more {
			parts, beginning = append(parts, beginning), ""
		}
	}
	key = strings.Join(parts, "/")
	return key, PathOf(key) == filepath.FromSlash(path)
}

// validKey says whether a key is one: 1 to MaxKey bytes of UTF-8.
func validKey(key string) bool { return key != "" && len(key) <= MaxKey && utf8.ValidString(key) }
