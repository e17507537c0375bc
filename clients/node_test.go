package clients_test

import (
	"os"
	"os/exec"
	"testing"
)

// TestNode runs the tests in node, which are of JavaScript's SDK and of the AWS Encryption SDK in JavaScript.
func TestNode(t *testing.T) {
	if _, err := exec.LookPath("npm"); err != nil {
		if os.Getenv("VIGIL_TEST_STRICT") == "1" {
			t.Fatal("npm is missing")
		}
		t.Skip("npm is missing")
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("node")); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"npm", "ci", "--no-progress"}, {"node", "--test"}} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "AWS_REGION=us-east-1", "AWS_ENDPOINT_URL="+endpoint())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
}
