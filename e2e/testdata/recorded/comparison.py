"""Checks that the comparison of answers sees what it should, without a server. Fails with what it does not."""

import datetime
import sys

import recorded


def differences(*answers):
    """Compares answers, each given as (recorded, answered), in one case, and counts what differs."""
    r = recorded.Replay("", "us-east-1", {"recorded-content": {str(i): want for i, (want, _) in enumerate(answers)}})
    for i, (_, got) in enumerate(answers):
        r.same(str(i), recorded.shown(got))
    return len(r.differences)


ID = "0f3b6a1e-0d5c-4c5e-9b1a-0123456789a%d"
OK = {"ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": {}}}
REFUSED = {"Error": {"Code": "E", "Message": "m"}, "Type": "User", "message": "m"}

CHECKS = [
    ("the same", 0, [({"A": 1, "B": ["x", {"C": True}]}, {"A": 1, "B": ["x", {"C": True}]})]),
    ("a member is missing", 1, [({"A": 1, "B": 2}, {"A": 1})]),
    ("a member is too much", 1, [({"A": 1}, {"A": 1, "B": 2})]),
    ("another number", 1, [({"A": 1}, {"A": 2})]),
    ("true is not 1", 1, [({"A": True}, {"A": 1})]),
    ("a list is shorter", 1, [({"A": [1, 2]}, {"A": [1]})]),
    ("another text", 1, [({"A": "a."}, {"A": "ab"})]),
    ("another status", 1, [(OK, {"ResponseMetadata": {"HTTPStatusCode": 201, "HTTPHeaders": {}, "RequestId": "x"}})]),
    ("the request's id is no matter", 0, [(OK, {"ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": {"date": "d"}, "RequestId": "x"}})]),
    ("a recorded header", 1, [({"ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": {"x-amzn-errortype": "E", "date": "d"}}},
                              {"ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": {"x-amzn-errortype": "F"}}})]),
    ("refused, but should not be", 1, [({"A": 1}, REFUSED)]),
    ("not refused, but should be", 1, [(REFUSED, {"A": 1})]),
    ("no Type in a refusal", 1, [(REFUSED, {k: v for k, v in REFUSED.items() if k != "Type"})]),
    ("another key for the message", 2, [(REFUSED, {"Error": REFUSED["Error"], "Type": "User", "Message": "m"})]),
    ("one placeholder, one value", 0, [("<uuid:1>", ID % 1), ("<uuid:1>", ID % 1)]),
    ("one placeholder, two values", 1, [("<uuid:1>", ID % 1), ("<uuid:1>", ID % 2)]),
    ("two placeholders, one value", 1, [("<uuid:1>", ID % 1), ("<uuid:2>", ID % 1)]),
    ("two placeholders of two kinds, one value", 0, [("<uuid:1>", ID % 1), ("<resource:1>", ID % 1)]),
    ("two placeholders, two values", 0, [("<uuid:1> <uuid:2>", ID % 1 + " " + ID % 2)]),
    ("a placeholder twice in a text", 1, [("<resource:1>/<resource:1>", "a/b")]),
    ("a value of another form", 1, [("<uuid:1>", "no uuid")]),
    ("a date", 0, [("date", "2026-11-25T10:00:00Z")]),
    ("no date", 1, [("date", "yesterday")]),
    ("a function's date", 0, [({"MemorySize": 1, "LastModified": "date"}, {"MemorySize": 1, "LastModified": "2026-11-25T10:00:00.000+0000"})]),
    ("a function's date in another form", 1, [({"MemorySize": 1, "LastModified": "date"}, {"MemorySize": 1, "LastModified": "2026-11-25T10:00:00Z"})]),
    ("a time", 0, [("datetime", datetime.datetime.now())]),
    ("a time as a text", 1, [("datetime", "2026-11-25T10:00:00Z")]),
    ("an enumeration in another order", 0, [("enum value set: [a, b]", "enum value set: [b, a]")]),
    ("another enumeration", 1, [("enum value set: [a, b]", "enum value set: [b, c]")]),
    ("a size", 0, [({"CodeSize": "<code-size>"}, {"CodeSize": 7})]),
    ("no size", 1, [({"CodeSize": "<code-size>"}, {"CodeSize": "7"})]),
    ("JSON in a text", 1, [({"Policy": {"Id": "default"}}, {"Policy": '{"Id": "other"}'})]),
]

SAME, OTHER = [], [("a", " is other")]
ARGUMENTS = [
    ("nothing differs", 0, "", SAME),
    ("something differs", 1, "", OTHER),
    ("something is argued", 0, "why", OTHER),
    ("what is argued passes", 1, "why", SAME),
    ("an answer is argued", 0, {"a": "why"}, OTHER),
    ("another answer is argued", 2, {"b": "why"}, OTHER),
    ("an answer that is argued passes", 1, {"a": "why"}, SAME),
]

failed = [what for what, want, answers in CHECKS if differences(*answers) != want]
failed += [what for what, want, differs, found in ARGUMENTS if len(recorded.wrong(differs, found)) != want]
sys.exit("\n".join(failed) or 0)
