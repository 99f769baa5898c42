//go:build unix

package fake_test

import (
	"bufio"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambent-run/lambent/worker/sandbox"
	"github.com/lambent-run/lambent/worker/sandbox/fake"
	"github.com/lambent-run/lambent/worker/sandbox/sandboxtest"
)

func TestContract(t *testing.T) {
	sandboxtest.Run(t, func(t *testing.T) sandbox.Driver {
		d := fake.New(func(ctx context.Context, spec *sandbox.Spec, p *fake.Process) sandbox.Exit {
			return sandboxtest.Play(ctx, spec, sandboxtest.Stage{Dial: p.Dial, Socket: p.Socket, Output: p.Output, Term: p.Term})
		})
		t.Cleanup(func() { d.Close() })
		return d
	})
}

// In a bubble, a program that sleeps an hour is heard at once.
func TestInABubbleTimeIsThePrograms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := fake.New(func(ctx context.Context, _ *sandbox.Spec, p *fake.Process) sandbox.Exit {
			time.Sleep(time.Hour)
			c, err := p.Dial()
			if err != nil {
				return sandbox.Exit{Code: 1}
			}
			c.Write([]byte("done\n"))
			<-ctx.Done()
			return sandbox.Exit{}
		})
		defer d.Close()
		began := time.Now()
		b, err := d.Prepare(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s, err := b.Start(t.Context(), &sandbox.Spec{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Output().Close()
		c, err := s.Listener().Accept()
		if err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(c).ReadString('\n'); line != "done\n" || err != nil {
			t.Errorf("it said %q, %v", line, err)
		}
		if took := time.Since(began); took != time.Hour {
			t.Errorf("it took %v, want an hour", took)
		}
	})
}
