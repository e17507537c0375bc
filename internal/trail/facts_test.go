package trail

import (
	"bytes"
	_ "embed"
	"slices"
	"strings"
	"testing"
	"time"

	"vigil"
	"vigil/internal/call"
)

// records are real events of many services and users, with identities replaced, from invictus-ir/aws_dataset (MIT),
// OTRF/Security-Datasets (MIT) and DataDog/stratus-red-team (Apache-2.0), and examples of the KMS developer guide.
//
//go:embed testdata/records.ndjson
var records string

// TestFactsAreThoseOfTheRecord compares what the history reads of a record with what all of Vigil reads of it.
func TestFactsAreThoseOfTheRecord(t *testing.T) {
	for line := range strings.Lines(records) {
		if err := compareFacts([]byte(line)); err != "" {
			t.Errorf("%s\n%s", err, line)
		}
	}
}

// compareFacts says how the facts of a record differ from vigil.ParseRecord's, if that can read it at all.
func compareFacts(data []byte) string {
	var r vigil.OutlineReader
	var f facts
	before := bytes.Clone(data)
	err := r.Read(data, &f.Outline)
	if !bytes.Equal(data, before) {
		return "the record was changed"
	}
	want, parseErr := vigil.ParseRecord(data)
	if parseErr != nil || want.EventTime.IsZero() {
		return ""
	}
	if err != nil {
		return err.Error()
	}
	account := want.RecipientAccountID
	if account == "" {
		account = want.UserIdentity.AccountID
	}
	got := []string{string(f.Account), string(f.Region), string(f.Category), string(f.EventID), string(f.RequestID), string(f.EventSource),
		string(f.EventName), string(f.ErrorCode), string(f.AccessKeyID),
		string(f.Caller), string(f.PrincipalID), string(f.SharedID)}
	should := []string{account, want.AWSRegion, want.EventCategory, want.EventID, want.RequestID, want.EventSource,
		want.EventName, want.ErrorCode, want.UserIdentity.AccessKeyID,
		want.UserIdentity.AccountID, want.UserIdentity.PrincipalID, want.SharedEventID}
	for _, r := range f.Resources {
		got = append(got, string(r.Type), string(r.ARN))
	}
	for _, r := range want.Resources {
		should = append(should, r.Type, r.ARN)
	}
	if !slices.Equal(got, should) || f.Second != want.EventTime.Unix() || f.ReadOnly != want.ReadOnly {
		return strings.Join(got, "|") + " is not " + strings.Join(should, "|")
	}
	return ""
}

func FuzzFacts(f *testing.F) {
	for line := range strings.Lines(records) {
		f.Add([]byte(line))
	}
	for _, odd := range []string{
		`{}`, `null`, `[]`, `{"eventTime":"2026-01-10T00:51:00Z","userIdentity":null,"resources":null,"readOnly":null,"eventName":null}`,
		`{"eventTime":"2026-01-10T00:51:00+02:00","resources":[null,{"type":"a\u0062\n"}],"userIdentity":{"type":"AssumedRole"}}`,
		`{"event\u0054ime":"1969-12-31T23:59:59.5Z","eventName":"\ud83d\ude00"}`, `{"eventTime":"2026-01-10T00:51:00Z","eventID":7}`,
	} {
		f.Add([]byte(odd))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := compareFacts(data); err != "" {
			t.Error(err)
		}
	})
}

func TestUsername(t *testing.T) {
	for _, test := range []struct{ identity, want string }{
		{`{"type":"Root","arn":"arn:aws:iam::111122223333:root","userName":"my-account"}`, "root"},
		{`{"type":"IAMUser","userName":"alice","arn":"arn:aws:iam::111122223333:user/team/alice"}`, "alice"},
		{`{"type":"AssumedRole","principalId":"AROAIOSFODNN7EXAMPLE:deploy","arn":"arn:aws:sts::111122223333:assumed-role/Deployer/deploy"}`, "deploy"},
		{`{"type":"AssumedRole","principalId":"AROAIOSFODNN7EXAMPLE:deploy"}`, "deploy"},
		{`{"type":"AssumedRole"}`, ""},
		{`{"type":"FederatedUser","principalId":"111122223333:bob","arn":"arn:aws:sts::111122223333:federated-user/bob"}`, "bob"},
		{`{"type":"WebIdentityUser","principalId":"accounts.google.com:app:1","userName":"1"}`, "1"},
		{`{"type":"AWSService","invokedBy":"ec2.amazonaws.com"}`, "ec2.amazonaws.com"},
		{`{"type":"AWSAccount","principalId":"AIDAIOSFODNN7EXAMPLE","accountId":"444455556666"}`, ""},
		{`{"accountId":"111122223333","invokedBy":"AWS Internal"}`, ""},
		{`{"type":"IAMUser","userName":"O\"Brien"}`, `O"Brien`},
	} {
		var r vigil.OutlineReader
		var f facts
		if err := r.Read([]byte(`{"eventTime":"2026-01-10T00:51:00Z","userIdentity":`+test.identity+`}`), &f.Outline); err != nil {
			t.Fatal(err)
		}
		if got := string(f.Username); got != test.want {
			t.Errorf("%s is called %q, want %q", test.identity, got, test.want)
		}
	}
}

func TestTheTimeInAnEventID(t *testing.T) {
	at := time.Date(2026, 11, 1, 12, 0, 0, 123e6, time.UTC)
	id := call.NewEventID(at)
	if got, ok := idTime([]byte(id)); !ok || got != at.UnixMilli() {
		t.Errorf("%s tells %d, %v; want %d", id, got, ok, at.UnixMilli())
	}
	for _, id := range []string{"", "293ba626-3be5-4a26-ab1b-0f4c54f49959", strings.ToUpper("0193556a-7b3c-7f3a-9d0e-2f1c4b5a6978"),
		"0193556a7b3c7f3a9d0e2f1c4b5a6978", id + "0", "g193556a-7b3c-7f3a-9d0e-2f1c4b5a6978"} {
		if got, ok := idTime([]byte(id)); ok {
			t.Errorf("%q tells %d", id, got)
		}
	}
}

// TestKeysThatARecordNames has records of KMS that are of a key without having it as a resource in its Region.
func TestKeysThatARecordNames(t *testing.T) {
	const key = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	const head = `{"eventTime":"2026-01-02T03:04:05Z","recipientAccountId":"111122223333","awsRegion":"us-east-1","eventSource":"kms.amazonaws.com"`
	for _, test := range []struct{ name, record, want, far string }{
		{"by ARN", head + `,"requestParameters":{"keyId":"` + key + `"}}`, key, ""},
		{"by id", head + `,"requestParameters":{"keyId":"1234abcd-12ab-34cd-56ef-1234567890ab"}}`, key, ""},
		{"in an error", head + `,"errorCode":"AccessDenied","errorMessage":"User: arn:aws:iam::111122223333:user/eve is not authorized to perform: kms:Decrypt on resource: ` + key + ` because"}`, key, ""},
		{"at the end of an error", head + `,"errorCode":"DisabledException","requestParameters":null,"errorMessage":"` + key + `."}`, key, ""},
		{"by alias", head + `,"requestParameters":{"keyId":"alias/app"}}`, "", ""},
		{"a message without an error", head + `,"errorMessage":"` + key + `"}`, "", ""},
		{"with resources", head + `,"requestParameters":{"keyId":"` + key + `"},"resources":[{"ARN":"` + key + `"}]}`, "", ""},
		{"of another service", `{"eventTime":"2026-01-02T03:04:05Z","eventSource":"ec2.amazonaws.com","requestParameters":{"keyId":"` + key + `"}}`, "", ""},
		{"nonsense", head + `,"errorCode":1,"errorMessage":{":key/":1},"requestParameters":{"keyId":[]}}`, "", ""},
		{"of another Region", head + `,"resources":[{"ARN":"arn:aws:kms:eu-west-1:111122223333:key/mrk-1"}]}`, "", "eu-west-1"},
		{"of another account", head + `,"resources":[{"ARN":"arn:aws:kms:eu-west-1:444455556666:key/mrk-1"}]}`, "", ""},
		{"an alias of another Region", head + `,"resources":[{"ARN":"arn:aws:kms:eu-west-1:111122223333:alias/app"}]}`, "", ""},
	} {
		var r vigil.OutlineReader
		var f facts
		if err := r.Read([]byte(test.record), &f.Outline); err != nil && test.name != "nonsense" {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		far := ""
		for _, resource := range f.Resources {
			far += string(f.farKey(resource.ARN))
		}
		if got := f.namedKey([]byte(test.record)); got != test.want || far != test.far {
			t.Errorf("%s: it names %q, and is of %q", test.name, got, far)
		}
	}
}
