"""Functions, their configuration, tags, code signing and account settings."""

import json
import os

import botocore.exceptions

from recorded import ACCOUNT, case, package


@case("TestLambdaBaseFeatures::test_function_state")
def state(r):
    r("create-fn-response", "create_function", **r.fn())
    r.settle()
    r("get-fn-response", "get_function", FunctionName="fn")


@case("TestLambdaFunction::test_function_lifecycle")
def lifecycle(r):
    r("create_response", "create_function", **r.helped(MemorySize=256, Timeout=5))
    r.settle()
    r("get_function_response", "get_function", FunctionName="fn")
    r("update_func_conf_response", "update_function_configuration", FunctionName="fn", Runtime="python3.11",
      Description="Changed-Description", MemorySize=512, Timeout=10, Environment={"Variables": {"ENV_A": "a"}})
    r.settle()
    r("get_function_response_postupdate", "get_function", FunctionName="fn")
    r("update_code_response", "update_function_code", FunctionName="fn", ZipFile=package("two"))
    r.settle()
    r("get_function_response_postcodeupdate", "get_function", FunctionName="fn")
    r("delete_response", "delete_function", FunctionName="fn")
    r("delete_postdelete", "delete_function", FunctionName="fn")


@case("TestLambdaFunction::test_function_arns")
def arns(r):
    r("create-function-arn-response", "create_function", **r.helped(r.arn("fn1")))
    r("create-function-partial-arn-response", "create_function", **r.helped(f"{ACCOUNT}:function:fn2", Code={"ZipFile": package("two")}))
    r("function_arn_other_region_exc", "create_function", **r.fn(f"arn:aws:lambda:ap-southeast-1:{ACCOUNT}:function:fn"))
    r("function_arn_other_account_exc", "create_function", **r.fn(f"arn:aws:lambda:{r.region}:222222222222:function:fn"))
    r("invalid_function_name_exc", "create_function", **r.fn("invalid:function:name"))
    r("long_function_name_exc", "create_function", **r.fn("a" * 65))
    r("long_function_arn_exc", "create_function", **r.fn(r.arn("a" * 141)))


@case("TestLambdaFunction::test_list_functions")
def listing(r):
    r("create_response_1", "create_function", **r.helped("fn1", Publish=True))
    r("create_response_2", "create_function", **r.helped("fn2", Code={"ZipFile": package("two")}))
    r.settle("fn1")
    r.settle("fn2")
    r("list_functions_invalid_functionversion", "list_functions", FunctionVersion="invalid")
    r("list_all", "list_functions", FunctionVersion="ALL")
    r("list_default", "list_functions")


@case("TestLambdaFunction::test_redundant_updates")
def redundant(r):
    def describe(answer):
        r(answer, "update_function_configuration", FunctionName="fn", Description="1st update description")
        r.settle()

    r("create_response", "create_function", **r.helped(Description="Initial description"))
    r.settle()
    describe("first_update_result")
    r("get_fn_config_result", "get_function_configuration", FunctionName="fn")
    r("get_fn_result", "get_function", FunctionName="fn")
    describe("redundant_update_result")
    r("get_fn_result_after_redundant_update", "get_function", FunctionName="fn")


@case("TestLambdaFunction::test_create_lambda_exceptions")
def exceptions(r):
    r("invalid_role_arn_exc", "create_function", **r.fn(Role="r1"))
    r("invalid_runtime_exc", "create_function", **r.fn(Runtime="non-existent-runtime"))
    r("uppercase_runtime_exc", "create_function", **r.fn(Runtime="PYTHON3.9"))
    r("uppercase_architecture", "create_function", **r.fn(Architectures=["X86_64"]))
    r("multiple_architectures", "create_function", **r.fn(Architectures=["x86_64", "arm64"]))
    r("invalid_zip_exc", "create_function", **r.fn(Code={"ZipFile": b"this is not a zipfile, just a random string"}))
    try:  # the client itself refuses
        got = r.client(ACCOUNT, parameter_validation=True).create_function(**r.fn(Architectures=[]))
    except botocore.exceptions.ParamValidationError as e:
        got = str(e)
    r.same("empty_architectures", got)


@case("TestLambdaFunction::test_lambda_code_location_s3_errors")
def s3_errors(r):
    """The server's S3 has a bucket with an object, named by the environment."""
    bucket, key = os.environ["BUCKET"], os.environ["KEY"]
    where = lambda b, k: {"S3Bucket": b, "S3Key": k}  # noqa: E731
    r("create-error-wrong-bucket", "create_function", **r.fn(Code=where("no-such-bucket", key)))
    r("create-error-wrong-key", "create_function", **r.fn(Code=where(bucket, "no-such-key")))
    r.create(Code=where(bucket, key))
    r("update-error-wrong-bucket", "update_function_code", FunctionName="fn", **where("no-such-bucket", key))
    r("update-error-wrong-key", "update_function_code", FunctionName="fn", **where(bucket, "no-such-key"))


for op in ("get_function", "get_function_configuration", "get_function_event_invoke_config"):
    @case(f"TestLambdaFunction::test_ops_on_nonexisting_version[{op}]", op)
    def no_version(r, op):
        r.create()
        r("version_not_found_exception", op, FunctionName="fn", Qualifier="1221")


for op in ("delete_function", "get_function", "get_function_configuration"):
    @case(f"TestLambdaFunction::test_ops_with_arn_qualifier_mismatch[{op}]", op)
    def mismatch(r, op):
        name = r.arn("some-function") + ":$LATEST"
        r("not_match_exception", op, FunctionName=name, Qualifier="1")
        r("match_exception", op, FunctionName=name, Qualifier="$LATEST")


@case("TestLambdaBehavior::test_mixed_architecture")
def architecture(r):
    r("create_function_response", "create_function", **r.helped())
    r.settle()
    r("update_function_code_response", "update_function_code", FunctionName="fn", ZipFile=package("one"), Architectures=["arm64"])


@case("TestLambdaSizeLimits::test_large_lambda")
def large(r):
    """The package unpacks to almost the limit of 262144000 bytes."""
    code = package(files={"handler.py": "def handler(event, context): return {}", "filler": bytes(262144000 - 1024)}, deflated=True)
    r("create_function_large_zip", "create_function", **r.fn(Timeout=10, Code={"ZipFile": code}))


@case("TestLambdaSizeLimits::test_lambda_envvars_near_limit_succeeds")
def near_limit(r):
    answer, = r.answers
    r(answer, "create_function", **r.configured(answer))


@case("TestLambdaSizeLimits::test_large_environment_variables_fails")
def over_limit(r):
    answer, = r.answers
    message = r.answers[answer]["Error"]["Message"]
    r(answer, "create_function", **r.helped(Environment={"Variables": json.loads(message[message.index("{"):])}))


@case("TestLambdaRevisions::test_function_revisions_basic")
def revisions(r):
    rev1 = r("create_function_response_rev1", "create_function", **r.helped(Handler="index.handler"))["RevisionId"]
    r.settle()
    rev2 = r("get_function_response_rev2", "get_function", FunctionName="fn")["Configuration"]["RevisionId"]
    code = {"FunctionName": "fn", "ZipFile": package()}
    r("update_function_revision_exception", "update_function_code", RevisionId=rev1, **code)
    rev3 = r("update_function_code_response_rev3", "update_function_code", RevisionId=rev2, **code)["RevisionId"]
    r.settle()
    rev4 = r("get_function_response_rev4", "get_function", FunctionName="fn")["Configuration"]["RevisionId"]
    config = {"FunctionName": "fn", "Runtime": "python3.8"}
    r("update_function_configuration_revision_exception", "update_function_configuration", RevisionId=rev3, **config)
    r("update_function_configuration_response_rev5", "update_function_configuration", RevisionId=rev4, **config)
    r.settle()
    r("get_function_response_rev6", "get_function", FunctionName="fn")


# Tags.

def untaggable(r, resource):
    r("not_found_exception_tag", "tag_resource", Resource=resource, Tags={"A": "1"})
    r("not_found_exception_untag", "untag_resource", Resource=resource, TagKeys=["A"])
    r("not_found_exception_list", "list_tags", Resource=resource)


@case("TestLambdaTag::test_create_tag_on_fn_create")
def tags_at_creation(r):
    r.create(Tags={"testtag": "custom"})
    r("list_tags_result", "list_tags", Resource=r.arn("fn"))
    r("get_function_result", "get_function", FunctionName="fn")


@case("TestLambdaTag::test_tag_nonexisting_resource")
def tags_of_nothing(r):
    r.create()
    r("pre_delete_get_function", "get_function", FunctionName="fn")
    r.do("delete_function", FunctionName="fn")
    untaggable(r, r.arn("fn"))


for kind, name in (("function", "fn"), ("event-source-mapping", "8f5ac0e5-4f3c-4f5e-9d3b-3a0b7f1f1d11"), ("capacity-provider", "cp")):
    word = {"function": "lambda_function"}.get(kind, kind.replace("-", "_"))

    @case(f"TestLambdaTag::test_tag_exceptions[{word}]", kind, name)
    def tag_exceptions_of(r, kind, name):
        untaggable(r, r.other(kind, name))
        r("aliased_arn_exception", "tag_resource", Resource=r.other(kind, name) + ":alias", Tags={"A": "1"})
        r("invalid_arn_exception", "tag_resource", Resource=r.other("foobar", name), Tags={"A": "1"})


@case("TestLambdaTags::test_tag_exceptions")
def tag_exceptions(r):
    r.create()
    tags = {"Tags": {"key_a": "value_a"}}
    r("tag_lambda_invalidarn", "tag_resource", Resource="arn:aws:something", **tags)
    r("tag_lambda_doesnotexist", "tag_resource", Resource=r.arn("doesnotexist"), **tags)
    r("tag_lambda_qualifier_doesnotexist", "tag_resource", Resource=r.arn("fn") + ":alias", **tags)
    r("tag_empty_tags", "tag_resource", Resource=r.arn("fn"), Tags={})
    r("list_tag_lambda_empty", "list_tags", Resource=r.arn("fn"))
    r("untag_empty_keys", "untag_resource", Resource=r.arn("fn"), TagKeys=[])
    r("untag_nomatch", "untag_resource", Resource=r.arn("fn"), TagKeys=["somekey"])


@case("TestLambdaTags::test_tag_lifecycle")
def tag_lifecycle(r):
    arn = r.arn("fn")

    def both(when):
        r(f"list_tags_response_{when}", "list_tags", Resource=arn)
        r(f"get_fn_response_{when}", "get_function", FunctionName="fn")

    r.create(Tags={"key_a": "value_a"})
    both("postfncreate")
    r("tag_resource_response", "tag_resource", Resource=arn, Tags={f"key_{c}": f"value_{c}" for c in "bcde"})
    both("postaddtags")
    r("tag_resource_overwrite", "tag_resource", Resource=arn, Tags={"key_b": "value_b", "key_c": "value_x"})
    both("overwrite")
    r.do("untag_resource", Resource=arn, TagKeys=["key_c", "key_d"])
    both("postuntag")
    r.do("untag_resource", Resource=arn, TagKeys=["key_a", "key_b", "key_e"])
    both("postuntagall")
    r.do("delete_function", FunctionName="fn")
    r("list_tags_postdelete", "list_tags", Resource=arn)


@case("TestLambdaTags::test_tag_limits")
def tag_limits(r):
    arn = r.arn("fn")
    many = lambda n: {f"{i}_key": f"{i}_value" for i in range(n)}  # noqa: E731
    r.create()
    r("tag_lambda_too_many_tags", "tag_resource", Resource=arn, Tags=many(51))
    r("tag_response", "tag_resource", Resource=arn, Tags=many(50))
    r("list_tags_response", "list_tags", Resource=arn)
    r("get_fn_response", "get_function", FunctionName="fn")
    r("tag_lambda_too_many_tags_additional", "tag_resource", Resource=arn, Tags={"a_key": "a_value"})
    r("create_function_invalid_tags", "create_function", **r.fn("fn2", Tags=many(51)))


# Logging.

def logged(r):
    r("create_response", "create_function", **r.helped(MemorySize=256, Timeout=5))
    r.settle()
    r("get_function_response", "get_function", FunctionName="fn")
    r("function_config", "get_function_configuration", FunctionName="fn")


@case("TestLoggingConfig::test_advanced_logging_configuration_format_switch")
def format_switch(r):
    logged(r)
    for log_format, suffix in (("JSON", ""), ("Text", "_v2")):
        r("updated_config" + suffix, "update_function_configuration", FunctionName="fn", LoggingConfig={"LogFormat": log_format})
        r.settle()
        r("received_config" + suffix, "get_function_configuration", FunctionName="fn")


for i, given in enumerate((
    {"LogFormat": "JSON"},
    {"LogFormat": "JSON", "ApplicationLogLevel": "DEBUG"},
    {"LogFormat": "JSON", "SystemLogLevel": "DEBUG"},
    {"LogGroup": "cool_lambda"},
)):
    @case(f"TestLoggingConfig::test_function_partial_advanced_logging_configuration_update[partial_config{i}]", given)
    def partial(r, given):
        logged(r)
        r("updated_config", "update_function_configuration", FunctionName="fn", LoggingConfig=given)
        r.settle()
        r("received_config", "get_function_configuration", FunctionName="fn")


for runtime in "dotnetcore3.1 go1.x java8 nodejs12.x nodejs14.x provided python3.7 ruby2.7".split():
    @case(f"TestRuntimeValidation::test_create_deprecated_function_runtime_with_validation_enabled[{runtime}]", runtime)
    def deprecated(r, runtime):
        r("deprecation_error", "create_function", **r.fn(Runtime=runtime))


# Code signing, account settings, recursion.

@case("TestCodeSigningConfig::test_function_code_signing_config")
def signing(r):
    publishers = {"SigningProfileVersionArns": [f"arn:aws:signer:{r.region}:{ACCOUNT}:/signing-profiles/test"]}
    arn = r("create_code_signing_config", "create_code_signing_config", Description="Testing CodeSigning Config",
            AllowedPublishers=publishers, CodeSigningPolicies={"UntrustedArtifactOnDeployment": "Enforce"},
            )["CodeSigningConfig"]["CodeSigningConfigArn"]
    r("update_code_signing_config", "update_code_signing_config", CodeSigningConfigArn=arn,
      CodeSigningPolicies={"UntrustedArtifactOnDeployment": "Warn"})
    r("get_code_signing_config", "get_code_signing_config", CodeSigningConfigArn=arn)
    r.create()
    r("put_function_code_signing_config", "put_function_code_signing_config", CodeSigningConfigArn=arn, FunctionName="fn")
    r("get_function_code_signing_config", "get_function_code_signing_config", FunctionName="fn")
    r.same("list_code_signing_configs", r.do("list_code_signing_configs")["CodeSigningConfigs"][0])
    r("list_functions_by_code_signing_config", "list_functions_by_code_signing_config", CodeSigningConfigArn=arn)
    r("delete_function_code_signing_config", "delete_function_code_signing_config", FunctionName="fn")
    r("delete_code_signing_config", "delete_code_signing_config", CodeSigningConfigArn=arn)


def code_size(r):
    return r.do("get_account_settings")["AccountUsage"]["TotalCodeSize"]


@case("TestLambdaAccountSettings::test_account_settings")
def settings(r):
    got = r.call("get_account_settings")
    r.same("acc_settings_modded", {k: v if k == "ResponseMetadata" else sorted(v) for k, v in got.items()})


@case("TestLambdaAccountSettings::test_account_settings_total_code_size")
def total_size(r):
    """The packages have the sizes that AWS's had."""
    def grows(answer, operation, **given):
        before = code_size(r)
        r.do(operation, **given)
        r.same(answer, code_size(r) - before)

    code, layer = package(size=276), {"LayerName": "layer", "Content": {"ZipFile": package("", size=169)}}
    grows("total_code_size_diff_create_function", "create_function", **r.fn(Code={"ZipFile": code}))
    r.settle()
    grows("total_code_size_diff_update_function", "update_function_code", FunctionName="fn", ZipFile=code, Publish=True)
    grows("total_code_size_diff_publish_layer", "publish_layer_version", **layer)
    grows("total_code_size_diff_publish_layer_version", "publish_layer_version", **layer)


@case("TestLambdaAccountSettings::test_account_settings_total_code_size_config_update")
def unchanged_size(r):
    before = code_size(r)
    zip_file = package(files={"index.py": "#" + "x" * 300})
    r.create(Code={"ZipFile": zip_file})
    created = code_size(r)
    r.same("is_total_code_size_diff_create_function_more_than_200", created - before > 200)
    r.do("update_function_configuration", FunctionName="fn", Description="other")
    r.settle()
    r.same("total_code_size_diff_update_function_configuration", code_size(r) - created)
    r.do("publish_version", FunctionName="fn")
    r.same("is_total_code_size_diff_publish_version_after_config_update_more_than_200", code_size(r) - created > 200)


@case("TestLambdaRecursion::test_put_function_recursion_config_default_terminate")
def recursion(r):
    r.create()
    r("get_recursion_default_terminate_response", "get_function_recursion_config", FunctionName="fn")


# SnapStart.

@case("TestLambdaSnapStart::test_snapstart_exceptions")
def snapstart_exceptions(r):
    r("create_function_invalid_snapstart_apply", "create_function", **r.fn(SnapStart={"ApplyOn": "invalidOption"}))


INTERPRETERS = "there is no interpreter for this runtime on the host: Lambent refuses what it could not run"

for runtime in ("python3.12", "python3.13", "java11", "java17", "java21", "java25", "dotnet8", "dotnet10"):
    why = "" if runtime.startswith("python") else INTERPRETERS

    @case(f"TestLambdaSnapStart::test_snapstart_lifecycle[{runtime}]", runtime, differs=why)
    def snapstart(r, runtime):
        handler = r.answers["create_function_response"]["Handler"]
        r("create_function_response", "create_function", **r.fn(Runtime=runtime, Handler=handler, MemorySize=1024, Timeout=5))
        r.settle()
        r("get_function_response_latest", "get_function", FunctionName="fn")
        r.do("publish_version", FunctionName="fn", Description="version1")
        r("get_function_response_version_1", "get_function", FunctionName="fn", Qualifier="1")

    @case(f"TestLambdaSnapStart::test_snapstart_update_function_configuration[{runtime}]", runtime, differs=why)
    def snapstart_update(r, runtime):
        handler = r.answers["create_function_response"]["Handler"]
        r("create_function_response", "create_function", **r.fn(Runtime=runtime, Handler=handler, MemorySize=1024, Timeout=5))
        r.settle()
        r("update_function_response", "update_function_configuration", FunctionName="fn", SnapStart={"ApplyOn": "PublishedVersions"})


# Networks.

NO_EC2 = "there is no EC2: subnets and security groups are kept as they are named, and which VPC they are in is not known"


@case("TestLambdaFunction::test_vpc_config", differs=dict.fromkeys(
    ("create_response", "get_function_response", "update_vpcconfig_update_response", "update_vpcconfig_get_function_response"), NO_EC2))
def vpc(r):
    def network(n):
        return {"SubnetIds": [f"subnet-{n}"], "SecurityGroupIds": [f"sg-{n}"]}

    r("create_response", "create_function", **r.helped(MemorySize=256, Timeout=5, VpcConfig=network(1)))
    r.settle()
    r("get_function_response", "get_function", FunctionName="fn")
    r("update_vpcconfig_update_response", "update_function_configuration", FunctionName="fn", VpcConfig=network(2))
    r.settle()
    r("update_vpcconfig_get_function_response", "get_function", FunctionName="fn")
    r("delete_vpcconfig_update_response", "update_function_configuration", FunctionName="fn", VpcConfig={"SubnetIds": [], "SecurityGroupIds": []})
    r.settle()
    r("delete_vpcconfig_get_function_response", "get_function", FunctionName="fn")


for what, member, prefix, other in (("subnet", "SubnetIds", "subnet", "subnet-id"), ("security_group", "SecurityGroupIds", "sg", "security-group")):
    @case(f"TestLambdaFunction::test_invalid_vpc_config_{what}", member, prefix, other,
          differs={f"create-response-non-existent-{other}": NO_EC2})
    def invalid_vpc(r, member, prefix, other):
        def network(given):
            return {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"], member: [given]}

        r(f"create-response-non-existent-{other}", "create_function", **r.fn(VpcConfig=network(prefix + "-0123456789abcdef0")))
        r(f"create-response-invalid-format-{other}", "create_function", **r.fn("fn2", VpcConfig=network(prefix + "-bad-format!")))


# An update under way.

ATTEMPTS = 200  # to see one


@case("TestLambdaFunction::test_lambda_concurrent_code_updates")
def two_updates(r):
    r("create-function-response", "create_function", **r.fn())
    r.settle()
    for n in range(ATTEMPTS):
        one, others = r.meanwhile(lambda: r.call("update_function_code", FunctionName="fn", ZipFile=package("other")),
                                  "update_function_code", FunctionName="fn", ZipFile=package(f"one {n}"))
        r.settle()
        refused = [got for got in (one, *others) if "Error" in got]
        if refused:
            r.same("update-during-in-progress-update-exc", refused[0])
            break


@case("TestLambdaFunction::test_lambda_code_location_zipfile")
def replaced_code(r):
    r("create-response-zip-file", "create_function", **r.fn(Handler="index.handler"))
    r.settle()
    r("get-function-response", "get_function", FunctionName="fn")
    for n in range(ATTEMPTS):
        update, looks = r.meanwhile(lambda: r.call("get_function", FunctionName="fn"),
                                    "update_function_code", FunctionName="fn", ZipFile=package(f"update {n}"))
        r.settle()
        under_way = [got for got in looks if got["Configuration"]["RevisionId"] == update["RevisionId"]]
        if under_way:
            r.same("update-function-response", update)
            r.same("get-function-response-updated", under_way[0])
            break


@case("TestLambdaImages::test_lambda_image_versions", differs="container images are not there yet")
def image(r):
    def describe(answer, text):
        r(answer, "update_function_configuration", FunctionName="fn", Description=text)
        r.settle()

    r("create_image_response", "create_function", **r.fn(
        Runtime=None, Handler=None, PackageType="Image", Publish=True, Environment={"Variables": {"CUSTOM_ENV": "test"}},
        Code={"ImageUri": f"{ACCOUNT}.dkr.ecr.{r.region}.amazonaws.com/repository:latest"}))
    r.settle()
    r("get_function_result", "get_function", FunctionName="fn")
    r("list_versions_result", "list_versions_by_function", FunctionName="fn")
    describe("first_update_response", "Second version :)")
    r("first_update_get_function", "get_function", FunctionName="fn")
    r("invalid_sha_publish", "publish_version", FunctionName="fn", CodeSha256="a" * 64)
    r("first_publish_response", "publish_version", FunctionName="fn", Description="Second version description :)")
    describe("second_update_response", "Third version :)")
    r("second_update_get_function", "get_function", FunctionName="fn")
    r("second_publish_response", "publish_version", FunctionName="fn", Description="Third version description :)")
