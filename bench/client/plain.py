# The Runtime API client one would write in Python with the standard library, for
# reference R2: what a bare runtime needs from exec to its first answer.
import http.client
import json
import os
import sys

sys.path.insert(0, sys.argv[1])
from handler import handler

api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    api.request("GET", "/2018-06-01/runtime/invocation/next")
    event = api.getresponse()
    answer = json.dumps(handler(json.loads(event.read()), None)).encode()
    api.request("POST", "/2018-06-01/runtime/invocation/%s/response" % event.headers["Lambda-Runtime-Aws-Request-Id"], answer)
    api.getresponse().read()
