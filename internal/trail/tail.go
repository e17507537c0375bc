package trail

// tail is the index of the newest records, in memory. The follower adds to it under the Trail's mutex. What it has is only
// ever added to, so a reader may keep slices of it.
type tail struct {
	first  int64 // the first record that is not in the database
	before int64 // the latest time of the records in the database
	times  []int64
	tides  []int64 // see span
	low    int64   // the earliest of times
	tide   int64   // the latest time of all records, in the database and here
	scopes map[scope]*scopeTail
	uses   map[string]*use // by the key's ARN
	// by the id of an access key or of a role
	callers map[string]*callerUse
	events  map[int64][]uint32 // by eventKey the records with an id that does not tell their time, as distances from first

	last *scopeTail // where the last record was added
}

// scopeTail is the tail of one account and region: by kind and value the records, as distances from the tail's first.
type scopeTail struct {
	scope    scope
	postings [kinds]map[string]*[]uint32
}

func newTail(first, tide int64) *tail {
	return &tail{first: first, before: tide, tide: tide, scopes: map[scope]*scopeTail{}, uses: map[string]*use{},
		callers: map[string]*callerUse{}, events: map[int64][]uint32{}}
}

// next is the index of the record that the tail takes next.
func (t *tail) next() int64 { return t.first + int64(len(t.times)) }

// addTime gives the next record its time.
func (t *tail) addTime(at int64) {
	if len(t.times) == 0 {
		t.low = at
	}
	t.low, t.tide = min(t.low, at), max(t.tide, at)
	t.times = append(t.times, at)
	t.tides = append(t.tides, t.tide)
}

// add adds the next record. at is its time in milliseconds. One that was imported tells nothing of how keys and credentials of this server
// were used.
func (t *tail) add(at int64, f *facts, data []byte, imported bool) {
	n := uint32(len(t.times))
	t.addTime(at)
	if told, ok := idTime(f.EventID); !ok || told != at {
		key := eventKey(f.ID(data))
		t.events[key] = append(t.events[key], n)
	}
	if !f.management() {
		return
	}
	s := t.scope(f.Account, f.Region)
	s.add(n, everything, nil)
	s.add(n, eventName, f.EventName)
	s.add(n, eventSource, f.EventSource)
	s.add(n, readOnly, []byte(f.readOnlyText()))
	if len(f.Username) > 0 {
		s.add(n, username, f.Username)
	}
	if len(f.AccessKeyID) > 0 {
		s.add(n, accessKeyID, f.AccessKeyID)
	}
	for _, r := range f.Resources {
		if len(r.Type) > 0 {
			s.add(n, resourceType, r.Type)
		}
		if len(r.ARN) > 0 {
			s.add(n, resourceName, r.ARN)
		}
	}
	if key := f.namedKey(data); key != "" {
		s.add(n, namedKey, []byte(key))
	}
	for _, r := range f.Resources {
		if region := f.farKey(r.ARN); region != nil {
			t.scope(f.Account, region).add(n, namedKey, r.ARN)
		}
	}
	if imported {
		return
	}
	t.addUse(at, f)
	t.addCaller(at, f)
}

func (t *tail) scope(account, region []byte) *scopeTail {
	if s := t.last; s != nil && string(account) == s.scope.account && string(region) == s.scope.region {
		return s
	}
	name := scope{string(account), string(region)}
	s := t.scopes[name]
	if s == nil {
		s = &scopeTail{scope: name}
		for k := range s.postings {
			s.postings[k] = map[string]*[]uint32{}
		}
		t.scopes[name] = s
	}
	t.last = s
	return s
}

// add notes that the n-th record has a value. It is noted once, however often the record has it.
func (s *scopeTail) add(n uint32, k kind, value []byte) {
	list := s.postings[k][string(value)]
	if list == nil {
		list = new([]uint32)
		s.postings[k][string(value)] = list
	}
	if have := *list; len(have) == 0 || have[len(have)-1] != n {
		*list = append(have, n)
	}
}

// view is the tail of a term at one moment.
type view struct {
	span     span     // the times of all the tail's records
	postings []uint32 // the term's records, as distances from the span's first
	events   []int64  // the records of an event id
}

func (t *tail) view(s scope, k kind, value string) view {
	v := view{span: span{first: t.first, times: t.times, tides: t.tides, low: t.low, high: t.tide}}
	if s, ok := t.scopes[s]; ok {
		if list := s.postings[k][value]; list != nil {
			v.postings = *list
		}
	}
	if k == eventID {
		for _, n := range t.events[eventKey([]byte(value))] {
			v.events = append(v.events, t.first+int64(n))
		}
	}
	return v
}

// idTime is the time in milliseconds that an event id tells, if it is a UUID of version 7 in the usual form.
func idTime(id []byte) (int64, bool) {
	if len(id) != 36 || id[8] != '-' || id[14] != '7' {
		return 0, false
	}
	at := int64(0)
	for i := range 13 {
		c := id[i]
		switch {
		case i == 8:
			continue
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		default:
			return 0, false
		}
		at = at<<4 | int64(c)
	}
	return at, true
}
