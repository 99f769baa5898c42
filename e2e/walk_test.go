package e2e

import (
	"os/exec"
	"testing"
)

// boto3 walks every paginator of its Lambda client while what it lists changes, every waiter, and asks for every
// operation: none answers 501 but those of event source mappings and durable executions.
func TestEveryPaginatorWaiterAndOperation(t *testing.T) {
	python, env := pythonClients(t)
	s := serve(t, "--sandbox", "process")
	cmd := exec.CommandContext(t.Context(), python, "testdata/walk.py")
	cmd.Env = append(env, s.clientEnv()...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("walk.py: %v\n%s", err, out)
	}
	t.Logf("%s", out)
}
