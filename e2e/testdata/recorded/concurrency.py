"""Reserved and provisioned concurrency, and asynchronous configuration."""

import time

from recorded import case, package, without

@case("TestLambdaReservedConcurrency::test_function_concurrency")
def reserved(r):
    r.create()
    put = {"FunctionName": "fn"}
    r("put_function_concurrency_with_reserved_0", "put_function_concurrency", **put, ReservedConcurrentExecutions=0)
    r("put_function_concurrency_with_reserved_1", "put_function_concurrency", **put, ReservedConcurrentExecutions=1)
    r("get_function_concurrency", "get_function_concurrency", **put)
    r("delete_response", "delete_function_concurrency", **put)
    r("get_function_concurrency_after_delete", "get_function_concurrency", **put)


def unreserved(r):
    r.bound["<min_unreserved_concurrency>"] = "100"
    limit = r.do("get_account_settings")["AccountLimit"]
    r.bound["<unreserved_concurrency>"] = str(limit["UnreservedConcurrentExecutions"])
    return limit["UnreservedConcurrentExecutions"], limit["ConcurrentExecutions"]


@case("TestLambdaReservedConcurrency::test_function_concurrency_limits")
def reserved_limits(r):
    r.create()
    free, account = unreserved(r)
    r("put_function_concurrency_account_limit_exceeded", "put_function_concurrency", FunctionName="fn", ReservedConcurrentExecutions=account + 1)
    r("put_function_concurrency_below_unreserved_min_value", "put_function_concurrency", FunctionName="fn", ReservedConcurrentExecutions=free - 99)


@case("TestLambdaConcurrency::test_lambda_concurrency_crud")
def crud(r):
    r.create()
    r("get_function_concurrency_default", "get_function_concurrency", FunctionName="fn")
    r("put_function_concurrency", "put_function_concurrency", FunctionName="fn", ReservedConcurrentExecutions=0)
    r("get_function_concurrency_updated", "get_function_concurrency", FunctionName="fn")
    r.do("delete_function_concurrency", FunctionName="fn")
    r("get_function_concurrency_deleted", "get_function_concurrency", FunctionName="fn")


@case("TestLambdaConcurrency::test_lambda_concurrency_update")
def update(r):
    r.create(Runtime=r.answers["get_function_concurrency_info"]["Configuration"]["Runtime"])
    r("put_function_concurrency", "put_function_concurrency", FunctionName="fn", ReservedConcurrentExecutions=3)
    r("get_function_concurrency_updated", "get_function_concurrency", FunctionName="fn")
    r("get_function_concurrency_info", "get_function", FunctionName="fn")
    r.do("delete_function_concurrency", FunctionName="fn")
    r("get_function_concurrency_deleted", "get_function_concurrency", FunctionName="fn")


def provision(r, answer, qualifier, n=1, fn="fn"):
    return r(answer, "put_provisioned_concurrency_config", FunctionName=fn, Qualifier=qualifier, ProvisionedConcurrentExecutions=n)


@case("TestLambdaProvisionedConcurrency::test_lambda_provisioned_lifecycle")
def lifecycle(r):
    r.create()
    r("publish_version_result", "publish_version", FunctionName="fn")
    r("create_alias_result", "create_alias", FunctionName="fn", Name="alias", FunctionVersion="1")
    provision(r, "put_provisioned_on_version", "1")
    provision(r, "put_provisioned_on_alias_versionconflict", "alias")
    r("delete_provisioned_version", "delete_provisioned_concurrency_config", FunctionName="fn", Qualifier="1")
    r("get_provisioned_version_postdelete", "get_provisioned_concurrency_config", FunctionName="fn", Qualifier="1")
    provision(r, "put_provisioned_on_alias", "alias")
    provision(r, "put_provisioned_on_version_conflict", "1")
    r("delete_alias_result", "delete_alias", FunctionName="fn", Name="alias")
    r("get_provisioned_alias_postaliasdelete", "get_provisioned_concurrency_config", FunctionName="fn", Qualifier="alias")
    r("list_response_postdeletes", "list_provisioned_concurrency_configs", FunctionName="fn")


@case("TestLambdaProvisionedConcurrency::test_provisioned_concurrency_exceptions")
def exceptions(r):
    r.create()
    r("publish_version_result", "publish_version", FunctionName="fn")
    for op in ("get", "delete"):
        def ask(answer, qualifier, fn="fn"):
            r(f"{op}_provisioned_{answer}", f"{op}_provisioned_concurrency_config", FunctionName=fn, Qualifier=qualifier)

        ask("functionname_doesnotexist", {"get": "noalias", "delete": "1"}[op], "doesnotexist")
        ask("qualifier_doesnotexist", "noalias")
        ask("version_doesnotexist", "10")
        ask("latest", "$LATEST")
        ask("config_doesnotexist", "1")
    r("list_provisioned_noconfigs", "list_provisioned_concurrency_configs", FunctionName="fn")
    r("list_provisioned_functionname_doesnotexist", "list_provisioned_concurrency_configs", FunctionName="doesnotexist")
    provision(r, "put_provisioned_invalid_param_0", "1", 0)
    provision(r, "put_provisioned_functionname_doesnotexist_alias", "noalias", fn="doesnotexist")
    provision(r, "put_provisioned_functionname_doesnotexist_version", "1", fn="doesnotexist")
    provision(r, "put_provisioned_qualifier_doesnotexist", "doesnotexist")
    provision(r, "put_provisioned_version_doesnotexist", "10")
    provision(r, "put_provisioned_latest", "$LATEST")


@case("TestLambdaProvisionedConcurrency::test_provisioned_concurrency_limits")
def limits(r):
    r.create(Publish=True)
    free, _ = unreserved(r)
    provision(r, "put_provisioned_concurrency_account_limit_exceeded", "1", free + 1)
    provision(r, "put_provisioned_concurrency_below_unreserved_min_value", "1", free - 99)


def awaited(r, qualifier):
    """Looks while the environments are on their way, and again when they have come to something."""
    given = {"FunctionName": "fn", "Qualifier": qualifier}
    r("get_provisioned_prewait", "get_provisioned_concurrency_config", **given)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        got = r.call("get_provisioned_concurrency_config", **given)
        if got["Status"] != "IN_PROGRESS":
            break
        time.sleep(0.01)  # between two looks
    r.same("get_provisioned_postwait", got)


def slow(end=""):
    """Code that takes its time to initialise, so that it is seen on its way."""
    return {"ZipFile": package(files={"handler.py": f"import time\ntime.sleep(0.5)\n{end}\ndef handler(event, context): pass"})}


@case("TestLambdaConcurrency::test_provisioned_concurrency_on_alias")
def on_alias(r):
    r.create(Publish=True, Code=slow())
    r.do("create_alias", FunctionName="fn", Name="alias", FunctionVersion="1")
    r.settle("fn:1")
    provision(r, "put_provisioned_5", "alias", 5)
    awaited(r, "alias")


@case("TestLambdaConcurrency::test_provisioned_concurrency_init_failure")
def init_failure(r):
    r.create(Publish=True, Code=slow("raise Exception('it cannot be initialised')"))
    r.settle("fn:1")
    provision(r, "put_provisioned", "1")
    awaited(r, "1")


@case("TestLambdaEventInvokeConfig::test_lambda_eventinvokeconfig_lifecycle")
def async_lifecycle(r):
    def put(answer, op="put", **given):
        r(answer, f"{op}_function_event_invoke_config", FunctionName="fn", **given)

    def get(answer, **given):
        r(answer, "get_function_event_invoke_config", FunctionName="fn", **given)

    def listed(answer):
        r(answer, "list_function_event_invoke_configs", FunctionName="fn")

    r.create()
    put("put_invokeconfig_retries_0", MaximumRetryAttempts=0)
    put("put_invokeconfig_eventage_60", MaximumEventAgeInSeconds=60)
    put("update_invokeconfig_eventage_nochange", "update", MaximumEventAgeInSeconds=60)
    put("update_invokeconfig_retries", "update", MaximumRetryAttempts=1)
    get("get_invokeconfig")
    listed("list_single_invokeconfig")
    get("get_invokeconfig_latest", Qualifier="$LATEST")
    r("publish_version_result", "publish_version", FunctionName="fn")
    get("get_invokeconfig_postpublish", Qualifier="1")
    put("put_published_invokeconfig", Qualifier="1", MaximumEventAgeInSeconds=120)
    get("get_published_invokeconfig", Qualifier="1")
    r.do("delete_function_event_invoke_config", FunctionName="fn")
    listed("list_paging_nolimit_postdelete")


@case("TestLambdaEventInvokeConfig::test_lambda_eventinvokeconfig_exceptions")
def async_exceptions(r):
    def put(answer, op="put", **given):
        r(answer, f"{op}_function_event_invoke_config", **{"FunctionName": "fn", **given})

    def get(answer, op="get", **given):
        r(answer, f"{op}_function_event_invoke_config", **{"FunctionName": "fn", **given})

    one = {"MaximumRetryAttempts": 1}
    success = lambda arn: {"DestinationConfig": {"OnSuccess": {"Destination": arn}}}  # noqa: E731
    r.create()
    r.create("other")
    r("fn_version_result", "publish_version", FunctionName="fn")
    r("fn_alias_result", "create_alias", FunctionName="fn", Name="eventinvokealias", FunctionVersion="1")
    arn = r.arn("fn")
    # Who it is for.
    put("put_functionname_name_notfound", FunctionName="doesnotexist", **one)
    put("put_functionname_arn_notfound", FunctionName=r.arn("doesnotexist"), **one)
    put("put_functionname_nootherargs")
    put("put_alias_doesnotexist", Qualifier="doesnotexist", **one)
    put("put_shorthand_qualifier_mismatch_1", FunctionName="fn:1", Qualifier="2", **one)
    put("put_shorthand_qualifier_mismatch_2", FunctionName="fn:1", Qualifier="$LATEST", **one)
    put("put_shorthand_qualifier_mismatch_3", FunctionName="fn:$LATEST", Qualifier="1", **one)
    put("put_shorthand_qualifier_match", FunctionName="fn:$LATEST", Qualifier="$LATEST", **one)
    get("delete_latest", "delete")
    # Where its outcomes go.
    put("put_destination_recursive", **success(arn))
    put("put_destination_other_lambda", **success(r.arn("other")))
    put("put_destination_lambda_doesntexist", **success(r.arn("doesnotexist")))
    put("put_destination_invalid_service_arn", **success(arn.replace(":lambda:", ":iam:")))
    put("put_destination_invalid_arn_pattern", DestinationConfig={"OnFailure": {"Destination": arn.replace("arn:aws:", "arn:aws:_-/!")}})
    put("put_destination_success_no_destination_arn", DestinationConfig={"OnSuccess": {}})
    put("put_destination_failure_no_destination_arn", DestinationConfig={"OnFailure": {}})
    # Under which names.
    put("put_destination_latest", **one)
    put("put_destination_latest_explicit_qualifier", Qualifier="$LATEST", **one)
    put("put_destination_version", Qualifier="1", **one)
    put("put_version_shorthand", FunctionName="fn:1", **one)
    alias = {"Qualifier": "eventinvokealias"}
    put("put_alias_functionname_qualifier", **alias, **one)
    put("put_alias_shorthand", FunctionName="fn:eventinvokealias", **one)
    put("put_alias_shorthand_qualifier", FunctionName="fn:eventinvokealias", **alias, **one)
    put("put_alias_shorthand_qualifierconflict", FunctionName="fn:eventinvokealias", Qualifier="other", **one)
    put("put_alias_qualifiedarn", FunctionName=arn + ":eventinvokealias", **one)
    put("put_alias_qualifiedarn_qualifier", FunctionName=arn + ":eventinvokealias", **alias, **one)
    put("put_alias_qualifiedarn_qualifierconflict", FunctionName=arn + ":eventinvokealias", Qualifier="other", **one)
    # Limits, replacing and merging.
    put("put_maxevent_maxvalue_result", MaximumRetryAttempts=2, MaximumEventAgeInSeconds=21600)
    put("put_pre_overwrite", MaximumRetryAttempts=2, MaximumEventAgeInSeconds=60)
    put("put_post_overwrite", MaximumRetryAttempts=0)
    put("second_overwrite_existing_response", MaximumRetryAttempts=0)
    get("get_post_overwrite")
    put("pre_update_response", MaximumRetryAttempts=2, MaximumEventAgeInSeconds=60)
    put("update_response", "update", MaximumRetryAttempts=0)
    put("update_response_existing", "update", MaximumRetryAttempts=0)
    r("list_configs", "list_function_event_invoke_configs", FunctionName="fn")
    # Without one.
    r("list_function_doesnotexist", "list_function_event_invoke_configs", FunctionName="doesnotexist")
    get("get_function_doesnotexist", FunctionName="doesnotexist")
    get("get_qualifier_doesnotexist", Qualifier="doesnotexist")
    get("delete_function_doesnotexist", "delete", FunctionName="doesnotexist")
    r.do("delete_function_event_invoke_config", FunctionName="fn")
    get("delete_function_not_found", "delete")
    get("delete_version", "delete", Qualifier="1")
    get("delete_alias", "delete", **alias)
    get("get_eventinvokeconfig_doesnotexist", **alias)
    put("update_eventinvokeconfig_function_doesnotexist", "update", FunctionName="doesnotexist", **one)
    put("update_eventinvokeconfig_config_doesnotexist_with_qualifier", "update", **alias, **one)
    put("update_eventinvokeconfig_config_doesnotexist_without_qualifier", "update", **one)
    r("list_configs_postdelete", "list_function_event_invoke_configs", FunctionName="fn")


without("event source mappings are not there yet", *(
    "TestLambdaEventSourceMappings::" + name for name in (
        "test_create_event_source_self_managed", "test_create_event_source_validation", "test_create_event_source_validation_kinesis",
        "test_event_source_mapping_lifecycle_delete_function", "test_function_name_variations")),
        "TestLambdaTag::test_create_tag_on_esm_create")
