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
	s, err := Start(context.Background(), Config{Listen: "127.0.0.1:0", Data: b.TempDir(), Region: "us-east-1"})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Stop()
	p, err := ReadProfile(s.cfg.Data, "default")
	if err != nil {
		b.Fatal(err)
	}
	var key struct{ KeyMetadata struct{ KeyId string } }
	if err := Call(context.Background(), http.DefaultClient, p, "kms", "TrentService.CreateKey", []byte("{}"), &key); err != nil {
		b.Fatal(err)
	}
	id := key.KeyMetadata.KeyId
	for name, in := range map[string]any{
		"Encrypt":         map[string]any{"KeyId": id, "Plaintext": make([]byte, 256), "EncryptionContext": map[string]string{"purpose": "bench"}},
		"GenerateDataKey": map[string]any{"KeyId": id, "KeySpec": "AES_256"},
		"DescribeKey":     map[string]any{"KeyId": id},
	} {
		b.Run(name, func(b *testing.B) {
			body, err := json.Marshal(in)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				signed := benchRequest(b, p, name, body)
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
