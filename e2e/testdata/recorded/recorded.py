"""Asks a server again for what AWS was asked when its answers were recorded.

The recordings (lambda.json, lambda_api.json; see README.md) hold answers only.
The modules beside this one make the requests, one function a case, with boto3.
Every answer is compared member by member: what is missing and what is too much
are differences. A placeholder such as <uuid:1> stands for one value in a whole
case, and two placeholders of a kind for two values: so what AWS shows to change
must change, and what it shows to stay must stay.

Prints one JSON object a line: {"case", "file", "date", "differs", "why", "wrong",
"untested"}, where wrong is what differs without a reason, and what has one and does
not differ.
"""

import concurrent.futures
import datetime
import io
import json
import os
import pathlib
import re
import sys
import time
import traceback
import urllib.request
import zipfile

import boto3
import botocore.config
import botocore.exceptions

ACCOUNT = "111111111111"
ISOLATED = bool(os.environ.get("ISOLATED"))  # whether the server's functions are in sandboxes
CASES = {}  # name → (function, arguments, why it differs)
UNTESTED = {}  # name → why it cannot be asked for where this runs


def case(name, *args, differs="", isolated=False):
    """Registers the script of a case, and why answers differ, if some do.

    One that shows the inside of a sandbox is asked for where there is one.

    The reason is a text, or texts by the answers that they are about: then each
    of these answers has to differ, and no other may.
    """

    def register(function):
        CASES[name] = (function, args, differs)
        if isolated and not ISOLATED:
            UNTESTED[name] = "it shows the inside of a sandbox, and these functions have none"
        return function

    return register


def without(reason, *names):
    """Registers cases that cannot be asked for, with the reason."""
    for name in names:
        CASES[name] = (None, (), reason)


def why(differs):
    """The reasons for a reader."""
    if isinstance(differs, str):
        return differs
    about = {reason: [a for a in differs if differs[a] == reason] for reason in differs.values()}
    return "; ".join(f"{', '.join(answers)}: {reason}" for reason, answers in about.items())


def wrong(differs, found):
    """What is found to differ, as (answer, text), and has no reason; and what has one and was not found."""
    if isinstance(differs, str):
        if differs:
            return [] if found else [f"passes, and is said to differ: {differs}"]
        return [a + text for a, text in found]
    answers = {a for a, _ in found}
    return [a + text for a, text in found if a not in differs] + [
        f"{a} passes, and is said to differ: {reason}" for a, reason in differs.items() if a not in answers]


def package(content="one", name="index.py", files=None, size=None, deflated=False):
    """Makes a package that differs by its content. Its files can be read by anyone.
    A size in bytes is reached with a comment."""
    b = io.BytesIO()
    with zipfile.ZipFile(b, "w") as z:
        for path, text in (files or {name: content}).items():
            info = zipfile.ZipInfo(path)
            info.external_attr = 0o755 << 16
            info.compress_type = zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
            z.writestr(info, text)
        if size is not None:
            z.comment = b" " * (size - len(package(content, name, files)))
    return b.getvalue()


FORMS = {  # of what the recordings replaced by a word
    "date": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+0000|Z)",
    "date of a function or layer": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000",
    "datetime": r"datetime",
    "code-sha256": r"[A-Za-z0-9+/]{43}=",
    "function-url": r"https?://\S+/",
    "<location>": r"https?://\S+",
    "<layer-location>": r"https?://\S+",
    "<code-size>": r"\d+",
}
PLACEHOLDER = re.compile(r"<[a-z][a-zA-Z0-9_-]*(:\d+)?>")
UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
VALUES = {  # forms of what a placeholder of a kind stands for; any word if its kind is not here
    "uuid": UUID, "request-id": UUID, "timeout_error_msg": UUID,
    "code-sha256": r"[A-Za-z0-9+/]{43}=|[0-9a-f]{64}",
    "function-url": r"https?://[^\s/]+/",
    "description": r".+", "license-info": r".+",
    "domain": r"[^\s/]+",
    "duration": r"\d+(?:\.\d\d)?", "memory": r"\d+",
    "unreserved_concurrency": r"\d+", "min_unreserved_concurrency": r"\d+",
    "aws-access-key-id": r"ASIA[0-9A-Z]{16}",
    "log-stream-name": r"\d{4}/\d\d/\d\d/\[[^\s\]]+\][0-9a-f]{32}",
    "xray-trace-id": r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}\S*",
}
WORD = r"[^\s:]+"
MEASURED = {"duration", "memory"}  # another value each time
HEADERS = {"content-length", "content-type", "x-amzn-errortype"}  # compared where they are recorded


def kind(placeholder):
    return re.sub(r"[:_]\d+$", "", placeholder.strip("<>"))


class Replay:
    def __init__(self, name, region, recording):
        self.name, self.region, self.answers = name, region, recording["recorded-content"]
        self.bound = {"<partition>": "aws", "<region>": region}
        self.used = set()  # answers that were compared
        self.differences = []  # (answer or "", text)
        self.api = self.client(ACCOUNT)

    def client(self, account, region=None, parameter_validation=False):
        return boto3.client(
            "lambda", region_name=region or self.region, aws_access_key_id=account, aws_secret_access_key="any",
            config=botocore.config.Config(parameter_validation=parameter_validation, retries={"total_max_attempts": 1}, read_timeout=120),
        )

    def arn(self, name):
        return f"arn:aws:lambda:{self.region}:{ACCOUNT}:function:{name}"

    def other(self, kind, name):
        return f"arn:aws:lambda:{self.region}:{ACCOUNT}:{kind}:{name}"

    def call(self, operation, api=None, **given):
        """Makes a request and returns the answer as the recordings show it."""
        try:
            return shown(getattr(api or self.api, operation)(**given))
        except botocore.exceptions.ClientError as e:
            return shown(e.response)

    def __call__(self, answer, operation, **given):
        """Compares the answer to a request with the one recorded under a name."""
        return self.same(answer, self.call(operation, **given))

    def do(self, operation, **given):
        """Makes a request that must succeed and whose answer was not recorded."""
        got = self.call(operation, **given)
        if "Error" in got:
            self.differences.append(("", f"{operation}: {got['Error']}"))
        return got

    def meanwhile(self, look, operation, **given):
        """Makes a request, and calls look until it is answered and once after. Returns its answer and what look did.

        An update takes AWS seconds, and a server on the same machine moments: what
        is there while one is under way shows only to those who look all the time.
        """
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            asked, seen = pool.submit(self.call, operation, **given), []
            while True:
                answered = asked.done()
                seen.append(look())
                if answered:
                    return asked.result(), seen

    def same(self, answer, got):
        if answer not in self.answers:
            raise KeyError(f"no answer {answer} is recorded")
        self.used.add(answer)
        want = self.answers[answer]
        if isinstance(want, dict):
            # Some were recorded by helpers of the recording tests: one makes a function
            # and perhaps a mapping, another collects the pages of a list.
            if "CreateFunctionResponse" in want:
                want = want["CreateFunctionResponse"]
            if "ResponseMetadata" not in want and isinstance(got, dict):
                got = {k: v for k, v in got.items() if k != "ResponseMetadata"}
        self.differences += [(answer, d) for d in self.compare("", want, got)]
        return got

    def fn(self, name="fn", /, **given):
        """The least that makes a function, and what is given; None takes away."""
        whole = {
            "FunctionName": name, "Role": f"arn:aws:iam::{ACCOUNT}:role/role", "Runtime": "python3.12",
            "Handler": "handler.handler", "Code": {"ZipFile": package()}, **given,
        }
        return {k: v for k, v in whole.items() if v is not None}

    def helped(self, name="fn", /, **given):
        """A function as the recordings make most of theirs."""
        return self.fn(name, **{"Environment": {"Variables": {}}, "Timeout": 30, **given})

    def configured(self, answer, name="fn", /, **given):
        """A function as an answer shows that it was asked for."""
        shape = self.answers[answer].get("CreateFunctionResponse", self.answers[answer])
        asked = {k: shape[k] for k in ("Runtime", "Handler", "Timeout", "MemorySize", "Environment") if k in shape}
        return self.fn(name, **{**asked, **given})

    def log(self, name):
        """The events of a function's log, oldest first."""
        at = f"{os.environ['AWS_ENDPOINT_URL']}/_lambent/admin/functions/{name}/logs?region={self.region}&account={ACCOUNT}"
        with urllib.request.urlopen(at) as response:
            return [json.loads(line)["message"].rstrip() for line in response.read().decode().splitlines()]

    def create(self, name="fn", /, **given):
        self.do("create_function", **self.helped(name, **given))
        self.settle(name)

    def settle(self, name="fn"):
        """Waits until a function is what it was told to become."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            got = self.call("get_function", FunctionName=name)
            if "Error" in got:
                break
            got = got["Configuration"]
            if got.get("State") not in (None, "Pending") and got.get("LastUpdateStatus") != "InProgress":
                return
            time.sleep(0.01)  # between two looks
        self.differences.append(("", f"{name} did not settle"))

    def compare(self, path, want, got):
        if isinstance(want, dict):
            if isinstance(got, str):
                got = parsed(got)
            if not isinstance(got, dict):
                return [f"{path} is {got!r}, want members"]
            if ("Error" in want) != ("Error" in got):
                return [f"{path}/Error is {got.get('Error')}, want {want.get('Error')}"]
            if "MemorySize" in want or "LayerVersionArn" in want:
                want = {k: "date of a function or layer" if v == "date" else v for k, v in want.items()}
            found = []
            for k in sorted(want.keys() | got.keys()):
                if path.endswith("ResponseMetadata") and k not in ("HTTPStatusCode", "HTTPHeaders"):
                    continue
                if path.endswith("HTTPHeaders") and (k not in want or k not in HEADERS):
                    continue
                if k not in got:
                    found.append(f"{path}/{k} is missing, want {want[k]!r}")
                elif k not in want:
                    found.append(f"{path}/{k} is too much: {got[k]!r}")
                else:
                    found += self.compare(f"{path}/{k}", want[k], got[k])
            return found
        if isinstance(want, list):
            if not isinstance(got, list) or len(got) != len(want):
                return [f"{path} is {got!r}, want {want!r}"]
            return [d for i, w in enumerate(want) for d in self.compare(f"{path}/{i}", w, got[i])]
        if isinstance(want, str):
            if want in FORMS:
                ok = isinstance(got, int if want == "<code-size>" else str) and re.fullmatch(FORMS[want], str(got)) is not None
            else:
                ok = isinstance(got, str) and self.text(*same_enums(want, got))
            return [] if ok else [f"{path} is {got!r}, want {self.fill(want)!r}"]
        return [] if want == got and isinstance(want, bool) == isinstance(got, bool) else [f"{path} is {got!r}, want {want!r}"]

    def fill(self, text):
        return PLACEHOLDER.sub(lambda m: self.bound.get(m[0], m[0]), text)

    def text(self, want, got):
        """Compares a text, and binds the placeholders that it is the first to have."""
        pattern, names, at = "", [], 0
        for m in PLACEHOLDER.finditer(want):
            pattern += re.escape(want[at:m.start()])
            at = m.end()
            if m[0] in self.bound:
                pattern += re.escape(self.bound[m[0]])
            elif m[0] in names and kind(m[0]) not in MEASURED:
                pattern += rf"(?P=p{names.index(m[0])})"
            else:
                pattern += rf"(?P<p{len(names)}>{VALUES.get(kind(m[0]), WORD)})"
                names.append(m[0])
        m = re.fullmatch(pattern + re.escape(want[at:]), got, re.DOTALL)
        if not m:
            return False
        for i, name in enumerate(names):
            if kind(name) in MEASURED:
                continue
            if any(kind(other) == kind(name) and value == m[f"p{i}"] for other, value in self.bound.items()):
                return False  # AWS showed two values
            self.bound[name] = m[f"p{i}"]
        return True


ENUM = re.compile(r"enum value set: \[([^\]]*)\]")


def same_enums(want, got):
    """Makes texts with the values of enums comparable: AWS lists them in another order
    each time, and since the recording it has learnt of more runtimes."""
    known = [set(m[1].split(", ")) for m in ENUM.finditer(got)]
    for i, m in enumerate(ENUM.finditer(want)):
        values = set(m[1].split(", "))
        if i < len(known) and (values == known[i] or "python3.14" in values and values < known[i]):
            got = got.replace(list(ENUM.finditer(got))[i][0], m[0])
    return want, got


def parsed(text):
    try:
        return json.loads(text)
    except ValueError:
        return text


def shown(answer):
    """An answer as the recordings show it."""
    if isinstance(answer, dict):
        out = {k: shown(v) for k, v in answer.items() if k != "Payload"}
        if "ResponseMetadata" in out:
            out["ResponseMetadata"] = {k: answer["ResponseMetadata"][k] for k in ("HTTPStatusCode", "HTTPHeaders")}
        if "Payload" in answer:
            text = answer["Payload"].read().decode()
            value = parsed(text) if text else text
            out["Payload"] = value if isinstance(value, (dict, list)) else text
        return out
    if isinstance(answer, list):
        return [shown(v) for v in answer]
    if isinstance(answer, datetime.datetime):
        return "datetime"
    return answer


def region(i):
    """A region for each case, so that none sees another's functions."""
    return f"us-{chr(97 + i // 26)}{chr(97 + i % 26)}-1"


def main():
    import concurrency, functions, invocations, layers, permissions, urls, versions  # noqa: F401, E401 - they register cases

    recordings = {}
    here = pathlib.Path(__file__).parent
    for file in ("lambda.json", "lambda_api.json"):
        for key, recording in json.loads((here / file).read_text()).items():
            recordings[key] = (file, recording)
    only = re.compile(os.environ.get("ONLY", ""))
    unknown = sorted(CASES.keys() - recordings.keys())
    if unknown:
        sys.exit(f"there are no recordings of {unknown}")
    for i, (name, (file, recording)) in enumerate(sorted(recordings.items())):
        if not only.search(name):
            continue
        date = datetime.datetime.strptime(recording["recorded-date"], "%d-%m-%Y, %H:%M:%S").date().isoformat()
        function, args, differs = CASES.get(name, (None, (), ""))
        r = Replay(name, region(i), recording)
        if name not in CASES:
            r.differences.append(("", "nothing asks for it"))
        elif function is None:
            r.differences.append(("", "not asked for"))
        elif name in UNTESTED:
            pass
        else:
            try:
                function(r, *args)
            except Exception:  # a script that ends early is a difference, not the end
                r.differences.append(("", traceback.format_exc()))
            r.differences += [(a, " is not compared") for a in sorted(r.answers.keys() - r.used)]
        line = {"case": name, "file": file, "date": date, "differs": [a + text for a, text in r.differences],
                "why": why(differs), "wrong": [] if name in UNTESTED else wrong(differs, r.differences),
                "untested": UNTESTED.get(name, "")}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    sys.modules["recorded"] = sys.modules["__main__"]
    main()
