// Package tags is what holds for the tags of all of CloudTrail's resources.
package tags

import (
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"

	"vigil/internal/call"
	"vigil/internal/store"
)

// Most is how many tags a resource may have.
const Most = 50

const (
	maxKey   = 128 // characters
	maxValue = 256
)

// Check holds the tags of a request to CloudTrail's limits: Most of them, keys of 1 to 128 characters, once each, values of at most 256. Keys that begin with aws:
// are AWS's own. Its errors are TagsLimitExceededException and InvalidTagParameterException.
func Check(tags []types.Tag) error {
	if err := CheckCount(len(tags)); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, tag := range tags {
		key := aws.ToString(tag.Key)
		if n := utf8.RuneCountInString(key); n < 1 || n > maxKey || utf8.RuneCountInString(aws.ToString(tag.Value)) > maxValue || seen[key] {
			return call.Errorf("InvalidTagParameterException", "Tag keys must have 1 to %d characters and be there once, and tag values at most %d characters.", maxKey, maxValue)
		}
		if strings.HasPrefix(strings.ToLower(key), "aws:") {
			return call.Errorf("InvalidTagParameterException", "Tag keys that begin with aws: are reserved.")
		}
		seen[key] = true
	}
	return nil
}

// CheckCount says whether a resource may have so many tags: nil, or TagsLimitExceededException.
func CheckCount(n int) error {
	if n > Most {
		return call.Errorf("TagsLimitExceededException", "The number of tags per resource has exceeded the permitted amount of %d.", Most)
	}
	return nil
}

// List reads what a query for names and values finds; it is never nil.
func List(tx store.Tx, query string, args ...any) ([]types.Tag, error) {
	found, err := store.List(tx, func(row store.Scanner) (types.Tag, error) {
		var name, value string
		err := row.Scan(&name, &value)
		return types.Tag{Key: &name, Value: &value}, err
	}, query, args...)
	return append([]types.Tag{}, found...), err
}
