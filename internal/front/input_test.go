package front_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// notBuilt is the message of an operation that the API has and Vigil has not.
const notBuilt = "%s is not supported by this version of Vigil."

// badRoutes ask for nothing that there is.
func (h *house) badRoutes() []refusal {
	me, sts := h.operator, h.operator.to("sts")
	to := func(method, path string) *http.Request {
		r := h.request(method, path, "")
		r.Header.Set("X-Amz-Target", "TrentService.ListKeys")
		return me.sign(r)
	}
	form := func(body string) *http.Request { return sts.sign(h.form(body)) }
	noTarget := h.post("", "{}")
	noTarget.Header.Del("X-Amz-Target")
	twoTargets := me.sign(h.post("TrentService.ListKeys", "{}"))
	twoTargets.Header.Add("X-Amz-Target", "TrentService.ListAliases")
	rpc := me.sign(h.post("TrentService.ListKeys", "{}"))
	rpc.Header.Set("Smithy-Protocol", "rpc-v2-json")
	formElsewhere := h.form(whoAmI)
	formElsewhere.URL.Path = "/sts"
	const unknown, action = "UnknownOperationException", "InvalidAction"
	return []refusal{
		{"an API that is not here", me.sign(h.post("AmazonSSM.GetParameter", "{}")), 400, unknown, "", ""},
		{"an operation that KMS has not", me.sign(h.post("TrentService.StealKey", "{}")), 400, unknown, "", ""},
		{"an operation in lower case", me.sign(h.post("TrentService.listKeys", "{}")), 400, unknown, "", ""},
		{"a target without its API", me.sign(h.post("ListKeys", "{}")), 400, unknown, "", ""},
		{"no target", me.sign(noTarget), 400, unknown, "", ""},
		{"two targets", twoTargets, 400, unknown, "", ""},
		{"GET with a target", to(http.MethodGet, "/"), 400, unknown, "", ""},
		{"PUT with a target", to(http.MethodPut, "/"), 400, unknown, "", ""},
		{"another path", to(http.MethodPost, "/kms"), 404, unknown, "", ""},
		{"a path that says nothing", to(http.MethodPost, "//"), 404, unknown, "", ""},
		{"a path that goes up", to(http.MethodPost, "/a/../"), 404, unknown, "", ""},
		{"another method of /health", to(http.MethodPost, "/health"), 404, unknown, "", ""},
		{"a protocol that is none", rpc, 400, unknown, "", ""},
		{"EventBridge not built", me.to("events").sign(h.post("AWSEvents.CreateArchive", "{")), 501, "NotImplementedException", fmt.Sprintf(notBuilt, "events:CreateArchive"), "CreateArchive"},
		{"CloudTrail not built", me.to("cloudtrail").sign(h.post("com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.CreateChannel", "{}")),
			501, "NotImplementedException", fmt.Sprintf(notBuilt, "cloudtrail:CreateChannel"), "CreateChannel"},

		{"a form elsewhere", sts.sign(formElsewhere), 404, unknown, "", ""},
		{"no Action", form("Version=2011-06-15"), 400, "MissingAction", "The request is missing an action or a required parameter.", ""},
		{"no form", form(""), 400, "MissingAction", "The request is missing an action or a required parameter.", ""},
		{"an Action that STS has not", form("Action=StealIdentity&Version=2011-06-15"), 400, action,
			"Could not find operation StealIdentity for version 2011-06-15", ""},
		{"a Version that is not here", form("Action=GetCallerIdentity&Version=2010-05-08"), 400, action,
			"Could not find operation GetCallerIdentity for version 2010-05-08", ""},
		{"no Version", form("Action=GetCallerIdentity"), 400, action, "Could not find operation GetCallerIdentity for version NO_VERSION_SPECIFIED", ""},
		{"a form that cannot be read", form(whoAmI + "&a=%zz"), 400, "MalformedQueryString", "The query string is malformed.", ""},
		{"a parameter twice", form(whoAmI + "&Action=GetCallerIdentity"), 400, "MalformedInput", "A parameter was found more than once", "GetCallerIdentity"},
		{"STS not built", form("Action=AssumeRoot&Version=2011-06-15"), 501, "NotImplementedException", fmt.Sprintf(notBuilt, "sts:AssumeRoot"), "AssumeRoot"},
	}
}

// badBodies are not what an operation's input looks like. Who sends them is known, and so they are on record, except what is too
// large to be read.
func (h *house) badBodies() []refusal {
	large := strings.Repeat(" ", 1<<20+1)
	chunked := h.operator.sign(h.post("TrentService.ListKeys", large))
	chunked.ContentLength = -1
	const most = "The request body is larger than 1048576 bytes."
	zipped := func(r *http.Request, body string) *http.Request {
		r.Header.Set("Content-Encoding", "gzip")
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(body)), nil }
		return h.operator.sign(r)
	}
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = io.WriteString(z, large)
	z.Close()
	rows := []refusal{
		{"too large when it is unpacked", zipped(h.post("TrentService.ListKeys", ""), bomb.String()), 413, "RequestEntityTooLargeException", most, "ListKeys"},
		{"no gzip", zipped(h.post("TrentService.ListKeys", ""), "{}"), 400, "SerializationException", "The request body is not valid gzip", "ListKeys"},
		{"gzip cut off", zipped(h.post("TrentService.ListKeys", ""), bomb.String()[:500]), 400, "SerializationException", "The request body is not valid gzip", "ListKeys"},
		{"too large", h.operator.sign(h.post("TrentService.ListKeys", large)), 413, "RequestEntityTooLargeException", most, ""},
		{"too large, in chunks", chunked, 413, "RequestEntityTooLargeException", most, ""},
		{"a form too large", h.form(large), 413, "RequestEntityTooLargeException", most, ""},
	}
	const notJSON = "The request is not valid JSON"
	for _, b := range []struct{ name, operation, body, message string }{
		{"cut off", "DescribeKey", `{"KeyId":"<KEY>"`, "Unexpected end of input"},
		{"cut off within a name", "DescribeKey", `{"Key`, "Unexpected end of input"},
		{"more after the end", "DescribeKey", `{"KeyId":"<KEY>"} {}`, "Unexpected data after the end of the request"},
		{"a list", "DescribeKey", `[{"KeyId":"<KEY>"}]`, "Start of list found where not expected"},
		{"no JSON", "DescribeKey", `KeyId=<KEY>`, notJSON},
		{"XML", "DescribeKey", `<KeyId/>`, notJSON},
		{"a comma too many", "DescribeKey", `{"KeyId":"<KEY>",}`, notJSON},
		{"a byte order mark", "DescribeKey", "\uFEFF{}", notJSON},
		{"a number for a text", "DescribeKey", `{"KeyId":5}`, "NUMBER_VALUE can not be converted to a String"},
		{"a truth for a text", "DescribeKey", `{"KeyId":true}`, "TRUE_VALUE can not be converted to a String"},
		{"a list for a text", "DescribeKey", `{"KeyId":["<KEY>"]}`, "Start of list found where not expected"},
		{"an object for a text", "DescribeKey", `{"KeyId":{"Ref":"Key"}}`, "Start of structure or map found where not expected."},
		{"a text for a number", "GenerateRandom", `{"NumberOfBytes":"16"}`, "STRING_VALUE can not be converted to an Integer"},
		{"a fraction for a number", "GenerateRandom", `{"NumberOfBytes":1.5}`, "NUMBER_VALUE can not be converted to an Integer"},
		{"a number of more than 32 bits", "GenerateRandom", `{"NumberOfBytes":4294967312}`, "NUMBER_VALUE can not be converted to an Integer"},
		{"a text for a truth", "Encrypt", `{"KeyId":"<KEY>","Plaintext":"","DryRun":"true"}`, "STRING_VALUE can not be converted to a Boolean"},
		{"an object for a list", "DescribeKey", `{"KeyId":"<KEY>","GrantTokens":{}}`, "Start of structure or map found where not expected."},
		{"a text for a list", "DescribeKey", `{"KeyId":"<KEY>","GrantTokens":"t"}`, "Expected list or null"},
		{"nothing in a list", "DescribeKey", `{"KeyId":"<KEY>","GrantTokens":[null]}`, "Null found in a list where not expected"},
		{"a list for a map", "Encrypt", `{"KeyId":"<KEY>","Plaintext":"<PLAINTEXT>","EncryptionContext":["a","b"]}`, "Start of list found where not expected"},
		{"a text for a map", "Encrypt", `{"KeyId":"<KEY>","Plaintext":"<PLAINTEXT>","EncryptionContext":"a=b"}`, "Expected map or null"},
		{"a number in a map", "Encrypt", `{"KeyId":"<KEY>","Plaintext":"<PLAINTEXT>","EncryptionContext":{"a":1}}`, "NUMBER_VALUE can not be converted to a String"},
		{"no base64", "Encrypt", `{"KeyId":"<KEY>","Plaintext":"attack at dawn, and bring the ladder"}`, "STRING_VALUE can not be converted to a Blob"},
		{"base64 without its padding", "Decrypt", `{"CiphertextBlob":"AAA"}`, "STRING_VALUE can not be converted to a Blob"},
		{"not UTF-8", "UpdateKeyDescription", "{\"KeyId\":\"<KEY>\",\"Description\":\"\xff\"}", notJSON},
		{"half of a character", "UpdateKeyDescription", `{"KeyId":"<KEY>","Description":"\ud83d"}`, notJSON},
		{"a member twice", "DescribeKey", `{"KeyId":"<KEY>","KeyId":"<SECOND>"}`, "Duplicate member name in an object"},
		{"a context twice", "Encrypt", `{"KeyId":"<KEY>","Plaintext":"<PLAINTEXT>","EncryptionContext":{"a":"1","a":"2"}}`, "Duplicate member name in an object"},
		{"nested without end", "DescribeKey", `{"X":` + strings.Repeat("[", 100_000), notJSON},
	} {
		rows = append(rows, refusal{b.name, h.operator.sign(h.post("TrentService."+b.operation, b.body)), 400, "SerializationException", b.message, b.operation})
	}
	return rows
}

// brokenConstraints break what the model of the API says of the members of an input.
func (h *house) brokenConstraints() (rows []refusal) {
	x := func(n int) string { return strings.Repeat("x", n) }
	const null = "Value null at 'keyId' failed to satisfy constraint: Member must not be null"
	for _, c := range []struct{ name, operation, body, message string }{
		{"an empty body", "DescribeKey", ``, null},
		{"no KeyId", "DescribeKey", `{}`, null},
		{"a KeyId of null", "DescribeKey", `{"KeyId":null}`, null},
		{"an empty KeyId", "DescribeKey", `{"KeyId":""}`, "Value '' at 'keyId' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{"a long KeyId", "DescribeKey", `{"KeyId":"` + x(2049) + `"}`,
			"Value '" + x(2049) + "' at 'keyId' failed to satisfy constraint: Member must have length less than or equal to 2048"},
		{"recorded: no random bytes", "GenerateRandom", `{"NumberOfBytes":0}`,
			"Value '0' at 'numberOfBytes' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{"recorded: too many random bytes", "GenerateRandom", `{"NumberOfBytes":1025}`,
			"Value '1025' at 'numberOfBytes' failed to satisfy constraint: Member must have value less than or equal to 1024"},
		{"no plaintext", "Encrypt", `{"KeyId":"<KEY>"}`, "Value at 'plaintext' failed to satisfy constraint: Member must not be null"},
		{"recorded: a long plaintext", "Encrypt", `{"KeyId":"<KEY>","Plaintext":"<PLAINTEXT>` + strings.Repeat("AAAA", 1400) + `"}`,
			"Value at 'plaintext' failed to satisfy constraint: Member must have length less than or equal to 4096"},
		{"a long ciphertext", "Decrypt", `{"CiphertextBlob":"` + strings.Repeat("AAAA", 2049) + `"}`,
			"Value at 'ciphertextBlob' failed to satisfy constraint: Member must have length less than or equal to 6144"},
		{"a data key spec that is none", "GenerateDataKey", `{"KeyId":"<KEY>","KeySpec":"AES_512"}`,
			"Value 'AES_512' at 'keySpec' failed to satisfy constraint: Member must satisfy enum value set: [AES_256, AES_128]"},
		{"an empty algorithm", "Encrypt", `{"KeyId":"<KEY>","Plaintext":"<PLAINTEXT>","EncryptionAlgorithm":""}`,
			"Value '' at 'encryptionAlgorithm' failed to satisfy constraint: Member must satisfy enum value set: " +
				"[SYMMETRIC_DEFAULT, RSAES_OAEP_SHA_1, RSAES_OAEP_SHA_256, SM2PKE]"},
		{"recorded: a MAC algorithm that is none", "GenerateMac", `{"KeyId":"<MAC>","Message":"AAAA","MacAlgorithm":"INVALID"}`,
			"Value 'INVALID' at 'macAlgorithm' failed to satisfy constraint: Member must satisfy enum value set: " +
				"[HMAC_SHA_224, HMAC_SHA_256, HMAC_SHA_384, HMAC_SHA_512]"}, // AWS's order is another in each recording
		{"a limit of none", "ListKeys", `{"Limit":0}`, "Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{"a limit too high", "ListAliases", `{"Limit":1001}`, "Value '1001' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 1000"},
		{"a long description", "CreateKey", `{"Description":"` + x(8193) + `"}`,
			"Value '" + x(8193) + "' at 'description' failed to satisfy constraint: Member must have length less than or equal to 8192"},
		{"recorded: a long tag value", "CreateKey", `{"Tags":[{"TagKey":"k","TagValue":"` + x(257) + `"}]}`,
			"Value '" + x(257) + "' at 'tags.1.member.tagValue' failed to satisfy constraint: Member must have length less than or equal to 256"},
		{"the second tag has no key", "TagResource", `{"KeyId":"<KEY>","Tags":[{"TagKey":"a","TagValue":""},{"TagValue":"b"}]}`,
			"Value null at 'tags.2.member.tagKey' failed to satisfy constraint: Member must not be null"},
		{"an alias with a space", "CreateAlias", `{"AliasName":"alias/a b","TargetKeyId":"<KEY>"}`,
			"Value 'alias/a b' at 'aliasName' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$"},
		{"several at once", "CreateAlias", `{"AliasName":"alias/a b"}`, "2 validation errors detected: " +
			"Value 'alias/a b' at 'aliasName' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$; " +
			"Value null at 'targetKeyId' failed to satisfy constraint: Member must not be null"},
		{"too many grant tokens", "DescribeKey", `{"KeyId":"<KEY>","GrantTokens":["a","b","c","d","e","f","g","h","i","j","k"]}`,
			"Value '[a, b, c, d, e, f, g, h, i, j, k]' at 'grantTokens' failed to satisfy constraint: Member must have length less than or equal to 10"},
	} {
		message := c.message
		if !strings.Contains(message, "detected") {
			message = "1 validation error detected: " + message
		}
		rows = append(rows, refusal{c.name, h.operator.sign(h.post("TrentService."+c.operation, c.body)), 400, "ValidationException", message, c.operation})
	}
	return rows
}
