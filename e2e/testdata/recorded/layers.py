"""Layers and their policies."""

from recorded import case, package


def publish(r, answer, name="layer", **given):
    return r(answer, "publish_layer_version", LayerName=name, Content={"ZipFile": package("layer")}, **given)


@case("TestLambdaLayer::test_layer_lifecycle")
def lifecycle(r):
    given = {"CompatibleRuntimes": ["python3.12"], "CompatibleArchitectures": ["x86_64"], "Description": "what it is for", "LicenseInfo": "as is"}
    r.create()
    r("get_fn_result", "get_function", FunctionName="fn")
    r("get_fn_config_result", "get_function_configuration", FunctionName="fn")
    arn = publish(r, "publish_result", **given)["LayerVersionArn"]
    publish(r, "publish_result_2", **given)
    r("update_fn_config", "update_function_configuration", FunctionName="fn", Layers=[arn])
    r.settle()
    r("get_fn_config", "get_function_configuration", FunctionName="fn")
    r("get_layer_ver_result", "get_layer_version", LayerName="layer", VersionNumber=1)
    r("get_layer_by_arn_version", "get_layer_version_by_arn", Arn=arn)
    r("list_layer_versions_predelete", "list_layer_versions", LayerName="layer")
    r("delete_layer_1", "delete_layer_version", LayerName="layer", VersionNumber=1)
    r("get_fn_config_postdelete", "get_function_configuration", FunctionName="fn")
    r("delete_layer_2", "delete_layer_version", LayerName="layer", VersionNumber=2)
    r("list_layer_versions_postdelete", "list_layer_versions", LayerName="layer")
    publish(r, "publish_result_3", **given)


@case("TestLambdaLayer::test_layer_function_exceptions")
def function_exceptions(r):
    def attach(answer, *arns):
        r(answer, "update_function_configuration", FunctionName="fn", Layers=list(arns))

    given = {"CompatibleRuntimes": [], "CompatibleArchitectures": ["x86_64"]}
    one = publish(r, "publish_result", **given)
    two, three = (publish(r, f"publish_result_{n}", **given)["LayerVersionArn"] for n in (2, 3))
    one, layer = one["LayerVersionArn"], one["LayerArn"]
    r.create()
    r("get_fn_result", "get_function", FunctionName="fn")
    attach("two_layer_versions_single_function_exc", one, two)
    attach("three_layer_versions_single_function_exc", one, two, three)
    attach("two_identical_layer_versions_single_function_exc", one, one)
    attach("add_nonexistent_layer_exc", r.other("layer", "doesnotexist") + ":1")
    attach("add_nonexistent_layer_version_exc", layer + ":9")
    attach("add_layer_arn_without_version_exc", layer)
    r("create_function_with_layer_in_different_region", "create_function",
      **r.fn("fn2", Layers=[one.replace(r.region, "us-west-2")]))


ONE = {"LayerName": "layer", "VersionNumber": 1}
ALLOW = {"Action": "lambda:GetLayerVersion", "Principal": "*"}


@case("TestLambdaLayer::test_layer_policy_lifecycle")
def policy_lifecycle(r):
    publish(r, "publish_result", CompatibleRuntimes=["python3.12"], CompatibleArchitectures=["x86_64"])
    revision = r("add_policy_s1", "add_layer_version_permission", **ONE, StatementId="s1", **ALLOW)["RevisionId"]
    r("get_layer_version_policy", "get_layer_version_policy", **ONE)
    revision = r("add_policy_s2", "add_layer_version_permission", **ONE, StatementId="s2", RevisionId=revision, **ALLOW)["RevisionId"]
    r("get_layer_version_policy_postadd2", "get_layer_version_policy", **ONE)
    r("remove_s2", "remove_layer_version_permission", **ONE, StatementId="s2", RevisionId=revision)
    r("get_layer_version_policy_postdeletes2", "get_layer_version_policy", **ONE)


@case("TestLambdaLayer::test_layer_policy_exceptions")
def policy_exceptions(r):
    def ask(answer, op, layer="layer", version=1, **given):
        r(answer, op, LayerName=layer, VersionNumber=version, **given)

    publish(r, "publish_result", CompatibleRuntimes=["python3.12"], CompatibleArchitectures=["x86_64"])
    ask("layer_permission_nopolicy_get", "get_layer_version_policy")
    for where, layer, version in (("layername", "layer-doesnotexist", 1), ("layerversion", "layer", 2)):
        ask(f"layer_permission_{where}_doesnotexist_add", "add_layer_version_permission", layer, version, StatementId="s1", **ALLOW)
        ask(f"layer_permission_{where}_doesnotexist_get", "get_layer_version_policy", layer, version)
        ask(f"layer_permission_{where}_doesnotexist_remove", "remove_layer_version_permission", layer, version, StatementId="s1")
    ask("layer_permission_action_invalid", "add_layer_version_permission", StatementId="s1", Action="*", Principal="*")
    ask("add_layer_permission_result", "add_layer_version_permission", StatementId="s1", **ALLOW)
    ask("layer_permission_duplicate_statement", "add_layer_version_permission", StatementId="s1", **ALLOW)
    ask("layer_permission_wrong_revision", "add_layer_version_permission", StatementId="s2", RevisionId="wrong", **ALLOW)
    ask("layer_permission_wrong_revision_remove", "remove_layer_version_permission", StatementId="s1", RevisionId="wrong")
    ask("layer_permission_statementid_doesnotexist_remove", "remove_layer_version_permission", StatementId="doesnotexist")
