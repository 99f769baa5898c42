"""Lambent's runtime client for Python functions.

It polls the Runtime API for events, calls the handler and posts what it
returns. It speaks HTTP over a bare socket and imports next to nothing before
the function does: of the time a function needs to start, this decides the part
that is not its own. An answer and the poll for the next event leave in one
write.

The interpreter is started without site. What functions expect of it (search
path, .pth files, sitecustomize) and of AWS's client (a prepared root logger) is
done here, each when it is needed. Shapes, texts and formats are those of
awslambdaric 4.2.

It runs on every Python from version 3.8 on.
"""

import posix
import sys

_env = posix.environ


def _take(name, default=""):
    value = _env.get(name.encode())
    return default if value is None else value.decode("utf-8", "surrogateescape")


def _set(name, value):
    """Sets or, for None, removes a variable of this process and its children.

    The module os copies the environment when it is imported, which may not have
    happened yet.
    """
    os = sys.modules.get("os")
    if os is not None:
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    key = name.encode()
    if value is None:
        _env.pop(key, None)
        posix.unsetenv(key)
    else:
        _env[key] = value.encode("utf-8", "surrogateescape")
        posix.putenv(key, _env[key])


# What functions import most often of the standard library, and what AWS's SDK does.
_COMMON = (
    "os json re logging datetime decimal time random uuid hashlib hmac base64 collections.abc functools itertools "
    "typing dataclasses enum copy string io math contextlib traceback inspect warnings threading queue "
    "concurrent.futures.thread asyncio socket ssl http.client http.cookiejar urllib.parse urllib.request urllib.error "
    "email.message email.parser email.utils email.mime.text tempfile shutil subprocess pathlib glob fnmatch "
    "zipfile gzip csv struct operator bisect heapq weakref types abc calendar platform pickle sqlite3 "
    "importlib.metadata xml.etree.ElementTree configparser mimetypes getpass signal secrets statistics html textwrap "
    "pprint unicodedata locale ipaddress argparse ctypes multiprocessing unittest"
)


def _await():
    """Waits to be told whose this process is.

    It was started before that is known. It imports what functions are likely to,
    says that it is ready, blocks until it is told, and goes on as what it has been
    told. The strings it was started with are given up before: the platform may
    write over them, so that /proc shows the function's.
    """
    before = set(sys.modules)
    for name in _COMMON.split():
        try:
            __import__(name)
        except ImportError:
            pass  # an interpreter without all of its library
    mine = {name.partition(".")[0] for name in set(sys.modules) - before}
    import gc
    import os
    import time

    gc.collect()
    coerced = _env.get(b"LC_CTYPE")  # the interpreter sets it where there is no locale but C's
    os.environb.clear()
    _env.clear()

    def take(n):
        data = b""
        while len(data) < n:
            more = posix.read(3, n - len(data))
            if not more:
                posix._exit(0)  # there is no function for it
            data += more
        return data

    posix.write(3, b"R")
    told = take(int.from_bytes(take(4), "big")).split(b"\0")
    posix.chdir(told[0])
    for pair in told[1:-1]:
        name, _, value = pair.partition(b"=")
        _env[name] = os.environb[name] = value
    if coerced is not None:
        _env[b"LC_CTYPE"] = os.environb[b"LC_CTYPE"] = coerced
    time.tzset()
    # A package may have a module by the name of one of the library's, which would
    # have been found before it: then all starts again, from the same program.
    for place in _places(_take("_LAMBENT_OPT", "/opt")):
        try:
            names = posix.listdir(place)
        except OSError:
            continue
        if any(n.partition(".")[0] in mine for n in names):
            argv = getattr(sys, "orig_argv", None) or [sys.executable, "-S", "-X", "utf8"] + sys.argv
            posix.execve(sys.executable, argv, dict(_env))
    logging = sys.modules.get("logging")
    if logging is not None and isinstance(getattr(logging, "_startTime", None), float):
        logging._startTime = time.time()


def _places(layers):
    """Lists where packages and layers keep modules."""
    # Layers are laid out for the runtime asked for, which may not be what runs here.
    mine = "python%d.%d" % sys.version_info[:2]
    asked = _take("AWS_EXECUTION_ENV").rpartition("_")[2] or mine
    places = [_take("LAMBDA_TASK_ROOT", "/var/task")]
    places += [layers + "/python/lib/" + v + "/site-packages" for v in dict.fromkeys((asked, mine))]
    return places + [layers + "/python"]


if _take("_LAMBENT_WARM"):
    _await()

TASK_ROOT = _take("LAMBDA_TASK_ROOT", "/var/task")
RUNTIME_DIR = _take("LAMBDA_RUNTIME_DIR", "/var/runtime")
HANDLER = _take("_HANDLER")
SOCKET = _take("_LAMBENT_SOCKET")
LAYERS = _take("_LAMBENT_OPT", "/opt")
LOG_JSON = _take("AWS_LAMBDA_LOG_FORMAT").upper() == "JSON"
LOG_LEVEL = _take("AWS_LAMBDA_LOG_LEVEL").upper()
RUNTIME = _take("AWS_EXECUTION_ENV")

API = "/2018-06-01/runtime/"
NEXT = b"GET " + API.encode() + b"invocation/next HTTP/1.1\r\nHost: lambda\r\n\r\n"

request_id = ""  # of the invocation under way
tenant_id = None  # likewise


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
        try:
            more = self.socket.recv(65536)
        except ConnectionError:
            more = b""
        if not more:
            posix._exit(0)  # the platform has ended this environment
        return more

    def send(self, data):
        try:
            self.socket.sendall(data)
        except ConnectionError:
            pass  # the next read tells what the platform had to say before

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
        self.drain()  # a refused answer is the platform's to report
        status, headers, body = self.response()
        if status != 200:
            sys.exit("the Runtime API answered %d to a poll: %s" % (status, body.decode("utf-8", "replace")))
        return headers, body

    def post(self, path, body, headers=b"", kind=b"application/json", poll=True):
        self.owed += 1
        head = b"POST %s HTTP/1.1\r\nHost: lambda\r\nContent-Type: %s\r\n%sContent-Length: %d\r\n\r\n" % (
            (API + path).encode(),
            kind,
            headers,
            len(body),
        )
        self.send(b"".join((head, body, NEXT)) if poll else head + body)

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
    array_hook = None
    parse_float = float
    parse_int = int

    @staticmethod
    def parse_constant(name):
        return {"-Infinity": float("-inf"), "Infinity": float("inf"), "NaN": float("nan")}[name]


try:
    import _json

    _scan = _json.make_scanner(_Scan)
    # AWS's client began to leave other scripts as they are with Python 3.12.
    _minor = RUNTIME[len("AWS_Lambda_python3.") :]
    if RUNTIME.startswith("AWS_Lambda_python3.") and _minor.isdigit() and int(_minor) >= 12:
        _quote = _json.encode_basestring
    else:
        _quote = _json.encode_basestring_ascii
except (ImportError, AttributeError, TypeError):
    _json = None


def loads(data):
    text = data.decode("utf-8")
    if _json is not None:
        bare = text.strip(" \t\n\r")
        try:
            result, end = _scan(bare, 0)
            if end == len(bare):
                return result
        except Exception:
            pass  # let the library say what is wrong, and where: it must be loaded for that
    import json

    return json.loads(text)


_decimal_mark = None


def _default(value):
    """Gives a form to what JSON has none for, as AWS's client does."""
    if isinstance(value, bytes):
        return value.decode("utf-8")
    decimal = sys.modules.get("decimal")
    if decimal is not None and isinstance(value, decimal.Decimal):
        if value.is_nan():
            return float("nan")
        # A number with all its digits cannot pass through the encoder. It goes as
        # a string that nobody else can write, whose quotes dumps removes.
        global _decimal_mark
        if _decimal_mark is None:
            _decimal_mark = posix.urandom(16).hex() + ":"
        return _decimal_mark + str(value)
    raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)


_stdlib = getattr(sys, "stdlib_module_names", ())
_tuples = (0, False)  # how many kinds of tuple there are, and whether some are the function's own, with names


def _objects(value):
    """Makes objects of named tuples, as AWS's encoder does.

    The accelerator takes them for lists. Looking through a whole result is not
    for nothing: it is done if the function or a package of its defines any.
    """
    if isinstance(value, dict):
        return {k: _objects(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        if isinstance(value, tuple) and callable(getattr(value, "_asdict", None)):
            return _objects(value._asdict())
        return [_objects(v) for v in value]
    return value


def marshal(value):
    """Returns a handler's result as JSON text."""
    global _tuples
    kinds = tuple.__subclasses__()
    if len(kinds) != _tuples[0]:
        own = any(hasattr(k, "_asdict") and k.__module__.partition(".")[0] not in _stdlib for k in kinds)
        _tuples = len(kinds), own
    return dumps(_objects(value) if _tuples[1] else value)


def dumps(value, default=_default):
    """Returns value as JSON text."""
    if value is None:
        return "null"
    encoder = None
    if _json is not None:
        try:
            encoder = _json.make_encoder({}, default, _quote, None, ": ", ", ", False, False, True)
        except TypeError:
            pass  # a Python whose accelerator is called in another way
    if encoder is not None:
        text = "".join(encoder(value, 0))
    else:
        import json

        text = json.dumps(value, default=default, ensure_ascii=False)
    if _decimal_mark is not None and _decimal_mark in text:
        first, *rest = text.split('"' + _decimal_mark)
        text = first + "".join(r.replace('"', "", 1) for r in rest)
    return text


# Errors, in the shapes that AWS's client gives them.


class Fault(Exception):
    """A failure that the runtime itself names."""

    def __init__(self, kind, message, trace=()):
        super().__init__(message)
        self.kind, self.message, self.trace = kind, message, list(trace)


def describe(error):
    """Returns an error's type, message and stack trace."""
    if isinstance(error, Fault):
        return error.kind, error.message, error.trace
    import traceback

    # Plain tuples, since frames would be printed with their columns marked.
    frames = [(f.filename, f.lineno, f.name, f.line) for f in traceback.extract_tb(error.__traceback__)]
    own = main.__code__.co_filename
    for i, frame in enumerate(frames):
        if frame[0] != own:
            frames = frames[i:]
            break
    if frames and frames[0][0] == "<frozen importlib._bootstrap>" and frames[0][2] == "_gcd_import":
        # AWS's client imports by way of importlib, whose line its traces begin with.
        import dis
        import importlib
        import linecache

        code = importlib.import_module.__code__
        line = max(number for _, number in dis.findlinestarts(code) if number)
        text = linecache.getline(code.co_filename, line).strip()
        frames.insert(0, (code.co_filename, line, code.co_name, text))
    return type(error).__name__, str(error), traceback.format_list(frames)


def report(kind, message, trace):
    """Writes an error to the log."""
    if LOG_JSON:
        import time

        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        text = dumps({"timestamp": now, "level": "ERROR", **payload(kind, message, trace)})
    else:
        lines = ["[ERROR]" + (" " + kind if kind else "") + (":" if kind and message else "") + (" " + message if message else "")]
        lines.append("Traceback (most recent call last):")
        for entry in trace:
            for line in entry.splitlines() or [""]:
                bare = line.lstrip(" ")
                # The log would lose plain spaces at the start of a line.
                lines.append("\u00a0" * (len(line) - len(bare)) + bare)
        text = "\n".join(lines)
    sys.stdout.write(text + "\n")


def payload(kind, message, trace):
    return {"errorMessage": message, "errorType": kind, "requestId": request_id, "stackTrace": trace}


def encode(text):
    # Half of a surrogate pair has no UTF-8, but an escape in JSON.
    return text.encode("utf-8", "backslashreplace")


def header(kind):
    safe = "".join(c for c in kind if " " < c < "\x7f")
    return b"Lambda-Runtime-Function-Error-Type: " + safe.encode() + b"\r\n"


def flush():
    """Writes out what was printed, so that it stands before the answer."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass  # the function has closed or replaced it


# Logging.


def prepare_logging(logging):
    """Gives the root logger the handler that functions find on AWS."""
    import time

    class JSONFormatter(logging.Formatter):
        skipped = frozenset(
            "name msg args levelname levelno pathname filename module exc_info exc_text stack_info lineno funcName "
            "created msecs relativeCreated thread threadName processName process aws_request_id tenant_id".split()
        )

        def format(self, record):
            number = min(50, max(0, record.levelno)) // 10 * 10
            kind, error, tb = record.exc_info or (None, None, None)
            stack = None
            if kind is not None:
                import traceback

                stack = traceback.format_tb(tb)
            out = {
                "timestamp": self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ"),
                "level": logging.getLevelName(number),
                "message": record.msg if isinstance(record.msg, dict) and not record.args else record.getMessage(),
                "logger": record.name,
                "stackTrace": stack,
                "errorType": kind and kind.__name__,
                "errorMessage": kind and str(error),
                "requestId": getattr(record, "aws_request_id", None),
                "location": kind and "%s:%s:%d" % (record.pathname, record.funcName, record.lineno),
                "tenantId": getattr(record, "tenant_id", None),
            }
            for name, value in record.__dict__.items():
                if name not in self.skipped and name not in out:
                    out[name] = value
            return dumps({k: v for k, v in out.items() if v is not None}, str) + "\n"

    class LambdaLoggerFilter(logging.Filter):
        def filter(self, record):
            record.aws_request_id = request_id
            record.tenant_id = tenant_id
            return True

    class LambdaLoggerHandler(logging.Handler):
        def emit(self, record):
            try:
                text = self.format(record)
                sys.stdout.write(text if text.endswith("\n") else text + "\n")
            except Exception:
                self.handleError(record)

    logging.Formatter.converter = time.gmtime
    handler = LambdaLoggerHandler()
    if LOG_JSON:
        handler.setFormatter(JSONFormatter())
    else:
        handler.setFormatter(
            logging.Formatter(
                "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n", "%Y-%m-%dT%H:%M:%S"
            )
        )
    handler.addFilter(LambdaLoggerFilter())
    root = logging.getLogger()
    root.addHandler(handler)
    level = "DEBUG" if LOG_LEVEL == "TRACE" else LOG_LEVEL
    if level in logging._nameToLevel:
        root.setLevel(level)


class OnImport:
    """Prepares the logging module when somebody imports it."""

    def find_spec(self, name, path=None, target=None):
        if name != "logging":
            return None
        sys.meta_path.remove(self)
        from _frozen_importlib import _find_spec

        spec = _find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            loader = spec.loader
            execute = loader.exec_module

            def exec_module(module):
                del loader.exec_module  # a reload is not the first import
                execute(module)
                prepare_logging(module)

            loader.exec_module = exec_module
        return spec


# The context of an invocation.


FROM_ENVIRONMENT = {
    "log_group_name": _take("AWS_LAMBDA_LOG_GROUP_NAME", None),
    "log_stream_name": _take("AWS_LAMBDA_LOG_STREAM_NAME", None),
    "function_name": _take("AWS_LAMBDA_FUNCTION_NAME", None),
    "memory_limit_in_mb": _take("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", None),
    "function_version": _take("AWS_LAMBDA_FUNCTION_VERSION", None),
}


class Fields:
    """An object made of some of a dictionary's members."""

    __slots__ = ()

    def __init__(self, source):
        for name in self.__slots__:
            setattr(self, name, source.get(name))

    def __repr__(self):
        return "%s([%s])" % (type(self).__name__, ",".join("%s=%s" % (n, getattr(self, n)) for n in self.__slots__))


class CognitoIdentity(Fields):
    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")


class Client(Fields):
    __slots__ = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")


class ClientContext(Fields):
    __slots__ = ("custom", "env", "client")


class LambdaContext:
    """What a handler gets as its second argument."""

    def __init__(self, headers):
        def text(name):
            value = headers.get(name)
            return None if value is None else value.decode("utf-8", "replace")

        def parsed(name, what):
            value = headers.get(name)
            if not value:
                return None
            try:
                return loads(value)
            except Exception as error:
                raise Fault("Runtime.LambdaContextUnmarshalError", "Unable to parse %s JSON: %s" % (what, error))

        self.__dict__.update(FROM_ENVIRONMENT)
        self.aws_request_id = request_id
        self.invoked_function_arn = text(b"lambda-runtime-invoked-function-arn")
        self.tenant_id = tenant_id
        self._epoch_deadline_time_in_ms = int(headers.get(b"lambda-runtime-deadline-ms") or 0)

        client = parsed(b"lambda-runtime-client-context", "Client Context")
        self._w3c_fields = {}
        self.client_context = None
        if client is not None:
            w3c = client.pop("w3c", None)
            if isinstance(w3c, dict):
                self._w3c_fields = {
                    k: w3c[k] for k in ("traceparent", "tracestate", "baggage") if isinstance(w3c.get(k), str)
                }
            self.client_context = ClientContext(client)
            if self.client_context.client is not None:
                self.client_context.client = Client(self.client_context.client)

        identity = parsed(b"lambda-runtime-cognito-identity", "Cognito Identity") or {}
        self.identity = CognitoIdentity({})
        self.identity.cognito_identity_id = identity.get("cognitoIdentityId")
        self.identity.cognito_identity_pool_id = identity.get("cognitoIdentityPoolId")

    def get_remaining_time_in_millis(self):
        import time

        return max(self._epoch_deadline_time_in_ms - int(time.time() * 1000), 0)

    def w3c(self):
        return dict(self._w3c_fields)

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
        raise Fault(
            "Runtime.MalformedHandlerName", "Bad handler '%s': not enough values to unpack (expected 2, got 1)" % HANDLER
        )
    if module.split(".")[0] in sys.builtin_module_names:
        raise Fault("Runtime.BuiltInModuleConflict", "Cannot use built-in module %s as a handler module" % module)
    from _frozen_importlib import _gcd_import  # importlib itself brings more along

    try:
        found = _gcd_import(module.replace("/", "."))
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
    """Puts the places where packages and layers keep modules on sys.path.

    As on AWS, a function that sets PYTHONPATH finds its layers only there, and
    the variable is set afterwards for processes that the function starts. The
    interpreter's own site-packages are the host's, not the function's: they stay
    out.
    """
    given = [p for p in _take("PYTHONPATH").split(":") if p]
    places = [TASK_ROOT]
    if not given:
        places = _places(LAYERS)
        _set("PYTHONPATH", RUNTIME_DIR)
    sys.path[:0] = places
    for place in places:
        try:
            names = posix.listdir(place)
        except OSError:
            continue
        if any(n.endswith(".pth") for n in names):
            import site

            site.addsitedir(place)
    for place in given:
        try:
            posix.stat(place + "/sitecustomize.py")
        except OSError:
            continue
        try:
            import sitecustomize  # how tracing layers get in
        except Exception:
            sys.excepthook(*sys.exc_info())
        break


def prepare():
    """Makes the interpreter what a function expects to find."""
    _set("_LAMBENT_SOCKET", None)
    _set("_LAMBENT_OPT", None)
    import builtins

    builtins.exit = builtins.quit = sys.exit  # site, which makes these, was not loaded
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")
    if "logging" in sys.modules:
        prepare_logging(sys.modules["logging"])
    else:
        sys.meta_path.insert(0, OnImport())
    search_path()


def invoke(handler, headers, body):
    """Runs one invocation and returns what is to be posted."""
    global request_id, tenant_id
    request_id = headers[b"lambda-runtime-aws-request-id"].decode()
    tenant = headers.get(b"lambda-runtime-aws-tenant-id")
    tenant_id = None if tenant is None else tenant.decode("utf-8", "replace")
    trace = headers.get(b"lambda-runtime-trace-id")
    _set("_X_AMZN_TRACE_ID", trace.decode("utf-8", "replace") if trace else None)
    delivery = headers.get(b"lambda-runtime-invocation-id")
    echo = b"Lambda-Runtime-Invocation-Id: " + delivery + b"\r\n" if delivery else b""
    path = "invocation/" + request_id
    try:
        context = LambdaContext(headers)
        if headers.get(b"content-type", b"application/json") == b"application/json":
            try:
                event = loads(body)
            except Exception as error:
                raise Fault("Runtime.UnmarshalError", "Unable to unmarshal input: %s" % error)
        else:
            event = body
        result = handler(event, context)
        if isinstance(result, bytes):
            return path + "/response", result, echo, b"application/unknown"
        try:
            return path + "/response", marshal(result).encode("utf-8"), echo
        except Exception as error:
            raise Fault("Runtime.MarshalError", "Unable to marshal response: %s" % error)
    except Exception as error:
        kind, message, trace = describe(error)
        report(kind, message, trace)
        return path + "/error", encode(dumps(payload(kind, message, trace))), echo + header(kind)


def main():
    prepare()
    connection = Connection()
    try:
        handler = find_handler()
    except Exception as error:
        kind, message, trace = describe(error)
        report(kind, message, trace)
        flush()
        connection.post("init/error", encode(dumps(payload(kind, message, trace))), header(kind), poll=False)
        connection.drain()
        posix._exit(1)
    flush()
    connection.send(NEXT)
    while True:
        post = invoke(handler, *connection.next())
        flush()
        connection.post(*post)
        del post  # or it would be held until the next event


if __name__ == "__main__":
    main()
