#!/usr/bin/env python3
"""attach.py SEGUE SERVER STATIC: `segue watch --pid` of a threaded server that goes on answering: a hundred times, and
whether anything of it is left; what is refused, and by which words."""
import contextlib
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

segue, program, static = sys.argv[1:4]
ROUNDS = 100
# Its bit is in /proc/PID/status: SIGSYS stays the library's.
SIGSYS = 1 << 30
failures = []


def skip_without_ptrace():
    """With kernel.yama.ptrace_scope a process may trace only what it has started, or nothing."""
    with contextlib.suppress(FileNotFoundError), open("/proc/sys/kernel/yama/ptrace_scope") as file:
        scope = file.read().strip()
        if scope == "3" or (scope != "0" and os.geteuid() != 0):
            print(f"SKIP: no process may trace one that it has not started (kernel.yama.ptrace_scope is {scope})")
            sys.exit(77)


skip_without_ptrace()


def check(what, expected, found):
    if expected != found:
        failures.append(what)
        print(f"FAILED: {what}\nexpected: {expected}\nfound:    {found}")


def until(holds):
    """Whether it comes to hold: a loaded machine has its time."""
    deadline = time.monotonic() + 60
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def check_maps(what, expected, found):
    """The kernel joins mappings without a name, or does not."""
    check(what, expected[0], found[0])
    check(f"{what} without a name", True, abs(expected[1] - found[1]) <= 4 or (expected[1], found[1]))


class Server:
    def __init__(self, folder, *arguments):
        self.path = os.path.join(folder, "socket" + "".join(arguments))
        self.process = subprocess.Popen([program, self.path, *arguments], stdout=subprocess.PIPE)
        self.pid = self.process.pid
        check("the server's beginning", b"ready\n", self.process.stdout.readline())

    def status(self, field):
        with open(f"/proc/{self.pid}/status") as status:
            return next(line.split()[1] for line in status if line.startswith(field + ":"))

    def caught(self):
        return int(self.status("SigCgt"), 16) & ~SIGSYS

    def masks(self):
        found = {}
        for thread in os.listdir(f"/proc/{self.pid}/task"):
            # The command's own thread may end meanwhile.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                with open(f"/proc/{self.pid}/task/{thread}/status") as status:
                    found.update({thread: line.split()[1] for line in status if line.startswith("SigBlk:")})
        return found

    def settled(self, masks):
        """Those of the process, as soon as they are these, or at last. Twice: a thread that the command has borrowed may
        make one more until it has its own mask again."""
        until(lambda: self.masks() == masks and self.masks() == masks)
        return self.masks()

    def files(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def maps(self):
        """Neighbours that differ in nothing count as one: the kernel keeps apart what has been written to at different
        times."""
        joined, end = [], None
        with open(f"/proc/{self.pid}/maps") as maps:
            for line in maps:
                addresses, rights, offset, device, inode, *name = line.split()
                start, limit = (int(at, 16) for at in addresses.split("-"))
                at = int(offset, 16) - start if inode != "0" else 0
                alike = (rights, at, inode, *name)
                if not joined or start != end or joined[-1] != alike:
                    joined.append(alike)
                end = limit
        named = sorted((each[0], each[3]) for each in joined if len(each) > 3)
        return named, len(joined) - len(named)

    def data(self):
        """Where its variables are: elsewhere while they are watched."""
        with open(f"/proc/{self.pid}/maps") as maps:
            return [line.split()[0] for line in maps if " rw" in line and line.rstrip().endswith(program)]

    def watch(self, *arguments):
        return subprocess.run(
            [segue, "watch", "--pid", str(self.pid), *arguments], capture_output=True, text=True, timeout=60
        )

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Client(threading.Thread):
    def __init__(self, server):
        super().__init__()
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.connect(server.path)
        self.answers, self.wrong, self.ends, self.asks, self.counter = 0, 0, False, False, 0
        self.start()
        self.goes_on()

    def run(self):
        lines = self.connection.makefile("rwb")
        while not self.ends:
            number = 0 if self.asks else self.answers % 100 + 1
            lines.write(b"%d\n" % number)
            lines.flush()
            answer = lines.readline()
            self.answers += 1
            if number == 0:
                self.counter, self.asks = int(answer), False
            elif answer != b"%d\n" % (number * (number + 1) // 2):
                self.wrong += 1
                return
            if self.answers % 20 == 0:
                time.sleep(0.001)

    def goes_on(self):
        """Whether there is one more answer."""
        answers = self.answers
        return until(lambda: self.answers > answers or self.wrong) and not self.wrong

    def has_counted(self, least):
        self.asks = True
        return until(lambda: not self.asks) and self.counter >= least

    def end(self):
        self.ends = True
        self.join()
        self.connection.close()


def attach_and_detach(folder):
    server = Server(folder)
    client = Client(server)
    caught, threads, files, maps = server.caught(), server.status("Threads"), server.files(), None
    for number in range(ROUNDS):
        watch = server.watch("--read", "--write", "--limit=20", "counter", "page")
        if watch.returncode != 0 or len(watch.stderr.splitlines()) != 20:
            check(f"round {number}", "20 lines", watch.stderr)
            break
        if number == 1:
            maps = server.maps()
    check("the server's end", None, server.process.poll())
    check("wrong answers", 0, client.wrong)
    check("answers", True, client.answers > ROUNDS)
    if server.process.poll() is None:
        check("threads", threads, server.status("Threads"))
        # The library keeps two for its own use.
        check("files", files + 2, server.files())
        check_maps("mappings", maps, server.maps())
        check("signals that are caught", f"{caught:x}", f"{server.caught():x}")
    # Another one at the same time; one that is killed.
    if server.process.poll() is None:
        with subprocess.Popen([segue, "watch", "--pid", str(server.pid), "counter"], stderr=subprocess.PIPE) as first:
            first.stderr.readline()
            other = server.watch("counter")
            check("a second command", True, "is watched already" in other.stderr)
            first.kill()
            first.stderr.read()
        until(lambda: server.status("Threads") == threads)
        check("threads, after a command was killed", threads, server.status("Threads"))
        check_maps("mappings, after a command was killed", maps, server.maps())
        data = server.data()
        watch = subprocess.Popen(
            [segue, "watch", "--count", "--pid", str(server.pid), "counter"], stderr=subprocess.PIPE, text=True
        )
        check("it is watched", True, until(lambda: server.data() != data))
        client.has_counted(0)
        counted = client.counter
        check("and counts", True, until(lambda: client.has_counted(counted + 10)))
        watch.send_signal(signal.SIGINT)
        table = watch.communicate(timeout=60)[1]
        check("a table after an interruption", (0, True), (watch.returncode, " add+0x" in table))
    check("the server's end, at last", None, server.process.poll())
    check("wrong answers, at last", 0, client.wrong)
    client.end()
    server.end()


def kill_while_it_attaches(folder, rounds, *how):
    """Whatever the command does with the borrowed thread when it is killed, the thread goes home; and so do masks."""
    server = Server(folder, *how)
    client = Client(server)
    masks = server.masks()
    threads, chance = server.status("Threads"), random.Random(17)
    for number in range(rounds):
        with subprocess.Popen(
            [segue, "watch", "--pid", str(server.pid), "counter"], stderr=subprocess.DEVNULL
        ) as command:
            time.sleep(chance.uniform(0, 0.06 if not how else 0.12))
            command.kill()
        is_alone = until(lambda: server.process.poll() is not None or server.status("Threads") == threads)
        if not is_alone or server.process.poll() is not None or client.wrong:
            check(f"the server, after kill {number}", (True, None, 0), (is_alone, server.process.poll(), client.wrong))
            break
    check("masks after kills", masks, server.settled(masks))
    check("it answers after kills", True, client.goes_on())
    if server.process.poll() is None:
        watch = server.watch("--limit=20", "--write", "counter")
        check("a watch after kills", (0, 20), (watch.returncode, len(watch.stderr.splitlines())))
        if watch.returncode != 0:
            print(watch.stderr)
    client.end()
    server.end()


def full_queue(folder):
    """Signals of the library arrive without what they carry."""
    server = Server(folder)
    client = Client(server)
    resource.prlimit(server.pid, resource.RLIMIT_SIGPENDING, (0, 0))
    for number in range(10):
        watch = server.watch("--read", "--write", "--limit=20", "counter", "page")
        if watch.returncode != 0 or server.process.poll() is not None:
            check(f"a full queue, round {number}", (0, None), (watch.stderr, server.process.poll()))
            break
    check("answers with a full queue", True, client.goes_on())
    client.end()
    server.end()


def block(folder, how, rounds):
    """Threads that block all signals, or the suspending one, while they are not watched."""
    server = Server(folder, how)
    client = Client(server)
    masks = server.masks()
    check(f"{how}: signals are blocked", True, len(set(masks.values())) > (how == "mixed") and SIGSYS & max(
        int(mask, 16) for mask in masks.values()) > 0)
    for number in range(rounds):
        watch = server.watch("--read", "--write", "--limit=20", "counter", "page")
        if (watch.returncode, len(watch.stderr.splitlines())) != (0, 20):
            check(f"{how}: round {number}", "20 lines", watch.stderr)
            break
        # Before the command ends, all is as before; only a handler's own mask may be seen for a moment.
        found = server.settled(masks)
        if found != masks:
            check(f"{how}: masks after round {number}", masks, found)
            break
    with subprocess.Popen([segue, "watch", "--pid", str(server.pid), "counter"], stderr=subprocess.PIPE) as command:
        command.stderr.readline()
        check(f"{how}: signals are open meanwhile", False, server.masks() == masks)
        command.kill()
        command.stderr.read()
    check(f"{how}: masks, after a command was killed", masks, server.settled(masks))
    check(f"{how}: answers", True, client.goes_on())
    client.end()
    server.end()


def refuse(what, words, watch):
    check(f"{what}: refused", 1, watch.returncode)
    check(f"{what}: said", True, words in watch.stderr or watch.stderr)


def refusals(folder):
    server = Server(folder, "filtered")
    refuse("a filter", "it has a seccomp filter", server.watch("counter"))
    server.end()
    server = Server(folder, "ignoring")
    refuse("SIGSEGV is ignored", "it ignores SIGSEGV", server.watch("counter"))
    server.end()
    server = Server(folder, "waiting")
    check("a thread waits with a mask", True, until(lambda: any(int(mask, 16) & SIGSYS for mask in server.masks().values())))
    refuse("a wait with a mask of its own", "blocks signals that a watch needs", server.watch("counter"))
    check("it goes on", None, server.process.poll())
    server.end()
    server = Server(folder, "blocked")
    refuse("a name that is not there", "did you mean counter?", server.watch("countr"))
    if os.geteuid() == 0:
        other = subprocess.run(
            ["setpriv", "--reuid=65534", segue, "watch", f"--pid={server.pid}", "counter"], capture_output=True, text=True
        )
        refuse("another user's", "it belongs to another user", other)
    addresses = resource.prlimit(server.pid, resource.RLIMIT_AS)
    resource.prlimit(server.pid, resource.RLIMIT_AS, (300 << 20, addresses[1]))
    refuse("few addresses", "its addresses are limited (ulimit -v)", server.watch("counter"))
    resource.prlimit(server.pid, resource.RLIMIT_AS, addresses)
    server.process.send_signal(signal.SIGSTOP)
    check("it is stopped", True, until(lambda: server.status("State") == "T"))
    refuse("a stopped process", "it is stopped", server.watch("counter"))
    server.end()
    refuse("a process that has ended", "there is no such process", server.watch("counter"))
    sleeping = subprocess.Popen([static, "1", "2", "3", "4", "5"], stdout=subprocess.DEVNULL)
    watch = subprocess.run([segue, "watch", f"--pid={sleeping.pid}", "counter"], capture_output=True, text=True)
    refuse("a static program", "it is linked statically", watch)
    sleeping.kill()
    sleeping.wait()


with tempfile.TemporaryDirectory() as work:
    attach_and_detach(work)
    with tempfile.TemporaryDirectory() as other:
        kill_while_it_attaches(other, ROUNDS)
        block(other, "mixed", 20)
        block(other, "blocked", 3)
    with tempfile.TemporaryDirectory() as other:
        kill_while_it_attaches(other, 30, "mixed")
    refusals(work)
    with tempfile.TemporaryDirectory() as other:
        full_queue(other)
print("failed:" if failures else "passed", *failures)
sys.exit(bool(failures))
