package policy

// kind says what a document is a policy of, which decides what it may hold and how far it reaches.
type kind uint8

const (
	keyPolicy      kind = iota // of a KMS key: the root of trust
	trustPolicy                // of a role: who may assume it
	resourcePolicy             // of another resource, such as a topic: within its account, it or IAM may allow
	identityPolicy             // of a user, a group or a role, or of a session: what its holder may do
)

// ParseKeyPolicy reads and compiles a key policy, in the grammar of the IAM user guide's "Grammar of the IAM JSON policy
// language" and of the KMS developer guide's "Elements in a key policy". Its errors are *MalformedError.
//
// A statement without Action or Resource is accepted and has no effect, as in AWS KMS. Principals must have the form of one;
// that they exist is the caller's to ask, of Principals. The values of conditions are not looked at: one that its operator
// cannot read is met by nothing. The length of the text is the caller's to limit.
func ParseKeyPolicy(text string) (*Document, error) { return parse(text, keyPolicy) }

// ParseIdentityPolicy reads and compiles an identity-based policy or a permissions boundary: a policy without principals, in
// which every statement has Action and Resource. Its errors are *MalformedError, whose Message is IAM's. The length
// of the text is the caller's to limit, by Size.
func ParseIdentityPolicy(text string) (*Document, error) { return parse(text, identityPolicy) }

// ParseSessionPolicy reads and compiles a policy that is passed when a session is made. Its grammar is that of an
// identity-based policy.
func ParseSessionPolicy(text string) (*Document, error) { return parse(text, identityPolicy) }

// ParseTrustPolicy reads and compiles a role's trust policy: principals that may do some of STS's actions, and no resource.
// Its errors are *MalformedError, whose Message is IAM's.
func ParseTrustPolicy(text string) (*Document, error) { return parse(text, trustPolicy) }

// ParseResourcePolicy reads and compiles the policy of a resource that is neither a key nor a role, such as an SNS topic.
// Its errors are *MalformedError.
func ParseResourcePolicy(text string) (*Document, error) { return parse(text, resourcePolicy) }

// NoTrust is the trust policy of a role that does not exist: it trusts nobody. Asked about it, the caller learns no more than of a
// role that does not trust it.
var NoTrust = &Document{kind: trustPolicy}

// Limits of policies, in characters as Size counts them. Those of inline policies are of all inline policies of one holder
// together. See the IAM user guide's "IAM and STS quotas".
const (
	MaxManaged     = 6144
	MaxInlineUser  = 2048
	MaxInlineGroup = 5120
	MaxInlineRole  = 10240
	MaxTrust       = 2048 // unless the account has a higher quota
	MaxSession     = 2048 // with the ARNs of the managed policies that the session is made with
)

// Size is the length of a policy's text as IAM counts it: characters that are not white space.
func Size(text string) int {
	n := 0
	for _, r := range text {
		switch r {
		case ' ', '\t', '\n', '\r':
		default:
			n++
		}
	}
	return n
}

// DefaultKeyPolicy is the text of the policy that a key has when its maker gives none, as GetKeyPolicy returns it. It lets the
// account in, so that the account's own IAM policies decide. The KMS developer guide describes it under "default key policy".
func DefaultKeyPolicy(partition, account string) string {
	return `{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : "arn:` + partition + `:iam::` + account + `:root"
    },
    "Action" : "kms:*",
    "Resource" : "*"
  } ]
}`
}
