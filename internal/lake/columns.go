package lake

import "vigil/internal/lake/presto"

// wholeRecord is the member by which a column names the record itself.
const wholeRecord = "\x00"

// columns are those of an event data store of CloudTrail's events, as the CloudTrail user guide lists them ("CloudTrail Lake SQL schema").
var columns = schema()

func schema() presto.Schema {
	text, truth, at, attributes := presto.Of(presto.Varchar), presto.Of(presto.Boolean), presto.Of(presto.Timestamp), presto.MapOf(presto.Of(presto.Varchar))
	field := func(name, member string, t presto.Type) presto.Field {
		return presto.Field{Name: name, Member: member, Type: t}
	}
	issuer := presto.RowOf(field("type", "type", text), field("principalid", "principalId", text), field("arn", "arn", text), field("accountid", "accountId", text), field("username", "userName", text))
	session := presto.RowOf(
		field("attributes", "attributes", presto.RowOf(field("creationdate", "creationDate", at), field("mfaauthenticated", "mfaAuthenticated", text))),
		field("sessionissuer", "sessionIssuer", issuer),
		field("webidfederationdata", "webIdFederationData", presto.RowOf(field("federatedprovider", "federatedProvider", text), field("attributes", "attributes", attributes))),
		field("sourceidentity", "sourceIdentity", text),
		field("ec2roledelivery", "ec2RoleDelivery", text),
		field("ec2issuedinvpc", "ec2IssuedInVpc", text),
	)
	identity := presto.RowOf(
		field("type", "type", text), field("principalid", "principalId", text), field("arn", "arn", text), field("accountid", "accountId", text), field("accesskeyid", "accessKeyId", text),
		field("username", "userName", text), field("sessioncontext", "sessionContext", session), field("invokedby", "invokedBy", text), field("identityprovider", "identityProvider", text),
	)
	resource := presto.RowOf(field("accountid", "accountId", text), field("type", "type", text), field("arn", "ARN", text), field("arnprefix", "ARNPrefix", text))
	tls := presto.RowOf(field("tlsversion", "tlsVersion", text), field("ciphersuite", "cipherSuite", text), field("clientprovidedhostheader", "clientProvidedHostHeader", text))
	return presto.Schema{
		field("eventversion", "eventVersion", text),
		field("useridentity", "userIdentity", identity),
		field("eventtime", "eventTime", at),
		field("eventsource", "eventSource", text),
		field("eventname", "eventName", text),
		field("awsregion", "awsRegion", text),
		field("sourceipaddress", "sourceIPAddress", text),
		field("useragent", "userAgent", text),
		field("errorcode", "errorCode", text),
		field("errormessage", "errorMessage", text),
		field("requestparameters", "requestParameters", attributes),
		field("responseelements", "responseElements", attributes),
		field("additionaleventdata", "additionalEventData", attributes),
		field("requestid", "requestID", text),
		field("eventid", "eventID", text),
		field("readonly", "readOnly", truth),
		field("resources", "resources", presto.ArrayOf(resource)),
		field("eventtype", "eventType", text),
		field("apiversion", "apiVersion", text),
		field("managementevent", "managementEvent", truth),
		field("recipientaccountid", "recipientAccountId", text),
		field("sharedeventid", "sharedEventID", text),
		field("annotation", "annotation", text),
		field("vpcendpointid", "vpcEndpointId", text),
		field("serviceeventdetails", "serviceEventDetails", attributes),
		field("addendum", "addendum", attributes),
		field("edgedevicedetails", "edgeDeviceDetails", attributes),
		field("insightdetails", "insightDetails", attributes),
		field("eventcategory", "eventCategory", text),
		field("tlsdetails", "tlsDetails", tls),
		field("sessioncredentialfromconsole", "sessionCredentialFromConsole", text),
		field("eventjson", wholeRecord, text),
		field("eventjsonchecksum", "eventJsonChecksum", text),
	}
}
