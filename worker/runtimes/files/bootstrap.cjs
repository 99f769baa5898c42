'use strict';
// Lambent's runtime client for Node functions.
//
// It polls the Runtime API for events, calls the handler and posts what it
// returns. It speaks HTTP over a bare socket, which costs a fraction of what
// Node's own client does; an answer and the poll for the next event leave in
// one write. While a handler runs, the socket does not keep the event loop
// alive, so that an empty loop is noticed: it ends a callback's wait, and an
// async handler whose promise nothing can settle any more.
//
// Shapes, texts and formats are those of aws-lambda-ric: 3.x for runtimes up to
// nodejs22.x, 4.x from nodejs24.x on, which knows no callbacks.
//
// It runs on every Node from version 12 on, which is why it is written as if
// the language had not grown since.

const net = require('net');
const util = require('util');
const path = require('path');
const fs = require('fs');
const { Writable } = require('stream');

const env = process.env;

const LEVELS = { TRACE: 1, DEBUG: 2, INFO: 3, WARN: 4, ERROR: 5, FATAL: 6 };

// What the variables say; see learn.
let TASK_ROOT;
let HANDLER;
let SOCKET;
let LOG_JSON;
let LEAST; // level of what is logged
let MAJOR; // of the runtime's identifier: what serves it may be another version
let CALLBACKS;
let FROM_ENVIRONMENT; // members of a context

function learn() {
  TASK_ROOT = env.LAMBDA_TASK_ROOT || '/var/task';
  HANDLER = env._HANDLER || '';
  SOCKET = env._LAMBENT_SOCKET;
  delete env._LAMBENT_SOCKET;
  LOG_JSON = (env.AWS_LAMBDA_LOG_FORMAT || '').toUpperCase() === 'JSON';
  LEAST = LEVELS[(env.AWS_LAMBDA_LOG_LEVEL || '').toUpperCase()] || LEVELS.TRACE;
  MAJOR = Number((/nodejs(\d+)/.exec(env.AWS_EXECUTION_ENV || '') || [])[1] || process.versions.node.split('.')[0]);
  CALLBACKS = MAJOR < 24;
  FROM_ENVIRONMENT = {
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
  };
  if (!/^(1|true)$/.test(env.AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA || '')) globalThis.awslambda = awslambda;
}

const API = '/2018-06-01/runtime/';
const NEXT = 'GET ' + API + 'invocation/next HTTP/1.1\r\nHost: lambda\r\n\r\n';

// Errors that the runtime itself names. Their classes are without the prefix,
// which JSON logs show.

const faults = {};
for (const kind of [
  'ImportModuleError', 'HandlerNotFound', 'MalformedHandlerName', 'UserCodeSyntaxError', 'MalformedStreamingHandler',
  'InvalidStreamingOperation', 'UnhandledPromiseRejection', 'CallbackHandlerDeprecated', 'JSONStringifyError', 'NodejsExit',
]) {
  faults[kind] = { [kind]: class extends Error {} }[kind];
  Object.defineProperty(faults[kind].prototype, 'name', { value: 'Runtime.' + kind, writable: true, configurable: true });
}

function isError(e) {
  return (
    util.types.isNativeError(e) || e instanceof Error ||
    (e && e.name && e.message && e.stack && typeof e.name === 'string' && typeof e.message === 'string' && typeof e.stack === 'string')
  );
}

// describe is an error in the shape that is posted.
function describe(e) {
  try {
    if (isError(e)) {
      const plain = (text) => text.replace(/\x7f/g, '%7F'); // no byte of a header
      return { errorType: plain(e.name), errorMessage: plain(e.message), trace: plain(e.stack).split('\n') };
    }
    return { errorType: typeof e, errorMessage: String(e), trace: [] };
  } catch (_) {
    return {
      errorType: 'handled',
      errorMessage: 'callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack',
      trace: [],
    };
  }
}

function intoError(e) {
  return e instanceof Error ? e : new Error(e);
}

// Logging.

let requestId; // of the invocation under way; undefined before the first
let tenantId;

function className(e) {
  return (e.constructor && e.constructor.name) || 'UnknownError';
}

function stackOf(e) {
  return typeof e.stack === 'string' ? e.stack.split('\n') : [];
}

function plainErrors(key, v) {
  return v instanceof Error ? Object.assign({ errorType: className(v), errorMessage: v.message, stackTrace: stackOf(v) }, v) : v;
}

function line(level, args) {
  const now = new Date().toISOString();
  if (!LOG_JSON) return now + '\t' + requestId + '\t' + level + '\t' + util.format.apply(util, args);
  const out = { timestamp: now, level: level, requestId: requestId };
  if (tenantId !== undefined) out.tenantId = tenantId;
  if (args.length === 1) {
    out.message = args[0];
    try {
      return JSON.stringify(out, plainErrors);
    } catch (_) {
      out.message = util.format(args[0]); // circular, or what JSON has no form for
      return JSON.stringify(out);
    }
  }
  out.message = util.format.apply(util, args);
  const first = args.find((a) => a instanceof Error);
  if (first) {
    out.errorType = className(first);
    out.errorMessage = first.message;
    out.stackTrace = stackOf(first);
  }
  return JSON.stringify(out);
}

function write(level, args) {
  if (LEVELS[level] >= LEAST) process.stdout.write(line(level, args) + '\n');
}

for (const [name, level] of [
  ['trace', 'TRACE'], ['debug', 'DEBUG'], ['log', 'INFO'], ['info', 'INFO'], ['warn', 'WARN'], ['error', 'ERROR'], ['fatal', 'FATAL'],
]) {
  console[name] = function () {
    write(level, arguments.length ? Array.prototype.slice.call(arguments) : [undefined]);
  };
}

function logError(what, e) {
  e = intoError(e);
  if (LOG_JSON) return write('ERROR', [e]);
  let text;
  try {
    text = JSON.stringify(e, (key, v) => {
      if (!(v instanceof Error)) return v;
      const out = Object.assign({ errorType: v.name, errorMessage: v.message, code: v.code }, v);
      if (typeof v.stack === 'string') out.stack = v.stack.split('\n');
      return out;
    });
  } catch (_) {
    text = JSON.stringify(describe(e));
  }
  write('ERROR', [what, '\t' + text]);
}

// The connection. One request is under way at a time, except that the poll for
// the next event is sent along with an answer.

let socket;
let polling = false; // a poll is out: nothing else may be sent
let owed = 0; // answers to posts that come before the next event
let onEvent = null;
let onPosted = null; // called when nothing is owed

function connect() {
  if (SOCKET) {
    socket = new net.Socket({ fd: Number(SOCKET), readable: true, writable: true });
  } else {
    const at = env.AWS_LAMBDA_RUNTIME_API.lastIndexOf(':');
    socket = net.connect({ host: env.AWS_LAMBDA_RUNTIME_API.slice(0, at), port: Number(env.AWS_LAMBDA_RUNTIME_API.slice(at + 1)) });
    socket.setNoDelay(true);
  }
  socket.on('data', received);
  socket.on('error', () => process.exit(0));
  socket.on('close', () => process.exit(0)); // the platform has ended this environment
}

let pieces = []; // received, not yet used
let have = 0; // bytes in pieces
let need = 0; // bytes that the response under way has, when that is known

function received(data) {
  pieces.push(data);
  have += data.length;
  if (have < need) return;
  let buffer = pieces.length === 1 ? data : Buffer.concat(pieces);
  const ready = [];
  for (need = 0; ; ) {
    const end = buffer.indexOf('\r\n\r\n');
    if (end < 0) break;
    const head = buffer.toString('latin1', 0, end);
    const m = /\r\ncontent-length: *(\d+)/i.exec(head);
    need = end + 4 + (m ? Number(m[1]) : 0);
    if (buffer.length < need) break;
    ready.push([head, buffer.slice(end + 4, need)]);
    buffer = buffer.slice(need);
    need = 0;
  }
  pieces = buffer.length ? [buffer] : [];
  have = buffer.length;
  for (const r of ready) response(r[0], r[1]);
}

function response(head, body) {
  if (owed > 0) {
    owed--; // a refused answer is the platform's to report
    if (owed === 0 && onPosted) onPosted();
    return;
  }
  polling = false;
  if (head.slice(9, 12) !== '200') {
    process.stderr.write('the Runtime API answered a poll with ' + head.split('\r\n')[0] + '\n');
    process.exit(1);
  }
  const headers = {};
  for (const l of head.split('\r\n').slice(1)) {
    const i = l.indexOf(':');
    const v = l.slice(i + 1).trim();
    headers[l.slice(0, i).toLowerCase()] = /[\x80-\xff]/.test(v) ? Buffer.from(v, 'latin1').toString('utf8') : v;
  }
  onEvent(headers, body);
}

// poll asks for the next event, behind what is to be written first.
function poll(first) {
  polling = true;
  socket.ref();
  socket.write(first + NEXT);
}

function post(what, body, extra, last) {
  owed++;
  const text =
    'POST ' + API + what + ' HTTP/1.1\r\nHost: lambda\r\nContent-Type: application/json\r\n' + extra +
    'Content-Length: ' + Buffer.byteLength(body) + '\r\n\r\n' + body;
  if (last) socket.write(text);
  else poll(text);
}

function kindHeader(kind) {
  return 'Lambda-Runtime-Function-Error-Type: ' + String(kind).replace(/[^\x21-\x7e]/g, '') + '\r\n';
}

// leave posts an error as the last thing this process does.
function leave(what, e, extra, code) {
  const d = describe(e);
  onPosted = () => process.exit(code);
  socket.ref();
  post(what, JSON.stringify(d), extra + kindHeader(d.errorType), true);
}

// The handler.

// isModule tells whether a .js file is an ES module, as Node itself would.
function isModule(file) {
  for (let dir = path.dirname(file); path.basename(dir) !== 'node_modules'; dir = path.dirname(dir)) {
    const name = path.join(dir, 'package.json');
    if (fs.existsSync(name)) {
      try {
        return JSON.parse(fs.readFileSync(name, 'utf8')).type === 'module';
      } catch (e) {
        write('WARN', [name + ' cannot be read, it will be ignored for ES module detection purposes.', e]);
        return false;
      }
    }
    if (path.dirname(dir) === dir) return false;
  }
  return false;
}

// openLayers lets import find what require finds by way of NODE_PATH, as AWS's
// builds of Node do from version 18 on.
function openLayers(wanted) {
  const url = require('url');
  const module = require('module');
  const places = (env.NODE_PATH || '')
    .split(':')
    .filter((d) => path.basename(d) === 'node_modules' && fs.existsSync(d))
    .map((d) => url.pathToFileURL(path.join(path.dirname(d), 'layer.mjs')).href);
  if (MAJOR < 18 || places.length === 0) return;
  const again = (specifier, e) => e.code === 'ERR_MODULE_NOT_FOUND' && !/^(\.{0,2}\/|#|[a-z]+:)/i.test(specifier);
  if (module.registerHooks) {
    module.registerHooks({
      resolve(specifier, context, next) {
        try {
          return next(specifier, context);
        } catch (e) {
          if (again(specifier, e)) {
            for (const parentURL of places) {
              try {
                return next(specifier, Object.assign({}, context, { parentURL }));
              } catch (_) {} // not there; the error to tell is the first
            }
          }
          throw e;
        }
      },
    });
  } else if (module.register && wanted) {
    // Such hooks run in a thread of their own, which takes time to start.
    const source =
      'const again = ' + again + ';\nconst places = ' + JSON.stringify(places) + ';\n' +
      'export async function resolve(specifier, context, next) {\n' +
      '  try { return await next(specifier, context); } catch (e) {\n' +
      '    if (again(specifier, e)) for (const parentURL of places) {\n' +
      '      try { return await next(specifier, { ...context, parentURL }); } catch {}\n' +
      '    }\n    throw e;\n  }\n}\n';
    module.register('data:text/javascript,' + encodeURIComponent(source));
  }
}

function importModule(file) {
  openLayers(true);
  return import(require('url').pathToFileURL(file).href);
}

function requireModule(file) {
  openLayers(false);
  return require(file);
}

async function load(root, name) {
  const base = path.resolve(TASK_ROOT, root, name);
  if (fs.existsSync(base)) return requireModule(base);
  if (fs.existsSync(base + '.js')) return isModule(base + '.js') ? importModule(base + '.js') : requireModule(base + '.js');
  if (fs.existsSync(base + '.mjs')) return importModule(base + '.mjs');
  if (fs.existsSync(base + '.cjs')) return requireModule(base + '.cjs');
  return requireModule(require.resolve(name, { paths: [TASK_ROOT, path.resolve(TASK_ROOT, root)] }));
}

const STREAM = Symbol.for('aws.lambda.runtime.handler.streaming');
const HIGH_WATER_MARK = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');

async function findHandler() {
  if (HANDLER.includes('..')) {
    throw new faults.MalformedHandlerName(
      `'${HANDLER}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`
    );
  }
  const slash = HANDLER.lastIndexOf('/');
  const m = /^([^.]*)\.(.*)$/.exec(HANDLER.slice(slash + 1));
  if (!m) throw new faults.MalformedHandlerName('Bad handler');
  let found;
  try {
    found = await load(HANDLER.slice(0, slash + 1), m[1]);
  } catch (e) {
    if (e instanceof SyntaxError) {
      const f = new faults.UserCodeSyntaxError(String(e));
      if (!CALLBACKS) Object.defineProperty(f, 'stack', { value: e.stack });
      throw f;
    }
    if (e && e.code === 'MODULE_NOT_FOUND') throw new faults.ImportModuleError(String(e));
    throw e;
  }
  for (const part of m[2].split('.')) found = found && found[part];
  if (!found) throw new faults.HandlerNotFound(HANDLER + ' is undefined or not exported');
  if (typeof found !== 'function') throw new faults.HandlerNotFound(HANDLER + ' is not a function');
  if (found[STREAM] && found[STREAM] !== 'response') {
    throw new faults.MalformedStreamingHandler('Only response streaming is supported.');
  }
  if (!CALLBACKS && !found[STREAM] && found.length >= 3) {
    throw new faults.CallbackHandlerDeprecated(
      'ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. ' +
        'You need to modify this function to use a supported handler signature to use Node.js 24 or later. ' +
        'For more information see https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.'
    );
  }
  return found;
}

// awslambda is the global by which handlers ask for response streaming.

const awslambda = {
  streamifyResponse(handler, options) {
    handler[STREAM] = 'response';
    if (options && typeof options.highWaterMark === 'number') handler[HIGH_WATER_MARK] = Math.trunc(options.highWaterMark);
    return handler;
  },
  HttpResponseStream: class HttpResponseStream {
    static from(stream, prelude) {
      stream.setContentType('application/vnd.awslambda.http-integration-response');
      const text = JSON.stringify(prelude);
      stream._onBeforeFirstWrite = (write) => {
        write(text);
        write(new Uint8Array(8));
      };
      return stream;
    }
  },
};

// ResponseStream posts what is written to it as it comes.
class ResponseStream extends Writable {
  constructor(inv, highWaterMark) {
    super(highWaterMark ? { highWaterMark } : {});
    this._inv = inv;
    this._type = 'application/octet-stream';
    this._begun = false; // its first byte has been written to it
    this._sent = false; // the head of the post has been sent
    this._posted = false; // and its end
    this._failure = undefined; // {error} to send behind what was written
  }

  setContentType(type) {
    if (this._begun) throw new faults.InvalidStreamingOperation('Cannot set content-type, too late.');
    this._type = String(type).replace(/[\r\n]/g, '');
  }

  write(chunk, encoding, callback) {
    if (typeof chunk !== 'string' && !(chunk instanceof Uint8Array)) chunk = JSON.stringify(chunk);
    this._first();
    return super.write(chunk, encoding, callback);
  }

  end(chunk, encoding, callback) {
    this._first(); // a prelude counts even if no body follows
    return super.end(chunk, encoding, callback);
  }

  _first() {
    if (this._begun || this._failure) return;
    this._begun = true;
    if (typeof this._onBeforeFirstWrite === 'function') this._onBeforeFirstWrite((b) => super.write(b));
  }

  _head() {
    if (this._sent) return '';
    this._sent = true;
    owed++;
    return (
      'POST ' + API + 'invocation/' + this._inv.id + '/response HTTP/1.1\r\nHost: lambda\r\nContent-Type: ' + this._type + '\r\n' +
      this._inv.echo + 'Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n' +
      'Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n'
    );
  }

  _write(chunk, encoding, callback) {
    const b = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk, encoding);
    if (b.length === 0) return callback();
    socket.cork();
    socket.write(this._head() + b.length.toString(16) + '\r\n', 'latin1');
    socket.write(b);
    socket.write('\r\n', callback);
    socket.uncork();
  }

  _final(callback) {
    this._finish();
    callback();
  }

  // _tail is what ends the post.
  _tail() {
    this._posted = true;
    let tail = this._head() + '0\r\n';
    if (this._failure) {
      const d = describe(this._failure.error);
      tail += kindHeader(d.errorType) + 'Lambda-Runtime-Function-Error-Body: ' + Buffer.from(JSON.stringify(d)).toString('base64') + '\r\n';
    }
    return tail + '\r\n';
  }

  // _finish ends the post and, if the handler has ended as well, the invocation.
  _finish() {
    if (this._posted || current !== this._inv) return;
    const tail = this._tail();
    if (!this._inv.handled) return void socket.write(tail);
    current = null;
    poll(tail);
  }

  // _fail ends the post with an error, behind what was written before.
  _fail(error) {
    if (this._posted) return;
    this._failure = { error };
    if (this.destroyed || this.writableFinished) this._finish();
    else if (!this.writableEnded) super.end();
  }
}

// An invocation.

// Runtime is what a handler is called on: stack traces show its name, and people
// know them so.
class Runtime {
  constructor(handler) {
    this.handler = handler;
  }
}

let current = null; // the invocation under way

function answer(inv, result) {
  if (current !== inv) return;
  let body;
  try {
    body = JSON.stringify(result === undefined ? null : result);
  } catch (_) {
    const text = 'Unable to stringify response body';
    return failed(inv, CALLBACKS ? new Error(text) : new faults.JSONStringifyError(text));
  }
  current = null;
  post('invocation/' + inv.id + '/response', body === undefined ? 'null' : body, inv.echo, false);
}

function failed(inv, e) {
  if (current !== inv) return;
  try {
    logError('Invoke Error', e);
  } catch (worse) { // what was thrown has no text
    e = worse;
    logError('Invoke Error', e);
  }
  current = null;
  const d = describe(e);
  post('invocation/' + inv.id + '/error', JSON.stringify(d), inv.echo + kindHeader(d.errorType), false);
}

function parsed(headers, name, what) {
  if (!headers[name]) return undefined;
  try {
    return JSON.parse(headers[name]);
  } catch (e) {
    throw new Error('Cannot parse ' + what + ' as json: ' + e);
  }
}

function contextOf(inv, headers, finish) {
  const deadline = Number(headers['lambda-runtime-deadline-ms']);
  const context = !CALLBACKS ? { xRayTraceId: headers['lambda-runtime-trace-id'] } : {
    get callbackWaitsForEmptyEventLoop() {
      return inv.waits;
    },
    set callbackWaitsForEmptyEventLoop(v) {
      inv.waits = v;
    },
    succeed: (result) => finish(null, result, true),
    fail: (e) => finish(e === undefined || e === null ? 'handled' : e, null, true),
    done: (e, result) => finish(e, result, true),
  };
  const clientContext = parsed(headers, 'lambda-runtime-client-context', 'ClientContext');
  if (!CALLBACKS) {
    const w3c = {};
    if (clientContext && typeof clientContext === 'object' && 'w3c' in clientContext) {
      for (const k of ['traceparent', 'tracestate', 'baggage']) {
        if (clientContext.w3c && typeof clientContext.w3c[k] === 'string') w3c[k] = clientContext.w3c[k];
      }
      delete clientContext.w3c;
    }
    context.w3c = () => w3c;
  }
  return Object.assign(context, FROM_ENVIRONMENT, {
    clientContext: clientContext,
    identity: parsed(headers, 'lambda-runtime-cognito-identity', 'CognitoIdentity'),
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    awsRequestId: inv.id,
    tenantId: tenantId,
    getRemainingTimeInMillis: () => deadline - Date.now(),
  });
}

function begin(runtime, headers, body) {
  const delivery = headers['lambda-runtime-invocation-id'];
  const inv = {
    id: headers['lambda-runtime-aws-request-id'],
    echo: delivery ? 'Lambda-Runtime-Invocation-Id: ' + delivery + '\r\n' : '',
    waits: true, // a callback's result, for the event loop to be empty
    whenEmpty: null,
    handled: false, // a streaming handler has ended
    stream: null,
  };
  current = inv;
  requestId = global[Symbol.for('aws.lambda.runtime.requestId')] = inv.id;
  tenantId = global[Symbol.for('aws.lambda.runtime.tenantId')] = headers['lambda-runtime-aws-tenant-id'];
  if (headers['lambda-runtime-trace-id']) env._X_AMZN_TRACE_ID = headers['lambda-runtime-trace-id'];
  else delete env._X_AMZN_TRACE_ID;
  socket.unref();
  let done = false; // what counts is the first way to answer
  const finish = (e, result, now) => {
    if (done) return;
    done = true;
    if (e !== undefined && e !== null) failed(inv, e);
    else if (now === true || !inv.waits) answer(inv, result);
    else inv.whenEmpty = () => answer(inv, result);
  };
  inv.whenEmpty = () => answer(inv, null); // for a callback that is never called
  try {
    const context = contextOf(inv, headers, finish);
    const event = JSON.parse(body.toString('utf8'));
    if (runtime.handler[STREAM]) return streaming(inv, runtime, event, context);
    const result = CALLBACKS ? runtime.handler(event, context, (e, r) => finish(e, r)) : runtime.handler(event, context);
    if (result && typeof result.then === 'function') {
      if (!done && MAJOR >= 18) inv.whenEmpty = unsettled;
      result.then(
        (r) => finish(null, r, true),
        (e) => (CALLBACKS ? context.fail(e) : failed(inv, e))
      );
    } else if (!CALLBACKS) {
      answer(inv, result);
    }
  } catch (e) {
    done = true;
    failed(inv, e);
  }
}

async function streaming(inv, runtime, event, context) {
  const stream = new ResponseStream(inv, runtime.handler[HIGH_WATER_MARK]);
  inv.stream = stream;
  inv.whenEmpty = unsettled;
  stream.on('error', () => {}); // the handler hears of it, or _fail tells
  try {
    const result = runtime.handler(event, stream, context);
    if (!result || typeof result.then !== 'function') {
      const text = 'Streaming does not support non-async handlers.';
      throw CALLBACKS ? text : new Error(text);
    }
    if ((await result) !== undefined) write('WARN', ['Streaming handlers ignore return values.']);
  } catch (e) {
    inv.handled = true;
    if (!stream._begun) {
      stream._posted = true; // never begun: told as an error of its own
      return failed(inv, e);
    }
    if (current === inv) logError('Invoke Error', e);
    stream._fail(e);
  }
  inv.handled = true;
  if (current !== inv) return;
  if (stream._posted) {
    current = null;
    poll('');
  } else if (stream.destroyed) {
    stream._fail(new Error('Response stream is not finished.'));
  } else {
    // The handler may have left the end to a pipe that is still running.
    inv.whenEmpty = () => stream.end();
    if (!stream.writableEnded && stream.listenerCount('unpipe') === 0) stream.end();
  }
}

// unsettled ends the process when nothing is left that could settle a promise.
function unsettled() {
  const e = new faults.NodejsExit(
    'The Lambda runtime client detected an unexpected Node.js exit code. ' +
      'This is most commonly caused by a Promise that was never settled. ' +
      'For more information, see https://nodejs.org/docs/latest/api/process.html#exit-codes'
  );
  crashed('Invoke Error', e, 13);
}

process.on('beforeExit', () => {
  if (!current || !current.whenEmpty) return;
  const act = current.whenEmpty;
  current.whenEmpty = null;
  act();
});

// crashed reports an error that nothing in the function caught, and ends the
// process.
function crashed(what, e, code) {
  logError(what, e);
  if (onPosted) return; // it is leaving already
  const inv = current;
  current = null;
  if (polling) process.exit(code); // between invocations nobody is to be told
  if (!inv) return leave('init/error', e, '', code);
  if (inv.stream && inv.stream._sent) {
    onPosted = () => process.exit(code);
    if (inv.stream._posted) return process.exit(code);
    inv.stream._failure = { error: e };
    socket.ref();
    socket.write(inv.stream._tail());
    return;
  }
  leave('invocation/' + inv.id + '/error', e, inv.echo, code);
}

process.on('uncaughtException', (e) => crashed('Uncaught Exception', e, 129));
process.on('unhandledRejection', (reason, promise) => {
  const e = new faults.UnhandledPromiseRejection(reason);
  e.reason = reason;
  e.promise = promise;
  crashed('Unhandled Promise Rejection', e, 128);
});

function main() {
  learn();
  connect();
  findHandler().then(serve, (e) => crashed('Uncaught Exception', e, 129));
}

function serve(handler) {
  const runtime = new Runtime(handler);
  // From a stack of its own, so that traces show nothing of the socket's.
  onEvent = (headers, body) => process.nextTick(begin, runtime, headers, body);
  poll('');
}

// A process that is started before it is known whose it will be.

// rehearse runs an invocation from end to end against a server of its own, so
// that Node has loaded and compiled what the first one needs, and leaves nothing
// of it. What it runs is rehearsal.js.
function rehearse(then) {
  learn();
  TASK_ROOT = __dirname;
  HANDLER = 'rehearsal.handler';
  // Sockets that close ask for stderr, which would be opened, without blocking, for
  // all processes that share it.
  const stderr = Object.getOwnPropertyDescriptor(process, 'stderr');
  Object.defineProperty(process, 'stderr', { value: null, configurable: true });
  const at = path.join(require('os').tmpdir(), '.rehearsal-' + process.pid);
  const server = net.createServer((peer) => {
    let polls = 0;
    peer.on('data', (data) => {
      if (data.indexOf(NEXT) < 0) return;
      if (++polls === 1) {
        const event = '{"key":["value"]}';
        peer.write(
          'HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: 0\r\nLambda-Runtime-Deadline-Ms: 0\r\n' +
            'Content-Length: ' + event.length + '\r\n\r\n' + event
        );
      } else {
        peer.end('HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n');
      }
    });
  });
  server.listen(at, () => {
    socket = net.connect(at);
    socket.on('data', received);
    socket.on('close', () => server.close(forget));
    findHandler().then(serve);
  });
  const forget = () => {
    Object.defineProperty(process, 'stderr', stderr);
    const file = path.join(__dirname, 'rehearsal.js');
    module.children = module.children.filter((m) => m.filename !== file);
    delete require.cache[file];
    socket = onEvent = onPosted = current = null;
    polling = false;
    requestId = tenantId = undefined;
    delete global[Symbol.for('aws.lambda.runtime.requestId')];
    delete global[Symbol.for('aws.lambda.runtime.tenantId')];
    delete globalThis.awslambda;
    line('INFO', ['text', new Error('text')]);
    if (Number(process.versions.node.split('.')[0]) < 18) return then();
    import('data:text/javascript,export default 0').then(then); // loads what loads ES modules
  };
}

// wait says that the process is ready and blocks until it is told whose it is. The
// strings it was started with are given up before: the platform may write over
// them, so that /proc shows the function's.
function wait() {
  const zone = env.TZ; // to set another would make V8 look for the time zone again
  for (const name of Object.keys(env)) delete env[name];
  if (zone !== undefined) env.TZ = zone;
  const take = (n) => {
    const b = Buffer.alloc(n);
    for (let have = 0; have < n; ) {
      const more = fs.readSync(3, b, have, n - have, null);
      if (more === 0) process.exit(0); // there is no function for it
      have += more;
    }
    return b;
  };
  fs.writeSync(3, 'R');
  const told = take(take(4).readUInt32BE(0)).toString('utf8').split('\0');
  process.chdir(told[0]);
  for (const pair of told.slice(1, -1)) {
    const i = pair.indexOf('=');
    const name = pair.slice(0, i);
    if (name !== 'TZ' || pair.slice(i + 1) !== zone) env[name] = pair.slice(i + 1);
  }
}

if (env._LAMBENT_WARM) {
  rehearse(() => {
    wait();
    main();
  });
} else {
  main();
}
