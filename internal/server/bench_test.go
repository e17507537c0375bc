package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"vigil/internal/front/sigv4"
)

// discard is a ResponseWriter that keeps the status alone.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

// BenchmarkCall is what the house does for a call, from the parsed request to the encoded answer, durable record and all; HTTP itself is
// left out. 64 calls wait at a time.
func BenchmarkCall(b *testing.B) {
	s, p, calls := benchServer(b)
	for operation, body := range calls {
		b.Run(operation, func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				signed := benchRequest(b, p, operation, body)
				w := &discard{header: http.Header{}}
				for pb.Next() {
					r := signed.Clone(context.Background())
					r.Body = io.NopCloser(bytes.NewReader(body))
					clear(w.header)
					s.door.ServeHTTP(w, r)
					if w.status != http.StatusOK {
						b.Errorf("status %d", w.status)
						return
					}
				}
			})
		})
	}
}

// BenchmarkServe is a call with all that is around it: the client's signature, HTTP over loopback, and the followers.
func BenchmarkServe(b *testing.B) {
	_, p, calls := benchServer(b)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	for operation, body := range calls {
		b.Run(operation, func(b *testing.B) {
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := Send(context.Background(), client, p, "kms", "TrentService."+operation, body); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// benchServer is a running server, and the body of a call of each operation that is measured.
func benchServer(b *testing.B) (*Server, Profile, map[string][]byte) {
	s, err := Start(context.Background(), Config{Listen: "127.0.0.1:0", Data: b.TempDir(), Region: "us-east-1"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Stop)
	p, err := ReadProfile(s.cfg.Data, "default")
	if err != nil {
		b.Fatal(err)
	}
	call := func(operation string, in, out any) []byte {
		body, err := json.Marshal(in)
		if err == nil && out != nil {
			err = Call(context.Background(), http.DefaultClient, p, "kms", "TrentService."+operation, body, out)
		}
		if err != nil {
			b.Fatal(err)
		}
		return body
	}
	var key struct{ KeyMetadata struct{ KeyId string } }
	call("CreateKey", map[string]any{}, &key)
	id, purpose := key.KeyMetadata.KeyId, map[string]string{"purpose": "bench"}
	var encrypted struct{ CiphertextBlob []byte }
	encrypt := call("Encrypt", map[string]any{"KeyId": id, "Plaintext": make([]byte, 256), "EncryptionContext": purpose}, &encrypted)
	return s, p, map[string][]byte{
		"Encrypt":         encrypt,
		"Decrypt":         call("Decrypt", map[string]any{"CiphertextBlob": encrypted.CiphertextBlob, "EncryptionContext": purpose}, nil),
		"GenerateDataKey": call("GenerateDataKey", map[string]any{"KeyId": id, "KeySpec": "AES_256"}, nil),
		"DescribeKey":     call("DescribeKey", map[string]any{"KeyId": id}, nil),
	}
}

func benchRequest(b *testing.B, p Profile, operation string, body []byte) *http.Request {
	r, err := http.NewRequest(http.MethodPost, p.Endpoint+"/", bytes.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "TrentService."+operation)
	r.Header.Set("User-Agent", "bench")
	r.RemoteAddr = "127.0.0.1:40000"
	now, sum := time.Now().UTC(), sha256.Sum256(body)
	signingKey := sigv4.DeriveKey(p.Secret, now.Format("20060102"), p.Region, "kms")
	if err := sigv4.Sign(r, hex.EncodeToString(sum[:]), p.AccessKeyID, "", signingKey, p.Region, "kms", now); err != nil {
		b.Fatal(fmt.Errorf("sign: %w", err))
	}
	r.Host = r.URL.Host
	return r
}
