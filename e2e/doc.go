// Package e2e tests Lambent from outside: the real binary, real clients (the aws
// CLI, boto3, the AWS SDK for Go), real functions in real sandboxes. It holds
// tests only and knows nothing of the packages inside.
//
// Where a test states an answer of AWS, the words come from recordings of AWS or
// from the source of its runtime clients, unless the test says otherwise.
//
// The Python clients live in a virtual environment at $LAMBENT_E2E_VENV, or
// .cache/venv of the repository, which the tests make if it is missing.
// $LAMBENT_E2E_BINARY names another binary to test than the one of this tree;
// -short makes the load of many callers short. $LAMBENT_SEED repeats what a
// test that draws at random has drawn.
package e2e
