package gather

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// bucket is the objects of a bucket whose keys have a prefix.
type bucket struct {
	client       *s3.Client
	name, prefix string
}

// openBucket opens BUCKET/PREFIX with the credentials that AWS's tools find: the environment, the shared files, the machine's role. AWS_ENDPOINT_URL_S3 is where
// another store than AWS's is.
func openBucket(ctx context.Context, path string) (Lister, error) {
	name, prefix, _ := strings.Cut(path, "/")
	if name == "" {
		return nil, errors.New("a bucket is named as s3://BUCKET/PREFIX")
	}
	settings, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("the AWS configuration: %w", err)
	}
	if settings.Region == "" {
		settings.Region = "us-east-1"
	}
	client := s3.NewFromConfig(settings, func(o *s3.Options) {
		// Stores other than AWS's seldom have a name for each bucket.
		o.UsePathStyle = o.BaseEndpoint != nil || os.Getenv("AWS_ENDPOINT_URL_S3") != "" || os.Getenv("AWS_ENDPOINT_URL") != ""
	})
	b := &bucket{client, name, prefix}
	if o := client.Options(); o.BaseEndpoint == nil {
		if err := b.goToRegion(ctx, settings); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// goToRegion turns to the region where the bucket is, which AWS tells.
func (b *bucket) goToRegion(ctx context.Context, settings aws.Config) error {
	out, err := b.client.GetBucketLocation(ctx, &s3.GetBucketLocationInput{Bucket: &b.name})
	if err != nil {
		return nil // listing will say what is wrong
	}
	region := string(out.LocationConstraint)
	switch region {
	case "":
		region = "us-east-1"
	case "EU":
		region = "eu-west-1"
	}
	if region != settings.Region {
		settings.Region = region
		b.client = s3.NewFromConfig(settings)
	}
	return nil
}

func (b *bucket) List(ctx context.Context, found func(Source) error) (aside int, err error) {
	in := &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: &b.prefix}
	for pages := s3.NewListObjectsV2Paginator(b.client, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return aside, fmt.Errorf("s3://%s/%s: %w", b.name, b.prefix, err)
		}
		for _, o := range page.Contents {
			key := aws.ToString(o.Key)
			if !mayHaveRecords(key) && key != b.prefix {
				aside++
				continue
			}
			s := Source{
				Name:    "s3://" + b.name + "/" + key,
				Version: fmt.Sprintf("%d bytes, ETag %s", aws.ToInt64(o.Size), strings.Trim(aws.ToString(o.ETag), `"`)),
				Size:    aws.ToInt64(o.Size),
				Open:    func(ctx context.Context) (io.ReadCloser, map[string]string, error) { return b.open(ctx, key) },
			}
			if err := found(s); err != nil {
				return aside, err
			}
		}
	}
	return aside, nil
}

func (b *bucket) open(ctx context.Context, key string) (io.ReadCloser, map[string]string, error) {
	out, err := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: &key})
	var answer *smithyhttp.ResponseError
	switch {
	case errors.As(err, &answer) && answer.HTTPStatusCode() < http.StatusInternalServerError:
		return nil, nil, err
	case err != nil:
		return nil, nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return fetched{out.Body}, out.Metadata, nil
}

// ErrUnavailable is that a bucket did not answer, or broke off, which says nothing of the object that was asked for.
var ErrUnavailable = errors.New("the bucket is not available")

// fetched is the body of an object. That it breaks off is not the end of a file that is too short.
type fetched struct{ io.ReadCloser }

func (f fetched) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%w: %v", ErrUnavailable, err)
	}
	return n, err
}
