package runtimes

import (
	"os/exec"
	"testing"
)

var echoes = map[string]setup{
	"python": python("def handler(event, context):\n    return event\n"),
	"node":   node("exports.handler = async (event) => event;"),
}

// From the start of a process to its first poll, beside the interpreter that
// does nothing.
func BenchmarkStart(b *testing.B) {
	for _, name := range []string{"python", "node"} {
		s := echoes[name]
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				f := start(b, s)
				f.polls()
				b.StopTimer()
				f.cmd.Process.Kill()
				f.cmd.Wait()
				f.conn.Close()
				f.out.Close()
				b.StartTimer()
			}
		})
		b.Run(name+"-that-does-nothing", func(b *testing.B) {
			all, err := set()
			if err != nil {
				b.Fatal(err)
			}
			c, err := all.Find(s.runtime)
			if err != nil {
				b.Skip(err)
			}
			args := []string{"-e", "0"}
			if name == "python" {
				args = []string{"-S", "-c", "0"}
			}
			for b.Loop() {
				if err := exec.Command(c.Argv[0], args...).Run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// From an event to its answer and the next poll.
func BenchmarkInvoke(b *testing.B) {
	for _, name := range []string{"python", "node"} {
		b.Run(name, func(b *testing.B) {
			f := start(b, echoes[name])
			f.polls()
			event := f.event(`{"key": "value", "list": [1, 2, 3]}`)
			b.ResetTimer()
			for i := range b.N {
				if i > 0 {
					event = accepted + event
				}
				f.write(event)
				f.read()
				f.polls()
				if i == 0 {
					continue
				}
				event = event[len(accepted):]
			}
		})
	}
}
