"""Programs that attack the machine and not the tests: the escape suite and benchmarks/grade_hostile.py run them.

`ATTEMPTS` is one program with many functions; each returns a sentence when it got something that it must not have, and
nothing when it was refused. `BOMBS` are programs of their own, which use something up, go silent, or forge frames.
None of them harms a machine whose walls stand; none does lasting harm to one whose walls do not.
"""

from __future__ import annotations

ATTEMPTS = r'''
import ctypes, errno, mmap, os, platform, signal, socket, stat, struct, sys, time

libc = ctypes.CDLL(None, use_errno=True)
X86 = platform.machine() in ("x86_64", "amd64")
REFUSED = (errno.EPERM, errno.EACCES, errno.ENOSYS)

def call(x86, arm, *args):
    """Empty where the kernel refuses a call whatever its arguments; else how it failed or that it did not."""
    number = x86 if X86 else arm
    if number is None:
        return ""
    ctypes.set_errno(0)
    result = libc.syscall(number, *[ctypes.c_long(a) if type(a) is int else a for a in args])
    code = ctypes.get_errno()
    if result == -1 and code in REFUSED:
        return ""
    return f"the call gave {result} ({errno.errorcode.get(code, code)})"

def opens(path, flags=os.O_RDONLY):
    end = os.open(path, flags, 0o600)
    os.close(end)
    return f"it opened {path}"

def makes(path):
    """The same for a file that must not be made; it is taken away again."""
    told = opens(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    os.unlink(path)
    return told

# ---- first, before the others open anything
def more_descriptors(t):
    open_ends = []
    for end in range(6, 1024):
        try:
            os.fstat(end)
            open_ends.append(end)
        except OSError:
            pass
    return f"descriptors {open_ends} are open" if open_ends else ""

# ---- files of the host
def read_secret_file(t): return "it read the secret" if open(t["secret"]).read() == t["token"] else ""
def list_secret_folder(t): return f"it listed {os.listdir(os.path.dirname(t['secret']))}"
def write_beside_the_secret(t): return makes(t["secret"] + ".new")
def link_to_the_secret(t):
    os.symlink(t["secret"], "link")
    return "it read through a link" if open("link").read() == t["token"] else ""
def hard_link_to_the_secret(t):
    os.link(t["secret"], "hard")
    return "it made another name of the secret"
def rename_the_secret(t):
    os.rename(t["secret"], "stolen")
    os.rename("stolen", t["secret"])
    return "it moved the secret"
def open_by_handle(t): return call(303, 264, -100, t["secret"].encode(), 0, 0, 0)
def write_the_standard_library(t): return opens(os.__file__, os.O_WRONLY | os.O_APPEND)
def plant_sitecustomize(t):
    for folder in (*sys.path, sys.prefix, os.path.expanduser("~/.local/lib"), "/usr/lib/python3/dist-packages"):
        if os.path.isdir(folder) and not folder.startswith(os.getcwd()):
            try: return makes(os.path.join(folder, f"karat-test-{os.getpid()}.py"))
            except OSError: pass
def plant_pth(t):
    folder = os.path.join(os.path.dirname(os.__file__), "site-packages")
    return makes(os.path.join(folder, "karat-test.pth"))
def touch_the_standard_library(t):
    before = os.stat(os.__file__)
    os.utime(os.__file__, (before.st_atime, before.st_mtime + 1))
    after = os.stat(os.__file__)
    if after.st_mtime != before.st_mtime:
        os.utime(os.__file__, (before.st_atime, before.st_mtime))
        return "it changed the time of a file of the standard library"
def open_the_standard_library_to_all(t):
    mode = os.stat(os.__file__).st_mode & 0o7777
    os.chmod(os.__file__, mode ^ 0o001)
    if os.stat(os.__file__).st_mode & 0o7777 != mode:
        os.chmod(os.__file__, mode)
        return "it changed the mode of a file of the standard library"
def mark_the_secret(t):
    os.setxattr(t["secret"], "user.karat", b"x")
    return "it set an attribute of the secret" if "user.karat" in os.listxattr(t["secret"]) else ""
def open_block_device(t):
    os.mknod("device", stat.S_IFBLK | 0o600, os.makedev(254, 0))
    return opens("device")
def open_kernel_log(t): return opens("/dev/kmsg")
def open_memory_device(t): return opens("/dev/mem")
def open_terminal(t): return opens("/dev/tty")
def shadow_passwords(t): return opens("/etc/shadow")

# ---- other processes
def read_environment_of_the_grader(t): return opens("/proc/%d/environ" % t["grader"])
def read_command_line_of_the_grader(t): return opens("/proc/%d/cmdline" % t["grader"])
def open_memory_of_the_grader(t): return opens("/proc/%d/mem" % t["grader"])
def open_memory_of_the_parent(t): return opens(f"/proc/{os.getppid()}/mem")
def walk_other_processes(t):
    others = [name for name in os.listdir("/proc") if name.isdigit() and int(name) > 2 and int(name) != os.getpid()]
    return f"it saw {len(others)} processes" if others else ""
def read_memory_of_the_grader(t):
    class Part(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]
    size = len(t["token"])
    mine = ctypes.create_string_buffer(size)
    local, remote = Part(ctypes.addressof(mine), size), Part(t["address"], size)
    libc.process_vm_readv(t["grader"], ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
    return "it read the secret in the grader's memory" if mine.raw == t["token"].encode() else ""
def read_memory_of_the_parent(t): return call(310, 270, os.getppid() or 1, 0, 0, 0, 0, 0)
def trace_the_victim(t): return call(101, 117, 16, t["victim"], 0, 0)
def trace_the_parent(t): return call(101, 117, 16, os.getppid() or 1, 0, 0)
def signal_the_victim(t):
    os.kill(t["victim"], signal.SIGTERM)
    return "it signalled another process"
def signal_the_grader(t):
    os.kill(t["grader"], 0)
    return "it may signal the grader"
def signal_the_parent(t):
    if os.getppid():
        os.kill(os.getppid(), 0)
        return "it may signal its parent"
def thread_signal_to_the_victim(t): return call(234, 131, t["victim"], t["victim"], 0)
def queue_a_signal_to_the_victim(t): return call(129, 138, t["victim"], 0, ctypes.create_string_buffer(128))
def handle_of_the_victim(t): return call(434, 434, t["victim"], 0)
def limits_of_the_victim(t):
    import resource
    return f"it read {resource.prlimit(t['victim'], resource.RLIMIT_NOFILE)}"
def limit_the_victim(t):
    import resource
    resource.prlimit(t["victim"], resource.RLIMIT_CORE, (0, 0))
    return "it set a limit of another process"
def schedule_the_victim(t):
    os.sched_setscheduler(t["victim"], os.SCHED_BATCH, os.sched_param(0))
    return "it scheduled another process"
def slow_the_victim(t):
    os.setpriority(os.PRIO_PROCESS, t["victim"], 19)
    return "it slowed another process"
def bind_the_victim_to_a_core(t):
    os.sched_setaffinity(t["victim"], {0})
    return "it bound another process"
def fork(t):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return "it made a process"
def spawn(t):
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(pid, 0)
    return "it started a program"
def execute_memory(t):
    end = os.memfd_create("program")
    os.write(end, b"#!/bin/true\n")
    return call(322, 281, end, b"", 0, 0, 0x1000)
def execute_setuid(t):
    import subprocess
    subprocess.run(["/bin/su", "-c", "true"], check=True, capture_output=True)
    return "it ran a setuid program"

# ---- network
def connect_tcp(t):
    socket.create_connection(("127.0.0.1", t["port"]), 1).close()
    return "it connected"
def send_udp(t):
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", t["udp"]))
    return "it sent"
def connect_unix(t):
    socket.socket(socket.AF_UNIX).connect(t["unix"])
    return "it connected"
def connect_abstract(t):
    socket.socket(socket.AF_UNIX).connect("\0" + t["abstract"])
    return "it connected"
def send_to_a_unix_socket(t):
    ours, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.sendto(b"x", t["datagrams"])
    return "it sent a datagram"
def send_to_an_abstract_socket(t):
    ours, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.sendto(b"x", "\0" + t["abstract"] + "-datagrams")
    return "it sent a datagram"
def listen_tcp(t):
    server = socket.create_server(("0.0.0.0", 0))
    return f"it listens on {server.getsockname()}"
def ask_netlink(t):
    socket.socket(16, socket.SOCK_RAW, 0)
    return "it has a netlink socket"
def raw_socket(t):
    socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)
    return "it has a raw socket"
def packet_socket(t):
    socket.socket(17, socket.SOCK_RAW, 0)
    return "it has a packet socket"
def kernel_crypto(t):
    socket.socket(38, socket.SOCK_SEQPACKET, 0)
    return "it has a socket of the kernel's cryptography"
def machine_socket(t):
    socket.socket(40, socket.SOCK_STREAM, 0)
    return "it has a socket to the host of this machine"

# ---- the kernel
def unshare_user(t): return call(272, 97, 0x10000000)
def unshare_mounts(t): return call(272, 97, 0x00020000)
def clone3(t): return call(435, 435, 0, 0)
def enter_namespace(t): return call(308, 268, 0, 0)
def change_root(t): return call(161, 51, b".")
def pivot_root(t): return call(155, 41, b".", b".")
def mount(t): return call(165, 40, b"none", b".", b"tmpfs", 0, 0)
def unmount(t): return call(166, 39, b"/", 2)
def open_tree(t): return call(428, 428, -100, b"/", 1)
def open_file_system(t): return call(430, 430, b"tmpfs", 0)
def set_mount_attributes(t): return call(442, 442, -100, b"/", 0, 0, 0)
def load_bpf(t): return call(321, 280, 0, 0, 0)
def open_perf(t): return call(298, 241, 0, 0, -1, -1, 0)
def fault_handler(t): return call(323, 282, 0)
def io_uring(t): return call(425, 425, 1, 0)
def join_keyring(t): return call(250, 219, 1, 0)
def add_key(t): return call(248, 217, b"user", b"karat", b"x", 1, -3)
def request_key(t): return call(249, 218, b"user", b"karat", 0, 0)
def load_module(t): return call(175, 105, 0, 0, 0)
def load_kernel(t): return call(246, 104, 0, 0, 0, 0)
def restart(t): return call(169, 142, 0, 0, 0, 0)
def read_kernel_log(t): return call(103, 116, 3, 0, 0)
def account(t): return call(163, 89, 0)
def swap(t): return call(167, 224, 0, 0)
def io_ports(t): return call(172, None, 3)
def segments(t): return call(154, None, 0, 0, 0)
def change_persona(t): return call(135, 92, 0x0040000)
def set_clock(t): return call(227, 112, 0, 0)
def set_time_of_day(t): return call(164, 170, 0, 0)
def adjust_clock(t): return call(159, 171, 0)
def name_the_host(t): return call(170, 161, 0, 1)
def filter_its_own_calls(t): return call(317, 277, 1, 0, 0)
def rules_of_landlock(t): return call(444, 444, 0, 0, 1)
def watch_all_files(t): return call(300, 262, 0, 0)
def type_into_terminal(t):
    return "" if call(16, 29, 0, 0x5412, b"x") in ("", "the call gave -1 (ENOTTY)") else "it typed"
# ---- left for the next
def shared_memory(t): return call(29, 194, 0x4B41, 4096, 0o1600)
def message_queue(t): return call(68, 186, 0x4B41, 0o1600)
def semaphores(t): return call(64, 190, 0x4B41, 1, 0o1600)
def posix_queue(t): return call(240, 180, b"karat", 0o102, 0o600, 0)

# ---- privileges and limits
def become_root(t):
    before = os.getresuid()
    os.setresuid(0, 0, 0)
    return "" if os.getresuid() == before else "it became root"
def become_another(t):
    os.setresuid(12345, 12345, 12345)
    return "it became another user"
def has_capabilities(t):
    header, data = struct.pack("<Ii", 0x20080522, 0), ctypes.create_string_buffer(24)
    libc.capget(header, data)
    words = struct.unpack("<6I", data.raw)
    return f"it has capabilities {words}" if any(words[:2] + words[3:5]) else ""
def raise_limits(t):
    import resource
    for limit in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE):
        try:
            resource.setrlimit(limit, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            return f"it raised limit {limit}"
        except (ValueError, OSError):
            pass
def be_nicer_than_others(t):
    os.nice(-5)
    return "it raised its priority"
def real_time(t):
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    return "it runs in real time"
def lock_memory(t): return "it locked memory" if libc.mlockall(3) == 0 else ""
def memory_beside_the_limit(t):
    """Files in memory count for no process."""
    held, part = [], bytes(1 << 20)
    while len(held) < 250 and sum(held) < 2 * t["memory_mb"]:
        end = os.memfd_create("x")
        size = 0
        try:
            while size < 4:
                os.write(end, part)
                size += 1
        finally:
            held.append(size)
    return f"it holds {sum(held)} MB" if sum(held) > t["memory_mb"] else ""
def environment_of_the_grader(t): return "it sees the grader's environment" if "KARAT_TEST_SECRET" in os.environ else ""

NAMES = [name for name, value in list(globals().items()) if getattr(value, "__code__", None) and
         value.__code__.co_varnames[:1] == ("t",)]

def attempt(target, names):
    """What each of the named functions got."""
    got = {}
    for name in names or NAMES:
        try:
            got[name] = str(globals()[name](target) or "")
        except BaseException as error:
            got[name] = ""
    return got
'''

FORGE = "import os, struct, json, time\ndef frame(data): return struct.pack('!I', len(data)) + data\n"
READY, VALUE = b'{"ready":true}', b'{"reply":{"status":"value","value":"forged"}}'

BOMBS: dict[str, str] = {
    "fork bomb": "import os\ndef f():\n    while True:\n        try: os.fork()\n        except OSError: pass",
    "thread bomb": """
import threading, time
def f():
    while True:
        try: threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        except RuntimeError: time.sleep(0.01)
""",
    "memory bomb": """
def f():
    held = []
    while True:
        try: held.append(bytearray(1 << 20))
        except MemoryError: pass
""",
    "memory bomb at load": "held = [bytearray(1 << 30) for _ in range(100)]",
    "fills its folder": """
import os
def f():
    n = total = 0
    try:
        while total < 400:
            with open(f"fill{n}", "wb") as file:
                for _ in range(3):
                    file.write(bytes(1 << 20)); total += 1
            n += 1
    except OSError:
        pass
    return total
""",
    "fills it with names": """
import os
def f():
    n = 0
    try:
        while n < 30_000:
            os.close(os.open(f"n{n}", os.O_CREAT | os.O_WRONLY)); n += 1
    except OSError:
        pass
    return n
""",
    "opens all descriptors": """
import os
def f():
    n = 0
    try:
        while n < 100_000:
            os.open("/dev/null", os.O_RDONLY); n += 1
    except OSError:
        pass
    return n
""",
    "prints without end": "import os\ndef f():\n    while True: os.write(1, b'x' * 65536)",
    "prints errors without end": "import os\ndef f():\n    while True: os.write(2, b'x' * 65536)",
    "prints on both without end": "import os\ndef f():\n    while True: os.write(1, b'x' * 4096 * os.write(2, b'y'))",
    "one line of 100 MB": "def f():\n    print('x' * 100_000_000)",
    "swallows every signal": """
import signal
def f():
    for number in range(1, 65):
        try: signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError): pass
    while True:
        try:
            while True: pass
        except BaseException: pass
""",
    "sleeps through everything": """
import time
def f():
    while True:
        try: time.sleep(1000)
        except BaseException: pass
""",
    "stops itself": "import os, signal\ndef f():\n    while True: os.kill(os.getpid(), signal.SIGSTOP)",
    "storms the reporter": """
import os
def f():
    while True:
        try: os.kill(1, 0)
        except OSError: pass
""",
    "calls as a program of 32 bits": """
import ctypes, mmap
def f():
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(b"\\xb8\\x14\\0\\0\\0\\xcd\\x80\\xc3")  # mov eax, getpid; int 0x80; ret
    return ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
""",
    "calls by x32 numbers": "import ctypes\ndef f(): return ctypes.CDLL(None).syscall(0x40000000 + 39)",
    "nests a million deep": "def f():\n    x = []\n    for _ in range(10**6): x = [x]\n    return x",
    "crashes": "import ctypes\ndef f(): ctypes.string_at(0)",
    "aborts": "import os\ndef f(): os.abort()",
    "executes another interpreter": "import os, sys\ndef f(): os.execv(sys.executable, ['python', '-c', 'print(1)'])",
    "closes everything": "import os\ndef f(): os.closerange(0, 1000)",
    "closes everything and stays": "import os, time\ndef f():\n    os.closerange(0, 1000)\n    time.sleep(1000)",
    "swaps its channels": "import os\ndef f():\n    os.dup2(5, 4)\n    os.dup2(1, 5)",
    "shuts its channel down": """
import socket, time
def f():
    try: socket.socket(fileno=4).shutdown(socket.SHUT_RDWR)
    except OSError: pass
    time.sleep(1000)
""",
    "half a frame": FORGE + "def f():\n    os.write(4, b'\\0\\0\\1\\0half')\n    time.sleep(1000)",
    "a frame of 4 GB": FORGE + "def f():\n    os.write(4, b'\\xff\\xff\\xff\\xff')\n    time.sleep(1000)",
    "a frame of 4 GB with bytes": FORGE + "def f():\n    while True: os.write(4, b'\\xff' * 65536)",
    "garbage in a frame": FORGE + "def f(): os.write(4, frame(b'\\xff\\xfe garbage'))",
    "thousands of replies": FORGE + f"def f():\n    while True: os.write(4, frame({VALUE!r}) * 100)",
    "a reply before the call": FORGE + f"os.write(4, frame({READY!r}) + frame({VALUE!r}) * 5)\ndef f(): return 'own'",
    "a verdict instead of a reply": FORGE + 'def f(): os.write(4, frame(b\'{"passed":true,"verdict":"pass"}\'))',
    "a nested bomb": FORGE + "def f(): os.write(4, frame(b'[' * 500_000 + b']' * 500_000))",
    "digits without end": FORGE + "def f(): os.write(4, frame(b'{\"reply\":' + b'9' * 600_000 + b'}'))",
    "asks what it may not": FORGE + "def f():\n    while True: os.write(4, frame(b'{\"ask\":{}}'))",
    "floods the evidence": FORGE + 'def f():\n    while True: os.write(5, frame(b\'{"event":["a","b",1]}\') * 100)',
    "garbles the evidence": FORGE + "def f():\n    os.write(5, b'\\xff' * 5000)\n    return 1",
    "lies in the evidence": FORGE
    + "def f():\n    os.write(5, frame(b'{\"bye\":NaN}') + frame(b'[1]') + frame(b'{\"seal\":5}'))\n    return 1",
    "races links in its folder": """
import os, threading
def f(secret):
    def race():
        while True:
            for make in (lambda: open("x", "w").write("mine"), lambda: os.symlink(secret, "x"),
                         lambda: os.mkdir("x"), lambda: os.mkfifo("x")):
                try: make()
                except OSError: pass
                try: os.unlink("x")
                except OSError:
                    try: os.rmdir("x")
                    except OSError: pass
    race()
""",
    "leaves traps in its folder": """
import os
def f(secret):
    os.symlink(secret, "link"); os.symlink("/", "root"); os.mkfifo("pipe")
    os.symlink("loop", "loop")
    os.open(b"not utf-8 \\xff\\n\\x1b[31m", os.O_CREAT)
    with open("sparse", "wb") as file:
        try: os.ftruncate(file.fileno(), 1 << 20)
        except OSError: pass
    os.mkdir("closed"); open("closed/in", "w").write("x"); os.chmod("closed", 0)
    open("unreadable", "w").write("x"); os.chmod("unreadable", 0)
    here = os.getcwd()
    for _ in range(60):
        os.mkdir("deep"); os.chdir("deep")
    os.chdir(here)
    return "left"
""",
    "digs deep": """
import os
def f():
    n = 0
    try:
        while n < 3000:
            os.mkdir("deep"); os.chdir("deep"); n += 1
        os.chmod(".", 0)
    except OSError: pass
    return n
""",
    "removes its folder": """
import os, shutil
def f():
    try: shutil.rmtree(os.getcwd())
    except OSError: pass
    try: os.rmdir(os.getcwd())
    except OSError: pass
    return "removed"
""",
    "locks what all share": """
import fcntl, os
def f():
    for end in (0, os.open("/dev/null", os.O_RDWR)):
        try: fcntl.flock(end, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError: pass
    import time
    time.sleep(1000)
""",
    "names and hides itself": """
import ctypes
def f():
    libc = ctypes.CDLL(None)
    for option, value in ((1, 0), (1, 9), (4, 1), (4, 0), (15, b"karat"), (36, 1), (38, 0)):
        libc.prctl(option, value, 0, 0, 0)
    return "named"
""",
}

COMMAND_BOMBS: dict[str, tuple[str, ...]] = {
    "leaves daemons": ("/bin/sh", "-c", "(setsid sleep 300 &); (setsid sh -c 'sleep 300 & sleep 300' &); exit 0"),
    "signals everything": ("/bin/sh", "-c", "kill -9 1; kill -9 -1; kill -15 $PPID; sleep 300"),
    "ignores the end": ("/bin/sh", "-c", "trap '' HUP INT TERM XCPU ALRM; while :; do sleep 1; done"),
    "multiplies": ("/bin/sh", "-c", "b() { b | b & }; b; sleep 300"),
}
