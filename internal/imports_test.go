package internal_test

import (
	"go/build"
	"slices"
	"strings"
	"testing"
)

// lattice says what may import what, from the ground up. In each line, what stands on the right may import what
// stands on the left and whatever that may import. It is changed with an argument, never to make a build pass:
//
//   - vigil (the formats) stands under journal, which writes pages, and so under all that writes records.
//   - seal keeps the wrapped root in the database.
//   - server is the wiring that cmd/vigil and vigiltest share, so that a test runs what an operator runs.
const lattice = `
NONE                                                < arn, clock, paging, sigv4, keycrypt, vigil, store
NONE                                                < wire, query, pattern, presto, httpd, attestation, attestationtest, notarytest
arn                                                 < policy
sigv4                                               < xks
sigv4, xks                                          < xkstest
store                                               < sqlite, postgres, seal
sqlite, postgres                                    < storetest
vigil                                               < selectors, insights
vigil, arn                                          < keylife
store, vigil, clock                                 < journal
vigil                                               < gather
journal                                             < notary
arn, clock, paging, policy, journal, store          < call
call, keycrypt, xks, attestation                    < kms
call                                                < identity, metrics, notify, deliver, alarms, objects, intake
call                                                < tags
call, selectors, insights, tags                     < trail
call, selectors, tags, presto                       < lake
call, query                                         < logs
call, pattern                                       < events
wire, sigv4, call                                   < front
front, httpd, kms, identity, trail, lake, seal, sqlite, postgres, logs, metrics, notify, deliver, alarms, events, objects, notary, intake, keylife < server
server                                              < vigiltest
server, gather                                      < cmd
`

// packages are the folders of the names in the lattice.
var packages = map[string]string{
	"vigil": ".", "arn": "internal/arn", "clock": "internal/clock", "paging": "internal/paging", "policy": "internal/policy",
	"sigv4": "internal/front/sigv4", "wire": "internal/front/wire", "httpd": "internal/front/httpd", "front": "internal/front",
	"store": "internal/store", "sqlite": "internal/store/sqlite", "postgres": "internal/store/postgres", "storetest": "internal/store/storetest",
	"query": "internal/query", "pattern": "internal/pattern",
	"logs": "internal/logs", "metrics": "internal/metrics", "notify": "internal/notify", "deliver": "internal/deliver",
	"alarms": "internal/alarms", "objects": "internal/objects", "intake": "internal/intake", "gather": "internal/gather", "events": "internal/events",
	"journal": "internal/journal", "notary": "internal/notary", "notarytest": "internal/notary/notarytest", "call": "internal/call", "seal": "internal/seal",
	"attestation": "internal/kms/attestation", "attestationtest": "internal/kms/attestation/attestationtest",
	"kms": "internal/kms", "keycrypt": "internal/kms/keycrypt", "xks": "internal/kms/xks", "xkstest": "internal/kms/xks/xkstest", "identity": "internal/identity",
	"trail": "internal/trail", "selectors": "internal/trail/selectors", "insights": "internal/trail/insights", "tags": "internal/trail/tags",
	"lake": "internal/lake", "presto": "internal/lake/presto", "keylife": "internal/keylife",
	"server": "internal/server", "cmd": "cmd/vigil", "vigiltest": "vigiltest",
}

func TestImports(t *testing.T) {
	allowed := parseLattice(t, lattice)
	names := map[string]string{}
	for name, folder := range packages {
		names[importPath(folder)] = name
	}
	for name, folder := range packages {
		pkg, err := build.ImportDir("../"+folder, 0)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, path := range pkg.Imports {
			if path != "vigil" && !strings.HasPrefix(path, "vigil/") {
				continue
			}
			imported, known := names[path]
			if !known {
				t.Errorf("%s imports %s, which has no place in the lattice", name, path)
			} else if !allowed[name][imported] {
				t.Errorf("%s may not import %s", name, imported)
			}
		}
	}
}

// parseLattice returns what each package may import, all the way down.
func parseLattice(t *testing.T, text string) map[string]map[string]bool {
	allowed := map[string]map[string]bool{}
	for line := range strings.Lines(strings.TrimSpace(text)) {
		below, above, ok := strings.Cut(strings.TrimSpace(line), "<")
		if !ok {
			t.Fatalf("lattice: %q", line)
		}
		for _, name := range words(above) {
			if packages[name] == "" {
				t.Errorf("lattice: %s is not a package", name)
			}
			if allowed[name] != nil {
				t.Errorf("lattice: %s stands in two lines", name)
			}
			allowed[name] = map[string]bool{}
			for _, b := range words(below) {
				if b == "NONE" {
					continue
				}
				if allowed[b] == nil {
					t.Errorf("lattice: %s is used before its line", b)
				}
				allowed[name][b] = true
				for deeper := range allowed[b] {
					allowed[name][deeper] = true
				}
			}
		}
	}
	for name := range packages {
		if allowed[name] == nil {
			t.Errorf("lattice: %s has no line", name)
		}
	}
	return allowed
}

func words(list string) []string {
	fields := strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
	slices.Sort(fields)
	return fields
}

func importPath(folder string) string {
	if folder == "." {
		return "vigil"
	}
	return "vigil/" + folder
}
