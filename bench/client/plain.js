// The Runtime API client one would write in Node with the standard library, for
// reference R2: what a bare runtime needs from exec to its first answer.
'use strict';
const http = require('node:http');
const { handler } = require(process.argv[2] + '/index.js');

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

function call(method, path, body) {
  return new Promise((resolve, reject) => {
    const req = http.request({ host, port, method, path: '/2018-06-01/runtime/invocation' + path, agent }, (res) => {
      const parts = [];
      res.on('data', (part) => parts.push(part));
      res.on('end', () => resolve({ headers: res.headers, body: Buffer.concat(parts) }));
    });
    req.on('error', reject);
    req.end(body);
  });
}

(async () => {
  for (;;) {
    const event = await call('GET', '/next');
    const answer = JSON.stringify(await handler(JSON.parse(event.body), {}));
    await call('POST', '/' + event.headers['lambda-runtime-aws-request-id'] + '/response', answer);
  }
})();
