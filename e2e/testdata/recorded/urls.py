"""Function URLs: their configuration, and requests to them."""

import json
import os
import urllib.error
import urllib.request

from recorded import case, package, without

ECHO = {"ZipFile": package(files={"handler.py": """
import json
def handler(event, context):
    http = event["requestContext"]["http"]
    return {"statusCode": 200, "body": json.dumps({
        "args": event.get("queryStringParameters"), "data": json.loads(event.get("body") or "null"),
        "domain": event["requestContext"]["domainName"], "headers": event["headers"], "method": http["method"],
        "origin": http["sourceIp"], "path": http["path"],
    })}
"""})}
STREAM = {"ZipFile": package(files={"index.js": """
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  stream.write('Hello, '); stream.write('world!'); stream.end();
});
"""})}


def saying(text):
    return {"ZipFile": package(files={"handler.py": text})}


def fetch(url, path="", **given):
    """Asks a function URL by its path on the server, since *.localhost may not resolve here."""
    host = url.split("/")[2]
    at = f"{os.environ['AWS_ENDPOINT_URL']}/_lambent/url/{host.split('.')[0]}/{path}"
    try:
        with urllib.request.urlopen(urllib.request.Request(at, **given)) as response:
            return response.status, response.headers, response.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.headers, e.read().decode()


def open_to_all(r, answer=None):
    given = {"FunctionName": "fn", "StatementId": "urlPermission", "Action": "lambda:InvokeFunctionUrl", "Principal": "*", "FunctionUrlAuthType": "NONE"}
    return r(answer, "add_permission", **given) if answer else r.do("add_permission", **given)


@case("TestLambdaURL::test_lambda_update_function_url_config")
def update(r):
    r.create()
    url = {"FunctionName": "fn"}
    r("create_lambda_url_config", "create_function_url_config", **url, AuthType="NONE", InvokeMode="BUFFERED")
    r("get_url_config", "get_function_url_config", **url)
    r("modify_lambda_url_config", "update_function_url_config", **url, InvokeMode="RESPONSE_STREAM")
    r("get_url_config_2", "get_function_url_config", **url)
    r("modify_lambda_url_config_none", "update_function_url_config", **url, AuthType="NONE")
    r("get_url_config_3", "get_function_url_config", **url)


for mode in (None, "BUFFERED", "RESPONSE_STREAM"):
    @case(f"TestLambdaURL::test_lambda_url_echo_invoke[{mode}]", mode)
    def echo(r, mode):
        r.create(Code=ECHO)
        url = r("create_lambda_url_config", "create_function_url_config", FunctionName="fn", AuthType="NONE",
                **({"InvokeMode": mode} if mode else {}))["FunctionUrl"]
        open_to_all(r, "add_permission")
        status, _, body = fetch(url, "a?q=1", data=b'{"foo": "bar"}', method="POST", headers={"Content-Type": "application/json"})
        got = json.loads(body)
        if mode == "RESPONSE_STREAM":  # what a function that does not stream answers is the body
            got = json.loads(got["body"])
        if status != 200 or got["data"] != {"foo": "bar"}:
            r.differences.append(("", f"the URL answers {status} {body}"))


@case("TestLambdaURL::test_lambda_url_echo_http_fixture_trim_x_headers")
def event(r):
    """What AWS adds to a request begins with x-; the recording left it out, and so does this."""
    r.create(Code=ECHO)
    url = r.do("create_function_url_config", FunctionName="fn", AuthType="NONE")["FunctionUrl"]
    open_to_all(r)
    _, _, body = fetch(url, "path/1?q=query", data=b'{"foo": "bar"}', method="POST", headers={
        "Content-Type": "application/json", "User-Agent": "test/echo", "Extra-Headers": "With WeiRd CapS",
        "Accept": "*/*", "Accept-Encoding": "gzip, deflate"})
    got = json.loads(body)
    got["headers"] = {k: v for k, v in got["headers"].items() if not k.startswith("x-") and k != "connection"}
    got["headers"]["host"] = got["headers"]["host"].partition(":")[0]  # the port is this server's, AWS's has none
    r.same("url_response", got)


@case("TestLambdaURL::test_function_url_with_response_streaming")
def stream(r):
    r.create(Runtime="nodejs20.x", Handler="index.handler", Code=STREAM)
    url = r.do("create_function_url_config", FunctionName="fn", AuthType="NONE", InvokeMode="RESPONSE_STREAM")["FunctionUrl"]
    open_to_all(r)
    status, _, body = fetch(url)
    r.same("response_status", status)
    r.same("response_data", body)


@case("TestLambdaURL::test_lambda_url_invalid_invoke_mode")
def invalid_mode(r):
    r.create()
    r("invoke_function_invalid_invoke_type", "create_function_url_config", FunctionName="fn", AuthType="NONE", InvokeMode="UNKNOWN")


@case("TestLambdaURL::test_lambda_url_invocation_exception")
def exception(r):
    r.create(Code=saying("def handler(event, context): raise Exception('no')"),
             **{k: r.answers["get_fn_result"]["Configuration"][k] for k in ("Runtime", "Handler", "Timeout")})
    r("get_fn_result", "get_function", FunctionName="fn")
    url = r("create_lambda_url_config", "create_function_url_config", FunctionName="fn", AuthType="NONE")["FunctionUrl"]
    open_to_all(r, "add_permission")
    status, _, body = fetch(url)
    if (status, body) != (502, "Internal Server Error"):
        r.differences.append(("", f"the URL answers {status} {body}"))


@case("TestLambdaURL::test_lambda_url_persists_after_alias_delete")
def deleted_alias(r):
    r.create(Code=ECHO, Publish=True)
    r.do("create_alias", FunctionName="fn", Name="alias", FunctionVersion="1")
    # The recording shows the ARN under one placeholder that the alias is part of.
    got = r.call("create_function_url_config", FunctionName="fn", Qualifier="alias", AuthType="NONE", InvokeMode="BUFFERED")
    url = got["FunctionUrl"]
    got["FunctionArn"] = got["FunctionArn"].removesuffix(":alias")
    r.same("create_lambda_url_config", got)
    r.same("invoke_aliased_url_response", {"status_code": fetch(url)[0]})
    r("delete_alias_resp", "delete_alias", FunctionName="fn", Name="alias")
    status, headers, body = fetch(url)
    r.same("invoke_deleted_alias_url_response_delayed", {
        "status_code": status, "content": json.loads(body), "headers": {"x-amzn-ErrorType": headers["x-amzn-ErrorType"]}})


@case("TestLambdaPermissions::test_lambda_permission_url_invocation",
      differs="resource policies of function URLs are not evaluated with --auth off, where every caller is trusted")
def unpermitted(r):
    r.create(Code=ECHO)
    url = r.do("create_function_url_config", FunctionName="fn", AuthType="NONE")["FunctionUrl"]
    r.same("lambda_url_invocation_missing_permission", json.loads(fetch(url)[2]))


@case("TestRequestIdHandling::test_request_id_invoke_url")
def request_id(r):
    r.create(Code=saying("def handler(event, context): return 'hi'"))
    url = r("create_lambda_url_config", "create_function_url_config", FunctionName="fn", AuthType="NONE")["FunctionUrl"]
    open_to_all(r, "add_permission")
    status, headers, body = fetch(url)
    r.same("lambda_url_invocation", {"statuscode": status, "content": body, "headers": {"x-amzn-RequestId": headers["x-amzn-RequestId"]}})
    r.same("end_log_entries", [e for e in r.log("fn") if e.startswith("END")])


without("the recording holds no answer",
        "TestLambdaURL::test_lambda_url_invocation_custom_id", "TestLambdaURL::test_lambda_url_invocation_custom_id_aliased",
        "TestRequestIdHandling::test_request_id_format")
