package main

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	signer "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// server is a Lambent under measurement.
type server struct {
	cmd  *exec.Cmd
	addr string
	api  *lambda.Client
	log  string
}

// startServer starts binary on a free port with its data in dir.
func startServer(ctx context.Context, binary, dir, sandbox string) (*server, error) {
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	s := &server{addr: addr, log: filepath.Join(dir, "server.log")}
	log, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s.cmd = exec.Command(binary, "serve", "--listen", addr, "--data", filepath.Join(dir, "data"), "--sandbox", sandbox,
		// What is measured is the cost of a request, not how many are let through.
		"--request-rate", "0", "--scaling-rate", "0")
	s.cmd.Stderr = log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	s.api = lambda.New(lambda.Options{
		Region:       "us-east-1",
		BaseEndpoint: aws.String("http://" + addr),
		Credentials:  credentials.NewStaticCredentialsProvider("bench", "bench", ""),
	})
	if err := s.awaitHealth(ctx); err != nil {
		s.stop()
		text, _ := os.ReadFile(s.log)
		return nil, fmt.Errorf("lambent --sandbox %s: %w\n%s", sandbox, err, text)
	}
	return s, nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func (s *server) awaitHealth(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, "GET", "http://"+s.addr+"/_lambent/health", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return errors.New("it is not healthy after 20 s")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stop drains the server, and kills what does not.
func (s *server) stop() {
	s.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(40*time.Second, func() { syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) })
	defer kill.Stop()
	s.cmd.Wait() // how it ended is not what is measured
}

// create makes a function and waits until it is active.
func (s *server) create(ctx context.Context, name string, h handler) error {
	var pack bytes.Buffer
	z := zip.NewWriter(&pack)
	hdr := &zip.FileHeader{Name: h.file, Method: zip.Deflate}
	hdr.SetMode(0o755)
	w, err := z.CreateHeader(hdr)
	if err != nil {
		return err
	}
	if _, err := w.Write(h.content); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	_, err = s.api.CreateFunction(ctx, &lambda.CreateFunctionInput{
		FunctionName: &name,
		Role:         aws.String("arn:aws:iam::000000000000:role/bench"),
		Runtime:      types.Runtime(h.runtime),
		Handler:      &h.entry,
		Timeout:      aws.Int32(30),
		MemorySize:   aws.Int32(3538), // two whole CPUs: the references have no limit either
		Code:         &types.FunctionCode{ZipFile: pack.Bytes()},
	})
	if err != nil {
		return err
	}
	return s.settled(ctx, name)
}

// retire makes the function's next invocation a cold start, as an update does.
func (s *server) retire(ctx context.Context, name string, round int) error {
	_, err := s.api.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{
		FunctionName: &name, Description: aws.String(fmt.Sprintf("round %d", round)),
	})
	if err != nil {
		return err
	}
	return s.settled(ctx, name)
}

// settled waits until the function is active and its last update is done.
func (s *server) settled(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		c, err := s.api.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &name})
		if err != nil {
			return err
		}
		if c.State == types.StateFailed || c.LastUpdateStatus == types.LastUpdateStatusFailed {
			return fmt.Errorf("%s: %s %s", name, aws.ToString(c.StateReason), aws.ToString(c.LastUpdateStatusReason))
		}
		if c.State == types.StateActive && c.LastUpdateStatus == types.LastUpdateStatusSuccessful {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is %s/%s after a minute", name, c.State, c.LastUpdateStatus)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// request is one whole Invoke. Unsigned, it carries an Authorization header of
// the right form, which a server with --auth off takes as it is; signed, it
// stays valid for the minutes that a run lasts.
func request(ctx context.Context, addr, function string, event []byte, sign bool) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, "POST", "http://"+addr+"/2015-03-31/functions/"+function+"/invocations", bytes.NewReader(event))
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", "lambent-bench")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=bench/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=00")
	if sign {
		sum := sha256.Sum256(event)
		r.Header.Del("Authorization")
		err := signer.NewSigner().SignHTTP(ctx, aws.Credentials{AccessKeyID: "bench", SecretAccessKey: "bench"},
			r, hex.EncodeToString(sum[:]), "lambda", "us-east-1", time.Now())
		if err != nil {
			return nil, err
		}
	}
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
