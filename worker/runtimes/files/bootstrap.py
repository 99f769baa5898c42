"""Lambent's runtime client for Python functions.

It polls the Runtime API for events, calls the handler and posts what it
returns. It speaks HTTP over a bare socket and imports next to nothing before
the function does: of the time a function needs to start, this decides the part
that is not its own. An answer and the poll for the next event leave in one
write.

The parts of the standard library that functions expect to find prepared
(logging) are prepared when they are first imported.
"""

import posix
import sys

_env = posix.environ


def _take(name, default=""):
    value = _env.get(name.encode())
    return default if value is None else value.decode("utf-8", "surrogateescape")


TASK_ROOT = _take("LAMBDA_TASK_ROOT", "/var/task")
RUNTIME_DIR = _take("LAMBDA_RUNTIME_DIR", "/var/runtime")
HANDLER = _take("_HANDLER")
SOCKET = _take("_LAMBENT_SOCKET")
LOG_JSON = _take("AWS_LAMBDA_LOG_FORMAT") == "JSON"
LOG_LEVEL = _take("AWS_LAMBDA_LOG_LEVEL").upper()
MEMORY = _take("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")

API = "/2018-06-01/runtime/"
NEXT = b"GET " + API.encode() + b"invocation/next HTTP/1.1\r\nHost: lambda\r\n\r\n"

request_id = ""  # of the invocation under way


# The connection.


class Connection:
    """One connection to the Runtime API, with what has been read of it."""

    def __init__(self):
        import _socket

        if SOCKET:
            self.socket = _socket.socket(fileno=int(SOCKET))
            self.socket.setblocking(True)
            posix.set_inheritable(int(SOCKET), False)
        else:
            host, _, port = _take("AWS_LAMBDA_RUNTIME_API").rpartition(":")
            self.socket = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
            self.socket.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
            self.socket.connect((host, int(port)))
        self.buffer = b""
        self.owed = 0  # answers to posts that have not been read yet

    def fill(self):
        more = self.socket.recv(65536)
        if not more:
            posix._exit(0)  # the platform has ended this environment
        return more

    def response(self):
        """Reads one response: its status, headers and body."""
        buffer = self.buffer
        while True:
            end = buffer.find(b"\r\n\r\n")
            if end >= 0:
                break
            buffer += self.fill()
        lines = buffer[:end].split(b"\r\n")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(b":")
            headers[name.strip().lower()] = value.strip()
        start, length = end + 4, int(headers.get(b"content-length", 0))
        if len(buffer) - start < length:
            parts, have = [buffer[start:]], len(buffer) - start
            while have < length:
                more = self.fill()
                parts.append(more)
                have += len(more)
            rest = b"".join(parts)
            body, self.buffer = rest[:length], rest[length:]
        else:
            body, self.buffer = buffer[start : start + length], buffer[start + length :]
        return int(lines[0].split(b" ", 2)[1]), headers, body

    def next(self):
        """Waits for the next event, whose poll has been sent."""
        while self.owed:
            self.owed -= 1
            self.response()  # a refused answer is the platform's to report
        status, headers, body = self.response()
        if status != 200:
            sys.exit("the Runtime API answered %d to a poll: %s" % (status, body.decode("utf-8", "replace")))
        return headers, body

    def post(self, path, body, headers=b"", poll=True):
        self.owed += 1
        head = b"POST %sHost: lambda\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n" % (
            (API + path + " HTTP/1.1\r\n").encode(),
            headers,
            len(body),
        )
        self.socket.sendall(b"".join((head, body, NEXT)) if poll else head + body)

    def drain(self):
        """Reads the answers that are owed."""
        while self.owed:
            self.owed -= 1
            self.response()


# JSON, by way of the accelerator alone while nothing needs more.


class _Scan:
    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    memo = {}

    @staticmethod
    def parse_constant(name):
        return {"-Infinity": float("-inf"), "Infinity": float("inf"), "NaN": float("nan")}[name]


try:
    from _json import make_encoder as _make_encoder, make_scanner as _make_scanner, encode_basestring as _quote

    _scan = _make_scanner(_Scan)
except ImportError:
    _scan = None


def loads(data):
    text = data.decode("utf-8")
    if _scan is not None:
        bare = text.strip(" \t\n\r")
        try:
            result, end = _scan(bare, 0)
            if end == len(bare):
                return result
        except StopIteration:
            pass
    import json

    return json.loads(text)


def _default(value):
    decimal = sys.modules.get("decimal")
    if decimal is not None and isinstance(value, decimal.Decimal):
        return str(value)
    raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)


def dumps(value):
    if value is None:
        return b"null"
    if _scan is not None:
        try:
            encoder = _make_encoder({}, _default, _quote, None, ": ", ", ", False, False, True)
        except TypeError:  # a Python whose accelerator is called in another way
            encoder = None
        if encoder is not None:
            return "".join(encoder(value, 0)).encode("utf-8")
    import json

    return json.dumps(value, default=_default, ensure_ascii=False).encode("utf-8")


# Errors, in the shapes that AWS's runtime gives them.


class Fault(Exception):
    """A failure that the runtime itself names."""

    def __init__(self, kind, message, trace=()):
        super().__init__(message)
        self.kind, self.message, self.trace = kind, message, list(trace)


def frames(tb, skip):
    """Formats a traceback, without the frames of this file."""
    import traceback

    while tb is not None and tb.tb_frame.f_code.co_filename in skip:
        tb = tb.tb_next
    return traceback.format_list(traceback.extract_tb(tb))


def describe(error):
    """Returns an error's type, message and stack trace."""
    if isinstance(error, Fault):
        return error.kind, error.message, error.trace
    hidden = (__file__, "<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>", "<frozen runpy>")
    import importlib

    return type(error).__name__, str(error), frames(error.__traceback__, hidden + (importlib.__file__,))


def report(kind, message, trace):
    """Writes an error to the log."""
    if LOG_JSON:
        if not enabled("ERROR"):
            return
        record = {
            "timestamp": timestamp(),
            "log_level": "ERROR",
            "errorMessage": message,
            "errorType": kind,
            "requestId": request_id,
            "stackTrace": trace,
        }
        text = dumps(record).decode()
    else:
        lines = ["[ERROR] %s: %s" % (kind, message) if kind else "[ERROR] " + message]
        if trace:
            lines.append("Traceback (most recent call last):")
            for entry in trace:
                for line in entry.rstrip("\n").split("\n"):
                    bare = line.lstrip(" ")
                    lines.append("\u00a0" * (len(line) - len(bare)) + bare)
        text = "\n".join(lines)
    sys.stdout.write(text + "\n")


def payload(kind, message, trace):
    return dumps({"errorMessage": message, "errorType": kind, "requestId": request_id, "stackTrace": trace})


def header(kind):
    safe = "".join(c for c in kind if " " < c < "\x7f")
    return b"Lambda-Runtime-Function-Error-Type: " + safe.encode() + b"\r\n"


# Logging.

LEVELS = {"TRACE": 5, "DEBUG": 10, "INFO": 20, "WARN": 30, "ERROR": 40, "FATAL": 50}


def enabled(level):
    return LEVELS[level] >= LEVELS.get(LOG_LEVEL, 20)


def timestamp():
    import time

    now = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + "Z"


def prepare_logging(logging):
    """Gives the root logger the handler that functions find on AWS."""

    class Formatter(logging.Formatter):
        converter = staticmethod(__import__("time").gmtime)

        def format(self, record):
            record.aws_request_id = request_id
            return super().format(record)

    class JSONFormatter(logging.Formatter):
        converter = staticmethod(__import__("time").gmtime)
        known = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {"message", "asctime", "taskName"}

        def format(self, record):
            out = {
                "timestamp": self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ"),
                "level": record.levelname,
                "message": record.getMessage(),
                "logger": record.name,
                "requestId": request_id,
            }
            for name, value in record.__dict__.items():
                if name not in self.known and name not in out:
                    out[name] = value
            if record.exc_info and record.exc_info[0] is not None:
                kind, error, tb = record.exc_info
                out["stackTrace"] = frames(tb, ())
                out["errorType"] = kind.__name__
                out["errorMessage"] = str(error)
                out["location"] = "%s:%s:%d" % (record.pathname, record.funcName, record.lineno)
            try:
                return dumps(out).decode()
            except (TypeError, ValueError):
                return dumps({k: v if isinstance(v, (str, int, float, list, type(None))) else repr(v) for k, v in out.items()}).decode()

    class Handler(logging.Handler):
        def emit(self, record):
            try:
                text = self.format(record)
                sys.stdout.write(text if text.endswith("\n") else text + "\n")
            except Exception:
                self.handleError(record)

    handler = Handler()
    if LOG_JSON:
        handler.setFormatter(JSONFormatter())
    else:
        handler.setFormatter(
            Formatter("[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n", "%Y-%m-%dT%H:%M:%S")
        )
    root = logging.getLogger()
    root.addHandler(handler)
    if LOG_LEVEL in LEVELS:
        root.setLevel(LEVELS[LOG_LEVEL])


class OnImport:
    """Prepares the logging module when somebody imports it."""

    def find_spec(self, name, path=None, target=None):
        if name != "logging":
            return None
        sys.meta_path.remove(self)
        import importlib.util

        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module):
                execute(module)
                prepare_logging(module)

            spec.loader.exec_module = exec_module
        return spec


# The context of an invocation.


class CognitoIdentity:
    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")

    def __init__(self, source=None):
        source = source or {}
        self.cognito_identity_id = source.get("cognitoIdentityId")
        self.cognito_identity_pool_id = source.get("cognitoIdentityPoolId")

    def __repr__(self):
        return "CognitoIdentity([cognito_identity_id=%s,cognito_identity_pool_id=%s])" % (
            self.cognito_identity_id,
            self.cognito_identity_pool_id,
        )


class Client:
    __slots__ = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")

    def __init__(self, source):
        for name in self.__slots__:
            setattr(self, name, source.get(name))

    def __repr__(self):
        return "Client([%s])" % ",".join("%s=%s" % (n, getattr(self, n)) for n in self.__slots__)


class ClientContext:
    __slots__ = ("custom", "env", "client")

    def __init__(self, source):
        self.custom = source.get("custom")
        self.env = source.get("env")
        self.client = Client(source.get("client") or {})

    def __repr__(self):
        return "ClientContext([custom=%s,env=%s,client=%s])" % (self.custom, self.env, self.client)


class LambdaContext:
    """What a handler gets as its second argument."""

    def __init__(self, headers):
        def text(name):
            value = headers.get(name)
            return None if value is None else value.decode("utf-8")

        self.aws_request_id = request_id
        self.log_group_name = _take("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = _take("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = _take("AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = MEMORY
        self.function_version = _take("AWS_LAMBDA_FUNCTION_VERSION")
        self.invoked_function_arn = text(b"lambda-runtime-invoked-function-arn")
        self.tenant_id = text(b"lambda-runtime-aws-tenant-id")
        client, identity = headers.get(b"lambda-runtime-client-context"), headers.get(b"lambda-runtime-cognito-identity")
        self.client_context = ClientContext(loads(client)) if client else None
        self.identity = CognitoIdentity(loads(identity) if identity else None)
        self._epoch_deadline_time_in_ms = int(headers.get(b"lambda-runtime-deadline-ms", 0))

    def get_remaining_time_in_millis(self):
        import time

        return max(int(self._epoch_deadline_time_in_ms - time.time() * 1000), 0)

    def log(self, message):
        text = str(message)
        sys.stdout.write(text if text.endswith("\n") else text + "\n")

    def __repr__(self):
        names = (
            "aws_request_id,log_group_name,log_stream_name,function_name,memory_limit_in_mb,function_version,"
            "invoked_function_arn,client_context,identity,tenant_id"
        ).split(",")
        return "LambdaContext([%s])" % ",".join("%s=%s" % (n, getattr(self, n)) for n in names)


# The function.


def find_handler():
    """Imports the function's module and returns its handler."""
    module, dot, name = HANDLER.rpartition(".")
    if not dot:
        raise Fault("Runtime.MalformedHandlerName", "Bad handler '%s': not enough values to unpack (expected 2, got 1)" % HANDLER)
    if module.split(".")[0] in sys.builtin_module_names:
        raise Fault("Runtime.BuiltInModuleConflict", "Cannot use built-in module %s as a handler module" % module)
    dotted = module.replace("/", ".")
    try:
        __import__(dotted)
        found = sys.modules[dotted]
    except ImportError as error:
        raise Fault("Runtime.ImportModuleError", "Unable to import module '%s': %s" % (module, error))
    except SyntaxError as error:
        where = ['  File "%s" Line %s\n    %s' % (error.filename, error.lineno, error.text)]
        raise Fault("Runtime.UserCodeSyntaxError", "Syntax error in module '%s': %s" % (module, error), where)
    try:
        return getattr(found, name)
    except AttributeError:
        raise Fault("Runtime.HandlerNotFound", "Handler '%s' missing on module '%s'" % (name, module))


def search_path():
    """Puts the places where packages and layers keep modules on sys.path."""
    version = "python%d.%d" % sys.version_info[:2]
    path = [TASK_ROOT, "/opt/python/lib/" + version + "/site-packages", "/opt/python", RUNTIME_DIR]
    extra = [p for p in _take("PYTHONPATH").split(":") if p and p not in path]
    own = RUNTIME_DIR  # the interpreter put this file's folder first
    sys.path[:] = path[:1] + extra + path[1:] + [p for p in sys.path if p not in path and p != own]


def main():
    global request_id
    search_path()
    import builtins

    try:
        from _sitebuiltins import Quitter  # site, which would make these, is not loaded

        builtins.quit, builtins.exit = Quitter("quit", "Ctrl-D"), Quitter("exit", "Ctrl-D")
    except ImportError:
        pass
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")
    _env.pop(b"_LAMBENT_SOCKET", None)
    if "os" in sys.modules:
        sys.modules["os"].environ.pop("_LAMBENT_SOCKET", None)
    if "logging" in sys.modules:
        prepare_logging(sys.modules["logging"])
    else:
        sys.meta_path.insert(0, OnImport())
    connection = Connection()
    try:
        handler = find_handler()
    except Exception as error:
        kind, message, trace = describe(error)
        report(kind, message, trace)
        sys.stdout.flush()
        connection.post("init/error", payload(kind, message, trace), header(kind), poll=False)
        connection.drain()
        posix._exit(1)
    connection.socket.sendall(NEXT)
    while True:
        headers, body = connection.next()
        request_id = headers[b"lambda-runtime-aws-request-id"].decode()
        trace_id = headers.get(b"lambda-runtime-trace-id", b"").decode()
        os = sys.modules.get("os")
        if os is not None:
            if trace_id:
                os.environ["_X_AMZN_TRACE_ID"] = trace_id
            else:
                os.environ.pop("_X_AMZN_TRACE_ID", None)
        else:
            posix.putenv(b"_X_AMZN_TRACE_ID", trace_id.encode())
            _env[b"_X_AMZN_TRACE_ID"] = trace_id.encode()
        path = "invocation/" + request_id
        try:
            try:
                event = loads(body)
            except Exception as error:
                raise Fault("Runtime.UnmarshalError", "Unable to unmarshal input: %s" % error)
            result = handler(event, LambdaContext(headers))
            try:
                answer = dumps(result)
            except Exception as error:
                raise Fault("Runtime.MarshalError", "Unable to marshal response: %s" % error)
        except Exception as error:
            kind, message, trace = describe(error)
            report(kind, message, trace)
            sys.stdout.flush()
            sys.stderr.flush()
            connection.post(path + "/error", payload(kind, message, trace), header(kind))
            del error
            continue
        sys.stdout.flush()
        sys.stderr.flush()
        connection.post(path + "/response", answer)


if __name__ == "__main__":
    main()
