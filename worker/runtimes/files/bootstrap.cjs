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
// It runs on every Node from version 12 on, which is why it is written as if
// the language had not grown since.

const net = require('net');
const util = require('util');
const path = require('path');
const fs = require('fs');
const { Writable } = require('stream');

const env = process.env;
const TASK_ROOT = env.LAMBDA_TASK_ROOT || '/var/task';
const HANDLER = env._HANDLER || '';
const SOCKET = env._LAMBENT_SOCKET;
delete env._LAMBENT_SOCKET;
const LOG_JSON = env.AWS_LAMBDA_LOG_FORMAT === 'JSON';
const MAJOR = Number((/nodejs(\d+)/.exec(env.AWS_EXECUTION_ENV || '') || [])[1] || process.versions.node.split('.')[0]);

const API = '/2018-06-01/runtime/';
const NEXT = 'GET ' + API + 'invocation/next HTTP/1.1\r\nHost: lambda\r\n\r\n';

// Errors that the runtime itself names.

function fault(kind, message) {
  const e = new Error(message);
  e.name = kind;
  Error.captureStackTrace(e, fault); // its first line has the name
  return e;
}

function isError(e) {
  return e instanceof Error || (e && typeof e === 'object' && typeof e.name === 'string' && typeof e.message === 'string' && 'stack' in e);
}

// describe is an error in the shape that AWS's runtime posts.
function describe(e) {
  if (isError(e)) {
    return { errorType: String(e.name), errorMessage: String(e.message), trace: String(e.stack || '').split('\n') };
  }
  return { errorType: typeof e, errorMessage: e === undefined || e === null ? String(e) : typeof e === 'object' ? util.inspect(e) : String(e), trace: [] };
}

// logged is an error as the log shows it, with what its maker added to it.
function logged(e) {
  if (!isError(e)) return { errorType: typeof e, errorMessage: e, stack: [] };
  const out = { errorType: e.name, errorMessage: e.message };
  for (const k of Object.keys(e)) if (!(k in out) && k !== 'stack' && k !== 'name' && k !== 'message') out[k] = e[k];
  out.stack = String(e.stack || '').split('\n');
  return out;
}

// Logging.

let requestId; // of the invocation under way; undefined before the first
const LEVELS = { TRACE: 1, DEBUG: 2, INFO: 3, WARN: 4, ERROR: 5, FATAL: 6 };
const LEAST = LEVELS[(env.AWS_LAMBDA_LOG_LEVEL || '').toUpperCase()] || LEVELS.TRACE;

function plainErrors(key, v) {
  return v instanceof Error ? Object.assign({ errorType: v.name, errorMessage: v.message, stackTrace: String(v.stack).split('\n') }, v) : v;
}

function line(level, args) {
  const now = new Date().toISOString();
  if (!LOG_JSON) return now + '\t' + requestId + '\t' + level + '\t' + util.format.apply(util, args) + '\n';
  const out = { timestamp: now, level: level, requestId: requestId };
  const first = args.find((a) => a instanceof Error);
  if (args.length === 1) {
    out.message = args[0];
    try {
      return JSON.stringify(out, plainErrors) + '\n';
    } catch (e) {} // circular, or holds what JSON has no form for
  }
  out.message = util.format.apply(util, args);
  if (first) {
    out.errorType = first.name;
    out.errorMessage = first.message;
    out.stackTrace = String(first.stack).split('\n');
  }
  return JSON.stringify(out) + '\n';
}

function write(level, args) {
  if (LEVELS[level] >= LEAST) process.stdout.write(line(level, args));
}

for (const [name, level] of [['trace', 'TRACE'], ['debug', 'DEBUG'], ['log', 'INFO'], ['info', 'INFO'], ['warn', 'WARN'], ['error', 'ERROR'], ['fatal', 'FATAL']]) {
  console[name] = function () {
    write(level, Array.prototype.slice.call(arguments));
  };
}

function logError(what, e) {
  if (LOG_JSON) {
    if (LEVELS.ERROR >= LEAST) {
      process.stdout.write(JSON.stringify(Object.assign({ timestamp: new Date().toISOString(), level: 'ERROR', requestId: requestId, message: logged(e) })) + '\n');
    }
    return;
  }
  write('ERROR', [what + ' \t' + JSON.stringify(logged(e))]);
}

// The connection. One request is under way at a time, except that the poll for
// the next event is sent along with an answer.

let socket;
let buffered = Buffer.alloc(0);
let owed = 0; // answers to posts that come before the next event
let onEvent = () => {};
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

function received(data) {
  buffered = buffered.length ? Buffer.concat([buffered, data]) : data;
  for (;;) {
    const end = buffered.indexOf('\r\n\r\n');
    if (end < 0) return;
    const head = buffered.toString('latin1', 0, end);
    const m = /\r\ncontent-length: *(\d+)/i.exec(head);
    const length = m ? Number(m[1]) : 0;
    if (buffered.length < end + 4 + length) return;
    const body = buffered.slice(end + 4, end + 4 + length);
    buffered = buffered.slice(end + 4 + length);
    if (owed > 0) {
      owed--;
      if (owed === 0 && onPosted) onPosted();
      continue; // a refused answer is the platform's to report
    }
    if (head.slice(9, 12) !== '200') {
      process.stderr.write('the Runtime API answered a poll with ' + head.split('\r\n')[0] + '\n');
      process.exit(1);
    }
    const headers = {};
    for (const l of head.split('\r\n').slice(1)) {
      const i = l.indexOf(':');
      headers[l.slice(0, i).toLowerCase()] = Buffer.from(l.slice(i + 1).trim(), 'latin1').toString('utf8');
    }
    onEvent(headers, body);
  }
}

function head(what, length, extra) {
  return 'POST ' + API + what + ' HTTP/1.1\r\nHost: lambda\r\nContent-Type: application/json\r\n' + (extra || '') + 'Content-Length: ' + length + '\r\n\r\n';
}

function post(what, body, extra, poll) {
  owed++;
  const size = Buffer.byteLength(body);
  const text = head(what, size, extra) + body + (poll ? NEXT : '');
  socket.write(text);
  if (poll) socket.ref();
}

function kindHeader(kind) {
  return 'Lambda-Runtime-Function-Error-Type: ' + String(kind).replace(/[^\x21-\x7e]/g, '') + '\r\n';
}

// leave posts an error as the last thing this process does.
function leave(what, e, code) {
  const d = describe(e);
  onPosted = () => process.exit(code);
  if (socket) {
    socket.ref();
    post(what, JSON.stringify(d), kindHeader(d.errorType), false);
  } else {
    process.exit(code);
  }
}

// The handler.

function exists(file) {
  try {
    return fs.statSync(file).isFile();
  } catch (e) {
    return false;
  }
}

// isModule tells whether a .js file is an ES module, as Node itself would.
function isModule(file) {
  for (let dir = path.dirname(file); ; dir = path.dirname(dir)) {
    const name = path.join(dir, 'package.json');
    if (exists(name)) {
      try {
        return JSON.parse(fs.readFileSync(name, 'utf8')).type === 'module';
      } catch (e) {
        return false;
      }
    }
    if (path.basename(dir) === 'node_modules' || path.dirname(dir) === dir) return false;
  }
}

const importModule = (file) => import(require('url').pathToFileURL(file).href);

async function load(root, name) {
  const base = path.resolve(TASK_ROOT, root, name);
  if (exists(base)) return require(base);
  if (exists(base + '.js')) return isModule(base + '.js') ? importModule(base + '.js') : require(base + '.js');
  if (exists(base + '.mjs')) return importModule(base + '.mjs');
  if (exists(base + '.cjs')) return require(base + '.cjs');
  return require(require.resolve(root ? root + '/' + name : name, { paths: [TASK_ROOT, path.resolve(TASK_ROOT, root)] }));
}

const STREAM = Symbol.for('aws.lambda.runtime.handler.streaming');

async function findHandler() {
  if (HANDLER.includes('..')) {
    throw fault('Runtime.MalformedHandlerName', `'${HANDLER}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`);
  }
  const slash = HANDLER.lastIndexOf('/');
  const m = /^([^.]*)\.(.+)$/.exec(HANDLER.slice(slash + 1));
  if (!m || !m[1]) throw fault('Runtime.MalformedHandlerName', 'Bad handler');
  let found;
  try {
    found = await load(HANDLER.slice(0, Math.max(slash, 0)), m[1]);
  } catch (e) {
    if (e instanceof SyntaxError) throw fault('Runtime.UserCodeSyntaxError', e.toString());
    if (e && (e.code === 'MODULE_NOT_FOUND' || e.code === 'ERR_MODULE_NOT_FOUND')) throw fault('Runtime.ImportModuleError', e.toString());
    throw e;
  }
  for (const part of m[2].split('.')) found = found === undefined || found === null ? undefined : found[part];
  if (found === undefined || found === null) throw fault('Runtime.HandlerNotFound', HANDLER + ' is undefined or not exported');
  if (typeof found !== 'function') throw fault('Runtime.HandlerNotFound', HANDLER + ' is not a function');
  if (MAJOR >= 24 && !found[STREAM] && found.length >= 3) {
    throw fault(
      'Runtime.CallbackHandlerDeprecated',
      'AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. ' +
        'You need to modify this function to use a supported handler signature to use Node.js 24 or later. ' +
        'For more information see https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.'
    );
  }
  return found;
}

// awslambda is the global by which handlers ask for response streaming.

const PRELUDE = 'application/vnd.awslambda.http-integration-response';

globalThis.awslambda = {
  streamifyResponse(handler, options) {
    handler[STREAM] = 'response';
    if (options && options.highWaterMark) handler[Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark')] = options.highWaterMark;
    return handler;
  },
  HttpResponseStream: class HttpResponseStream {
    static from(stream, prelude) {
      stream.setContentType(PRELUDE);
      stream.write(JSON.stringify(prelude));
      stream.write(Buffer.alloc(8));
      return stream;
    }
  },
};

// ResponseStream posts what is written to it as it comes.
class ResponseStream extends Writable {
  constructor(id, highWaterMark) {
    super(highWaterMark ? { highWaterMark } : {});
    this.id = id;
    this.type = 'application/octet-stream';
    this.begun = false;
    this.ended = false;
  }
  setContentType(type) {
    if (this.begun) throw new Error('Cannot set content-type, too late.');
    this.type = String(type).replace(/[\r\n]/g, '');
  }
  begin() {
    if (this.begun) return '';
    this.begun = true;
    owed++;
    return (
      'POST ' + API + 'invocation/' + this.id + '/response HTTP/1.1\r\nHost: lambda\r\nContent-Type: ' + this.type +
      '\r\nLambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n' +
      'Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n'
    );
  }
  _write(chunk, encoding, callback) {
    const b = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk, encoding);
    if (b.length === 0) return callback();
    socket.cork();
    socket.write(this.begin() + b.length.toString(16) + '\r\n', 'latin1');
    socket.write(b);
    socket.write('\r\n', callback);
    socket.uncork();
  }
  _final(callback) {
    this.finish(null);
    callback();
  }
  // finish ends the post, with an error behind what was sent if there is one.
  finish(e) {
    if (this.ended) return;
    this.ended = true;
    let tail = this.begin() + '0\r\n';
    if (e) {
      const d = describe(e);
      tail += kindHeader(d.errorType) + 'Lambda-Runtime-Function-Error-Body: ' + Buffer.from(JSON.stringify(d)).toString('base64') + '\r\n';
    }
    socket.write(tail + '\r\n' + NEXT, 'latin1');
    socket.ref();
    over();
  }
}

// An invocation.

let current = null; // {id, whenEmpty, stream}: the invocation under way

function over() {
  current = null;
}

function answer(inv, result) {
  if (current !== inv) return;
  let body;
  try {
    body = JSON.stringify(result === undefined ? null : result);
    if (body === undefined) body = 'null';
  } catch (e) {
    return failed(inv, fault('Runtime.MarshalError', 'Unable to stringify response body: ' + e.message));
  }
  over();
  post('invocation/' + inv.id + '/response', body, '', true);
}

function failed(inv, e) {
  if (current !== inv) return;
  logError('Invoke Error', e);
  over();
  const d = describe(e);
  post('invocation/' + inv.id + '/error', JSON.stringify(d), kindHeader(d.errorType), true);
}

function contextOf(inv, headers, finish) {
  const deadline = Number(headers['lambda-runtime-deadline-ms']);
  const parsed = (name) => (headers[name] ? JSON.parse(headers[name]) : undefined);
  const context = {
    get callbackWaitsForEmptyEventLoop() {
      return inv.waits;
    },
    set callbackWaitsForEmptyEventLoop(v) {
      inv.waits = v;
    },
    succeed: (result) => {
      inv.waits = false;
      finish(null, result);
    },
    fail: (e) => {
      inv.waits = false;
      finish(e === undefined || e === null ? 'handled' : e);
    },
    done: (e, result) => {
      inv.waits = false;
      finish(e, result);
    },
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: parsed('lambda-runtime-client-context'),
    identity: parsed('lambda-runtime-cognito-identity'),
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    awsRequestId: inv.id,
    tenantId: headers['lambda-runtime-aws-tenant-id'],
    getRemainingTimeInMillis: () => deadline - Date.now(),
  };
  if (MAJOR >= 24) for (const gone of ['succeed', 'fail', 'done', 'callbackWaitsForEmptyEventLoop']) delete context[gone];
  return context;
}

function begin(handler, headers, body) {
  const inv = { id: headers['lambda-runtime-aws-request-id'], waits: true, whenEmpty: null };
  current = inv;
  requestId = inv.id;
  if (headers['lambda-runtime-trace-id']) env._X_AMZN_TRACE_ID = headers['lambda-runtime-trace-id'];
  else delete env._X_AMZN_TRACE_ID;
  socket.unref();
  let done = false; // a callback counts once
  const finish = (e, result) => {
    if (done) return;
    done = true;
    const act = e !== undefined && e !== null ? () => failed(inv, e) : () => answer(inv, result);
    if (inv.waits && !(e !== undefined && e !== null)) inv.whenEmpty = act;
    else act();
  };
  inv.whenEmpty = () => answer(inv, null); // a callback that is never called is null
  try {
    let event;
    try {
      event = JSON.parse(body.toString('utf8'));
    } catch (e) {
      throw fault('Runtime.UnmarshalError', 'Unable to parse event: ' + e.message);
    }
    const context = contextOf(inv, headers, finish);
    if (handler[STREAM]) return streaming(inv, handler, event, context);
    const result = handler(event, context, finish);
    if (result && typeof result.then === 'function') {
      inv.whenEmpty = unsettled;
      result.then(
        (r) => {
          if (!done) {
            done = true;
            answer(inv, r);
          }
        },
        (e) => {
          if (!done) {
            done = true;
            failed(inv, e);
          }
        }
      );
    } else if (handler.length < 3 && result !== undefined && !done && MAJOR >= 24) {
      done = true;
      answer(inv, result);
    }
  } catch (e) {
    failed(inv, e);
  }
}

async function streaming(inv, handler, event, context) {
  const stream = new ResponseStream(inv.id, handler[Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark')]);
  inv.stream = stream;
  inv.whenEmpty = unsettled;
  stream.on('error', () => {}); // told by finish
  try {
    await handler(event, stream, context);
    if (!stream.writableEnded && !stream.destroyed) {
      // The handler may leave the end to a pipe that is still running.
      inv.whenEmpty = () => stream.end();
      if (stream.listenerCount('unpipe') === 0) stream.end();
    }
  } catch (e) {
    if (!stream.begun && stream.writableLength === 0) {
      stream.ended = true;
      return failed(inv, e);
    }
    if (current === inv) logError('Invoke Error', e);
    // What was written goes first.
    if (stream.writableLength > 0) stream.once('drain', () => stream.finish(e));
    else stream.finish(e);
  }
}

// unsettled ends the process when nothing is left that could settle a promise.
function unsettled() {
  const e = fault(
    'Runtime.NodejsExit',
    'The Lambda runtime client detected an unexpected Node.js exit code. ' +
      'This is most commonly caused by a Promise that was never settled. ' +
      'For more information, see https://nodejs.org/docs/latest/api/process.html#exit-codes'
  );
  const id = current.id;
  logError('Invoke Error', e);
  over();
  leave('invocation/' + id + '/error', e, 13);
}

process.on('beforeExit', () => {
  if (!current) return;
  const act = current.whenEmpty;
  current.whenEmpty = null;
  if (act) act();
});

function crashed(what, e, code) {
  logError(what, e);
  const inv = current;
  if (inv && inv.stream && inv.stream.begun) {
    inv.stream.finish(e);
    setImmediate(() => process.exit(code));
    return;
  }
  over();
  leave(inv ? 'invocation/' + inv.id + '/error' : 'init/error', e, code);
}

process.on('uncaughtException', (e) => crashed('Uncaught Exception', e, 129));
process.on('unhandledRejection', (reason) => {
  const e = fault('Runtime.UnhandledPromiseRejection', reason === undefined ? 'undefined' : String(reason));
  e.reason = isError(reason) ? logged(reason) : reason;
  crashed('Unhandled Promise Rejection', e, 128);
});

connect();
socket.ref();
findHandler().then(
  (handler) => {
    onEvent = (headers, body) => begin(handler, headers, body);
    socket.write(NEXT);
  },
  (e) => {
    logError('Uncaught Exception', e);
    leave('init/error', e, 1);
  }
);
