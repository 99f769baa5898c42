"""Tries what a function must not be able to do; prints one line of JSON: what
came of each try, "ok" where it succeeded, else the name of the error."""
import ctypes, errno, json, os, platform, resource, socket, struct, subprocess, sys

libc = ctypes.CDLL(None, use_errno=True)
arm = platform.machine() == "aarch64"
result = {}


def attempt(name, f):
    try:
        r = f()
        result[name] = "ok" if r is None else str(r)
    except OSError as e:
        result[name] = errno.errorcode.get(e.errno, str(e))
    except Exception as e:
        result[name] = type(e).__name__ + ": " + str(e)


def call(nr, *args):
    ctypes.set_errno(0)
    r = libc.syscall(ctypes.c_long(nr), *[ctypes.c_void_p(a) if isinstance(a, int) else a for a in args])
    if r == -1:
        raise OSError(ctypes.get_errno(), "")


def nr(x86, aarch64):
    return aarch64 if arm else x86


def read(path):
    with open(path, "rb") as f:
        f.read(1)


def write(path, what=b"x"):
    with open(path, "wb", 0) as f:
        f.write(what)


def connect(family, address):
    s = socket.socket(family)
    s.settimeout(2)
    s.connect(address)


target = json.loads(os.environ["TARGET"])

# files
for path in ["/etc/shadow", "/root", "/home", "/sys", "/run", "/var/lib", "/boot", "/dev/mem", "/dev/kmsg", "/dev/vda", "/dev/sda", "/dev/fuse", "/dev/net/tun", "/dev/pts", "/dev/tty"] + target["paths"]:
    attempt("see " + path, lambda: os.listdir(path) and None if os.path.isdir(path) else read(path))
attempt("climb out", lambda: read("/var/task/../../../../../../.." + target["paths"][0]))
attempt("link out", lambda: (os.symlink(target["paths"][0], "/tmp/link"), read("/tmp/link"))[0])
for path in ["/x", "/usr/x", "/etc/passwd", "/etc/x", "/var/task/x", "/var/runtime/x", "/opt/x", "/dev/x", "/var/x", "/bin/sh"]:
    attempt("write " + path, lambda: write(path))
attempt("write /tmp/x", lambda: write("/tmp/x"))
attempt("write /dev/shm/x", lambda: write("/dev/shm/x"))
attempt("mknod", lambda: os.mknod("/tmp/node", 0o60600, os.makedev(1, 3)))
attempt("chown", lambda: os.chown("/tmp/x", 0, 0))
attempt("open /dev/null for writing", lambda: write("/dev/null"))

# what /proc tells
attempt("other processes", lambda: sorted(int(p) for p in os.listdir("/proc") if p.isdigit() and int(p) not in (1, os.getpid())) or None)
for name in ["environ", "maps", "root", "fd", "cwd", "mem"]:
    attempt("see /proc/1/" + name, lambda: os.listdir("/proc/1/" + name) and None if name in ("root", "fd", "cwd") else read("/proc/1/" + name))
for path in ["/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sys/vm/overcommit_memory", "/proc/sys/net/ipv4/ip_forward", "/proc/sysrq-trigger", "/proc/1/oom_score_adj"]:
    attempt("write " + path, lambda: write(path))
attempt("read /proc/kcore", lambda: read("/proc/kcore"))
attempt("read /proc/kmsg", lambda: read("/proc/kmsg"))
attempt("spare itself from the OOM killer", lambda: write("/proc/self/oom_score_adj", b"-1000"))
attempt("descriptors", lambda: json.dumps(sorted(int(f) for f in os.listdir("/proc/self/fd"))[:-1]))

# network
attempt("interfaces", lambda: json.dumps([n for _, n in socket.if_nameindex()]))
attempt("host loopback", lambda: connect(socket.AF_INET, ("127.0.0.1", target["port"])))
attempt("host loopback, IPv6", lambda: connect(socket.AF_INET6, ("::1", target["port"])))
attempt("host address", lambda: connect(socket.AF_INET, (target["address"], target["port"])))
attempt("metadata service", lambda: connect(socket.AF_INET, ("169.254.169.254", 80)))
attempt("abstract socket of the host", lambda: connect(socket.AF_UNIX, "\0" + target["abstract"]))
attempt("own listener", lambda: connect(socket.AF_INET, ("127.0.0.1", 9001)))
for name, family, kind in [("vsock", 40, 1), ("packet", 17, 3), ("alg", 38, 5), ("bluetooth", 31, 1), ("xdp", 44, 3), ("tipc", 30, 1)]:
    attempt("socket " + name, lambda: socket.socket(family, kind).close())
# Protocols whose modules the kernel would load for anyone. An int's upper half
# means nothing to the kernel; a filter must not be fooled by it.
SCTP, DCCP, NETFILTER, XFRM, TIPC = 132, 33, 12, 6, 30
junk = 1 << 32
for name, args in {
    "sctp": (2, 1, SCTP), "sctp, IPv6": (10, 1, SCTP), "sctp, disguised": (2, 1, SCTP | junk), "sctp, family disguised": (2 | junk, 1, SCTP),
    "dccp": (2, 6, DCCP), "netfilter": (16, 3, NETFILTER), "xfrm": (16, 3, XFRM), "vsock, disguised": (40 | junk, 1, 0),
}.items():
    attempt("socket " + name, lambda: call(nr(41, 198), *args))
attempt("socket pair tipc", lambda: call(nr(53, 199), TIPC, 1, 0, ctypes.byref((ctypes.c_int * 2)())))
for name, args in {"tcp": (2, 1, 6), "udp, IPv6": (10, 2, 17), "unix": (1, 1, 0), "route": (16, 3, 0)}.items():
    attempt("ordinary socket " + name, lambda: call(nr(41, 198), *args))
attempt("ordinary pair", lambda: [s.close() for s in socket.socketpair()] and None)
attempt("raw socket", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).close())
attempt("listen on another port", lambda: socket.create_server(("127.0.0.1", 8080)).close())

# privileges
status = dict(l.split(":\t", 1) for l in open("/proc/self/status").read().splitlines() if ":\t" in l)
for name in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp"]:
    result[name] = status[name].lstrip("0") or "0"
attempt("groups", lambda: json.dumps(os.getgroups()))
attempt("become root", lambda: os.setuid(0))
attempt("setuid program", lambda: subprocess.run(["/usr/bin/su", "-c", "id -u"], capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout.strip() or "nothing")
attempt("kill holder", lambda: os.kill(1, 9))
attempt("signal all", lambda: os.kill(-1, 0))
attempt("raise limit", lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (2048, 2048)))
attempt("limits", lambda: json.dumps([resource.getrlimit(r) for r in (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE, resource.RLIMIT_STACK)]))
attempt("umask", lambda: "%o" % os.umask(0o22))

# system calls
NEWUSER, NEWNS, NEWNET, NEWPID = 0x10000000, 0x20000, 0x40000000, 0x20000000


def clone(flags):
    ctypes.set_errno(0)
    r = libc.syscall(nr(56, 220), ctypes.c_ulong(flags | 17), 0, 0, 0, 0)
    if r == 0:
        os._exit(0)
    if r == -1:
        raise OSError(ctypes.get_errno(), "")


for name, flags in [("NEWUSER", NEWUSER), ("NEWNS", NEWNS), ("NEWNET", NEWNET), ("NEWPID", NEWPID), ("NEWCGROUP", 0x02000000)]:
    attempt("clone " + name, lambda: clone(flags))
calls = {
    "clone3": (435, 435), "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39),
    "pivot_root": (155, 41), "chroot": (161, 51), "ptrace": (101, 117), "bpf": (321, 280), "keyctl": (250, 219),
    "add_key": (248, 217), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "pidfd_getfd": (438, 438), "fsopen": (430, 430), "move_mount": (429, 429),
    "open_tree": (428, 428), "mount_setattr": (442, 442), "reboot": (169, 142), "kexec_load": (246, 104),
    "init_module": (175, 105), "finit_module": (313, 273), "swapon": (167, 224), "acct": (163, 89),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "syslog": (103, 116), "personality": (135, 92),
    "sethostname": (170, 161), "fanotify_init": (300, 262), "quotactl": (179, 60),
}
for name, (x86, aarch64) in calls.items():
    attempt("call " + name, lambda: call(nr(x86, aarch64), 0, 0, 0, 0, 0))
if not arm:
    attempt("call of the x32 kind", lambda: call(0x40000000 | 39))  # getpid
    # A child makes a system call of the 32-bit kind: mov eax, 20; int 0x80; ret
    def legacy():
        import mmap
        m = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        m.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
        f = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))
        pid = os.fork()
        if pid == 0:
            f()
            os._exit(0)
        return "signal %d" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    attempt("call of the 32-bit kind", legacy)

# still of use
attempt("thread", lambda: __import__("threading").Thread(target=lambda: None).start())
attempt("subprocess", lambda: subprocess.run(["/bin/echo"], stdout=subprocess.DEVNULL).check_returncode())
attempt("user name", lambda: __import__("pwd").getpwuid(os.getuid()).pw_name)
attempt("stdout by name", lambda: write("/dev/stderr"))
attempt("certificates", lambda: __import__("ssl").create_default_context().cert_store_stats()["x509"] > 0 and None)

print("\n" + json.dumps(result))
