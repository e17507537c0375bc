package main

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"vigil/internal/kms/attestation/attestationtest"
	"vigil/internal/kms/xks/xkstest"
	"vigil/internal/server"
)

// A documentedRecord is the call, or the event, whose record is compared with some that AWS documents.
type documentedRecord struct {
	step
	files   string // of testdata/cloudtrail-kms, without .json
	differs string // in what they differ beyond usually, as compareRecords says it; with ? before what only some of the files differ in
	event   string // the name of the record, unless it is the call's
	of      string // for an event without a call: the key that it is about
	type_   string // for an event without a call: the type of who is said to have done it
}

// TestDocumentedRecords makes the calls of documentedRecords as a user, and compares the record of each with the one that AWS
// documents: which members it has at every depth, of which kind and in which order, and what they say of everybody's call.
func TestDocumentedRecords(t *testing.T) {
	enclave, root := attestationtest.New(t, time.Now()), filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(root, enclave.RootPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWalk(t, "Go SDK", func(cfg *server.Config) {
		cfg.TLSCert, cfg.TLSKey = certificate(t)
		cfg.NitroRoot = root
	})
	w.vars["document"] = base64.StdEncoding.EncodeToString(enclave.Document(t, time.Now()))
	w.becomeAlice()
	shown, ids := map[string]*row{}, make([]string, len(documentedRecords))
	for i, d := range documentedRecords {
		w.last = answer{}
		if d.op != "" || d.do != nil {
			w.take(d.step, shown)
		}
		ids[i] = w.last.ID
	}
	var unseen []string
	all, _ := filepath.Glob("testdata/cloudtrail-kms/*.json")
	for _, file := range all {
		unseen = append(unseen, strings.TrimSuffix(filepath.Base(file), ".json"))
	}
	for name := range withoutCounterpart {
		unseen = slices.DeleteFunc(unseen, func(file string) bool { return file == name })
	}
	var records []string
	for deadline := time.Now().Add(30 * time.Second); ; { // until what Vigil does by itself is done
		records = append(w.recorded(), w.kept...)
		missing := slices.ContainsFunc(documentedRecords, func(d documentedRecord) bool { return d.of != "" && w.find(records, d, "") == "" })
		if !missing || time.Now().After(deadline) {
			break
		}
	}
	for i, d := range documentedRecords {
		if d.files == "" {
			continue
		}
		ours := w.find(records, d, ids[i])
		for file := range strings.FieldsSeq(d.files) {
			unseen = slices.DeleteFunc(unseen, func(f string) bool { return f == file })
			theirs, err := os.ReadFile(filepath.Join("testdata/cloudtrail-kms", file+".json"))
			if err != nil {
				t.Fatal(err)
			}
			if ours == "" {
				t.Errorf("%s: there is no record like it", file)
				continue
			}
			got := slices.DeleteFunc(compareRecords(t, theirs, []byte(ours)), func(d string) bool { return usual(file, theirs, d) })
			var want []string
			for difference := range strings.FieldsSeq(d.differs) {
				if some, ok := strings.CutPrefix(difference, "?"); !ok {
					want = append(want, difference)
				} else if slices.Contains(got, some) {
					want = append(want, some)
				}
			}
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%s: the record differs by\n  %s\nand not by\n  %s\n%s", file, strings.Join(got, " "), d.differs, ours)
			}
		}
	}
	if len(unseen) > 0 {
		t.Errorf("nothing is compared with %s", strings.Join(unseen, ", "))
	}
}

// find is the newest record of a call or an event.
func (w *walk) find(records []string, d documentedRecord, id string) string {
	for _, text := range records {
		var r struct {
			EventName, RequestID, AWSRegion string
			UserIdentity                    struct{ Type, InvokedBy string }
			Resources                       []struct{ ARN string }
		}
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			w.Fatal(err)
		}
		switch {
		case r.EventName != cmp.Or(d.event, d.op):
		case d.of != "":
			if len(r.Resources) > 0 && strings.Contains(r.Resources[0].ARN, w.vars[d.of]) && r.UserIdentity.Type == d.type_ &&
				r.UserIdentity.InvokedBy != "" {
				return text
			}
		case r.RequestID == id && r.AWSRegion == cmp.Or(d.step.region, xkstest.Region):
			return text
		}
	}
	return ""
}

// compareRecords lists in what our record is not like theirs: as differences does, and with =MEMBER for one of another value that should
// be the same, and <MEMBER for one
// whose members are in another order.
func compareRecords(t *testing.T, theirs, ours []byte) []string {
	var want, got map[string]any
	for text, to := range map[string]*map[string]any{string(theirs): &want, string(ours): &got} {
		if err := json.Unmarshal([]byte(text), to); err != nil {
			t.Fatal(err)
		}
	}
	all := differences("", want, got)
	for _, name := range []string{"eventSource", "eventName", "eventType", "readOnly", "managementEvent", "eventCategory", "errorCode", "errorMessage"} {
		if _, both := got[name]; both && want[name] != nil && want[name] != got[name] {
			all = append(all, "="+name)
		}
	}
	if want["userIdentity"].(map[string]any)["type"] != got["userIdentity"].(map[string]any)["type"] {
		all = append(all, "=userIdentity.type")
	}
	theirOrder, ourOrder := order(t, theirs), order(t, ours)
	for path, names := range ourOrder {
		both := func(all, other []string) []string {
			return slices.DeleteFunc(slices.Clone(all), func(name string) bool { return !slices.Contains(other, name) })
		}
		if want, got := both(theirOrder[path], names), both(names, theirOrder[path]); !slices.Equal(got, want) {
			all = append(all, "<"+path)
		}
	}
	slices.Sort(all)
	return all
}

// order is that of the members of each object in a record, by its path.
func order(t *testing.T, record []byte) map[string][]string {
	names, decoder := map[string][]string{}, json.NewDecoder(bytes.NewReader(record))
	var value func(path string)
	value = func(path string) {
		token, err := decoder.Token()
		if err != nil {
			t.Fatal(err)
		}
		opening, _ := token.(json.Delim)
		for i := 0; opening != 0 && decoder.More(); i++ {
			member := fmt.Sprint(i)
			if opening == '{' {
				name, err := decoder.Token()
				if err != nil {
					t.Fatal(err)
				}
				member = name.(string)
				names[path] = append(names[path], member)
			}
			value(strings.TrimPrefix(path+"."+member, "."))
		}
		if opening != 0 {
			decoder.Token() // the closing one
		}
	}
	value("")
	return names
}

// usual says whether a difference is one of the time at which AWS made the documented record, or of the connection.
func usual(file string, theirs []byte, difference string) bool {
	var r struct {
		EventVersion string
		TLSDetails   *struct{}
	}
	json.Unmarshal(theirs, &r)
	old := r.EventVersion < "1.11"
	switch {
	case strings.HasPrefix(difference, "<resources."):
		return true // the ARN is the first of two members or the last of three
	case strings.HasPrefix(difference, "+additionalEventData.recipient."):
		return old // of before all PCRs were written
	case strings.HasPrefix(difference, "+tlsDetails.") && strings.Contains(file, "-p"):
		return true // an excerpt that ends there
	case strings.HasPrefix(difference, "<userIdentity.sessionContext"):
		return old
	case strings.HasPrefix(difference, "<requestParameters"), strings.HasPrefix(difference, "<responseElements"):
		return true // AWS's own order there differs from example to example
	case strings.HasPrefix(difference, "+serviceEventDetails."):
		return old // of before 2024 and 2025
	}
	switch difference {
	case "+tlsDetails":
		return r.TLSDetails == nil // the ones of before 2022, and excerpts
	case "+tlsDetails.keyExchange":
		return true // the client's, whose key exchange is a post-quantum one
	case "+resources.0.type", "+resources.1.type":
		return true // some documented ones have it, and some, of the same version, have not
	case "+managementEvent", "+eventCategory":
		return old // of before versions 1.07 and 1.08, or excerpts
	case "+additionalEventData", "+additionalEventData.keyMaterialId":
		return old // of before 2025
	case "+responseElements.replicaKeyMetadata.currentKeyMaterialId", "+responseElements.keyMetadata.currentKeyMaterialId":
		return old // of before 2025
	case "+requestParameters.encryptionAlgorithm", "+userAgent":
		return old // of before 2020; and a few examples leave the user agent out
	case "~responseElements", "+responseElements.keyId", "+responseElements.keyMaterialId":
		return old // of before December 2022, since when the key is named, and of before 2025
	}
	return false
}

// becomeAlice makes a user who may do everything, whose calls are compared: the documented ones are such a user's.
func (w *walk) becomeAlice() {
	alice := w.user("Alice", "AdministratorAccess")
	w.config.Credentials = theKey(alice.AccessKeyID, alice.SecretAccessKey, "")
	w.call = bySDK(w.T, w.config, nil)
}

// becomeRole has a role's session call from now on.
func becomeRole(w *walk) {
	trust := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + w.vars["account"] + `:root"},"Action":"sts:AssumeRole"}}`
	admin := iam.NewFromConfig(w.config)
	made, err := admin.CreateRole(w.Context(), &iam.CreateRoleInput{RoleName: new("app"), AssumeRolePolicyDocument: &trust})
	if err != nil {
		w.Fatal(err)
	}
	if _, err := admin.AttachRolePolicy(w.Context(), &iam.AttachRolePolicyInput{RoleName: new("app"), PolicyArn: new("arn:aws:iam::aws:policy/AdministratorAccess")}); err != nil {
		w.Fatal(err)
	}
	s, err := sts.NewFromConfig(w.config).AssumeRole(w.Context(), &sts.AssumeRoleInput{RoleArn: made.Role.Arn, RoleSessionName: new("walk")})
	if err != nil {
		w.Fatal(err)
	}
	w.config.Credentials = theKey(*s.Credentials.AccessKeyId, *s.Credentials.SecretAccessKey, *s.Credentials.SessionToken)
	w.call = bySDK(w.T, w.config, nil)
}

// keepRecords looks the records up before they are too old for it.
func keepRecords(w *walk) { w.kept = w.recorded() }

// publish has SNS use the key for who calls.
func publish(w *walk) {
	client := sns.NewFromConfig(w.config)
	topic, err := client.CreateTopic(w.Context(), &sns.CreateTopicInput{Name: new("t"), Attributes: map[string]string{"KmsMasterKeyId": w.vars["symArn"]}})
	if err != nil {
		w.Fatal(err)
	}
	if _, err := client.Publish(w.Context(), &sns.PublishInput{TopicArn: topic.TopicArn, Message: new("secret")}); err != nil {
		w.Fatal(err)
	}
}

// readLogs has CloudWatch Logs use the key for who calls.
func readLogs(w *walk) {
	group, client := fmt.Sprintf("group-%d", time.Now().UnixNano()), cloudwatchlogs.NewFromConfig(w.config)
	if _, err := client.CreateLogGroup(w.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &group, KmsKeyId: aws.String(w.vars["symArn"])}); err != nil {
		w.Fatal(err)
	}
	if _, err := client.CreateLogStream(w.Context(), &cloudwatchlogs.CreateLogStreamInput{LogGroupName: &group, LogStreamName: new("s")}); err != nil {
		w.Fatal(err)
	}
	if _, err := client.PutLogEvents(w.Context(), &cloudwatchlogs.PutLogEventsInput{LogGroupName: &group, LogStreamName: new("s"),
		LogEvents: []logtypes.InputLogEvent{{Message: new("secret"), Timestamp: aws.Int64(time.Now().UnixMilli())}}}); err != nil {
		w.Fatal(err)
	}
	if _, err := client.FilterLogEvents(w.Context(), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: &group}); err != nil {
		w.Fatal(err)
	}
}

// certificate makes a certificate for this machine.
func certificate(t *testing.T) (cert, key string) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "vigil"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
}

// refuseCiphertext is what a proxy answers whose key did not make the ciphertext.
func refuseCiphertext(a *xkstest.Answer) {
	a.Status, a.Body = 400, []byte(`{"errorName":"InvalidCiphertextException"}`)
}
