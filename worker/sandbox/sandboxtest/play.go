//go:build unix

package sandboxtest

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lambent-run/lambent/worker/sandbox"
)

// Stage is what Play needs of a driver that runs no real programs.
type Stage struct {
	Dial   func() (net.Conn, error)
	Socket net.Conn
	Output io.Writer
	Term   <-chan struct{}
}

// Play does what the suite's program in spec would do, until ctx ends.
func Play(ctx context.Context, spec *sandbox.Spec, s Stage) sandbox.Exit {
	say := func(text string) { io.WriteString(s.Output, text+"\n") }
	hello := func(c net.Conn, text string) {
		io.WriteString(c, text+"\n")
		b := make([]byte, len(greeting))
		n, _ := io.ReadFull(bufio.NewReader(c), b)
		say(string(b[:n]))
	}
	switch program := spec.Argv[len(spec.Argv)-1]; program {
	case "/usr/bin/env":
		say(strings.Join(spec.Env, "\n"))
	case readCode:
		b, err := os.ReadFile(filepath.Join(spec.Task, "hello"))
		if err != nil {
			return sandbox.Exit{Code: 1}
		}
		s.Output.Write(b)
	case printAll:
		say("out\nerr\nout again")
	case exitSeven:
		return sandbox.Exit{Code: 7}
	case crash:
		return sandbox.Exit{Signal: "segmentation fault"}
	case forever:
		say("up")
		<-ctx.Done()
	case daemonise:
		say("daemon")
		<-ctx.Done()
	case onTerm:
		say("up")
		select {
		case <-s.Term:
			say("asked")
			return sandbox.Exit{Code: 3}
		case <-ctx.Done():
		}
	case count:
		for ctx.Err() == nil {
			say("x")
			time.Sleep(2 * time.Millisecond)
		}
	case greetOn3:
		hello(s.Socket, "hello")
	case beTold:
		s.Socket.Write([]byte{sandbox.Ready})
		var size [4]byte
		if _, err := io.ReadFull(s.Socket, size[:]); err != nil {
			return sandbox.Exit{Code: 1}
		}
		b := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(s.Socket, b); err != nil {
			return sandbox.Exit{Code: 1}
		}
		told := strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
		// It has no files: what they would be is the test's.
		say(strings.Join(told[1:], " ") + " from the code one " + told[0])
	case greetAPI:
		c, err := s.Dial()
		if err != nil {
			return sandbox.Exit{Code: 1}
		}
		i := slices.IndexFunc(spec.Env, func(v string) bool { return strings.HasPrefix(v, "WHO=") })
		hello(c, "hello from "+strings.TrimPrefix(spec.Env[i], "WHO="))
	default:
		say(fmt.Sprintf("unknown program %q", program))
		return sandbox.Exit{Code: 127}
	}
	return sandbox.Exit{}
}
