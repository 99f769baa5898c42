package cli

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	api "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambent-run/lambent/examples"
)

// demoRole is the role the examples are deployed with. They need no permission.
const demoRole = "arn:aws:iam::000000000000:role/lambent-demo"

// demoMemory, in MiB, brings a whole CPU, as on AWS: with less, the times shown
// would be those of waiting for a share of one.
const demoMemory = 1769

// deploy creates an example or brings the one there is up to date, waits until
// it can be invoked, and says which of the two it did. Either way its next
// invocation is a cold start.
func (d *demo) deploy(ctx context.Context, e examples.Example, archive []byte) (verb string, err error) {
	arch := types.ArchitectureX8664
	if runtime.GOARCH == "arm64" {
		arch = types.ArchitectureArm64
	}
	_, err = d.client.CreateFunction(ctx, &api.CreateFunctionInput{
		FunctionName:  &e.Name,
		Description:   aws.String("an example of lambent demo"),
		Runtime:       types.Runtime(e.Runtime),
		Handler:       &e.Handler,
		Role:          aws.String(demoRole),
		MemorySize:    aws.Int32(demoMemory),
		Architectures: []types.Architecture{arch},
		Code:          &types.FunctionCode{ZipFile: archive},
	})
	var exists *types.ResourceConflictException
	switch {
	case err == nil:
		return "created", d.wait(ctx, e.Name, true)
	case !errors.As(err, &exists):
		return "", err
	}
	if err := d.wait(ctx, e.Name, false); err != nil { // for an update by someone else
		return "", err
	}
	_, err = d.client.UpdateFunctionCode(ctx, &api.UpdateFunctionCodeInput{
		FunctionName: &e.Name, ZipFile: archive, Architectures: []types.Architecture{arch}})
	if err != nil {
		return "", err
	}
	if err := d.wait(ctx, e.Name, false); err != nil {
		return "", err
	}
	_, err = d.client.UpdateFunctionConfiguration(ctx, &api.UpdateFunctionConfigurationInput{
		FunctionName: &e.Name, Runtime: types.Runtime(e.Runtime), Handler: &e.Handler, MemorySize: aws.Int32(demoMemory)})
	if err != nil {
		return "", err
	}
	return "updated", d.wait(ctx, e.Name, false)
}

// wait returns when the function is Active, or its update Successful, with the
// SDK's waiters: patient as they are for AWS, but looking sooner.
func (d *demo) wait(ctx context.Context, name string, created bool) error {
	const (
		delay   = 20 * time.Millisecond
		longest = time.Second
		most    = 2 * time.Minute
	)
	in := &api.GetFunctionInput{FunctionName: &name}
	if created {
		w := api.NewFunctionActiveV2Waiter(d.client, func(o *api.FunctionActiveV2WaiterOptions) { o.MinDelay, o.MaxDelay = delay, longest })
		return w.Wait(ctx, in, most)
	}
	w := api.NewFunctionUpdatedV2Waiter(d.client, func(o *api.FunctionUpdatedV2WaiterOptions) { o.MinDelay, o.MaxDelay = delay, longest })
	return w.Wait(ctx, in, most)
}

// pack makes the package of an example: its source, or the executable.
func pack(e examples.Example, executable []byte) ([]byte, error) {
	content, mode := e.Source, fs.FileMode(0o644)
	if content == nil {
		content, mode = executable, 0o755
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	h := &zip.FileHeader{Name: e.File, Method: zip.Deflate}
	h.SetMode(mode)
	f, err := z.CreateHeader(h)
	if err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	if _, err := f.Write(content); err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	return b.Bytes(), nil
}

// bootstrap returns the executable of the Go example: that at path or, if path
// is empty, the one `make` has built beside this program, else one built now,
// for which Go and the source tree must be here.
func bootstrap(ctx context.Context, path, pkg string) ([]byte, error) {
	if path != "" {
		return os.ReadFile(path)
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	built := filepath.Join(filepath.Dir(exe), "examples", "go", "bootstrap")
	b, err := os.ReadFile(built)
	if !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	if _, err := exec.LookPath("go"); err != nil {
		return nil, fmt.Errorf("there is no %s, and no Go here to build it", built)
	}
	dir, err := os.MkdirTemp("", "lambent-demo-go-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "bootstrap")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if text, err := cmd.CombinedOutput(); err != nil {
		line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
		return nil, fmt.Errorf("there is no %s, and building it outside of Lambent's source tree fails: %s", built, first(line, err.Error()))
	}
	return os.ReadFile(out)
}
