package main

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
)

const tableFile, tableBegin, tableEnd = "../../docs/compatibility.md", "<!-- what TestWalk shows -->\n", "<!-- end of what TestWalk shows -->\n"

// never are the documented errors that Vigil does not answer, of all operations or of some, with why not.
var never = []struct {
	code, because string
	operations    []string
}{
	{"DependencyTimeoutException", "it depends on nothing that times out", nil},
	{"KMSInternalException", "an internal error would be a bug", nil},
	{"KeyUnavailableException", "a key can be used, or its state says why not", nil},
	{"ConflictException", "a rotation is over when it is answered", nil},
	{"KMSInvalidStateException", "in AWS's table of key states these operations work in every state",
		[]string{"DeleteAlias", "DeleteImportedKeyMaterial", "GetKeyPolicy", "GetKeyRotationStatus", "ListGrants", "ListKeyPolicies", "ListKeyRotations",
			"PutKeyPolicy", "RetireGrant", "RevokeGrant"}},
	{"CustomKeyStoreInvalidStateException", "only key stores of AWS CloudHSM make random bytes, and there are none", []string{"GenerateRandom"}},
	{"InvalidArnException", "an ARN in a key policy that names nobody is a MalformedPolicyDocumentException, as AWS answers it", []string{"CreateKey"}},
	{"InvalidArnException", "there a key can be named in every way, and what names no key is not found", []string{"DescribeKey", "GetPublicKey"}},
	{"InvalidKeyUsageException", "an asymmetric key has a public key whatever its use, and for another key it is an UnsupportedOperationException", []string{"GetPublicKey"}},
	{"LimitExceededException", "a disabled key counts against the quota of keys as an enabled one does", []string{"EnableKey"}},
	{"NotFoundException", "whom no grant names may retire none, and the list is empty", []string{"ListRetirableGrants"}},
	{"UnsupportedOperationException", "the policy of a key that AWS manages lets nobody change it, and the answer is an AccessDeniedException", []string{"PutKeyPolicy"}},
	{"CloudHsmClusterNotFoundException", "there are no key stores of AWS CloudHSM that could be updated", []string{"UpdateCustomKeyStore"}},
	{"CloudHsmClusterInUseException", noClusters, nil}, {"CloudHsmClusterInvalidConfigurationException", noClusters, nil},
	{"CloudHsmClusterNotActiveException", noClusters, nil}, {"CloudHsmClusterNotRelatedException", noClusters, nil}, {"IncorrectTrustAnchorException", noClusters, nil},
	{"XksProxyUriEndpointInUseException", "public endpoints may be shared, and there are no VPC endpoint services, whose endpoints may not", nil},
	{"XksProxyVpcEndpointServiceInUseException", noEndpointServices, nil}, {"XksProxyVpcEndpointServiceInvalidConfigurationException", noEndpointServices, nil},
}

const (
	noClusters         = "there are no AWS CloudHSM clusters, and the answer is that they are not found"
	noEndpointServices = "there are no VPC endpoint services, and the answer is that they are not found"
)

func isNever(operation, code string) bool {
	for _, n := range never {
		if n.code == code && (n.operations == nil || slices.Contains(n.operations, operation)) {
			return true
		}
	}
	return false
}

// compareTable compares the table of docs/compatibility.md with what was shown, or writes it.
func compareTable(t *testing.T, shown map[string]*row) {
	for _, client := range clients {
		if !slices.ContainsFunc(slices.Collect(maps.Values(shown)), func(r *row) bool { return r.clients[client] }) {
			t.Skipf("the table needs %s too", client)
		}
	}
	documented := documentedCodes(t)
	var b strings.Builder
	b.WriteString("\n| operation | boto3 | Go SDK | AWS CLI | errors shown with each | on record |\n|---|---|---|---|---|---|\n")
	for _, operation := range operations() {
		r := shown[operation]
		if r == nil {
			t.Errorf("no success of %s was shown", operation)
			continue
		}
		fmt.Fprintf(&b, "| %s |", operation)
		for _, client := range clients {
			if !r.clients[client] {
				t.Errorf("no success of %s was shown with %s", operation, client)
			}
			b.WriteString(" yes |")
		}
		for _, code := range append(documented[operation], accessDenied) { // which AWS documents for all operations
			if shown := r.byAll(code); shown == isNever(operation, code) {
				t.Errorf("the error %s of %s: shown with each client %t, and said to be never answered %t", code, operation, shown, !shown)
			}
		}
		fmt.Fprintf(&b, " %s | yes |\n", strings.Join(slices.DeleteFunc(slices.Sorted(maps.Keys(r.codes)), func(code string) bool { return !r.byAll(code) }), ", "))
	}
	b.WriteString("\n| documented error that is never answered | because |\n|---|---|\n")
	for _, n := range never {
		of := ""
		if n.operations != nil {
			of = " of " + strings.Join(n.operations, ", ")
		}
		fmt.Fprintf(&b, "| %s%s | %s |\n", n.code, of, n.because)
	}
	b.WriteString("\n")
	if t.Failed() {
		return
	}
	text, err := os.ReadFile(tableFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), tableBegin)
	now, after, end := strings.Cut(rest, tableEnd)
	if !ok || !end {
		t.Fatalf("%s has no place for the table", tableFile)
	}
	if now == b.String() {
		return
	}
	if !*update {
		t.Fatalf("%s differs from what was shown; go test ./cmd/vigil -run TestWalk -update writes it", tableFile)
	}
	if err := os.WriteFile(tableFile, []byte(before+tableBegin+b.String()+tableEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// operations are all of the Go SDK's for KMS.
func operations() (names []string) {
	client := reflect.TypeFor[*kms.Client]()
	for i := range client.NumMethod() {
		if m := client.Method(i); m.Name != "Options" {
			names = append(names, m.Name)
		}
	}
	return names
}
