package lake

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"

	"vigil/internal/call"
	"vigil/internal/store"
)

// A query with a DeliveryS3Uri has its result put into a bucket once it is FINISHED: result_1.csv.gz, and then result_sign.json, which is signed
// with a key that ListPublicKeys has. See the CloudTrail user guide's "Download your CloudTrail Lake saved query results" and "CloudTrail sign file structure". That it
// is still to be done is in the query's row, so that the next process does it; it is always the same files.

// Buckets is where results go. Its errors are *call.Error with the codes of the S3 API when the store has refused, which it does with a status
// below 500.
type Buckets struct {
	// Check says whether an account may put objects into a bucket: nil, or why not.
	Check func(ctx context.Context, account, bucket string) error
	// Put writes an object, whole or not at all, durably, over one of that key.
	Put func(ctx context.Context, account, bucket, key, contentType string, body io.Reader) error
	// Sign signs a text by SHA256withRSA with a key of an account and a region that is listed for that time.
	Sign func(ctx context.Context, account, region string, at time.Time, text []byte) (signature []byte, fingerprint string, err error)
}

const (
	deliveryMigration = `ALTER TABLE lake_query ADD COLUMN uri TEXT NOT NULL DEFAULT '';  -- where its result goes
		ALTER TABLE lake_query ADD COLUMN recipient TEXT NOT NULL DEFAULT ''; -- the account whose bucket that is
		ALTER TABLE lake_query ADD COLUMN delivery TEXT NOT NULL DEFAULT ''`

	maxPrefix     = 200 // characters, as of trails
	deliveryTries = 5   // while nobody knows what became of a put
	deliveryPause = time.Second
	resultFile    = "result_1.csv.gz"
	signFile      = "result_sign.json"
)

// checkDelivery says whether an account can have results put where a DeliveryS3Uri says.
func (l *Lake) checkDelivery(ctx context.Context, account, uri string) error {
	bucket, prefix, ok := splitURI(uri)
	if !ok {
		return call.Errorf("InvalidParameterException", "DeliveryS3Uri must have the form s3://bucket/prefix.")
	}
	if n := len([]rune(prefix)); n > maxPrefix {
		return call.Errorf("InvalidS3PrefixException", "The S3 key prefix has %d characters. It must have at most %d.", n, maxPrefix)
	}
	err := l.buckets.Check(ctx, account, bucket)
	var refused *call.Error
	switch {
	case errors.As(err, &refused) && refused.Code == "NoSuchBucket":
		return call.Errorf("S3BucketDoesNotExistException", "S3 bucket %s does not exist!", bucket)
	case errors.As(err, &refused) && refused.Status < 500:
		return call.Errorf("InsufficientS3BucketPolicyException", "Incorrect S3 bucket policy is detected for bucket: %s", bucket)
	}
	return err
}

func splitURI(uri string) (bucket, prefix string, ok bool) {
	rest, ok := strings.CutPrefix(uri, "s3://")
	bucket, prefix, _ = strings.Cut(rest, "/")
	return bucket, strings.Trim(prefix, "/"), ok && bucket != ""
}

// folder is where in its bucket a query's result goes.
func (q *aQuery) folder() (bucket, folder string) {
	bucket, folder, _ = splitURI(q.uri)
	if folder != "" {
		folder += "/"
	}
	return bucket, folder + "AWSLogs/" + q.recipient + "/CloudTrail-Lake/Query/" + time.UnixMilli(q.created).UTC().Format("2006/01/02/") + q.id + "/"
}

// undelivered is what a query's delivery comes to with its status when it ends.
func (q *aQuery) undelivered() types.DeliveryStatus {
	switch {
	case q.uri == "":
		return ""
	case q.status == types.QueryStatusFinished:
		return types.DeliveryStatusPending
	case q.status == types.QueryStatusCancelled:
		return types.DeliveryStatusCancelled
	}
	return types.DeliveryStatusFailed
}

// deliver puts the result of a query that is FINISHED where it is to go, and notes what became of that.
func (l *Lake) deliver(ctx context.Context, id string) {
	var q *aQuery
	err := l.db.View(ctx, func(tx store.Tx) error {
		found, err := queries(tx, `id = $1 AND status = 'FINISHED' AND delivery = 'PENDING'`, id)
		if len(found) > 0 {
			q = found[0]
		}
		return err
	})
	if err == nil && q == nil {
		return
	}
	var became types.DeliveryStatus
	if err == nil {
		if became, err = l.deliverResult(ctx, q); err != nil && ctx.Err() == nil {
			l.log.Warn("The result of a query could not be delivered.", "query", id, "status", became, "error", err)
			err = nil
		}
	}
	if ctx.Err() != nil {
		return // the next process delivers it
	}
	if err == nil {
		err = l.db.Update(context.WithoutCancel(ctx), func(tx store.Tx) error {
			_, err := tx.Exec(`UPDATE lake_query SET delivery = $1 WHERE id = $2`, string(became), id)
			return err
		})
	}
	if err != nil {
		l.log.Error("The delivery of a query's result could not be noted; it is delivered again.", "query", id, "error", err)
		time.AfterFunc(time.Second, l.wakeRunner)
	}
}

// deliverResult puts the two files.
func (l *Lake) deliverResult(ctx context.Context, q *aQuery) (types.DeliveryStatus, error) {
	ctx, stop := context.WithTimeout(ctx, l.timeout)
	defer stop()
	hash := sha256.New()
	err := l.put(ctx, q, resultFile, "application/x-gzip", func(w io.Writer) error {
		hash.Reset()
		return l.writeCSV(ctx, q, io.MultiWriter(w, hash))
	})
	if err != nil {
		return failedDelivery(err, types.DeliveryStatusAccessDenied, types.DeliveryStatusFailed), err
	}
	signed, err := l.sign(ctx, q, hex.EncodeToString(hash.Sum(nil)))
	if err == nil {
		err = l.put(ctx, q, signFile, "application/json", func(w io.Writer) error {
			_, err := w.Write(signed)
			return err
		})
	}
	if err != nil {
		return failedDelivery(err, types.DeliveryStatusAccessDeniedSigningFile, types.DeliveryStatusFailedSigningFile), err
	}
	return types.DeliveryStatusSuccess, nil
}

func failedDelivery(err error, denied, otherwise types.DeliveryStatus) types.DeliveryStatus {
	var refused *call.Error
	switch {
	case errors.As(err, &refused) && refused.Code == "NoSuchBucket":
		return types.DeliveryStatusResourceNotFound
	case errors.As(err, &refused) && refused.Code == "AccessDenied":
		return denied
	}
	return otherwise
}

// put puts a file of a result, more than once if nobody knows what became of it.
func (l *Lake) put(ctx context.Context, q *aQuery, name, contentType string, write func(io.Writer) error) error {
	bucket, folder := q.folder()
	for try := 1; ; try++ {
		body, w := io.Pipe()
		written := make(chan struct{})
		go func() {
			defer close(written)
			w.CloseWithError(write(w))
		}()
		err := l.buckets.Put(ctx, q.recipient, bucket, folder+name, contentType, body)
		_ = body.CloseWithError(io.ErrClosedPipe) // it never fails
		<-written
		var refused *call.Error
		if err == nil || errors.As(err, &refused) && refused.Status < 500 || try == deliveryTries {
			return err
		}
		if l.clock.Sleep(ctx, l.clock.Now().Add(deliveryPause<<(try-1))) != nil {
			return err
		}
	}
}

// writeCSV writes a result as compressed CSV, with the names of its columns first.
func (l *Lake) writeCSV(ctx context.Context, q *aQuery, w io.Writer) error {
	compressed := gzip.NewWriter(w)
	table := csv.NewWriter(compressed)
	err := table.Write(q.columns)
	for from := int64(0); err == nil && from < q.results; {
		var rows [][]string
		if rows, err = l.rows(ctx, q, from, min(pieceRows, q.results-from)); err == nil {
			err = table.WriteAll(rows)
		}
		from += int64(len(rows))
	}
	table.Flush()
	return errors.Join(err, table.Error(), compressed.Close())
}

// sign makes the file that vouches for the file of a result, which has that SHA-256.
func (l *Lake) sign(ctx context.Context, q *aQuery, hash string) ([]byte, error) {
	at := l.clock.Now().UTC().Truncate(time.Second)
	signature, fingerprint, err := l.buckets.Sign(ctx, q.recipient, q.region, at, []byte(hash))
	if err != nil {
		return nil, err
	}
	type file struct {
		Hash string `json:"fileHashValue"`
		Name string `json:"fileName"`
	}
	return json.Marshal(struct {
		Version            string `json:"version"`
		Region             string `json:"region"`
		Files              []file `json:"files"`
		HashAlgorithm      string `json:"hashAlgorithm"`
		SignatureAlgorithm string `json:"signatureAlgorithm"`
		Completed          string `json:"queryCompleteTime"`
		Signature          string `json:"hashSignature"`
		Fingerprint        string `json:"publicKeyFingerprint"`
	}{"1.0", q.region, []file{{hash, resultFile}}, "SHA-256", "SHA256withRSA", at.Format(time.RFC3339), hex.EncodeToString(signature), fingerprint})
}
