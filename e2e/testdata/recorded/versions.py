"""Versions and aliases."""

from recorded import case, package


def publish(r, answer, **given):
    return r(answer, "publish_version", FunctionName="fn", **given)


@case("TestLambdaVersions::test_publish_version_on_create")
def on_create(r):
    r("create_response", "create_function", **r.fn(Handler=r.answers["create_response"]["Handler"], Publish=True))
    r.settle()
    r("get_function_result", "get_function", FunctionName="fn")
    r("get_function_version_result", "get_function", FunctionName="fn", Qualifier="1")
    r("get_function_latest_result", "get_function", FunctionName="fn", Qualifier="$LATEST")
    r("list_versions_result", "list_versions_by_function", FunctionName="fn")
    publish(r, "repeated_publish_response")
    r("list_versions_result_after_publish", "list_versions_by_function", FunctionName="fn")


@case("TestLambdaVersions::test_publish_with_wrong_sha256")
def wrong_hash(r):
    r("create_response", "create_function", **r.fn(Handler=r.answers["create_response"]["Handler"]))
    r.settle()
    sha = r("get_fn_response", "get_function", FunctionName="fn")["Configuration"]["CodeSha256"]
    publish(r, "publish_wrong_sha256_exc", CodeSha256="somenonexistentsha256")
    publish(r, "publish_result", CodeSha256=sha)


@case("TestLambdaVersions::test_version_lifecycle")
def lifecycle(r):
    def describe(answer, text):
        r(answer, "update_function_configuration", FunctionName="fn", Description=text)
        r.settle()

    r("create_response", "create_function", **r.fn(Handler=r.answers["create_response"]["Handler"], Description="No version :("))
    r.settle()
    r("get_function_result", "get_function", FunctionName="fn")
    r("list_versions_result", "list_versions_by_function", FunctionName="fn")
    describe("first_update_response", "First version :)")
    r("first_update_get_function", "get_function", FunctionName="fn")
    publish(r, "first_publish_response", Description="First version description :)")
    r("first_publish_get_function", "get_function", FunctionName="fn", Qualifier="1")
    r("first_publish_get_function_config", "get_function_configuration", FunctionName="fn", Qualifier="1")
    describe("second_update_response", "Second version :))")
    r("first_publish_get_function_after_update", "get_function", FunctionName="fn", Qualifier="1")
    publish(r, "second_publish_response")
    publish(r, "third_publish_response")
    r("list_versions_result_after_third_publish", "list_versions_by_function", FunctionName="fn")
    r.do("delete_function", FunctionName="fn", Qualifier="1")
    r("list_versions_result_after_deletion_of_first_version", "list_versions_by_function", FunctionName="fn")


def saying(version):
    """The code of a version that says what it is and under which name it was invoked."""
    return {"ZipFile": package(files={"handler.py": f"""
def handler(event, context):
    return {{"version_id": "{version}", "invoked_arn": context.invoked_function_arn, "version_from_ctx": context.function_version}}
"""})}


def invoke(r, answer, name="fn", **given):
    r(answer, "invoke", FunctionName=name, **given)


@case("TestLambdaVersions::test_lambda_versions_with_code_changes")
def code_changes(r):
    def upload(answer, version, **given):
        r(answer, "update_function_code", FunctionName="fn", **saying(version), **given)

    r("create_response", "create_function", **r.fn(Description="No version :(", Code=saying("version1")))
    r.settle()
    publish(r, "first_publish_response", Description="First version description :)")
    upload("update_lambda_response", "version2")
    r.settle()
    invoke(r, "invocation_result_latest")
    invoke(r, "invocation_result_v1", Qualifier="1")
    publish(r, "second_publish_response", Description="Second version description :)")
    invoke(r, "invocation_result_v2", Qualifier="2")
    upload("update_lambda_response_with_publish", "version3", Publish=True)
    r.settle()
    r.settle("fn:3")
    invoke(r, "invocation_result_v3", Qualifier="3")
    invoke(r, "invocation_result_latest_end")
    invoke(r, "invocation_result_v1_end", Qualifier="1")
    invoke(r, "invocation_result_v2_end", Qualifier="2")


@case("TestLambdaAliases::test_lambda_alias_moving")
def moving(r):
    r("create_response", "create_function", **r.fn(Description="No version :(", Code=saying("version1")))
    r.settle()
    r.do("publish_version", FunctionName="fn")
    r("create_alias_response", "create_alias", FunctionName="fn", Name="alias1", FunctionVersion="1")
    alias = {"Qualifier": "alias1"}
    invoke(r, "invocation_result_qualifier_v1", **alias)
    invoke(r, "invocation_result_qualifier_v1_arn", r.arn("fn:alias1"))
    r("update_lambda_response", "update_function_code", FunctionName="fn", **saying("version2"))
    r.settle()
    invoke(r, "invocation_result_qualifier_v1_after_update", **alias)
    publish(r, "second_publish_response", Description="Second version description :)")
    invoke(r, "invocation_result_qualifier_v1_after_publish", **alias)
    r("update_alias_response", "update_alias", FunctionName="fn", Name="alias1", FunctionVersion="2")
    invoke(r, "invocation_result_qualifier_v2", **alias)
    invoke(r, "invocation_exc_not_existent", Qualifier="non-existent-alias")


STAGED = {"Environment": {"Variables": {"testenv": "staging"}}, "Handler": "index.handler"}


def restage(r):
    r.do("update_function_configuration", FunctionName="fn", Environment={"Variables": {"testenv": "prod"}})
    r.settle()


def weights(**of):
    return {"RoutingConfig": {"AdditionalVersionWeights": {k[1:]: v for k, v in of.items()}}}


@case("TestLambdaAlias::test_alias_lifecycle")
def alias_lifecycle(r):
    r("create_response", "create_function", **r.fn(**STAGED))
    r.settle()
    publish(r, "publish_v1")
    restage(r)
    publish(r, "publish_v2")
    custom = {"Description": "custom-alias"}
    alias = {"FunctionName": "fn", "FunctionVersion": "1"}
    r("create_alias_1_1", "create_alias", **alias, Name="aliasname1_1", **custom, **weights(v2=0.2))
    r("get_alias_1_1", "get_alias", FunctionName="fn", Name="aliasname1_1")
    r("get_function_alias_1_1", "get_function", FunctionName="fn", Qualifier="aliasname1_1")
    r("get_function_byarn_alias_1_1", "get_function", FunctionName=r.arn("fn:aliasname1_1"))
    r("get_function_alias_notfound_exc", "get_function", FunctionName="fn", Qualifier="aliasdoesnotexist")
    r("get_function_alias_byarn_notfound_exc", "get_function", FunctionName=r.arn("fn:aliasdoesnotexist"))
    r("create_alias_1_2", "create_alias", **alias, Name="aliasname1_2", **custom)
    r("get_alias_1_2", "get_alias", FunctionName="fn", Name="aliasname1_2")
    r("create_alias_1_3", "create_alias", **alias, Name="aliasname1_3")
    r("get_alias_1_3", "get_alias", FunctionName="fn", Name="aliasname1_3")
    r("create_alias_2", "create_alias", FunctionName="fn", FunctionVersion="2", Name="aliasname2", **custom)
    r("get_alias_2", "get_alias", FunctionName="fn", Name="aliasname2")
    r("list_aliases_for_fnname", "list_aliases", FunctionName="fn")
    r("update_alias_1_1", "update_alias", FunctionName="fn", Name="aliasname1_1", RoutingConfig={"AdditionalVersionWeights": {}})
    r("get_alias_1_1_after_update", "get_alias", FunctionName="fn", Name="aliasname1_1")
    r("list_aliases_for_fnname_after_update", "list_aliases", FunctionName="fn")
    r("update_alias_1_2", "update_alias", FunctionName="fn", Name="aliasname1_2", Description="custom-alias")
    r("get_alias_1_2_after_update", "get_alias", FunctionName="fn", Name="aliasname1_2")
    r("list_aliases_for_fnname_after_update_2", "list_aliases", FunctionName="fn")
    r("list_aliases_for_version", "list_aliases", FunctionName="fn", FunctionVersion="1")
    r("delete_alias_response", "delete_alias", FunctionName="fn", Name="aliasname1_1")
    r("list_aliases_for_fnname_afterdelete", "list_aliases", FunctionName="fn")


@case("TestLambdaAlias::test_non_existent_alias_deletion")
def no_alias(r):
    r("create_response", "create_function", **r.fn(**STAGED))
    r("delete_alias_response", "delete_alias", FunctionName="fn", Name="non-existent")


@case("TestLambdaAlias::test_notfound_and_invalid_routingconfigs")
def routing(r):
    r("create_response", "create_function", **r.fn(**STAGED, Publish=True))
    r.settle()
    publish(r, "publish_v1")
    restage(r)
    publish(r, "publish_v2")

    def alias(answer, fn="fn", version="1", name="custom", **given):
        r(answer, "create_alias", FunctionName=fn, Name=name, FunctionVersion=version, **given)

    alias("routing_config_exc_toomany", **weights(v1=0.5, v2=0.5))
    alias("routing_config_exc_toohigh", **weights(v2=2.0))
    alias("routing_config_exc_subzero", **weights(v2=-1.0))
    alias("routing_config_exc_sameversion", **weights(v1=0.5))
    alias("routing_config_exc_version_doesnotexist", **weights(v10=0.5))
    alias("target_version_doesnotexist", version="10", **weights(v2=0.5))
    alias("target_version_exc_version_latest", version="$LATEST", **weights(v1=0.5))
    r("routing_config_exc_version_latest", "create_alias", FunctionName="fn", Name="custom", FunctionVersion="1",
      RoutingConfig={"AdditionalVersionWeights": {"$LATEST": 0.5}})
    alias("routing_config_exc_fn_doesnotexist", fn="fn-unknown", **weights(v2=0.5))
    alias("create-alias-latest", name="custom-latest", version="$LATEST")
    alias("create_alias_empty_routingconfig", name="custom-empty-routingconfig", RoutingConfig={"AdditionalVersionWeights": {}})
    alias("create_alias_response", **weights(v2=0.5))
    alias("routing_config_exc_already_exist", **weights(v2=0.5))
    r("alias_does_not_exist_esc", "get_alias", FunctionName="fn", Name="non-existent")
