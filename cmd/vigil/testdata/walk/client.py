"""One of AWS's Python clients, told line by line what to call: client.py boto3|cli ENDPOINT."""
import base64, contextlib, io, json, os, sys, tempfile
import botocore.session
from botocore import xform_name
from botocore.exceptions import ClientError

program, endpoint = sys.argv[1:]
model = botocore.session.get_session().get_service_model('kms')
clients = {}


def decoded(value, shape):
    """The value of a JSON document as boto3 wants it."""
    if shape.type_name == 'blob':
        return base64.b64decode(value)
    if shape.type_name == 'structure':
        return {name: decoded(v, shape.members[name]) for name, v in value.items()}
    return value


def encoded(value):
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)


nobody_key = (os.environ['NOBODY_ACCESS_KEY_ID'], os.environ['NOBODY_SECRET_ACCESS_KEY'])


def by_boto3(operation, region, nobody, arguments):
    import boto3
    if (region, nobody) not in clients:
        key = dict(zip(('aws_access_key_id', 'aws_secret_access_key'), nobody_key)) if nobody else {}
        clients[region, nobody] = boto3.client('kms', region_name=region, endpoint_url=endpoint, **key)
    shape = model.operation_model(operation).input_shape
    try:
        out = getattr(clients[region, nobody], xform_name(operation))(**decoded(arguments, shape))
    except ClientError as e:
        return {'code': e.response['Error']['Code'], 'id': e.response['ResponseMetadata']['RequestId']}
    return {'out': out, 'id': out.pop('ResponseMetadata')['RequestId']}


def by_cli(operation, region, nobody, arguments):
    """The AWS CLI's own main function, as its program calls it."""
    if nobody not in clients:
        from awscli.clidriver import create_clidriver
        clients[nobody] = create_clidriver()
        if nobody:
            clients[nobody].session.set_credentials(*nobody_key)
        clients[nobody].session.register('after-call.kms', lambda parsed, **_: clients.update(answer=dict(parsed)))
    members = model.operation_model(operation).input_shape.members
    line = ['kms', xform_name(operation, '-'), '--region', region, '--endpoint-url', endpoint, '--no-paginate', '--output', 'json']
    for name, value in arguments.items():
        option, kind = '--' + xform_name(name, '-'), members[name].type_name
        if kind == 'boolean':
            line.append(option if value else '--no-' + option[2:])
        elif kind == 'blob':
            path = os.path.join(tempfile.gettempdir(), f'walk-{os.getpid()}-{name}')
            with open(path, 'wb') as f:
                f.write(base64.b64decode(value))
            line += [option, 'fileb://' + path]
        else:
            line += [option, value if isinstance(value, str) else json.dumps(value)]
    clients.pop('answer', None)
    shown, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(errors):
        status = clients[nobody].main(line)
    if 'answer' not in clients:
        raise SystemExit(f'{line}: {errors.getvalue()}')
    answer = clients['answer']
    if status:
        said = f"An error occurred ({answer['Error']['Code']}) when calling the {operation} operation"
        if status not in (254, 255) or said not in errors.getvalue():
            raise SystemExit(f'{line}: status {status}: {errors.getvalue()}')
        return {'code': answer['Error']['Code'], 'id': answer['ResponseMetadata']['RequestId']}
    return {'out': json.loads(shown.getvalue() or '{}'), 'id': answer['ResponseMetadata']['RequestId']}


call = {'boto3': by_boto3, 'cli': by_cli}[program]
for line in sys.stdin:
    asked = json.loads(line)
    print(json.dumps(call(asked['op'], asked['region'], asked['nobody'], asked['in']), default=encoded), flush=True)
