package intake

import (
	"fmt"
	"testing"

	"vigil"
)

// BenchmarkCheck judges a record of the usual length.
func BenchmarkCheck(b *testing.B) {
	const key = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	data := fmt.Appendf(nil, `{"eventVersion":"1.11","userIdentity":{"type":"IAMUser","principalId":"AIDAIOSFODNN7EXAMPLE","arn":"arn:aws:iam::111122223333:user/alice","accountId":"111122223333","accessKeyId":"AKIAIOSFODNN7EXAMPLE","userName":"alice"},"eventTime":"2026-01-02T03:04:05Z","eventSource":"kms.amazonaws.com","eventName":"Encrypt","awsRegion":"us-east-1","sourceIPAddress":"192.0.2.1","userAgent":"aws-sdk-go-v2/1.47.7 ua/2.1 os/linux lang/go#1.26.8 md/GOOS#linux md/GOARCH#amd64 api/kms#1.62.4","requestParameters":{"encryptionContext":{"tenant":"acme","purpose":"invoices"},"keyId":%[1]q,"encryptionAlgorithm":"SYMMETRIC_DEFAULT"},"responseElements":null,"additionalEventData":{"keyMaterialId":"96083e4fb6dbc41d77578c213a6b6669c044dd4c143e96755396d2bf11fd6068"},"requestID":"270b50e2-91d8-4a75-944a-6b6d745f5e46","eventID":"1dcb415f-1370-4589-ac3e-64f2ad02355f","readOnly":true,"resources":[{"accountId":"111122223333","type":"AWS::KMS::Key","ARN":%[1]q}],"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"111122223333","eventCategory":"Management"}`, key)
	var r vigil.OutlineReader
	var o vigil.Outline
	b.ReportAllocs()
	for b.Loop() {
		if err := check(&r, &o, data); err != nil {
			b.Fatal(err)
		}
	}
}
