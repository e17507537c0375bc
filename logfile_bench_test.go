package vigil_test

import (
	"fmt"
	"testing"

	"github.com/google/uuid"

	"vigil"
)

// BenchmarkLogFile writes records of 900 bytes into log files.
func BenchmarkLogFile(b *testing.B) {
	records := make([][]byte, 1024)
	for i := range records {
		records[i] = fmt.Appendf(nil, `{"eventVersion":"1.11","userIdentity":{"type":"IAMUser","principalId":"AIDA%[2]d","arn":"arn:aws:iam::111122223333:user/alice","accountId":"111122223333","accessKeyId":"AKIA%[2]d","userName":"alice"},"eventTime":"2026-01-02T03:04:%02[2]dZ","eventSource":"kms.amazonaws.com","eventName":"Encrypt","awsRegion":"us-east-1","sourceIPAddress":"192.0.2.1","userAgent":"aws-sdk-go-v2/1.47.7 ua/2.1 os/linux lang/go#1.26.8 md/GOOS#linux md/GOARCH#amd64 api/kms#1.62.4","requestParameters":{"encryptionContext":{"tenant":"acme","purpose":"invoices"},"keyId":"arn:aws:kms:us-east-1:111122223333:key/%[1]s","encryptionAlgorithm":"SYMMETRIC_DEFAULT"},"responseElements":null,"requestID":"%[3]s","eventID":"%[4]s","readOnly":true,"resources":[{"accountId":"111122223333","type":"AWS::KMS::Key","ARN":"arn:aws:kms:us-east-1:111122223333:key/%[1]s"}],"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"111122223333","eventCategory":"Management"}`,
			uuid.NewString(), i%60, uuid.NewString(), uuid.NewString())
	}
	b.ReportAllocs()
	size := 0
	for b.Loop() {
		w := vigil.NewLogFileWriter()
		for _, r := range records {
			w.Add(r)
		}
		file, _ := w.Close()
		size = len(file)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(records)), "ns/record")
	b.ReportMetric(float64(size)/float64(len(records)), "B/record")
}
