// Package arn is the Amazon Resource Name as a small value.
package arn

import (
	"errors"
	"strings"
)

// ARN is arn:partition:service:region:account:resource.
// Resource may itself hold colons and slashes.
type ARN struct {
	Partition, Service, Region, Account, Resource string
}

// ErrInvalid is returned by Parse for text that is not an ARN.
var ErrInvalid = errors.New("not an ARN")

// Parse splits s at its first five colons. Region and account may be empty, as they are for global services.
func Parse(s string) (ARN, error) {
	var a ARN
	scheme, rest, _ := strings.Cut(s, ":")
	for _, part := range [...]*string{&a.Partition, &a.Service, &a.Region, &a.Account} {
		*part, rest, _ = strings.Cut(rest, ":")
	}
	a.Resource = rest // which is empty if there are fewer colons
	if scheme != "arn" || a.Partition == "" || a.Service == "" || a.Resource == "" {
		return ARN{}, ErrInvalid
	}
	return a, nil
}

// New is the ARN of a resource in a region's own partition.
func New(service, region, account, resource string) ARN {
	return ARN{Partition(region), service, region, account, resource}
}

func (a ARN) String() string {
	return "arn:" + a.Partition + ":" + a.Service + ":" + a.Region + ":" + a.Account + ":" + a.Resource
}

// Type is the part of the resource before its first slash: "key" of "key/1234abcd".
func (a ARN) Type() string {
	t, _, _ := strings.Cut(a.Resource, "/")
	return t
}

// ID is the part of the resource after its first slash, or the empty string.
func (a ARN) ID() string {
	_, id, _ := strings.Cut(a.Resource, "/")
	return id
}

// Partition is the partition that AWS keeps a region in: aws, aws-cn or aws-us-gov.
func Partition(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

// Root is the ARN of an account itself, and of its root user. IAM is global, so it has no region;
// the region only tells the partition.
func Root(region, account string) string {
	return "arn:" + Partition(region) + ":iam::" + account + ":root"
}
