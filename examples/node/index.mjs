// Hashes a text. What is at module level runs once per environment, in its cold
// start; what it keeps there is still there for the next, warm, invocation.
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

let invocations = 0;

export const handler = async (event, context) => {
  invocations++;
  // The runtime adds the time, the request id and the level to console lines.
  console.log(`${context.functionName} hashes ${event.text.length} characters`);
  if (event.pause) await sleep(event.pause); // milliseconds: an answer may take its time
  return {
    sha256: createHash("sha256").update(event.text).digest("hex").slice(0, 16) + "…",
    invocation: invocations,
    memoryMB: Number(context.memoryLimitInMB),
    millisLeft: context.getRemainingTimeInMillis(),
  };
};
