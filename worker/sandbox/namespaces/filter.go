//go:build linux && (amd64 || arm64)

package namespaces

import (
	"encoding/binary"
	"slices"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// denied are calls that a function has no use for, or that reach parts of the
// kernel that namespaces do not divide. Those that an architecture lacks are
// left out.
var denied = []string{
	// other namespaces and roots
	"mount", "umount2", "pivot_root", "chroot", "unshare", "setns",
	"fsopen", "fsmount", "fsconfig", "fspick", "move_mount", "open_tree", "open_tree_attr", "mount_setattr",
	"name_to_handle_at", "open_by_handle_at",
	// other processes
	"ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp", "process_madvise",
	// kernel surface with a history
	"bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register",
	"keyctl", "add_key", "request_key", "vmsplice", "fanotify_init", "lookup_dcookie", "uselib", "modify_ldt",
	"mbind", "set_mempolicy", "set_mempolicy_home_node", "move_pages", "migrate_pages", "personality",
	// the machine
	"kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot", "swapon", "swapoff",
	"acct", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "quotactl", "quotactl_fd", "syslog", "iopl", "ioperm",
	"sethostname", "setdomainname", "vhangup", "nfsservctl",
}

// protocols are those that sockets may speak, by family. No namespace divides some
// families: by AF_VSOCK a function would reach the host that a virtual machine
// runs on. And the kernel loads modules, with all their faults, for whoever asks
// for a protocol.
var protocols = []struct {
	family  uint64
	allowed []uint64
}{
	{unix.AF_UNIX, []uint64{0, unix.AF_UNIX}},
	{unix.AF_INET, internet},
	{unix.AF_INET6, internet},
	{unix.AF_NETLINK, []uint64{unix.NETLINK_ROUTE}}, // to list interfaces
}

var internet = []uint64{0, unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6, unix.IPPROTO_MPTCP}

// filter makes the program of system calls that a function may not make, in the
// kernel's encoding.
func filter() ([]byte, error) {
	info, err := arch.GetInfo("")
	if err != nil {
		return nil, err
	}
	names := slices.DeleteFunc(slices.Clone(denied), func(name string) bool {
		_, ok := info.SyscallNames[name]
		return !ok
	})
	refuse := func(errno unix.Errno) seccomp.Action { return seccomp.ActionErrno | seccomp.Action(errno) }

	// New namespaces would give a process capabilities in them. clone3 takes its
	// flags where a filter cannot look; without it, libraries fall back on clone.
	const spaces = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET |
		unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP
	clone := []seccomp.NameWithConditions{{Name: "clone", Conditions: seccomp.ArgumentConditions{
		{Argument: 0, Operation: seccomp.BitsSet, Value: spaces},
	}}}
	// A call is refused if all conditions of one of these hold. They name what is
	// allowed, so that junk in the upper half of an argument, which the kernel does
	// not look at, is refused too.
	var socket []seccomp.NameWithConditions
	refuseUnless := func(call string, argument uint32, allowed []uint64, given ...seccomp.Condition) {
		for _, value := range allowed {
			given = append(given, seccomp.Condition{Argument: argument, Operation: seccomp.NotEqual, Value: value})
		}
		socket = append(socket, seccomp.NameWithConditions{Name: call, Conditions: given})
	}
	var families []uint64
	for _, p := range protocols {
		families = append(families, p.family)
		refuseUnless("socket", 2, p.allowed, seccomp.Condition{Argument: 0, Operation: seccomp.Equal, Value: p.family})
	}
	refuseUnless("socket", 0, families)
	refuseUnless("socketpair", 0, []uint64{unix.AF_UNIX})
	policy := seccomp.Policy{
		DefaultAction: seccomp.ActionAllow,
		Syscalls: []seccomp.SyscallGroup{
			{Action: refuse(unix.ENOSYS), Names: []string{"clone3"}},
			{Action: refuse(unix.EPERM), Names: names},
			{Action: refuse(unix.EPERM), NamesWithCondtions: clone},
			{Action: refuse(unix.EPERM), NamesWithCondtions: socket},
		},
	}
	program, err := policy.Assemble()
	if err != nil {
		return nil, err
	}
	// The library lets calls of another architecture pass (int 0x80 on x86-64).
	const offsetOfArch = 4
	program = append([]bpf.Instruction{
		bpf.LoadAbsolute{Off: offsetOfArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(info.ID), SkipTrue: 1},
		bpf.RetConstant{Val: uint32(seccomp.ActionKillProcess)},
	}, program...)
	raw, err := bpf.Assemble(program)
	if err != nil {
		return nil, err
	}
	var b []byte
	for _, i := range raw {
		b = binary.NativeEndian.AppendUint16(b, i.Op)
		b = append(b, i.Jt, i.Jf)
		b = binary.NativeEndian.AppendUint32(b, i.K)
	}
	return b, nil
}
