package front_test

import (
	"testing"

	"vigil/internal/front"
)

func TestIsRegion(t *testing.T) {
	for _, name := range []string{"us-east-1", "eu-central-2", "us-gov-east-1", "ap-southeast-13", "us-iso-east-1", "us-isob-east-1", "cn-north-1", "mars-far-out-side-9"} {
		if !front.IsRegion(name) {
			t.Errorf("%s is refused", name)
		}
	}
	for _, name := range []string{"", "us", "us-1", "us-east", "us-east-", "us-east-123", "us--1", "u-east-1", "abcde-east-1", "us-east-1-1", "us-a-b-c-d-1", "US-east-1",
		"us-e4st-1", "us-east-x", "us-east-1 ", "-us-east-1"} {
		if front.IsRegion(name) {
			t.Errorf("%q is a region", name)
		}
	}
}
