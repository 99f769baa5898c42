"""Walks every paginator and every waiter of the Lambda client, and asks for every operation.

A list is walked in pages of two while items are added and taken away between the
pages: what was there throughout comes exactly once, and in order. A paginator or
waiter that boto3 has and this file does not know is a failure.
"""

import io
import sys
import zipfile

import boto3
import botocore.config
import botocore.exceptions

ACCOUNT = "000000000000"
REGION = "us-east-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/any"
config = botocore.config.Config(parameter_validation=False, retries={"total_max_attempts": 1})
api = boto3.client("lambda", region_name=REGION, config=config)
failures = []


def check(what, got, want):
    if got != want:
        failures.append(f"{what}: {got}, want {want}")


def package(text):
    b = io.BytesIO()
    with zipfile.ZipFile(b, "w") as z:
        z.writestr("handler.py", text)
    return b.getvalue()


def settle(name="fn"):
    quick = {"WaiterConfig": {"Delay": 0.01, "MaxAttempts": 6000}}
    api.get_waiter("function_active_v2").wait(FunctionName=name, **quick)
    api.get_waiter("function_updated_v2").wait(FunctionName=name, **quick)


def function(name="fn", **given):
    api.create_function(FunctionName=name, Role=ROLE, Runtime="python3.13", Handler="handler.handler",
                        Code={"ZipFile": package("def handler(e, c): pass")}, **given)
    settle(name)


def version():
    """Publishes a version that no other is like, and returns its number."""
    version.n += 1
    api.update_function_configuration(FunctionName="fn", Description=str(version.n))
    settle()
    return api.publish_version(FunctionName="fn")["Version"]


version.n = 0


def arn(kind, name):
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:{kind}:{name}"


def alias(name):
    api.create_alias(FunctionName="fn", Name=name, FunctionVersion="1")
    return name


def walk(operation, key, name, add, remove, given=None, order=sorted):
    """Walks a list of seven items, of which one goes and one comes after the first page."""
    given = given or {}
    items = [add(i) for i in range(7)]
    items = order(items)
    seen, pages, sizes = [], 0, []
    for page in api.get_paginator(operation).paginate(**given, PaginationConfig={"PageSize": 2}):
        found = [name(i) for i in page[key]]
        sizes.append(len(found))
        seen += found
        if pages == 0:
            gone = next(i for i in items if i not in seen)
            remove(gone)
            come = add(7)
        pages += 1
    throughout = [i for i in items if i != gone]
    others = {gone, come}
    check(operation, [i for i in seen if i in throughout], throughout)
    check(f"{operation}, items that are none", [i for i in seen if i not in items and i not in others and not name_is_old(i)], [])
    check(f"{operation}, items that come twice", [i for i in set(seen) if seen.count(i) > 1], [])
    check(f"{operation}, size of pages", max(sizes) <= 2 and pages >= 3, True)


def name_is_old(item):
    """What an earlier walk left behind."""
    return item in LEFT


LEFT = set()


def walk_all():
    function(Publish=True)
    fn = {"FunctionName": "fn"}
    walk("list_functions", "Functions", lambda f: f["FunctionName"],
         lambda i: (function(f"walk-{i}"), f"walk-{i}")[1], lambda n: api.delete_function(FunctionName=n), order=list_after("walk-"))
    walk("list_aliases", "Aliases", lambda a: a["Name"], lambda i: alias(f"a{i}"),
         lambda n: api.delete_alias(FunctionName="fn", Name=n), fn)
    LEFT.update(["$LATEST", "1"])
    walk("list_versions_by_function", "Versions", lambda v: v["Version"], lambda i: version(),
         lambda n: api.delete_function(FunctionName="fn", Qualifier=n), fn, order=lambda v: sorted(v, key=int))

    def qualified(i):
        return i["FunctionArn"].rsplit(":", 1)[1]

    def on_alias(prefix, put):
        def add(i):
            put(alias(f"{prefix}{i}"))
            return f"{prefix}{i}"
        return add

    def take_alias(n):
        api.delete_alias(FunctionName="fn", Name=n)

    walk("list_function_url_configs", "FunctionUrlConfigs", qualified,
         on_alias("u", lambda q: api.create_function_url_config(**fn, Qualifier=q, AuthType="NONE")), take_alias, fn)
    walk("list_function_event_invoke_configs", "FunctionEventInvokeConfigs", qualified,
         on_alias("e", lambda q: api.put_function_event_invoke_config(**fn, Qualifier=q, MaximumRetryAttempts=0)), take_alias, fn)
    walk("list_provisioned_concurrency_configs", "ProvisionedConcurrencyConfigs", qualified,
         on_alias("p", lambda q: api.put_provisioned_concurrency_config(**fn, Qualifier=q, ProvisionedConcurrentExecutions=1)), take_alias, fn)

    def layer(name, text):
        return api.publish_layer_version(LayerName=name, Content={"ZipFile": package(text)})

    walk("list_layers", "Layers", lambda i: i["LayerName"], lambda i: (layer(f"layer{i}", "x"), f"layer{i}")[1],
         lambda n: api.delete_layer_version(LayerName=n, VersionNumber=1))
    walk("list_layer_versions", "LayerVersions", lambda i: i["Version"], lambda i: layer("one", f"{i}")["Version"],
         lambda n: api.delete_layer_version(LayerName="one", VersionNumber=n), {"LayerName": "one"}, order=lambda v: sorted(v, reverse=True))

    def signing(i):
        return api.create_code_signing_config(AllowedPublishers={"SigningProfileVersionArns": [
            f"arn:aws:signer:{REGION}:{ACCOUNT}:/signing-profiles/p/v"]})["CodeSigningConfig"]["CodeSigningConfigArn"]

    walk("list_code_signing_configs", "CodeSigningConfigs", lambda i: i["CodeSigningConfigArn"], signing,
         lambda n: api.delete_code_signing_config(CodeSigningConfigArn=n))
    csc = signing(0)

    def bound(i):
        function(f"bound-{i}", CodeSigningConfigArn=csc)
        return arn("function", f"bound-{i}")

    walk("list_functions_by_code_signing_config", "FunctionArns", lambda i: i, bound,
         lambda n: api.delete_function_code_signing_config(FunctionName=n), {"CodeSigningConfigArn": csc})

    def provider(i):
        name = f"cp{i}"
        api.create_capacity_provider(CapacityProviderName=name, VpcConfig={"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]},
                                     PermissionsConfig={"CapacityProviderOperatorRoleArn": ROLE})
        return arn("capacity-provider", name)

    walk("list_capacity_providers", "CapacityProviders", lambda i: i["CapacityProviderArn"], provider,
         lambda n: api.delete_capacity_provider(CapacityProviderName=n))
    cp = provider(9)

    def managed(i):
        name = f"managed-{i}"
        api.create_function(FunctionName=name, Role=ROLE, Runtime="python3.13", Handler="handler.handler", Code={"ZipFile": package("")},
                            CapacityProviderConfig={"LambdaManagedInstancesCapacityProviderConfig": {"CapacityProviderArn": cp}})
        return arn("function", name) + ":$LATEST"

    walk("list_function_versions_by_capacity_provider", "FunctionVersions", lambda i: i["FunctionArn"], managed,
         lambda n: api.delete_function(FunctionName=n.removesuffix(":$LATEST")), {"CapacityProviderName": cp})


def list_after(prefix):
    LEFT.add("fn")
    return sorted


# The paginators of what is not there yet. They answer 501, and this list goes when they do not.
NOT_YET = {
    "list_event_source_mappings": {}, "list_durable_executions_by_function": {"FunctionName": "fn"},
    "get_durable_execution_history": {"DurableExecutionArn": arn("function", "fn") + ":1/durable-execution/n/i"},
    "get_durable_execution_state": {"DurableExecutionArn": arn("function", "fn") + ":1/durable-execution/n/i", "CheckpointToken": "dG9rZW4="},
}


def snake(operation):
    return "".join("_" + c.lower() if c.isupper() else c for c in operation).lstrip("_")


def methods():
    return {m: o for m, o in api.meta.method_to_api_mapping.items()}


def paginators():
    walked = []
    real = api.get_paginator
    api.get_paginator = lambda operation: (walked.append(operation), real(operation))[1]
    walk_all()
    for operation, given in NOT_YET.items():
        if not api.can_paginate(operation):
            failures.append(f"boto3 has no paginator {operation}")
            continue
        try:
            list(api.get_paginator(operation).paginate(**given))
            failures.append(f"{operation} is there now: walk it")
        except botocore.exceptions.ClientError as e:
            check(f"{operation} is not there yet", e.response["ResponseMetadata"]["HTTPStatusCode"], 501)
    every = sorted(m for m in methods() if api.can_paginate(m))
    check("paginators that were walked", sorted(set(walked)), every)
    print(f"{len(every)} paginators, {len(NOT_YET)} of them not there yet")


def waiters():
    quick = {"WaiterConfig": {"Delay": 0.01, "MaxAttempts": 6000}}
    given = {
        "function_exists": {"FunctionName": "fn"}, "function_active": {"FunctionName": "fn"}, "function_active_v2": {"FunctionName": "fn"},
        "function_updated": {"FunctionName": "fn"}, "function_updated_v2": {"FunctionName": "fn"},
        "published_version_active": {"FunctionName": "fn", "Qualifier": "1"},
    }
    check("waiters", sorted(given), sorted(api.waiter_names))
    api.update_function_configuration(FunctionName="fn", Description="waited for")
    for name, of in given.items():
        api.get_waiter(name).wait(**of, **quick)
    try:
        api.get_waiter("function_exists").wait(FunctionName="none", WaiterConfig={"Delay": 0.01, "MaxAttempts": 2})
        failures.append("a function that is not there exists")
    except botocore.exceptions.WaiterError:
        pass
    print(f"{len(given)} waiters")


# Operations that are not there yet, by the words in their names.
GAPS = ("EventSourceMapping", "DurableExecution")

# Operations of durable executions that boto3's model has and the one this server is made of has not.
NEWEST = {"DeleteDurableExecution", "PauseDurableExecution", "ResumeDurableExecution"}

PLAUSIBLE = {
    "Arn": arn("function", "fn") + ":layer:1", "CodeSigningConfigArn": arn("code-signing-config", "csc-0123456789abcdefg"),
    "Resource": arn("function", "fn"), "ResourceArn": arn("function", "fn"), "VersionNumber": 1, "Principal": "s3.amazonaws.com",
    "Action": "lambda:InvokeFunction", "Tags": {"a": "b"}, "TagKeys": ["a"], "FunctionVersion": "1", "Qualifier": "1", "Role": ROLE,
    "Policy": "{}", "RecursiveLoop": "Terminate", "UpdateRuntimeOn": "Auto", "AuthType": "NONE", "Code": {"ZipFile": b""},
    "Content": {"ZipFile": b""}, "ReservedConcurrentExecutions": 1, "ProvisionedConcurrentExecutions": 1, "UUID": "8f5ac0e5-4f3c-4f5e-9d3b-3a0b7f1f1d11",
    "AllowedPublishers": {"SigningProfileVersionArns": [f"arn:aws:signer:{REGION}:{ACCOUNT}:/signing-profiles/p/v"]},
    "VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}, "PermissionsConfig": {"CapacityProviderOperatorRoleArn": ROLE},
    "DurableExecutionArn": arn("function", "fn") + ":1/durable-execution/n/i", "CallbackId": "aWQ=", "CheckpointToken": "dG9rZW4=",
    "InvokeArgs": b"{}", "Error": {},
}


def operations():
    """No operation answers 501 but those of the gaps; none answers 404 for its path or 5xx."""
    asked = 0
    for method, operation in sorted(methods().items()):
        model = api.meta.service_model.operation_model(operation)
        members = model.input_shape.required_members if model.input_shape else []
        given = {m: PLAUSIBLE.get(m, "fn") for m in members}
        try:
            status = getattr(api, method)(**given)["ResponseMetadata"]["HTTPStatusCode"]
        except botocore.exceptions.ClientError as e:
            status = e.response["ResponseMetadata"]["HTTPStatusCode"]
            if e.response["Error"]["Code"] == "UnknownOperationException":
                if operation not in NEWEST:
                    failures.append(f"{operation} has no path")
                continue
        if any(g in operation for g in GAPS):
            check(f"{operation} is not there yet", status, 501)
        elif status >= 500:
            failures.append(f"{operation} answers {status}")
        asked += 1
    print(f"{asked} operations")


paginators()
waiters()
operations()
if failures:
    sys.exit("\n".join(failures))
