package e2e

import (
	"os"
	"path/filepath"
	"testing"
)

// aws-lambda-ric, AWS's own runtime client for Node, runs unchanged as a custom
// runtime. Its native part takes minutes to build and tools that few machines
// have, so the test runs where LAMBENT_ORACLES names a directory with
// node/node_modules/aws-lambda-ric in it (npm install aws-lambda-ric@3, for Node
// 20 and before), and says so where it does not.
func TestOfficialNodeClient(t *testing.T) {
	s := isolated(t)
	root := os.Getenv("LAMBENT_ORACLES")
	if root == "" {
		t.Skip("NOT TESTED: aws-lambda-ric, since LAMBENT_ORACLES names no directory that holds it")
	}
	client := filepath.Join(root, "node", "node_modules", "aws-lambda-ric")
	files := map[string]string{
		"bootstrap": "#!/bin/sh\nexec /usr/bin/node node_modules/aws-lambda-ric/bin/index.mjs \"$_HANDLER\"\n",
		"index.js": `
let n = 0;
exports.handler = async (event, context) => {
  if (event.fail) throw new TypeError("msg");
  if (event.exit) process.exit(3);
  return { n: ++n, event, name: context.functionName, left: context.getRemainingTimeInMillis() > 0, id: context.awsRequestId };
};`,
	}
	for _, name := range []string{"package.json", "bin/index.mjs", "dist/index.mjs", "dist/rapid-client.node"} {
		b, err := os.ReadFile(filepath.Join(client, name))
		if err != nil {
			t.Fatal(err)
		}
		files["node_modules/aws-lambda-ric/"+name] = string(b)
	}
	s.create(t, function{name: "officialnode", runtime: custom, handler: "index.handler", files: files, memory: 1769})
	for _, n := range []string{"1", "2"} {
		a := s.invoke(t, "officialnode", `{"a":[1,"zwei"]}`)
		same(t, a.payload, `{"n":`+n+`,"event":{"a":[1,"zwei"]},"name":"officialnode","left":true,"id":"<id>"}`, a.id)
	}
	a := s.invoke(t, "officialnode", `{"fail":true}`)
	same(t, a.payload, `{"errorType":"TypeError","errorMessage":"msg","trace":"…"}`, a.id)
	if a.fault != "Unhandled" {
		t.Errorf("X-Amz-Function-Error is %q", a.fault)
	}
	a = s.invoke(t, "officialnode", `{"exit":true}`)
	same(t, a.payload, `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: <id> Error: Runtime exited with error: exit status 3"}`, a.id)
}
