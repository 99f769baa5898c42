"""Invocations."""

import base64
import json

from recorded import case, package, without

OLD_SHAPE = "recorded in 2022, before answers had SnapStart, LoggingConfig and RuntimeVersionConfig"
NOT_ASYNC = "asynchronous invocation is not there yet"


def python(text):
    return {"ZipFile": package(files={"handler.py": text})}


def node(text, name="index.js"):
    return {"ZipFile": package(files={name: text})}


@case("TestLambdaBaseFeatures::test_lambda_too_large_response")
def too_large(r):
    r.create(Code=python("def handler(event, context): return 'x' * 6291555"))
    for answer in ("invoke_result", "invoke_result_2"):
        r(answer, "invoke", FunctionName="fn")


@case("TestLambdaBehavior::test_lambda_invoke_no_timeout")
def in_time(r):
    r("create-result", "create_function", **r.configured("create-result", Code=python("def handler(event, context): pass")))
    r.settle()
    r("invoke-result", "invoke", FunctionName="fn")


@case("TestLambdaBehavior::test_lambda_invoke_with_timeout")
def late(r):
    r("create-result", "create_function", **r.configured("create-result", Code=python("import time\ndef handler(event, context): time.sleep(60)")))
    r.settle()
    r("invoke-result", "invoke", FunctionName="fn")


@case("TestLambdaBehavior::test_lambda_init_environment")
def environment(r):
    code = python("import os\ndef handler(event, context): return {'environment': dict(os.environ)}")
    r("create-result", "create_function", **r.configured("create-result", Code=code))
    r.settle()
    got = r.call("invoke", FunctionName="fn")
    # The Runtime API has the address of the X-Ray daemon on AWS, and one of its own here.
    variables = got["Payload"]["environment"]
    host = variables["AWS_XRAY_DAEMON_ADDRESS"].partition(":")[0]
    variables["AWS_LAMBDA_RUNTIME_API"] = host + ":" + variables["AWS_LAMBDA_RUNTIME_API"].partition(":")[2]
    r.same("lambda-init-inspection", got)


@case("TestLambdaErrors::test_lambda_runtime_exit")
def exits(r):
    r.create(Code=python("import os\ndef handler(event, context): os._exit(0)"))
    r("invocation_error", "invoke", FunctionName="fn")


@case("TestLambdaFeatures::test_invoke_exceptions")
def invoke_exceptions(r):
    r("invoke_function_doesnotexist", "invoke", FunctionName="doesnotexist")


for runtime, text in (("nodejs", node("exports.handler = async () => {};")), ("python", python("def handler(event, context): pass"))):
    for kind in ("RequestResponse", "Event"):
        @case(f"TestLambdaFeatures::test_invocation_type_no_return_payload[{runtime}-{kind}]", runtime, kind, text,
              differs=NOT_ASYNC if kind == "Event" else "")
        def returns_nothing(r, runtime, kind, text):
            r.create(Runtime={"nodejs": "nodejs20.x", "python": "python3.12"}[runtime], Code=text,
                     Handler={"nodejs": "index.handler", "python": "handler.handler"}[runtime])
            r("invoke-result", "invoke", FunctionName="fn", Payload=b"{}", InvocationType=kind)


for runtime in ("nodejs16.x", "python3.9", "python3.10"):
    @case(f"TestLambdaFeatures::test_invocation_type_dry_run[{runtime}]", runtime)
    def dry_run(r, runtime):
        r.create(Runtime=runtime)
        r("invoke-result", "invoke", FunctionName="fn", Payload=b"{}", InvocationType="DryRun")

    @case(f"TestLambdaFeatures::test_invocation_type_event[{runtime}]", runtime, differs=NOT_ASYNC)
    def event(r, runtime):
        r.create(Runtime=runtime)
        r("invoke-result", "invoke", FunctionName="fn", Payload=b"{}", InvocationType="Event")


@case("TestRequestIdHandling::test_request_id_invoke")
def request_id(r):
    r.create(Code=python("""
import logging
def handler(event, context):
    logging.getLogger().setLevel(logging.INFO)
    logging.info("RequestId log message")
    return context.aws_request_id
"""))
    response = r.api.invoke(FunctionName="fn", LogType="Tail")
    log = base64.b64decode(response.pop("LogResult")).decode()
    r.bound["<request-id>"] = response["ResponseMetadata"]["RequestId"]
    from recorded import shown

    r.same("invoke_result", shown(response))
    lines = []
    for line in log.splitlines():
        if line.startswith("[INFO]\t"):
            parts = line.split("\t")
            line = "\t".join([parts[0], "date", *parts[2:]])
        lines.append(line.rstrip("\t"))
    r.same("log_entries", {"logs": lines})


@case("TestLambdaFeatures::test_lambda_with_context", differs={"creation": OLD_SHAPE})
def context(r):
    code = node("exports.handler = async (event, context) => ({context});", "lambda_integration.js")
    r("creation", "create_function", **r.configured("creation", Code=code))
    r.settle()
    given = json.dumps({"custom": {"foo": "bar"}, "client": {"snap": ["crackle", "pop"]}, "env": {"fizz": "buzz"}})
    r("invocation", "invoke", FunctionName="fn", ClientContext=base64.b64encode(given.encode()).decode())


@case("TestLambdaFeatures::test_basic_invoke", differs=dict.fromkeys(
    ("lambda_create_fn", "lambda_create_fn_2", "lambda_get_fn", "lambda_get_fn_2"), OLD_SHAPE))
def basic(r):
    for suffix in ("", "_2"):  # AWS numbered the RevisionIds in this order
        code = {"ZipFile": package(files={"index.py": "def handler(event, context): return {}"})}
        r("lambda_create_fn" + suffix, "create_function", **r.fn("fn" + suffix, Runtime="python3.9", Handler="index.handler", Code=code))
    for suffix in ("", "_2"):
        r.settle("fn" + suffix)
        r("lambda_get_fn" + suffix, "get_function", FunctionName="fn" + suffix)
    r("lambda_invoke_result", "invoke", FunctionName="fn")


@case("TestLambdaErrors::test_lambda_runtime_error",
      differs="the frames of the stack trace are of the host's Python, which is not the one that AWS recorded")
def startup(r):
    r.create(Runtime="python3.13", Code=python("raise Exception('Runtime startup fails')\ndef handler(event, context): pass"))
    r("invocation_error", "invoke", FunctionName="fn")


without("roles are not assumed yet: there is no STS that a function could ask who it is",
        "TestLambdaBaseFeatures::test_assume_role[1]", "TestLambdaBaseFeatures::test_assume_role[2]",
        "TestLambdaBaseFeatures::test_lambda_different_iam_keys_environment")
without("a function reaches no other service from its sandbox yet",
        "TestLambdaBehavior::test_lambda_host_prefix_api_operation")
without("it shows the users and files of AWS's machine, where this shows the host's",
        "TestLambdaBehavior::test_runtime_introspection_x86", "TestLambdaBehavior::test_runtime_introspection_arm")
without("the recording holds no answer",
        "TestLambdaBaseFeatures::test_lambda_large_response", "TestLambdaBaseFeatures::test_large_payloads")
