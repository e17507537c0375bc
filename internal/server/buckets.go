package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"vigil/internal/objects"
)

// openBuckets opens the buckets, whose objects are files in the data directory or in an S3-compatible store.
func (s *Server) openBuckets(ctx context.Context) error {
	files, err := objects.OpenFiles(filepath.Join(s.files.path, "buckets"), s.clock)
	if err != nil {
		return err
	}
	var kept objects.Store = files
	if s.cfg.S3Endpoint != "" {
		client, err := S3Client(s.cfg.S3Endpoint, s.cfg.S3Region, s.cfg.S3Credentials)
		if err != nil {
			return err
		}
		kept = objects.OpenRemote(client, files)
	}
	s.objects, err = objects.New(ctx, objects.Config{DB: s.main, Clock: s.clock, Store: kept, UseKey: s.useKey})
	return err
}

// S3Client is a client of the S3-compatible store of --s3-endpoint, or of AWS if there is none, with the credentials of a file or the environment.
func S3Client(endpoint, region, file string) (*s3.Client, error) {
	credentials, err := s3Credentials(file)
	if err != nil {
		return nil, err
	}
	client, err := objects.NewS3(objects.RemoteConfig{Endpoint: endpoint, Region: region, Credentials: credentials})
	if err != nil {
		return nil, fmt.Errorf("--s3-endpoint: %w", err) // there may be a password in it
	}
	return client, nil
}

// s3Credentials reads credentials each time that they are asked for, so that they can be renewed while the server runs.
func s3Credentials(file string) (aws.CredentialsProvider, error) {
	read := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		c := aws.Credentials{Source: "environment", AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"),
			SessionToken: os.Getenv("AWS_SESSION_TOKEN")}
		if file != "" {
			sections, err := readINI(file)
			if err != nil {
				return c, err
			}
			c = aws.Credentials{Source: file}
			for _, section := range sections {
				for _, kv := range section.settings {
					switch {
					case section.name != "default":
					case kv.key == "aws_access_key_id":
						c.AccessKeyID = kv.value
					case kv.key == "aws_secret_access_key":
						c.SecretAccessKey = kv.value
					case kv.key == "aws_session_token":
						c.SessionToken = kv.value
					}
				}
			}
		}
		if c.AccessKeyID == "" || c.SecretAccessKey == "" {
			return c, errors.New("there are no credentials for the S3-compatible store: --s3-credentials names a file whose profile default has them, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are in the environment")
		}
		return c, nil
	})
	_, err := read(context.Background())
	return read, err
}
