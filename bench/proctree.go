package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// tick is the unit of CPU times in /proc; the kernel reports 100 a second to
// programs whatever its own clock.
const tick = 10 * time.Millisecond

// process is one line of /proc/PID/stat, as far as it matters here.
type process struct {
	pid, parent int
	cpu         time.Duration // its own and that of the children it has waited for
}

// processes lists what runs now. A process that ends while the list is made is
// left out; its time is in its parent by then.
func processes() ([]process, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var all []process
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		b, err := os.ReadFile("/proc/" + name + "/stat")
		if err != nil {
			continue
		}
		p, err := parseStat(b)
		if err != nil {
			return nil, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
		all = append(all, p)
	}
	return all, nil
}

// parseStat reads /proc/PID/stat (proc(5)). The command in it may hold any
// character, so fields count from its last parenthesis.
func parseStat(b []byte) (process, error) {
	open, last := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 1 || last < open {
		return process{}, fmt.Errorf("no command in %q", b)
	}
	f := bytes.Fields(b[last+1:]) // f[0] is field 3, the state
	if len(f) < 15 {
		return process{}, fmt.Errorf("%d fields", len(f))
	}
	var n [6]int64
	for i, field := range [6][]byte{b[:open-1], f[1], f[11], f[12], f[13], f[14]} {
		v, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return process{}, err
		}
		n[i] = v
	}
	return process{pid: int(n[0]), parent: int(n[1]), cpu: time.Duration(n[2]+n[3]+n[4]+n[5]) * tick}, nil
}

// treeCPU is the CPU time that the process root and all its descendants have
// used so far, with what ended processes among them left to their parents, and
// how many of them run.
func treeCPU(root int) (cpu time.Duration, count int, err error) {
	all, err := processes()
	if err != nil {
		return 0, 0, err
	}
	children := map[int][]int{} // indices into all, by parent
	todo := []int{}
	for i, p := range all {
		children[p.parent] = append(children[p.parent], i)
		if p.pid == root {
			todo = append(todo, i)
		}
	}
	if len(todo) == 0 {
		return 0, 0, fmt.Errorf("process %d is gone", root)
	}
	for len(todo) > 0 {
		p := all[todo[len(todo)-1]]
		todo = append(todo[:len(todo)-1], children[p.pid]...)
		cpu += p.cpu
		count++
	}
	return cpu, count, nil
}

// machineCPU is the time that all cores together were busy since the start of
// the machine.
func machineCPU() (time.Duration, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	f := bytes.Fields(line)
	if len(f) < 9 || string(f[0]) != "cpu" {
		return 0, fmt.Errorf("/proc/stat begins with %q", line)
	}
	var sum int64
	for _, i := range []int{1, 2, 3, 6, 7, 8} { // user nice system irq softirq steal; not idle, iowait
		v, err := strconv.ParseInt(string(f[i]), 10, 64)
		if err != nil {
			return 0, err
		}
		sum += v
	}
	return time.Duration(sum) * tick, nil
}
