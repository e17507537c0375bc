package front_test

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"unicode"

	"vigil/internal/front/wire"
)

var update = flag.Bool("update", false, "write testdata/operations.txt anew")

// TestOperations holds testdata/operations.txt, which lists the operations of every API and whether they are built, against what
// a running server answers to each. An operation that comes or goes is a line that changes; one that is not built says so with
// status 501. An API of which there is only the model, for what comes later, is left out.
// After a change: go test ./internal/front -run TestOperations -update
func TestOperations(t *testing.T) {
	h := newHouse(t)
	var b strings.Builder
	for _, name := range wire.Names() {
		service, err := wire.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		count := map[state]int{}
		var lines strings.Builder
		for _, operation := range service.OperationNames() {
			s := h.stateOf(t, service, operation)
			count[s]++
			fmt.Fprintf(&lines, "  %-5s  %s\n", s, operation)
		}
		switch {
		case count[unknown] == 0:
			fmt.Fprintf(&b, "%s: %d of %d\n%s", service.FullName, count[built], count[built]+count[notYet], lines.String())
		case count[built]+count[notYet] > 0:
			t.Errorf("%s: some operations are known and some are not:\n%s", name, lines.String())
		}
	}

	const golden = "testdata/operations.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("%s does not say what the server does, which is:\n%s", golden, b.String())
	}
}

// state is how far an operation is.
type state string

const (
	built   state = "built"
	notYet  state = "501"
	unknown state = "unknown"
)

// stateOf asks for an operation with a body that no operation can read, so that nothing comes of it.
func (h *house) stateOf(t *testing.T, service *wire.Service, operation string) state {
	t.Helper()
	r, unreadable, nothing := h.post(service.TargetPrefix+"."+operation, "{"), "SerializationException", "UnknownOperationException"
	if service.Protocol == "query" {
		r = h.form("Action=" + operation + "&Version=" + service.APIVersion + "&Action=" + operation)
		unreadable, nothing = "MalformedInput", "InvalidAction"
	}
	resp, answer := send(t, h.operator.to(service.SigningName).sign(r))
	says := func(status int, text string) bool {
		return resp.StatusCode == status && strings.Contains(string(answer), text)
	}
	switch {
	case says(http.StatusBadRequest, unreadable):
		return built
	case says(http.StatusNotImplemented, "NotImplementedException") && strings.Contains(string(answer), fmt.Sprintf(notBuilt, service.Name+":"+operation)):
		return notYet
	case says(http.StatusBadRequest, nothing):
		return unknown
	}
	t.Errorf("%s %s: %s: %s", service.Name, operation, resp.Status, answer)
	return unknown
}

// TestCompatibilityTables reads docs/compatibility.md: within a table an operation has one row, so that no two of them say different things of it.
func TestCompatibilityTables(t *testing.T) {
	text, err := os.ReadFile("../../docs/compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	var in map[string]bool // the operations of the table that is read
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "|") {
			in = map[string]bool{}
			continue
		}
		cell, _, _ := strings.Cut(line[1:], "|")
		for _, name := range strings.Split(cell, ",") {
			if name = strings.TrimSpace(name); strings.IndexFunc(name, unicode.IsUpper) == strings.LastIndexFunc(name, unicode.IsUpper) {
				continue // "Create, Get, Delete User" has its verbs in other rows too
			}
			if in[name] {
				t.Errorf("%s has two rows in a table", name)
			}
			in[name] = true
		}
		rows++
	}
	if rows < 100 {
		t.Errorf("only %d rows were found", rows)
	}
}
