package server_test

import (
	"compress/gzip"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// The delivered result of a query is verified as the CloudTrail user guide's "Custom implementations of CloudTrail query result file integrity
// validation" says.
func TestADeliveredResultProvesItself(t *testing.T) {
	h := openHouse(t)
	trails := cloudtrail.NewFromConfig(h.config())
	if _, err := h.s3().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: new("results")}); err != nil {
		t.Fatal(err)
	}
	made, err := trails.CreateEventDataStore(t.Context(), &cloudtrail.CreateEventDataStoreInput{Name: new("all")})
	if err != nil {
		t.Fatal(err)
	}
	h.key("")
	id := (*made.EventDataStoreArn)[strings.LastIndexByte(*made.EventDataStoreArn, '/')+1:]
	statement := "SELECT eventName, 'a \"b\", c' AS text FROM " + id + " WHERE eventName = 'CreateKey'"
	started, err := trails.StartQuery(t.Context(), &cloudtrail.StartQueryInput{QueryStatement: &statement, DeliveryS3Uri: new("s3://results/deep/er/")})
	if err != nil {
		t.Fatal(err)
	}
	var described *cloudtrail.DescribeQueryOutput
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if described, err = trails.DescribeQuery(t.Context(), &cloudtrail.DescribeQueryInput{QueryId: started.QueryId}); err != nil {
			t.Fatal(err)
		}
		if described.DeliveryStatus != types.DeliveryStatusPending {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the result is not delivered")
		}
	}
	if described.DeliveryStatus != types.DeliveryStatusSuccess || *described.DeliveryS3Uri != "s3://results/deep/er/" {
		t.Fatalf("%+v", described)
	}
	folder := "deep/er/AWSLogs/" + account + "/CloudTrail-Lake/Query/" + described.QueryStatistics.CreationTime.UTC().Format("2006/01/02/") + *started.QueryId + "/"
	read := func(name string) []byte {
		t.Helper()
		out, err := h.s3().GetObject(t.Context(), &s3.GetObjectInput{Bucket: new("results"), Key: new(folder + name)})
		if err != nil {
			t.Fatal(name, err)
		}
		defer out.Body.Close()
		body, err := io.ReadAll(out.Body)
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	var sign struct {
		Version, Region, HashAlgorithm, SignatureAlgorithm, HashSignature, PublicKeyFingerprint string

		QueryCompleteTime time.Time
		Files             []struct{ FileHashValue, FileName string }
	}
	if err := json.Unmarshal(read("result_sign.json"), &sign); err != nil {
		t.Fatal(err)
	}
	if sign.Version != "1.0" || sign.Region != region || sign.HashAlgorithm != "SHA-256" || sign.SignatureAlgorithm != "SHA256withRSA" || len(sign.Files) != 1 {
		t.Errorf("%+v", sign)
	}
	result := read(sign.Files[0].FileName)
	if hash := fmt.Sprintf("%x", sha256.Sum256(result)); hash != sign.Files[0].FileHashValue {
		t.Errorf("the file's hash is %s, and the sign file says %s", hash, sign.Files[0].FileHashValue)
	}
	keys, err := trails.ListPublicKeys(t.Context(), &cloudtrail.ListPublicKeysInput{StartTime: new(sign.QueryCompleteTime), EndTime: new(sign.QueryCompleteTime)})
	if err != nil {
		t.Fatal(err)
	}
	verified := false
	for _, key := range keys.PublicKeyList {
		if *key.Fingerprint != sign.PublicKeyFingerprint {
			continue
		}
		public, err := x509.ParsePKCS1PublicKey(key.Value)
		if err != nil {
			t.Fatal(err)
		}
		signature, err := hex.DecodeString(sign.HashSignature)
		if err != nil {
			t.Fatal(err)
		}
		hash := sha256.Sum256([]byte(sign.Files[0].FileHashValue))
		verified = rsa.VerifyPKCS1v15(public, crypto.SHA256, hash[:], signature) == nil
	}
	if !verified {
		t.Error("the signature is not that of a listed key")
	}
	unpacked, err := gzip.NewReader(strings.NewReader(string(result)))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(unpacked)
	if want := "eventName,text\nCreateKey,\"a \"\"b\"\", c\"\n"; err != nil || string(text) != want {
		t.Errorf("the result is %q %v, want %q", text, err, want)
	}
}
