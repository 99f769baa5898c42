"""Counts words. What is at module level runs once per environment, in its cold
start; what it keeps there is still there for the next, warm, invocation."""

import collections
import re

invocations = 0


def handler(event, context):
    global invocations
    invocations += 1
    words = re.findall(r"\w+", event["text"].lower())
    # Whatever is printed goes to the function's log.
    print(f"{context.function_name} counts {len(words)} words for request {context.aws_request_id}")
    return {
        "words": len(words),
        "most": dict(collections.Counter(words).most_common(3)),
        "invocation": invocations,
        "memoryMB": int(context.memory_limit_in_mb),
        "millisLeft": context.get_remaining_time_in_millis(),
    }
