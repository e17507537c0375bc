"""The AWS SDK for Python as a client of every operation in every protocol that it speaks.

Reads {"service", "protocol", "calls": [{"operation", "input", "answer", "output"}]} from standard input: an input and an output
as JSON, and the output as the server answers it, in base64. Writes for each call the request that botocore makes of the input
and what it understands of the answer, each beside what it should be: the same without what this botocore does not know.
"""

import base64
import datetime
import json
import sys
import urllib.parse

import botocore.parsers
import botocore.serialize
import botocore.session

HEADERS = {"smithy-rpc-v2-cbor": {"smithy-protocol": "rpc-v2-cbor"}}


def known(shape, value):
    """The value without the members that the shape has not."""
    if shape.type_name == "structure":
        return {name: known(shape.members[name], inner) for name, inner in value.items() if name in shape.members}
    if shape.type_name == "list":
        return [known(shape.member, inner) for inner in value]
    if shape.type_name == "map":
        return {key: known(shape.value, inner) for key, inner in value.items()}
    return value


def native(shape, value):
    """A value in JSON as botocore wants it. Its JSON has times of whole seconds only."""
    if shape.type_name == "structure":
        return {name: native(shape.members[name], inner) for name, inner in value.items()}
    if shape.type_name == "list":
        return [native(shape.member, inner) for inner in value]
    if shape.type_name == "map":
        return {key: native(shape.value, inner) for key, inner in value.items()}
    if shape.type_name == "timestamp":
        return datetime.datetime.fromtimestamp(value, datetime.timezone.utc)
    if shape.type_name == "blob":
        return base64.b64decode(value)
    return value


def plain(value):
    """What botocore has parsed as JSON."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items() if key != "ResponseMetadata"}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, datetime.datetime):
        return round(value.timestamp(), 3)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value


def main():
    asked = json.load(sys.stdin)
    protocol = asked["protocol"]
    if protocol not in botocore.serialize.SERIALIZERS:
        print(json.dumps({"unknown": botocore.__version__}))
        return
    model = botocore.session.get_session().get_service_model(asked["service"])
    serializer = botocore.serialize.create_serializer(protocol, include_validation=False)
    parser = botocore.parsers.create_parser(protocol)
    results = []
    for call in asked["calls"]:
        if call["operation"] not in model.operation_names:
            continue
        operation = model.operation_model(call["operation"])
        result = {"operation": call["operation"]}
        wanted = known(operation.input_shape, call["input"]) if operation.input_shape else {}
        parameters = native(operation.input_shape, wanted) if operation.input_shape else {}
        request = serializer.serialize_to_request(parameters, operation)
        body = request["body"]
        if isinstance(body, dict):
            body = urllib.parse.urlencode(body)
        if isinstance(body, str):
            body = body.encode()
        result.update(path=request["url_path"], headers=dict(request["headers"]), input=wanted)
        result["body"] = base64.b64encode(body).decode()
        answer = {"status_code": 200, "headers": HEADERS.get(protocol, {}), "body": base64.b64decode(call["answer"])}
        result["understood"] = plain(parser.parse(answer, operation.output_shape))
        result["output"] = known(operation.output_shape, call["output"]) if operation.output_shape else {}
        results.append(result)
    print(json.dumps({"results": results}))


main()
