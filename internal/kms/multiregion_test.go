package kms_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil"
	"vigil/internal/clock"
	"vigil/internal/policy"
)

var (
	ireland = alice.in("eu-west-1")
	tokyo   = alice.in("ap-northeast-1")
)

func (h *house) multiRegion(t testing.TB, who caller) *types.KeyMetadata {
	t.Helper()
	return h.create(t, who, awskms.CreateKeyInput{MultiRegion: new(true)})
}

func (h *house) replicate(t testing.TB, who caller, key *string, region string) *awskms.ReplicateKeyOutput {
	t.Helper()
	return must[awskms.ReplicateKeyOutput](t, h, who, "ReplicateKey", &awskms.ReplicateKeyInput{KeyId: key, ReplicaRegion: &region})
}

// set is a key's MultiRegionConfiguration in short: what it is, the region of the primary, those of the replicas.
func (h *house) set(t testing.TB, who caller, key *string) string {
	t.Helper()
	m := h.describe(t, who, *key)
	c := m.MultiRegionConfiguration
	text := fmt.Sprint(c.MultiRegionKeyType, " ", *c.PrimaryKey.Region, " [")
	for i, r := range c.ReplicaKeys {
		if i > 0 {
			text += " "
		}
		text += *r.Region
		if want := who.in(*r.Region).arn("key/" + *m.KeyId); *r.Arn != want {
			t.Errorf("ARN %s, want %s", *r.Arn, want)
		}
	}
	return text + "]"
}

func TestMultiRegionKeysAreInteroperable(t *testing.T) {
	at, clk := place(t), clock.NewMovable(0)
	h := openIn(t, at, clk)
	m := h.multiRegion(t, alice)
	if id := *m.KeyId; !strings.HasPrefix(id, "mrk-") || len(id) != 36 || !*m.MultiRegion {
		t.Errorf("%s", asJSON(t, m))
	}
	if got := h.set(t, alice, m.KeyId); got != "PRIMARY us-west-2 []" {
		t.Errorf("alone: %s", got)
	}
	before := h.encrypt(t, alice, *m.KeyId, "before", map[string]string{"a": "b"})
	h.do(t, alice, "RotateKeyOnDemand", &awskms.RotateKeyOnDemandInput{KeyId: m.KeyId})

	out := h.replicate(t, alice, m.KeyId, "eu-west-1")
	r := out.ReplicaKeyMetadata
	if *r.KeyId != *m.KeyId || *r.Arn != ireland.arn("key/"+*m.KeyId) || r.KeyState != "Creating" || r.Enabled || !*r.MultiRegion ||
		r.MultiRegionConfiguration.MultiRegionKeyType != "REPLICA" || *out.ReplicaPolicy != policy.DefaultKeyPolicy("aws", alice.account) {
		t.Errorf("%s", asJSON(t, out))
	}
	h.state(t, ireland, m.KeyId, "Enabled")
	h.replicate(t, alice, m.KeyId, "ap-northeast-1")
	for who, want := range map[caller]string{
		alice: "PRIMARY us-west-2 [ap-northeast-1 eu-west-1]", ireland: "REPLICA us-west-2 [ap-northeast-1 eu-west-1]",
	} {
		if got := h.set(t, who, m.KeyId); got != want {
			t.Errorf("in %s: %s, want %s", who.region, got, want)
		}
	}

	// What one encrypts each decrypts, named or not, also what was encrypted before it was there, and after a rotation.
	h.do(t, alice, "RotateKeyOnDemand", &awskms.RotateKeyOnDemandInput{KeyId: m.KeyId})
	h.close()
	h = openIn(t, at, clk)
	everywhere := []caller{alice, ireland, tokyo}
	for _, from := range everywhere {
		blob := h.encrypt(t, from, *m.KeyId, "x", nil)
		for _, to := range everywhere {
			arn := to.arn("key/" + *m.KeyId)
			for _, name := range []*string{nil, m.KeyId, &arn} {
				got := must[awskms.DecryptOutput](t, h, to, "Decrypt", &awskms.DecryptInput{CiphertextBlob: blob, KeyId: name})
				if string(got.Plaintext) != "x" || *got.KeyId != arn {
					t.Errorf("from %s to %s: %s", from.region, to.region, asJSON(t, got))
				}
			}
			own := h.symmetric(t, to)
			h.do(t, to, "ReEncrypt", &awskms.ReEncryptInput{CiphertextBlob: blob, DestinationKeyId: own.KeyId})
		}
	}
	for _, who := range everywhere {
		got := must[awskms.DecryptOutput](t, h, who, "Decrypt",
			&awskms.DecryptInput{CiphertextBlob: before, EncryptionContext: map[string]string{"a": "b"}})
		if string(got.Plaintext) != "before" {
			t.Errorf("decrypted %q", got.Plaintext)
		}
		if got, want := asJSON(t, h.rotations(t, who, m.KeyId, "ALL_KEY_MATERIAL")), asJSON(t, h.rotations(t, alice, m.KeyId, "ALL_KEY_MATERIAL")); got != want {
			t.Errorf("in %s the materials are %s, and at the primary %s", who.region, got, want)
		}
	}
	// Elsewhere, and for a single-Region key, a ciphertext's own region is the only one.
	blob := h.encrypt(t, alice, *m.KeyId, "x", nil)
	err := h.try(alice.in("us-east-1"), "Decrypt", &awskms.DecryptInput{CiphertextBlob: blob})
	refused(t, "where there is no replica", err, "AccessDeniedException", noSuchCMK)
	single := h.encrypt(t, alice, *h.symmetric(t, alice).KeyId, "x", nil)
	refused(t, "a single-Region key", h.try(ireland, "Decrypt", &awskms.DecryptInput{CiphertextBlob: single}), "AccessDeniedException", noSuchCMK)
	other := h.multiRegion(t, ireland)
	refused(t, "another multi-Region key", h.try(ireland, "Decrypt", &awskms.DecryptInput{CiphertextBlob: blob, KeyId: other.KeyId}),
		"IncorrectKeyException", "The key ID in the request does not identify a CMK that can perform this operation.")
}

// What a replica has of its own.
func TestReplicasHaveTheirOwn(t *testing.T) {
	h := open(t)
	m := h.create(t, alice, awskms.CreateKeyInput{MultiRegion: new(true), Description: new("primary"), Tags: tags("a", "primary")})
	document := strings.Replace(policy.DefaultKeyPolicy("aws", alice.account), "key-default-1", "the-replica's", 1)
	in := &awskms.ReplicateKeyInput{KeyId: m.KeyId, ReplicaRegion: new("eu-west-1"), Policy: &document, Description: new("replica"),
		Tags: tags("a", "replica")}
	out, c, err := h.call(alice, "ReplicateKey", in)
	if err != nil {
		t.Fatal(err)
	}
	if got := out.(*awskms.ReplicateKeyOutput); *got.ReplicaPolicy != document || *got.ReplicaKeyMetadata.Description != "replica" {
		t.Errorf("%s", asJSON(t, got))
	}
	if got := fmt.Sprint(touched(c)); got != fmt.Sprintf("[%s AWS::KMS::Key %s]", alice.account, *m.Arn) {
		t.Errorf("resources %s", got)
	}
	r := h.describe(t, ireland, *m.KeyId)
	if *r.Description != "replica" || *r.CurrentKeyMaterialId != *m.CurrentKeyMaterialId {
		t.Errorf("%s", asJSON(t, r))
	}
	got := must[awskms.GetKeyPolicyOutput](t, h, ireland, "GetKeyPolicy", &awskms.GetKeyPolicyInput{KeyId: m.KeyId})
	if *got.Policy != document {
		t.Errorf("policy %s", *got.Policy)
	}
	listed := must[awskms.ListResourceTagsOutput](t, h, ireland, "ListResourceTags", &awskms.ListResourceTagsInput{KeyId: m.KeyId}).Tags
	if len(listed) != 1 || *listed[0].TagValue != "replica" {
		t.Errorf("tags %s", asJSON(t, listed))
	}
	h.alias(t, ireland, "alias/replica", *m.KeyId)
	h.do(t, ireland, "DisableKey", &awskms.DisableKeyInput{KeyId: m.KeyId})
	h.state(t, ireland, m.KeyId, "Disabled")
	h.state(t, alice, m.KeyId, "Enabled")

	records := h.records(t, "CreateKey")
	last := records[len(records)-1]
	if len(records) != 2 || last.AWSRegion != "eu-west-1" || last.RequestID != c.RequestID || last.EventID == c.EventID ||
		last.UserIdentity.InvokedBy != "kms.amazonaws.com" || last.Resources[0].ARN != *r.Arn ||
		!strings.Contains(string(last.RequestParameters), `"description":"replica"`) {
		t.Errorf("the replica's creation is recorded as %s", last.AppendJSON(nil))
	}
	synchronized(t, h.records(t, "SynchronizeMultiRegionKey"), 1, *m.Arn)
}

// synchronized checks the records of the synchronization of a set.
func synchronized(t *testing.T, records []*vigil.Record, n int, primary string) {
	t.Helper()
	if len(records) != n {
		t.Fatalf("%d records of SynchronizeMultiRegionKey, want %d", len(records), n)
	}
	r := *records[n-1]
	if r.EventID == "" || r.RequestID == "" {
		t.Errorf("ids %q, %q", r.EventID, r.RequestID)
	}
	region, account := strings.Split(primary, ":")[3], strings.Split(primary, ":")[4]
	r.EventTime, r.EventID, r.RequestID = time.Time{}, "", ""
	want := fmt.Sprintf(`{"eventVersion":"1.11","userIdentity":{"accountId":"%[2]s","invokedBy":"AWS Internal"},`+
		`"eventTime":"0001-01-01T00:00:00Z","eventSource":"kms.amazonaws.com","eventName":"SynchronizeMultiRegionKey","awsRegion":"%[1]s",`+
		`"sourceIPAddress":"AWS Internal","userAgent":"AWS Internal","requestParameters":null,"responseElements":{"keyId":"%[3]s"},"eventID":"",`+
		`"readOnly":false,"resources":[{"accountId":"%[2]s","type":"AWS::KMS::Key","ARN":"%[3]s"}],"eventType":"AwsApiCall",`+
		`"managementEvent":true,"recipientAccountId":"%[2]s","eventCategory":"Management"}`, region, account, primary)
	if got := string(r.AppendJSON(nil)); got != want {
		t.Errorf("the record is\n%s\nwant\n%s", got, want)
	}
}

func TestReplicateKeyRefuses(t *testing.T) {
	h := open(t)
	single, m := h.symmetric(t, alice), h.multiRegion(t, alice)
	h.replicate(t, alice, m.KeyId, "eu-west-1")
	try := func(who caller, key, region string) error {
		return h.try(who, "ReplicateKey", &awskms.ReplicateKeyInput{KeyId: &key, ReplicaRegion: &region})
	}
	expect(t, "a single-Region key", try(alice, *single.KeyId, "eu-west-1"), "UnsupportedOperationException: KEY is not a multi-region primary key.",
		*single.Arn)
	expect(t, "a replica", try(ireland, *m.KeyId, "us-east-1"), "UnsupportedOperationException: KEY is not a multi-region primary key.",
		ireland.arn("key/"+*m.KeyId))
	expect(t, "a second replica", try(alice, *m.KeyId, "eu-west-1"), "AlreadyExistsException: Key 'KEY' already exists", ireland.arn("key/"+*m.KeyId))
	expect(t, "its own region", try(alice, *m.KeyId, "us-west-2"), "AlreadyExistsException: Key 'KEY' already exists", *m.Arn)
	expect(t, "another partition", try(alice, *m.KeyId, "cn-north-1"), "ValidationException: KEY cannot be replicated into cn-north-1, "+
		"which is not a Region of the partition aws.", *m.Arn)
	for _, op := range []string{"EnableKeyRotation", "DisableKeyRotation", "RotateKeyOnDemand", "UpdatePrimaryRegion"} {
		expect(t, op+" at a replica", h.try(ireland, op, requests(*m.KeyId)[op]), "UnsupportedOperationException: KEY is not a multi-region primary key.",
			ireland.arn("key/"+*m.KeyId))
	}
	if n := h.count(t, "kms_key"); n != 3 {
		t.Errorf("%d keys", n)
	}
}

// Rotation is set at the primary and holds for the set.
func TestRotationOfMultiRegionKeys(t *testing.T) {
	h := open(t)
	m := h.multiRegion(t, alice)
	h.enableRotation(t, alice, m.KeyId, 90)
	h.replicate(t, alice, m.KeyId, "eu-west-1")
	if got, want := asJSON(t, h.rotation(t, ireland, m.KeyId)), asJSON(t, h.rotation(t, alice, m.KeyId)); got != want || !strings.Contains(got, "90") {
		t.Errorf("the replica's rotation is %s, the primary's %s", got, want)
	}
	h.clock.Advance(91 * day)
	h.rotated(t, ireland, m.KeyId, 1)
	if got, want := asJSON(t, h.rotation(t, ireland, m.KeyId)), asJSON(t, h.rotation(t, alice, m.KeyId)); got != want {
		t.Errorf("the replica's rotation is %s, the primary's %s", got, want)
	}
	if got, want := *h.describe(t, ireland, *m.KeyId).CurrentKeyMaterialId, *h.describe(t, alice, *m.KeyId).CurrentKeyMaterialId; got != want ||
		got == *m.CurrentKeyMaterialId {
		t.Errorf("the replica encrypts with %s, the primary with %s, both before with %s", got, want, *m.CurrentKeyMaterialId)
	}
	if events := h.records(t, "RotateKey"); len(events) != 1 || events[0].AWSRegion != "us-west-2" {
		t.Errorf("RotateKey events %s", asJSON(t, events))
	}
	synchronized(t, h.records(t, "SynchronizeMultiRegionKey"), 2, *m.Arn)
	h.do(t, alice, "DisableKeyRotation", &awskms.DisableKeyRotationInput{KeyId: m.KeyId})
	if h.rotation(t, ireland, m.KeyId).KeyRotationEnabled {
		t.Error("the replica is rotated still")
	}
	synchronized(t, h.records(t, "SynchronizeMultiRegionKey"), 3, *m.Arn)
}

func TestUpdatePrimaryRegion(t *testing.T) {
	h := open(t)
	m := h.multiRegion(t, alice)
	h.enableRotation(t, alice, m.KeyId, 90)
	update := func(who caller, region string) error {
		return h.try(who, "UpdatePrimaryRegion", &awskms.UpdatePrimaryRegionInput{KeyId: m.KeyId, PrimaryRegion: &region})
	}
	expect(t, "no replica there", update(alice, "eu-west-1"), "NotFoundException: Key 'KEY' does not exist", ireland.arn("key/"+*m.KeyId))
	expect(t, "the same region", update(alice, "us-west-2"), "ValidationException: KEY is the primary key in us-west-2 already.", *m.Arn)
	h.replicate(t, alice, m.KeyId, "eu-west-1")
	h.do(t, ireland, "DisableKey", &awskms.DisableKeyInput{KeyId: m.KeyId})
	expect(t, "a disabled replica", update(alice, "eu-west-1"), "DisabledException: KEY is disabled.", ireland.arn("key/"+*m.KeyId))
	h.do(t, ireland, "EnableKey", &awskms.EnableKeyInput{KeyId: m.KeyId})
	h.do(t, alice, "DisableKey", &awskms.DisableKeyInput{KeyId: m.KeyId})
	expect(t, "a disabled primary", update(alice, "eu-west-1"), "DisabledException: KEY is disabled.", *m.Arn)
	h.do(t, alice, "EnableKey", &awskms.EnableKeyInput{KeyId: m.KeyId})

	if err := update(alice, "eu-west-1"); err != nil {
		t.Fatal(err)
	}
	for who, want := range map[caller]string{alice: "REPLICA eu-west-1 [us-west-2]", ireland: "PRIMARY eu-west-1 [us-west-2]"} {
		if got := h.set(t, who, m.KeyId); got != want {
			t.Errorf("in %s: %s, want %s", who.region, got, want)
		}
	}
	records := h.records(t, "UpdatePrimaryRegion")
	n := len(records)
	from, to := records[n-2], records[n-1]
	if from.AWSRegion != "us-west-2" || from.UserIdentity.InvokedBy != "" || to.AWSRegion != "eu-west-1" ||
		to.UserIdentity.InvokedBy != "kms.amazonaws.com" || to.RequestID != from.RequestID || to.EventID == from.EventID ||
		string(to.RequestParameters) != fmt.Sprintf(`{"keyId":"%s","primaryRegion":"eu-west-1"}`, ireland.arn("key/"+*m.KeyId)) {
		t.Errorf("records\n%s\n%s", from.AppendJSON(nil), to.AppendJSON(nil))
	}
	// The new primary is the one that is rotated, and replicated.
	h.clock.Advance(91 * day)
	h.rotated(t, alice, m.KeyId, 1)
	if events := h.records(t, "RotateKey"); len(events) != 1 || events[0].AWSRegion != "eu-west-1" {
		t.Errorf("RotateKey events %s", asJSON(t, events))
	}
	h.replicate(t, ireland, m.KeyId, "ap-northeast-1")
}

// A primary waits for its replicas to be destroyed, and then for as long as was asked.
func TestDeletionOfMultiRegionKeys(t *testing.T) {
	h := open(t)
	m := h.multiRegion(t, alice)
	h.replicate(t, alice, m.KeyId, "eu-west-1")
	h.replicate(t, alice, m.KeyId, "ap-northeast-1")
	out := h.schedule(t, alice, m.KeyId, 8)
	if out.KeyState != "PendingReplicaDeletion" || out.DeletionDate != nil || *out.PendingWindowInDays != 8 {
		t.Errorf("%s", asJSON(t, out))
	}
	h.state(t, alice, m.KeyId, "PendingReplicaDeletion")
	if d := h.describe(t, alice, *m.KeyId); d.DeletionDate != nil || *d.PendingDeletionWindowInDays != 8 {
		t.Errorf("%s", asJSON(t, d))
	}
	for _, op := range []string{"Encrypt", "ScheduleKeyDeletion", "EnableKey", "ReplicateKey", "RotateKeyOnDemand", "TagResource"} {
		expect(t, op, h.try(alice, op, requests(*m.KeyId)[op]), "KMSInvalidStateException: KEY is pending replica deletion.", *m.Arn)
	}
	h.do(t, alice, "CancelKeyDeletion", &awskms.CancelKeyDeletionInput{KeyId: m.KeyId})
	h.state(t, alice, m.KeyId, "Disabled")
	if d := h.describe(t, alice, *m.KeyId); d.PendingDeletionWindowInDays != nil {
		t.Errorf("%s", asJSON(t, d))
	}
	h.schedule(t, alice, m.KeyId, 8)

	if out := h.schedule(t, ireland, m.KeyId, 7); out.KeyState != "PendingDeletion" || out.DeletionDate == nil {
		t.Errorf("%s", asJSON(t, out))
	}
	h.clock.Advance(8 * day)
	h.gone(t, ireland, m)
	if got := h.set(t, alice, m.KeyId); got != "PRIMARY us-west-2 [ap-northeast-1]" {
		t.Errorf("with one replica: %s", got)
	}
	h.state(t, alice, m.KeyId, "PendingReplicaDeletion")
	h.encrypt(t, tokyo, *m.KeyId, "a replica does its work", nil)
	h.schedule(t, tokyo, m.KeyId, 7)
	h.clock.Advance(7*day + time.Minute)
	h.gone(t, tokyo, m)
	d := h.describe(t, alice, *m.KeyId)
	if d.KeyState != "PendingDeletion" || d.PendingDeletionWindowInDays != nil || d.DeletionDate.Sub(h.clock.Now().Add(8*day)).Abs() > time.Hour {
		t.Errorf("without replicas: %s, now %v", asJSON(t, d), h.clock.Now())
	}
	h.clock.Advance(8*day + time.Minute)
	h.gone(t, alice, m)
	if n := len(h.records(t, "DeleteKey")); n != 3 {
		t.Errorf("%d DeleteKey events", n)
	}
	if n := h.count(t, "kms_material"); n != 0 {
		t.Errorf("%d materials are left", n)
	}
}

// A replica can be made again where one was destroyed.
func TestReplicaIsMadeAgain(t *testing.T) {
	h := open(t)
	m := h.multiRegion(t, alice)
	h.replicate(t, alice, m.KeyId, "eu-west-1")
	blob := h.encrypt(t, ireland, *m.KeyId, "x", nil)
	h.schedule(t, ireland, m.KeyId, 7)
	h.clock.Advance(8 * day)
	h.gone(t, ireland, m)
	h.replicate(t, alice, m.KeyId, "eu-west-1")
	if got := h.decrypt(t, ireland, blob); string(got.Plaintext) != "x" {
		t.Errorf("decrypted %q", got.Plaintext)
	}
}

// Imported material is brought to each key of a set by itself, and a rotation waits for all of them.
func TestImportedMultiRegionKeys(t *testing.T) {
	h := open(t)
	m := h.external(t, alice, awskms.CreateKeyInput{MultiRegion: new(true)})
	err := h.try(alice, "ReplicateKey", requests(*m.KeyId)["ReplicateKey"])
	expect(t, "ReplicateKey without material", err, "KMSInvalidStateException: KEY is pending import.", *m.Arn)
	first := h.imported(t, alice, m.KeyId, secret(0), "")
	h.replicate(t, alice, m.KeyId, "eu-west-1")
	h.state(t, ireland, m.KeyId, "PendingImport")
	replicaARN := ireland.arn("key/" + *m.KeyId)

	in := h.imports(t, ireland, m.KeyId, secret(1))
	refused(t, "other material", h.try(ireland, "ImportKeyMaterial", in), "IncorrectKeyMaterialException", "")
	in.ImportType = "NEW_KEY_MATERIAL"
	expect(t, "new material at a replica", h.try(ireland, "ImportKeyMaterial", in),
		"UnsupportedOperationException: KEY is not a multi-region primary key.", replicaARN)
	if id := h.imported(t, ireland, m.KeyId, secret(0), ""); id != first {
		t.Errorf("the replica's material is %s, the primary's %s", id, first)
	}
	h.state(t, ireland, m.KeyId, "Enabled")
	if got := h.decrypt(t, ireland, h.encrypt(t, alice, *m.KeyId, "x", nil)); string(got.Plaintext) != "x" {
		t.Errorf("decrypted %q", got.Plaintext)
	}

	newer := h.imports(t, alice, m.KeyId, secret(1))
	newer.ImportType, newer.KeyMaterialDescription = "NEW_KEY_MATERIAL", new("B")
	h.do(t, alice, "ImportKeyMaterial", newer)
	rotate := func() error { return h.try(alice, "RotateKeyOnDemand", &awskms.RotateKeyOnDemandInput{KeyId: m.KeyId}) }
	check := func(who caller, want string) {
		t.Helper()
		all := h.rotations(t, who, m.KeyId, "ALL_KEY_MATERIAL")
		last := all[len(all)-1]
		if got := fmt.Sprintf("%d %s %s %s", len(all), last.KeyMaterialState, last.ImportState, *last.KeyMaterialDescription); got != want {
			t.Errorf("in %s: %s, want %s", who.region, got, want)
		}
	}
	check(alice, "2 PENDING_MULTI_REGION_IMPORT_AND_ROTATION IMPORTED B")
	check(ireland, "2 PENDING_MULTI_REGION_IMPORT_AND_ROTATION PENDING_IMPORT B")
	h.state(t, ireland, m.KeyId, "Enabled") // what waits is not needed
	expect(t, "RotateKeyOnDemand", rotate(), "KMSInvalidStateException: No available key material pending rotation for the key: KEY.", *m.Arn)
	second := h.imported(t, ireland, m.KeyId, secret(1), "EXISTING_KEY_MATERIAL")
	check(alice, "2 PENDING_ROTATION IMPORTED B")
	check(ireland, "2 PENDING_ROTATION IMPORTED B")
	// Given up at the replica, it waits for that one; given up at the primary, it is forgotten.
	h.do(t, ireland, "DeleteImportedKeyMaterial", &awskms.DeleteImportedKeyMaterialInput{KeyId: m.KeyId, KeyMaterialId: &second})
	check(alice, "2 PENDING_MULTI_REGION_IMPORT_AND_ROTATION IMPORTED B")
	check(ireland, "2 PENDING_MULTI_REGION_IMPORT_AND_ROTATION PENDING_IMPORT B")
	h.do(t, alice, "DeleteImportedKeyMaterial", &awskms.DeleteImportedKeyMaterialInput{KeyId: m.KeyId, KeyMaterialId: &second})
	if n := len(h.rotations(t, ireland, m.KeyId, "ALL_KEY_MATERIAL")); n != 1 {
		t.Errorf("the replica knows %d materials", n)
	}

	newer = h.imports(t, alice, m.KeyId, secret(1))
	newer.ImportType, newer.KeyMaterialDescription = "NEW_KEY_MATERIAL", new("B")
	h.do(t, alice, "ImportKeyMaterial", newer)
	h.imported(t, ireland, m.KeyId, secret(1), "")
	expect(t, "RotateKeyOnDemand", rotate(), "", "")
	check(ireland, "2 CURRENT IMPORTED B")
	blob := h.encrypt(t, ireland, *m.KeyId, "x", nil)
	if got := h.decrypt(t, alice, blob); *got.KeyMaterialId != second {
		t.Errorf("the replica encrypts with %s", *got.KeyMaterialId)
	}
	// Each loses its material by itself.
	h.do(t, ireland, "DeleteImportedKeyMaterial", &awskms.DeleteImportedKeyMaterialInput{KeyId: m.KeyId, KeyMaterialId: &first})
	h.state(t, ireland, m.KeyId, "PendingImport")
	h.state(t, alice, m.KeyId, "Enabled")
}
