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


@case("TestLambdaBehavior::test_lambda_init_environment", isolated=True)
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
    r.create(Code=python("import sys\nsys.exit(0)"))
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
    r.create(Runtime="python3.13", Handler="lambda_runtime_error.handler",
             Code={"ZipFile": package('raise Exception("Runtime startup fails")\n', "lambda_runtime_error.py")})
    r("invocation_error", "invoke", FunctionName="fn")


@case("TestLambdaBaseFeatures::test_lambda_different_iam_keys_environment")
def keys(r):
    """What the recording test looked at was not recorded: two environments have two sets of keys."""
    code = python("import os\ndef handler(event, context): return os.environ['AWS_ACCESS_KEY_ID']")
    r("create-result", "create_function", **r.configured("create-result", Code=code))
    r.settle()
    first = r.call("invoke", FunctionName="fn")["Payload"]
    r.do("update_function_configuration", FunctionName="fn", Description="another environment")
    r.settle()
    second = r.call("invoke", FunctionName="fn")["Payload"]
    if first == second or not first.startswith('"ASIA') or not second.startswith('"ASIA'):
        r.differences.append(("", f"the keys of two environments are {first} and {second}"))


# What a function sees of where it runs.

INTROSPECTION = python("""
import getpass, os, platform, pwd, stat, subprocess

PATHS = {"_lambda-entrypoint.sh": "/lambda-entrypoint.sh", "_opt": "/opt", "_tmp": "/tmp", "_var_task": "/var/task"}


def handler(event, context):
    paths = {}
    for name, path in PATHS.items():
        try:
            s = os.stat(path)
        except FileNotFoundError:
            continue
        paths |= {name + "_mode": stat.filemode(s.st_mode), name + "_uid": s.st_uid, name + "_gid": s.st_gid,
                  name + "_owner": pwd.getpwuid(s.st_uid).pw_name}
    return {"event": event, "paths": paths, "platform_machine": platform.machine(), "platform_system": platform.system(),
            "pwd": os.getcwd(), "user_login_name": getpass.getuser(),
            "user_whoami": subprocess.run(["whoami"], capture_output=True, text=True, check=True).stdout.strip()}
""")

for machine, architecture, other in (("x86", "x86_64", ""), ("arm", "arm64", ", and the host's processor, as no other is emulated")):
    @case(f"TestLambdaBehavior::test_runtime_introspection_{machine}", machine, architecture,
          differs=f"a function sees the users and files of the host, without sbx_user1051 and /lambda-entrypoint.sh{other}",
          isolated=True)
    def introspection(r, machine, architecture):
        r.create(Architectures=[architecture], Code=INTROSPECTION)
        r(f"invoke_runtime_{machine}_introspection", "invoke", FunctionName="fn", Payload=b"{}")


# Functions that call other services, with the SDK that AWS's runtimes bring.

@case("TestLambdaBehavior::test_lambda_host_prefix_api_operation", differs="a function reaches no other service from its sandbox yet")
def host_prefix(r):
    """Some operations have a prefix to the host's name, such as those of Service Discovery."""
    r.create(Code=python("""
import boto3
def handler(event, context):
    boto3.client("servicediscovery").list_namespaces()
    return dict.fromkeys(("host_prefix", "host_prefix_localstack_domain", "no_host_prefix"), {"status": "success"})
"""))
    r("invoke-result", "invoke", FunctionName="fn")


for length in (1, 2):
    @case(f"TestLambdaBaseFeatures::test_assume_role[{length}]", "fn"[:length],
          differs="roles are not assumed yet: there is no STS that a function could ask who it is")
    def assumed_role(r, name):
        """The session of a role is called by its function, and longer where that has one letter."""
        r.create(name, Code=python("import boto3\ndef handler(event, context): return boto3.client('sts').get_caller_identity()['Arn']"))
        got = r.call("invoke", FunctionName=name)["Payload"]
        r.same("invoke-result-assumed-role-arn", json.loads(got) if isinstance(got, str) else got)


without("the recording holds no answer",
        "TestLambdaBaseFeatures::test_lambda_large_response", "TestLambdaBaseFeatures::test_large_payloads")
