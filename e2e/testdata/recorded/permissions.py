"""Resource policies."""

from recorded import case, without

S3 = {"Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com", "SourceArn": "arn:aws:s3:::bucket"}


def allow(r, answer, sid="s3", fn="fn", **given):
    return r(answer, "add_permission", **{"FunctionName": fn, "StatementId": sid, **S3, **given})


@case("TestLambdaPermissions::test_create_multiple_lambda_permissions")
def several(r):
    r.create()
    for i, service in enumerate(("logs", "kinesis"), 1):
        r(f"add_permission_response_{i}", "add_permission", FunctionName="fn", StatementId=service,
          Action="lambda:InvokeFunction", Principal=f"{service}.amazonaws.com")
    r("policy_after_2_add", "get_policy", FunctionName="fn")


@case("TestLambdaPermissions::test_lambda_permission_fn_versioning")
def versioning(r):
    r.create()
    allow(r, "add_permission")
    r("get_policy", "get_policy", FunctionName="fn")
    r("publish_version_result", "publish_version", FunctionName="fn")
    r("get_policy_after_publishing_latest", "get_policy", FunctionName="fn")
    r("get_policy_after_publishing_new_version", "get_policy", FunctionName="fn", Qualifier="1")
    r("get_function_result_after_publishing", "get_function", FunctionName="fn")
    r.do("add_permission", FunctionName="fn", StatementId="s3", Qualifier="1", **S3)
    r("get_policy_version", "get_policy", FunctionName="fn", Qualifier="1")
    r("get_policy_after_adding_to_new_version", "get_policy", FunctionName="fn")
    r("create_alias_response", "create_alias", FunctionName="fn", Name="permission-alias", FunctionVersion="1")
    r("get_alias", "get_alias", FunctionName="fn", Name="permission-alias")
    allow(r, "add_permission_alias_revision_exception", Qualifier="permission-alias", RevisionId="wrong")
    r.do("add_permission", FunctionName="fn", StatementId="s3", Qualifier="permission-alias", **S3)
    r("get_policy_alias", "get_policy", FunctionName="fn", Qualifier="permission-alias")
    r.do("add_permission", FunctionName="fn", StatementId="s3_2", **S3)
    r("get_policy_after_adding_2", "get_policy", FunctionName="fn")


OLD = "recorded in 2022: since then policies have RevisionIds of their own, as the recordings of 2025 show"
OLD_SHAPE = "recorded in 2022, before answers had SnapStart, LoggingConfig and RuntimeVersionConfig"


@case("TestLambdaPermissions::test_lambda_permission_versioning", differs=dict.fromkeys(
    ("get_policy_after_publishing_latest", "get_policy_after_adding_to_new_version"), OLD))
def old_versioning(r):
    r.create()
    allow(r, "add_permission")
    r("get_policy", "get_policy", FunctionName="fn")
    r.do("publish_version", FunctionName="fn")
    r("get_policy_after_publishing_latest", "get_policy", FunctionName="fn")
    r("get_policy_after_publishing_new_version", "get_policy", FunctionName="fn", Qualifier="1")
    r.do("add_permission", FunctionName="fn", StatementId="s3", Qualifier="1", **S3)
    r("get_policy_after_adding_to_new_version", "get_policy", FunctionName="fn")
    r.do("add_permission", FunctionName="fn", StatementId="s3_2", **S3)
    r("get_policy_after_adding_2", "get_policy", FunctionName="fn")


@case("TestLambdaPermissions::test_lambda_permission_revisions", differs={
    **dict.fromkeys(("add_permission_revision_id_doesnotmatch", "remove_permission_fn_revision_id_doesnotmatch",
                     "get_policy_after_publish_version", "get_policy_v1_after_publish_version"), OLD),
    **dict.fromkeys(("get_function_fn8", "get_function_fn8_v1", "get_function_fn9", "get_function_fn9_v1"), OLD_SHAPE)})
def old_revisions(r):
    def add(sid, **given):
        return r.call("add_permission", FunctionName="fn", StatementId=sid, **S3, **given)

    r.create(Runtime="python3.8")
    add("s3")
    r.same("add_permission_revision_id_doesnotmatch", add("s3_2", RevisionId="wrong"))
    add("s3_2")
    r("remove_permission_fn_revision_id_doesnotmatch", "remove_permission", FunctionName="fn", StatementId="s3", RevisionId="wrong")
    r.do("publish_version", FunctionName="fn")
    add("s3_2", Qualifier="1")
    r.do("update_function_configuration", FunctionName="fn", Runtime="python3.9")
    r.settle()
    r("get_function_fn8", "get_function", FunctionName="fn")
    r("get_policy_after_publish_version", "get_policy", FunctionName="fn")
    r("get_function_fn8_v1", "get_function", FunctionName="fn", Qualifier="1")
    r("get_policy_v1_after_publish_version", "get_policy", FunctionName="fn", Qualifier="1")
    add("s3_3", Qualifier="1")
    r("get_function_fn9", "get_function", FunctionName="fn")
    r("get_function_fn9_v1", "get_function", FunctionName="fn", Qualifier="1")
    r("get_policy_v1_after_add_permission9", "get_policy", FunctionName="fn", Qualifier="1")


@case("TestLambdaPermissions::test_permission_exceptions")
def exceptions(r):
    r.create()
    r.bound["<function-name>"] = "fn"
    allow(r, "add_permission_invalid_statement_id", sid="example.com")
    allow(r, "add_permission_principal_invalid", Principal="invalid.nonaws.com", SourceArn=r.arn("fn"))
    allow(r, "add_permission_fn_doesnotexist", fn="doesnotexist")
    allow(r, "add_permission_fn_qualifier_latest", Qualifier="$LATEST")
    allow(r, "add_permission_fn_qualifier_mismatch", fn="fn:alias-1", Qualifier="alias-2")
    allow(r, "add_permission_fn_qualifier_invalid", Qualifier="invalid-qualifier-with-?-char")
    allow(r, "add_permission_fn_qualifier_valid_doesnotexist", Qualifier="valid-with-$-but-doesnotexist")
    allow(r, "add_permission_fn_alias_doesnotexist", Qualifier="alias-doesnotexist")
    allow(r, "add_permission_fn_version_doesnotexist", Qualifier="42")
    r("get_policy_fn_doesnotexist", "get_policy", FunctionName="doesnotexist")
    r("get_policy_fn_version_doesnotexist", "get_policy", FunctionName="fn", Qualifier="42")
    r("remove_permission_policy_doesnotexist", "remove_permission", FunctionName="fn", StatementId="s3")
    r("remove_permission_fn_doesnotexist", "remove_permission", FunctionName="doesnotexist", StatementId="s3")
    r("remove_permission_fn_alias_doesnotexist", "remove_permission", FunctionName="fn", StatementId="s3", Qualifier="alias-doesnotexist")
    r.do("add_permission", FunctionName="fn", StatementId="s3", **S3)
    allow(r, "add_permission_conflicting_statement_id")


@case("TestLambdaRevisions::test_function_revisions_permissions")
def revisions(r):
    r.create()
    r.do("add_permission", FunctionName="fn", StatementId="s3", **S3)
    allow(r, "add_permission_revision_exception", sid="s3_2", RevisionId="wrong")


without("the recording holds no answer",
        "TestLambdaPermissions::test_add_lambda_permission_optional_fields",
        "TestPartialARNMatching::test_cross_region_arn_function_access",
        "TestLambdaMultiAccounts::test_cross_account_access",
        "TestLambdaMultiAccounts::test_delete_function",
        "TestLambdaMultiAccounts::test_function_alias",
        "TestLambdaMultiAccounts::test_function_invocation",
        "TestLambdaMultiAccounts::test_get_function_configuration")
