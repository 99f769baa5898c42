"""What boto3 is refused, word for word. The words are recorded from AWS unless said otherwise."""

import io
import zipfile

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

# The client's own validation would refuse some of this before the server sees it.
client = boto3.client("lambda", config=Config(parameter_validation=False, retries={"total_max_attempts": 1}))
ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
ROLE = "arn:aws:iam::000000000000:role/any"
failures = 0

b = io.BytesIO()
with zipfile.ZipFile(b, "w") as z:
    z.writestr("handler.py", "def handler(event, context):\n    return event\n")
ZIP = b.getvalue()


def refused(status, code, message, call, **kw):
    """message is compared whole, or from its start if it ends in an ellipsis."""
    global failures
    what = "%s(%s)" % (call.__name__, ", ".join("%s=%s" % (k, repr(v)[:40]) for k, v in kw.items()))
    try:
        out = call(**kw)
    except ClientError as e:
        err, got = e.response["Error"], e.response["ResponseMetadata"]["HTTPStatusCode"]
        text = err["Message"]
        same = text.startswith(message[:-1]) if message.endswith("…") else text == message
        if (got, err["Code"]) == (status, code) and same:
            print("ok:", what)
            return
        print("FAIL: %s\n  got  %s %s %s\n  want %s %s %s" % (what, got, err["Code"], text, status, code, message))
    else:
        print("FAIL: %s was not refused: %s" % (what, out["ResponseMetadata"]["HTTPStatusCode"]))
    failures += 1


def create(name="here", **kw):
    args = dict(FunctionName=name, Runtime="python3.13", Role=ROLE, Handler="handler.handler", Code={"ZipFile": ZIP})
    args.update(kw)
    return {k: v for k, v in args.items() if v is not None}


client.create_function(**create())
client.get_waiter("function_active_v2").wait(FunctionName="here", WaiterConfig={"Delay": 0.05, "MaxAttempts": 200})
client.publish_version(FunctionName="here")

INVALID, VALIDATION, NOTFOUND, CONFLICT = "InvalidParameterValueException", "ValidationException", "ResourceNotFoundException", "ResourceConflictException"

# What is not there.
for call in (client.get_function, client.get_function_configuration, client.delete_function, client.publish_version,
             client.list_versions_by_function, client.list_aliases, client.update_function_configuration):
    refused(404, NOTFOUND, "Function not found: " + ARN + "gone", call, FunctionName="gone")
refused(404, NOTFOUND, "Function not found: " + ARN + "gone", client.update_function_code, FunctionName="gone", ZipFile=ZIP)
refused(404, NOTFOUND, "Function not found: " + ARN + "gone:$LATEST", client.invoke, FunctionName="gone")
refused(404, NOTFOUND, "Function not found: " + ARN + "gone:live", client.invoke, FunctionName="gone", Qualifier="live")
refused(404, NOTFOUND, "Function not found: " + ARN + "here:live", client.invoke, FunctionName="here", Qualifier="live")
refused(404, NOTFOUND, "Function not found: " + ARN + "here:7", client.get_function, FunctionName="here", Qualifier="7")
refused(404, NOTFOUND, "Function not found: " + ARN + "here:$latest", client.get_function, FunctionName="here", Qualifier="$latest")
refused(404, NOTFOUND, "Cannot find alias arn: " + ARN + "here:live", client.get_alias, FunctionName="here", Name="live")
refused(404, NOTFOUND, "Alias not found: " + ARN + "here:live", client.update_alias, FunctionName="here", Name="live")
refused(404, NOTFOUND, "Function not found: " + ARN + "here:10", client.create_alias, FunctionName="here", Name="live", FunctionVersion="10")
refused(404, NOTFOUND, "Functions from 'us-east-2' are not reachable in this region ('us-east-1')", client.get_function,
        FunctionName="arn:aws:lambda:us-east-2:000000000000:function:here")

# Names.
refused(400, VALIDATION, "1 validation error detected: Value 'invalid:function:name' at 'functionName' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: …", client.get_function, FunctionName="invalid:function:name")
refused(400, INVALID, "1 validation error detected: Value '%s' at 'functionName' failed to satisfy constraint: "
        "Member must have length less than or equal to 64" % ("a" * 65), client.create_function, **create("a" * 65))
refused(404, NOTFOUND, "Function not found: " + ARN + "a" * 65, client.get_function, FunctionName="a" * 65)
refused(400, INVALID, "The derived qualifier from the function name does not match the specified qualifier.",
        client.get_function, FunctionName="here:1", Qualifier="2")

# Creation.
refused(409, CONFLICT, "Function already exist: here", client.create_function, **create())
refused(400, INVALID, "Could not unzip uploaded file. Please check your file, then try to upload again.",
        client.create_function, **create("bad", Code={"ZipFile": b"not a zip"}))
refused(400, INVALID, "Value python2.9 at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: […",
        client.create_function, **create("bad", Runtime="python2.9"))
refused(400, INVALID, "The runtime parameter of go1.x is no longer supported for creating or updating AWS Lambda functions. "
        "We recommend you use a supported runtime while creating or updating functions.", client.create_function, **create("bad", Runtime="go1.x"))
refused(400, VALIDATION, "1 validation error detected: Value 'r1' at 'role' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+",
        client.create_function, **create("bad", Role="r1"))
refused(400, VALIDATION, "1 validation error detected: Value '127' at 'memorySize' failed to satisfy constraint: "
        "Member must have value greater than or equal to 128", client.create_function, **create("bad", MemorySize=127))
refused(400, VALIDATION, "1 validation error detected: Value null at 'role' failed to satisfy constraint: Member must not be null",
        client.create_function, **create("bad", Role=None))
refused(400, INVALID, "Lambda was unable to configure your environment variables because the environment variables you have provided "
        "exceeded the 4KB limit. String measured: {\"BIG\":\"…", client.create_function, **create("bad", Environment={"Variables": {"BIG": "x" * 5000}}))
refused(400, INVALID, "Lambda was unable to configure your environment variables because the environment variables you have provided "
        "contains reserved keys that are currently not supported for modification. Reserved keys used in this request: AWS_REGION",
        client.create_function, **create("bad", Environment={"Variables": {"AWS_REGION": "x"}}))
refused(413, "RequestEntityTooLargeException", "Zipped size must be smaller than 52428800 bytes",
        client.create_function, **create("bad", Code={"ZipFile": bytes(52428801)}))

# Versions and aliases.
client.update_function_configuration(FunctionName="here", Description="second")
client.get_waiter("function_updated_v2").wait(FunctionName="here", WaiterConfig={"Delay": 0.05, "MaxAttempts": 200})
client.publish_version(FunctionName="here")
client.create_alias(FunctionName="here", Name="live", FunctionVersion="1")
refused(409, CONFLICT, "Alias already exists: " + ARN + "here:live", client.create_alias, FunctionName="here", Name="live", FunctionVersion="1")
refused(400, VALIDATION, "1 validation error detected: Value '2024' at 'name' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)", client.create_alias, FunctionName="here", Name="2024", FunctionVersion="1")
refused(400, INVALID, "Number of items in AdditionalVersionWeights cannot be greater than 1", client.update_alias, FunctionName="here", Name="live",
        RoutingConfig={"AdditionalVersionWeights": {"1": 0.1, "2": 0.1}})
refused(400, INVALID, "Invalid function version 1. Function version 1 is already included in routing configuration.", client.update_alias,
        FunctionName="here", Name="live", RoutingConfig={"AdditionalVersionWeights": {"1": 0.1}})
refused(400, INVALID, "$LATEST is not supported for an alias pointing to more than 1 version", client.create_alias, FunctionName="here", Name="bad",
        FunctionVersion="$LATEST", RoutingConfig={"AdditionalVersionWeights": {"1": 0.1}})
refused(412, "PreconditionFailedException", "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to "
        "retrieve the latest Revision Id", client.update_function_configuration, FunctionName="here", RevisionId="00000000-0000-0000-0000-000000000000")
refused(412, "PreconditionFailedException", "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to "
        "retrieve the latest Revision Id", client.update_alias, FunctionName="here", Name="live", RevisionId="00000000-0000-0000-0000-000000000000")
sha = client.get_function_configuration(FunctionName="here")["CodeSha256"]
refused(400, INVALID, "CodeSHA256 (nope) is different from current CodeSHA256 in $LATEST (%s). Please try again with the CodeSHA256 in $LATEST." % sha,
        client.publish_version, FunctionName="here", CodeSha256="nope")
refused(400, INVALID, "$LATEST version cannot be deleted without deleting the function.", client.delete_function, FunctionName="here", Qualifier="$LATEST")
refused(400, INVALID, "Deletion of aliases is not currently supported.", client.delete_function, FunctionName="here", Qualifier="live")
refused(400, INVALID, "Tags on function aliases and versions are not supported. Please specify a function ARN.", client.tag_resource,
        Resource=ARN + "here:1", Tags={"a": "b"})

# Invocation. The parser's own words after "Unexpected character" are AWS's and not compared.
refused(400, "InvalidRequestContentException", "Could not parse request body into json: Could not parse payload into json: …",
        client.invoke, FunctionName="here", Payload=b"{not json")
refused(413, "RequestEntityTooLargeException", "Request must be smaller than 6291456 bytes for the InvokeFunction operation",
        client.invoke, FunctionName="here", Payload=b'"' + b"x" * 6291456 + b'"')

# What is not built is said, not pretended.
refused(501, "NotImplementedException", "…", client.list_event_source_mappings)
refused(400, "ModeNotSupportedException", "Asynchronous invocation is not implemented by this version of Lambent: nothing has been accepted.",
        client.invoke, FunctionName="here", InvocationType="Event")

# None of the refused creations left anything behind.
names = [f["FunctionName"] for f in client.list_functions()["Functions"]]
if names != ["here"]:
    print("FAIL: functions are", names)
    failures += 1
raise SystemExit(failures)
