package pattern

// withoutEqualKeys copies a valid JSON object, leaving out every member whose key comes again in the same object: "If
// a pattern contains duplicate fields, EventBridge only considers the final field value", and so for events.
func withoutEqualKeys(event []byte) []byte {
	dst, _ := copyValue(make([]byte, 0, len(event)), event, space(event, 0))
	return dst
}

func copyValue(dst, data []byte, i int) ([]byte, int) {
	switch data[i] {
	case '{':
		return copyObject(dst, data, i+1)
	case '[':
		return copyArray(dst, data, i+1)
	}
	_, end, _ := scalar(data, i)
	return append(dst, data[i:end]...), end
}

func copyObject(dst, data []byte, i int) ([]byte, int) {
	type member struct{ begin, value int }
	var members []member
	lastOf := map[string]int{}
	for i = space(data, i); data[i] != '}'; {
		if data[i] == ',' {
			i = space(data, i+1)
		}
		m := member{begin: i}
		end, escaped := text(data, i+1)
		lastOf[string(stringText(data[i:end], escaped))] = len(members)
		m.value = space(data, space(data, end)+1) // after the colon
		members = append(members, m)
		i = space(data, skip(data, m.value, 0))
	}
	dst = append(dst, '{')
	first := true
	for n, m := range members {
		end, escaped := text(data, m.begin+1)
		if lastOf[string(stringText(data[m.begin:end], escaped))] != n {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(append(dst, data[m.begin:end]...), ':')
		dst, _ = copyValue(dst, data, m.value)
	}
	return append(dst, '}'), i + 1
}

func copyArray(dst, data []byte, i int) ([]byte, int) {
	dst = append(dst, '[')
	for i = space(data, i); data[i] != ']'; {
		if data[i] == ',' {
			dst = append(dst, ',')
			i = space(data, i+1)
		}
		dst, i = copyValue(dst, data, i)
		i = space(data, i)
	}
	return append(dst, ']'), i + 1
}
