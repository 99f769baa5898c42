"""A function that tries to get out. It reports, by name of the attempt, what came of each."""

import ctypes
import errno
import glob
import os
import socket
import time

libc = ctypes.CDLL(None, use_errno=True)


def handler(event, context):
    if event["do"] == "report":
        return report(event)
    return globals()[event["do"]](event)


def report(event):
    attempts = {
        # Files of the host and of the server.
        "read /etc/shadow": lambda: read("/etc/shadow"),
        "read a file of the host": lambda: read(event["secret_file"]),
        "list the data directory": lambda: os.listdir(event["data"]),
        "see the data directory by way of a process": lambda: os.listdir("/proc/1/root" + event["data"]),
        "find another function's code": lambda: find(event["marker"]),
        "write /var/task": lambda: write("/var/task/x"),
        "write /opt": lambda: write("/opt/x"),
        "write /usr": lambda: write("/usr/x"),
        "write /etc": lambda: write("/etc/x"),
        "write /": lambda: write("/x"),
        "write /dev": lambda: write("/dev/x"),
        "write a sysctl": lambda: os.open("/proc/sys/kernel/hostname", os.O_WRONLY),
        "write core_pattern": lambda: os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY),
        "press sysrq": lambda: os.open("/proc/sysrq-trigger", os.O_WRONLY),
        "write a control group": lambda: write_cgroup(),
        "read the kernel's memory": lambda: read("/dev/mem"),
        "read the kernel's log": lambda: read("/dev/kmsg"),
        "open a disk": lambda: [read(d) for d in need(glob.glob("/dev/[svx]d?") + glob.glob("/dev/vd?"))],
        # Processes.
        "see the server's process": lambda: need([p for p in processes() if b"serve" in p and b"lambent" in p]),
        "find a secret in another process": lambda: need([p for p in environs() if event["secret"].encode() in p]),
        "have the server's environment": lambda: need([k for k in os.environ if k.startswith("LAMBENT") or k == "E2E_SERVER_SECRET"]),
        "trace another process": lambda: ptrace(16, os.getppid() or 1),
        "read another process's memory": lambda: read("/proc/%d/mem" % (os.getppid() or 1)),
        "signal the server": lambda: os.kill(event["server_pid"], 0),
        # Privileges.
        "be root": lambda: need([x for x in (os.getuid(), os.geteuid(), os.getgid()) if x == 0]),
        "become root": lambda: os.setuid(0),
        "have capabilities": lambda: need([l for l in status() if l.startswith("Cap") and int(l.split()[1], 16)]),
        "lack no_new_privs": lambda: need([l for l in status() if l.startswith("NoNewPrivs") and l.split()[1] != "1"]),
        "lack a seccomp filter": lambda: need([l for l in status() if l.startswith("Seccomp:") and l.split()[1] != "2"]),
        "mount": lambda: call(libc.mount, b"none", b"/tmp", b"tmpfs", 0, None),
        "unmount": lambda: call(libc.umount2, b"/var/task", 2),
        "chroot": lambda: os.chroot("/tmp"),
        "make a device": lambda: os.mknod("/tmp/disk", 0o60666, os.makedev(254, 0)),
        "make a user namespace": lambda: call(libc.unshare, 0x10000000),
        "make a mount namespace": lambda: call(libc.unshare, 0x00020000),
        "enter a namespace": lambda: setns(),
        "set the host's name": lambda: call(libc.sethostname, b"mine", 4),
        "load a module": lambda: call(libc.syscall, 175, 0, 0, b""),
        "load a BPF program": lambda: call(libc.syscall, 321, 0, 0, 0),
        "use the kernel's keys": lambda: call(libc.syscall, 250, 0, -3, 1),
        "use io_uring": lambda: call(libc.syscall, 425, 1, ctypes.create_string_buffer(120)),
        "watch performance events": lambda: call(libc.syscall, 298, ctypes.create_string_buffer(112), 0, -1, -1, 0),
        "handle page faults": lambda: call(libc.syscall, 323, 0),
        "change the clock": lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()),
        # Network.
        "reach the server or the host": lambda: need([a for a in event["addresses"] if reaches(a)]),
        "reach another Runtime API": lambda: need([p for p in range(9000, 9100) if p != own_port() and reaches(["127.0.0.1", p])]),
        "see a network card": lambda: need([n for _, n in socket.if_nameindex() if n != "lo"]),
        "reach an abstract socket of the host": lambda: unix("\0" + event["abstract"]),
        "open a raw socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1),
        "open a packet socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0),
        "open a vsock": lambda: socket.socket(40, socket.SOCK_STREAM, 0),
        "have a descriptor of the host": lambda: need(foreign_descriptors()),
        "share memory with the host": lambda: call(libc.shmget, event["shm_key"], 0, 0),
    }
    return {name: tried(f) for name, f in attempts.items()}


def tried(f):
    """The word "denied", or what it got."""
    try:
        got = f()
    except (Denied, OSError):
        return "denied"
    return "GOT %s" % repr(got)[:300]


class Denied(Exception):
    pass


def need(found):
    if not found:
        raise Denied()
    return found


def read(path):
    with open(path, "rb") as f:
        return f.read(64)


def write(path):
    with open(path, "wb") as f:
        f.write(b"x")


def write_cgroup():
    done = []
    for path in glob.glob("/sys/fs/cgroup/*/cgroup.procs") + glob.glob("/sys/fs/cgroup/cgroup.procs") + glob.glob("/sys/fs/cgroup/*/*/tasks"):
        try:
            with open(path, "w") as f:
                f.write(str(os.getpid()))
            done.append(path)
        except OSError:
            pass
    return need(done)


def find(marker):
    found = []
    end = time.time() + 10
    for top in ("/var", "/opt", "/tmp", "/run", "/home", "/root", "/srv", "/mnt", "/proc/1/root", "/proc/1/cwd"):
        for folder, _, files in os.walk(top):
            if time.time() > end:
                return need(found)
            for name in files:
                path = os.path.join(folder, name)
                if not path.startswith("/var/task/") and name.endswith((".py", ".zip")):
                    try:
                        with open(path, "rb") as f:
                            if marker.encode() in f.read(1 << 20):
                                found.append(path)
                    except OSError:
                        pass
    return need(found)


def each(name):
    for path in glob.glob("/proc/[0-9]*/" + name):
        try:
            with open(path, "rb") as f:
                yield f.read()
        except OSError:
            pass


def processes():
    return list(each("cmdline"))


def environs():
    return list(each("environ"))


def status():
    with open("/proc/self/status") as f:
        return f.read().splitlines()


def call(f, *args):
    ctypes.set_errno(0)
    got = f(*args)
    if got == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return got


def ptrace(request, pid):
    if pid == os.getpid():
        raise Denied()  # there is nobody else
    return call(libc.ptrace, request, pid, 0, 0)


def setns():
    fd = os.open("/proc/1/ns/mnt", os.O_RDONLY)
    return call(libc.setns, fd, 0)


def connect(address):
    with socket.create_connection(address, timeout=0.5):
        return address


def reaches(address):
    try:
        return connect(address)
    except OSError:
        return None


def own_port():
    return int(os.environ["AWS_LAMBDA_RUNTIME_API"].rpartition(":")[2])


def unix(path):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.connect(path)
    return path


def foreign_descriptors():
    found = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink("/proc/self/fd/" + fd)
        except OSError:
            continue  # the descriptor of the listing itself
        if not target.startswith(("pipe:", "socket:", "/dev/null", "/dev/urandom", "/proc/self/fd", "/proc/%d/fd" % os.getpid(), "anon_inode:", "/var/task", "/usr")):
            found.append(target)
    return found


# What follows is asked for one at a time, as it ends badly.


def fork_bomb(event):
    while True:
        try:
            os.fork()
        except OSError:
            pass


def fill_tmp(event):
    written = 0
    try:
        with open("/tmp/fill", "wb", buffering=0) as f:
            while written < 4 << 30:
                written += f.write(bytes(1 << 20))
    except OSError as e:
        return {"mib": written >> 20, "error": errno.errorcode[e.errno]}
    return {"mib": written >> 20, "error": None}


def outlive(event):
    """Leaves a process behind that has let go of everything, then hangs."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for fd in range(256):
                try:
                    os.close(fd)
                except OSError:
                    pass
            while True:
                pass
        os._exit(0)
    time.sleep(60)


def kill_all(event):
    os.kill(-1, 9)
    time.sleep(60)


def many_eaters(event):
    for _ in range(8):
        if os.fork() == 0:
            eaten = []
            while True:
                eaten.append(bytes(1 << 20).replace(b"\0", b"\1"))
    time.sleep(60)


def flood_log(event):
    line = b"x" * 1023 + b"\n"
    for _ in range(200 * 1024):
        os.write(1, line)
    return "flooded"


def flood_api(event):
    """Headers without end to the Runtime API."""
    s = socket.create_connection(("127.0.0.1", own_port()), timeout=5)
    sent = 0
    try:
        s.sendall(b"POST /2018-06-01/runtime/invocation/x/response HTTP/1.1\r\n")
        while sent < 256 << 20:
            sent += s.send(b"X-Pad: " + b"x" * 65536 + b"\r\n")
    except OSError:
        pass
    s.close()
    s = socket.create_connection(("127.0.0.1", own_port()), timeout=5)
    try:
        s.sendall(b"POST /2018-06-01/runtime/invocation/x/response HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000000\r\n\r\n")
        while sent < 512 << 20:
            sent += s.send(bytes(1 << 20))
    except OSError:
        pass
    return sent >> 20


def hold_api(event):
    """As many connections as one can open."""
    held = []
    try:
        while len(held) < 5000:
            held.append(socket.create_connection(("127.0.0.1", own_port()), timeout=1))
    except OSError:
        pass
    return len(held)


def ok(event):
    return "ok"
