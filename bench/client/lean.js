// The leanest Runtime API client in Node, for reference R1: an inherited Unix
// socket at descriptor 3, no HTTP library, the answer and the next poll in one write.
'use strict';
const net = require('node:net');
const { handler } = require(process.argv[2] + '/index.js');

const NEXT = 'GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n';
const sock = new net.Socket({ fd: 3, readable: true, writable: true });
let buf = '';
let event = true; // an event comes next, not the reply to an answer

sock.setEncoding('latin1');
sock.on('data', (data) => {
  buf += data;
  for (;;) {
    const end = buf.indexOf('\r\n\r\n');
    if (end < 0) return;
    const head = buf.slice(0, end);
    const length = /content-length: *(\d+)/i.exec(head);
    const size = end + 4 + (length ? Number(length[1]) : 0);
    if (buf.length < size) return;
    const body = buf.slice(end + 4, size);
    buf = buf.slice(size);
    if (event) answer(/lambda-runtime-aws-request-id: *(\S+)/i.exec(head)[1], body);
    event = !event;
  }
});
sock.on('close', () => process.exit(0));
sock.write(NEXT);

async function answer(request, body) {
  const text = Buffer.from(body, 'latin1').toString('utf8');
  const out = Buffer.from(JSON.stringify(await handler(JSON.parse(text), {})));
  sock.write('POST /2018-06-01/runtime/invocation/' + request +
    '/response HTTP/1.1\r\nHost: x\r\nContent-Length: ' + out.length + '\r\n\r\n' + out.toString('latin1') + NEXT, 'latin1');
}
