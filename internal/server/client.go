package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"vigil/internal/front/sigv4"
)

// Operate calls one of the operator's operations of a running server, as the owner of the profile.
func Operate(ctx context.Context, p Profile, operation string, in, out any) error {
	return OperateWith(ctx, &http.Client{Transport: p.Transport()}, p, operation, in, out)
}

// OperateWith is Operate with a client that is kept, for who calls often.
func OperateWith(ctx context.Context, client *http.Client, p Profile, operation string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return Call(ctx, client, p, "vigil", "Vigil."+operation, body, out)
}

// Call makes a signed call of the JSON protocol and reads its answer into out. The errors of the API are returned as text.
func Call(ctx context.Context, client *http.Client, p Profile, service, target string, body []byte, out any) error {
	answer, err := Send(ctx, client, p, service, target, body)
	if err != nil {
		return err
	}
	return json.Unmarshal(answer, out)
}

// Send makes a signed call of the JSON protocol and returns its answer.
func Send(ctx context.Context, client *http.Client, p Profile, service, target string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.Endpoint+"/", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header["Content-Type"] = []string{"application/x-amz-json-" + jsonVersion(service)}
	req.Header["X-Amz-Target"] = []string{target}
	if err := p.sign(req, service, body); err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, answerError(resp, answer)
	}
	return answer, nil
}

// sign signs a request as the profile.
func (p Profile) sign(req *http.Request, service string, body []byte) error {
	now, sum := time.Now().UTC(), sha256.Sum256(body)
	key := sigv4.DeriveKey(p.Secret, now.Format("20060102"), p.Region, service)
	return sigv4.Sign(req, hex.EncodeToString(sum[:]), p.AccessKeyID, "", key, p.Region, service, now)
}

// CreateBucket makes a bucket in the profile's region, unless the caller has it already.
func CreateBucket(ctx context.Context, client *http.Client, p Profile, name string) error {
	var body []byte
	if p.Region != "us-east-1" {
		body = []byte("<CreateBucketConfiguration><LocationConstraint>" + p.Region + "</LocationConstraint></CreateBucketConfiguration>")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, p.Endpoint+"/"+name, bytes.NewReader(body))
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	req.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(sum[:]))
	if err := p.sign(req, "s3", body); err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil || resp.StatusCode == http.StatusOK || bytes.Contains(answer, []byte("<Code>BucketAlreadyOwnedByYou</Code>")) {
		return err
	}
	return fmt.Errorf("the bucket %s: the server answered %s: %s", name, resp.Status, answer)
}

// jsonVersion is the version of the JSON protocol that a service speaks.
func jsonVersion(service string) string {
	if service == "monitoring" {
		return "1.0"
	}
	return "1.1"
}

// answerError is what an error answer of the JSON protocol says.
func answerError(resp *http.Response, answer []byte) error {
	var e struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if json.Unmarshal(answer, &e) != nil || e.Type == "" {
		return fmt.Errorf("the server answered %s", resp.Status)
	}
	if e.Message == "" {
		return errors.New(e.Type)
	}
	return fmt.Errorf("%s: %s", e.Type, e.Message)
}
