// The AWS SDK for JavaScript takes a function from creation to deletion.
'use strict';
const assert = require('node:assert');
const fs = require('node:fs');
const {
  LambdaClient, CreateFunctionCommand, InvokeCommand, DeleteFunctionCommand, GetFunctionCommand,
  UpdateFunctionConfigurationCommand, paginateListFunctions, waitUntilFunctionActiveV2, waitUntilFunctionUpdatedV2,
} = require(process.env.SDK + '/node_modules/@aws-sdk/client-lambda');

const client = new LambdaClient({ maxAttempts: 1 });
const text = (payload) => Buffer.from(payload).toString();
const wait = { client, maxWaitTime: 60, minDelay: 0.05, maxDelay: 0.2 };

(async () => {
  const made = await client.send(new CreateFunctionCommand({
    FunctionName: 'js', Runtime: 'nodejs22.x', Handler: 'index.handler', Role: 'arn:aws:iam::000000000000:role/any',
    Code: { ZipFile: fs.readFileSync(process.argv[2]) },
  }));
  assert.equal(made.State, 'Pending');
  await waitUntilFunctionActiveV2(wait, { FunctionName: 'js' });
  let out = await client.send(new InvokeCommand({ FunctionName: 'js', Payload: JSON.stringify({ n: 1 }), LogType: 'Tail' }));
  assert.equal(text(out.Payload), '{"n":1}');
  assert.equal(out.StatusCode, 200);
  assert.equal(out.FunctionError, undefined);
  assert.match(Buffer.from(out.LogResult, 'base64').toString(), /^START RequestId: [-0-9a-f]{36} Version: \$LATEST\n/);
  out = await client.send(new InvokeCommand({ FunctionName: 'js', Payload: '"raise"' }));
  assert.equal(out.FunctionError, 'Unhandled');
  assert.equal(JSON.parse(text(out.Payload)).errorMessage, 'as told');
  await client.send(new UpdateFunctionConfigurationCommand({ FunctionName: 'js', Timeout: 9 }));
  await waitUntilFunctionUpdatedV2(wait, { FunctionName: 'js' });
  assert.equal((await client.send(new GetFunctionCommand({ FunctionName: 'js' }))).Configuration.Timeout, 9);
  const names = [];
  for await (const page of paginateListFunctions({ client, pageSize: 1 }, {})) names.push(...page.Functions.map((f) => f.FunctionName));
  assert.deepEqual(names, ['js']);
  await client.send(new DeleteFunctionCommand({ FunctionName: 'js' }));
  await assert.rejects(client.send(new GetFunctionCommand({ FunctionName: 'js' })), {
    name: 'ResourceNotFoundException', message: 'Function not found: arn:aws:lambda:us-east-1:000000000000:function:js',
  });
})().catch((err) => { console.error(err); process.exit(1); });
