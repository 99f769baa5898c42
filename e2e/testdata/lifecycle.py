"""A function's whole life with boto3. The words are recorded from AWS unless said otherwise."""

import base64
import hashlib
import io
import json
import urllib.request
import zipfile

import boto3

client = boto3.client("lambda")
ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
ROLE = "arn:aws:iam::000000000000:role/any"

CODE = """
import os
def handler(event, context):
    print("seen", event)
    client = context.client_context
    return {"version": context.function_version, "arn": context.invoked_function_arn, "event": event,
            "env": os.environ.get("COLOUR"), "custom": client.custom if client else None,
            "marker": "%s"}
"""


def package(marker):
    b = io.BytesIO()
    with zipfile.ZipFile(b, "w") as z:
        entry = zipfile.ZipInfo("handler.py")
        entry.external_attr = 0o644 << 16  # writestr alone makes it unreadable for the function's user, as on AWS
        z.writestr(entry, CODE % marker)
    return b.getvalue()


def check(what, got, want):
    if got != want:
        raise SystemExit("%s: got %r, want %r" % (what, got, want))
    print("ok:", what)


def holds(what, truth):
    check(what, bool(truth), True)


def invoke(name="life", event=None, **kw):
    out = client.invoke(FunctionName=name, Payload=json.dumps(event), **kw)
    return out, json.loads(out["Payload"].read())


def wait(waiter, **kw):
    client.get_waiter(waiter).wait(WaiterConfig={"Delay": 0.05, "MaxAttempts": 400}, **kw)


# Create.
one = package("one")
made = client.create_function(FunctionName="life", Runtime="python3.13", Role=ROLE, Handler="handler.handler",
                              Code={"ZipFile": one}, Tags={"team": "blue"}, Environment={"Variables": {"COLOUR": "red"}})
sha = base64.b64encode(hashlib.sha256(one).digest()).decode()
for key, want in {
    "FunctionArn": ARN + "life", "State": "Pending", "StateReason": "The function is being created.",
    "StateReasonCode": "Creating", "Version": "$LATEST", "MemorySize": 128, "Timeout": 3, "PackageType": "Zip",
    "Architectures": ["x86_64"], "EphemeralStorage": {"Size": 512}, "Description": "", "CodeSize": len(one), "CodeSha256": sha,
    "TracingConfig": {"Mode": "PassThrough"}, "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
    "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/life"}, "Environment": {"Variables": {"COLOUR": "red"}},
}.items():
    check("create answers " + key, made.get(key), want)
holds("no LastUpdateStatus while creating", "LastUpdateStatus" not in made)
check("create is 201", made["ResponseMetadata"]["HTTPStatusCode"], 201)
wait("function_exists", FunctionName="life")
wait("function_active", FunctionName="life")
wait("function_active_v2", FunctionName="life")

# Get, and the package itself.
got = client.get_function(FunctionName="life")
check("active", (got["Configuration"]["State"], got["Configuration"]["LastUpdateStatus"]), ("Active", "Successful"))
holds("Active has another revision than Pending", got["Configuration"]["RevisionId"] != made["RevisionId"])
check("tags in GetFunction", got["Tags"], {"team": "blue"})
check("RepositoryType", got["Code"]["RepositoryType"], "S3")
with urllib.request.urlopen(got["Code"]["Location"]) as r:
    check("Code.Location gives the very bytes", r.read() == one, True)
check("unqualified ARN", client.get_function_configuration(FunctionName="life")["FunctionArn"], ARN + "life")
check("qualified ARN", client.get_function_configuration(FunctionName="life", Qualifier="$LATEST")["FunctionArn"], ARN + "life:$LATEST")

# Invoke.
out, answer = invoke(event={"n": 1})
check("invoke", answer, {"version": "$LATEST", "arn": ARN + "life", "event": {"n": 1}, "env": "red", "custom": None, "marker": "one"})
check("status and version", (out["StatusCode"], out["ExecutedVersion"], out.get("FunctionError")), (200, "$LATEST", None))
out, answer = invoke(event=[1], LogType="Tail")
log = base64.b64decode(out["LogResult"]).decode()
request = out["ResponseMetadata"]["RequestId"]
holds("the log tail has START, the output, END, REPORT",
      all(line in log for line in ("START RequestId: %s Version: $LATEST\n" % request, "seen [1]\n",
                                   "END RequestId: %s\n" % request, "REPORT RequestId: %s\tDuration: " % request)))
holds("the log tail has no INIT_START", "INIT_START" not in log)
context = base64.b64encode(json.dumps({"custom": {"k": "v"}}).encode()).decode()
check("client context reaches the function", invoke(event=None, ClientContext=context)[1]["custom"], {"k": "v"})
out = client.invoke(FunctionName="life", InvocationType="DryRun")
check("DryRun", (out["StatusCode"], out["Payload"].read(), "ExecutedVersion" in out), (204, b"", False))
out = client.invoke(FunctionName="life")
check("an empty payload is an empty object", json.loads(out["Payload"].read())["event"], {})
for form in (ARN + "life", "000000000000:function:life", "us-east-1:000000000000:function:life", "life:$LATEST", ARN + "life:$LATEST"):
    check("invoke by " + form, invoke(form, 7)[1]["event"], 7)

# Publish: once for what did not change.
v1 = client.publish_version(FunctionName="life", Description="first")
check("version 1", (v1["Version"], v1["FunctionArn"], v1["Description"], v1["State"]), ("1", ARN + "life:1", "first", "Active"))
wait("published_version_active", FunctionName="life", Qualifier="1")
again = client.publish_version(FunctionName="life")
check("publishing again is the same version", (again["Version"], again["RevisionId"]), ("1", v1["RevisionId"]))

# Update the code.
before = client.get_function_configuration(FunctionName="life")["RevisionId"]
two = package("two")
updated = client.update_function_code(FunctionName="life", ZipFile=two)
check("update in progress", (updated["LastUpdateStatus"], updated["State"]), ("InProgress", "Active"))
check("and its reason", (updated["LastUpdateStatusReason"], updated["LastUpdateStatusReasonCode"]),
      ("The function is being created.", "Creating"))
wait("function_updated", FunctionName="life")
wait("function_updated_v2", FunctionName="life")
after = client.get_function_configuration(FunctionName="life")
check("three revisions", len({before, updated["RevisionId"], after["RevisionId"]}), 3)
check("new code runs", invoke()[1]["marker"], "two")
check("the version's code did not change", invoke("life:1")[1]["marker"], "one")
dry = client.update_function_code(FunctionName="life", ZipFile=package("dry"), DryRun=True)
holds("a dry run answers the new hash", dry["CodeSha256"] != after["CodeSha256"])
check("a dry run stores nothing", client.get_function_configuration(FunctionName="life")["CodeSha256"], after["CodeSha256"])

# Update the configuration.
client.update_function_configuration(FunctionName="life", Timeout=9, Environment={"Variables": {"COLOUR": "green"}})
wait("function_updated_v2", FunctionName="life")
check("new configuration", client.get_function_configuration(FunctionName="life")["Timeout"], 9)
check("new environment", invoke()[1]["env"], "green")
v2 = client.publish_version(FunctionName="life")
check("version 2", v2["Version"], "2")
check("a version keeps its configuration", client.get_function_configuration(FunctionName="life", Qualifier="1")["Timeout"], 3)

# Aliases.
alias = client.create_alias(FunctionName="life", Name="live", FunctionVersion="1")
check("alias", (alias["AliasArn"], alias["Description"], "RoutingConfig" in alias), (ARN + "life:live", "", False))
out, answer = invoke("life", Qualifier="live")
check("an alias runs its version", (out["ExecutedVersion"], answer["version"], answer["arn"]), ("1", "1", ARN + "life:live"))
weighted = client.update_alias(FunctionName="life", Name="live", RoutingConfig={"AdditionalVersionWeights": {"2": 0.3}})
check("weights", weighted["RoutingConfig"], {"AdditionalVersionWeights": {"2": 0.3}})
holds("an alias has a new revision on every update", weighted["RevisionId"] != alias["RevisionId"])
hits = sum(client.invoke(FunctionName="life:live")["ExecutedVersion"] == "2" for _ in range(200))
# Of 200 draws at 0.3 fewer than 30 or more than 90 is one run in a hundred thousand.
holds("about three in ten go to version 2 (%d of 200)" % hits, 30 <= hits <= 90)
cleared = client.update_alias(FunctionName="life", Name="live", FunctionVersion="2", RoutingConfig={})
check("an empty routing config removes it", ("RoutingConfig" in cleared, cleared["FunctionVersion"]), (False, "2"))
check("invoke after the move", invoke("life:live")[0]["ExecutedVersion"], "2")
client.create_alias(FunctionName="life", Name="test", FunctionVersion="$LATEST")
names = [a["Name"] for page in client.get_paginator("list_aliases").paginate(FunctionName="life", PaginationConfig={"PageSize": 1}) for a in page["Aliases"]]
check("aliases in order, page by page", names, ["live", "test"])
check("aliases of a version", [a["Name"] for a in client.list_aliases(FunctionName="life", FunctionVersion="2")["Aliases"]], ["live"])
check("get alias", client.get_alias(FunctionName="life", Name="live")["FunctionVersion"], "2")
client.delete_alias(FunctionName="life", Name="test")
check("deleting a missing alias is 204", client.delete_alias(FunctionName="life", Name="test")["ResponseMetadata"]["HTTPStatusCode"], 204)

# Lists.
for i in range(3):
    client.create_function(FunctionName="other%d" % i, Runtime="python3.13", Role=ROLE, Handler="handler.handler", Code={"ZipFile": one})
pages = list(client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2}))
names = [f["FunctionName"] for p in pages for f in p["Functions"]]
check("functions, page by page", (sorted(names), len(pages)), (["life", "other0", "other1", "other2"], 2))
holds("lists leave out the state", all("State" not in f and "LastUpdateStatus" not in f for p in pages for f in p["Functions"]))
every = [f["FunctionArn"] for p in client.get_paginator("list_functions").paginate(FunctionVersion="ALL") for f in p["Functions"]]
check("every version", sorted(every), sorted([ARN + "life:" + v for v in ("$LATEST", "1", "2")] + [ARN + "other%d:$LATEST" % i for i in range(3)]))
versions = [v["Version"] for p in client.get_paginator("list_versions_by_function").paginate(FunctionName="life", PaginationConfig={"PageSize": 1}) for v in p["Versions"]]
check("versions, $LATEST first", versions, ["$LATEST", "1", "2"])

# Tags.
revision = client.get_function_configuration(FunctionName="life")["RevisionId"]
client.tag_resource(Resource=ARN + "life", Tags={"stage": "test", "a b": "c/d"})
check("tags", client.list_tags(Resource=ARN + "life")["Tags"], {"team": "blue", "stage": "test", "a b": "c/d"})
client.untag_resource(Resource=ARN + "life", TagKeys=["team", "a b"])
check("fewer tags", client.list_tags(Resource=ARN + "life")["Tags"], {"stage": "test"})
holds("tagging makes a revision", client.get_function_configuration(FunctionName="life")["RevisionId"] != revision)

# Account.
settings = client.get_account_settings()
check("account limits", {k: settings["AccountLimit"][k] for k in ("ConcurrentExecutions", "CodeSizeZipped", "CodeSizeUnzipped")},
      {"ConcurrentExecutions": 1000, "CodeSizeZipped": 52428800, "CodeSizeUnzipped": 262144000})
check("functions counted", settings["AccountUsage"]["FunctionCount"], 4)

# Delete.
check("delete is 204", client.delete_function(FunctionName="life", Qualifier="1")["ResponseMetadata"]["HTTPStatusCode"], 204)
check("a version is gone", [v["Version"] for v in client.list_versions_by_function(FunctionName="life")["Versions"]], ["$LATEST", "2"])
client.update_function_configuration(FunctionName="life", Description="changed")
wait("function_updated_v2", FunctionName="life")
check("a number is never used again", client.publish_version(FunctionName="life")["Version"], "3")
for name in ("life", "other0", "other1", "other2"):
    client.delete_function(FunctionName=name)
check("nothing is left", client.list_functions()["Functions"], [])

# Publish at creation.
made = client.create_function(FunctionName="published", Runtime="python3.13", Role=ROLE, Handler="handler.handler", Code={"ZipFile": one}, Publish=True)
check("created and published", (made["Version"], made["FunctionArn"]), ("1", ARN + "published"))
wait("function_active_v2", FunctionName="published")
wait("published_version_active", FunctionName="published", Qualifier="1")
made = client.update_function_code(FunctionName="published", ZipFile=two, Publish=True)
check("updated and published", (made["Version"], made["FunctionArn"]), ("2", ARN + "published:2"))
wait("function_updated_v2", FunctionName="published")
wait("published_version_active", FunctionName="published", Qualifier="2")
check("the version runs", invoke("published:2")[1]["marker"], "two")
