// The AWS SDK for JavaScript reads a streamed answer while its function runs.
'use strict';
const assert = require('node:assert');
const http = require('node:http');
const { LambdaClient, InvokeWithResponseStreamCommand } = require(process.env.SDK + '/node_modules/@aws-sdk/client-lambda');

const client = new LambdaClient({ maxAttempts: 1 });
const text = (payload) => Buffer.from(payload).toString();

(async () => {
  let release;
  const seen = new Promise((resolve) => (release = resolve));
  const gate = http.createServer(async (req, res) => {
    await seen;
    res.end();
  });
  await new Promise((resolve) => gate.listen(0, '127.0.0.1', resolve));
  const event = { First: 'one', Second: 'two', Gate: `http://127.0.0.1:${gate.address().port}/` };
  const start = Date.now();
  const out = await client.send(new InvokeWithResponseStreamCommand({ FunctionName: 'node', Payload: JSON.stringify(event), LogType: 'Tail' }));
  assert.equal(out.StatusCode, 200);
  assert.equal(out.ExecutedVersion, '$LATEST');
  const chunks = [];
  let end;
  for await (const e of out.EventStream) {
    console.log(`${Date.now() - start} ms: ${Object.keys(e)[0]}`);
    assert.equal(end, undefined);
    if (e.PayloadChunk) {
      chunks.push(text(e.PayloadChunk.Payload));
      release();
    } else {
      end = e.InvokeComplete;
    }
  }
  assert.deepEqual(chunks, ['one', 'two']);
  assert.equal(end.ErrorCode, undefined);
  assert.match(Buffer.from(end.LogResult, 'base64').toString(), /^START RequestId: [-0-9a-f]{36} Version: \$LATEST\n/);
  gate.close();
})().catch((err) => { console.error(err); process.exit(1); });
