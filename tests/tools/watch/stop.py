#!/usr/bin/env python3
"""stop.py SEGUE COUNTER BLOCKS: `segue watch --stop` stops the program behind the access, and a debugger finds it there."""
import os
import re
import shutil
import signal
import subprocess
import sys
import time

segue, counter, blocks = (os.path.abspath(path) for path in sys.argv[1:4])
passed = failed = 0


def check(what, expected, found):
    global passed, failed
    if expected == found:
        passed += 1
    else:
        failed += 1
        print(f"FAILED: {what}\nexpected: {expected}\nfound:    {found}")


def state(process):
    try:
        return open(f"/proc/{process}/stat").read().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "gone"


class Watched:
    """A program that is watched, up to where it stops."""

    def __init__(self, *arguments):
        self.command = subprocess.Popen([segue, "watch", "--stop", *arguments], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.said, self.process = "", 0

    def wait_for_stop(self):
        """The number of the program, which is stopped."""
        for line in self.command.stderr:
            self.said += line
            found = re.search(r"is stopped behind this access.*kill -CONT (\d+)", line)
            if found:
                self.process = int(found[1])
                break
        deadline = time.monotonic() + 60
        while state(self.process) not in ("T", "gone") and time.monotonic() < deadline:
            time.sleep(0.01)
        return state(self.process)

    def end(self):
        os.kill(self.process, signal.SIGCONT)
        try:
            out, err = self.command.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            os.kill(self.process, signal.SIGKILL)
            self.command.kill()
            raise
        return self.command.returncode, out, self.said + err


# One access is wanted, by a condition: other ones do not stop the program.
watched = Watched("--if", "new < old", "counter", "--", counter, "1")
check("stopped", "T", watched.wait_for_stop())
check("at that access", True, "reset" in watched.said and "800 -> -1" in watched.said)
check("once", 1, watched.said.count("updates counter") + watched.said.count("writes counter"))
if shutil.which("gdb"):
    seen = subprocess.run(["gdb", "-nx", "-batch", "-p", str(watched.process), "-ex", "bt", "-ex", "print counter"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120).stdout
    check("a debugger sees where, and what", (True, True), (bool(re.search(r"(reset|main) \(", seen)), "$1 = -1" in seen))
    check("its first frame is the program's", True, bool(re.search(r"^#0 .*(reset|main) \(", seen, re.M)))
status, out, _ = watched.end()
check("and goes on to its end", (3, "-1 800 0\n"), (status, out))

# The first one alone; by one of several threads.
watched = Watched("--limit=1", "counter", "--", counter)
check("stopped", "T", watched.wait_for_stop())
status, out, said = watched.end()
check("once, with --limit", (3, "800 800 0\n", 1), (status, out, said.count("is stopped")))

# Each one, in each thread.
watched = Watched("--change", "totals.requests", "totals.lines[0].bytes", "--", counter)
for name, value in (("requests", "1"), ("bytes", "7")):
    watched.process = 0
    check("stopped again", "T", watched.wait_for_stop())
    check(f"for {name}", True, f"0 -> {value}" in watched.said.split("\n")[-3])
    if name == "requests":
        os.kill(watched.process, signal.SIGCONT)
status, out, said = watched.end()
check("each in turn", (3, 2), (status, said.count("is stopped")))

# A thread that blocks SIGTRAP: it ends before it is stopped, or is stopped elsewhere.
for argument, words, stops in (("end", "was not stopped behind this access: its thread", False),
                               ("wait", "blocks SIGTRAP: it is not at this access any more", True)):
    watched = Watched("watched", "--", blocks, argument)
    found = watched.wait_for_stop() if stops else watched.command.communicate(timeout=60)
    said = watched.said if stops else found[1]
    check(f"SIGTRAP is blocked: {argument}", True, words in said)
    if stops:
        check("and stopped all the same", "T", found)
        os.kill(watched.process, signal.SIGKILL)
        watched.command.communicate(timeout=60)

# A debugger that has the program gets SIGTRAP, in the program's own code.
if shutil.which("gdb"):
    watched = Watched("--change", "totals.requests", "totals.lines[0].bytes", "--", counter)
    check("stopped for the debugger", "T", watched.wait_for_stop())
    seen = subprocess.run(["gdb", "-nx", "-batch", "-p", str(watched.process), "-ex", "handle SIGSEGV nostop noprint pass",
                           "-ex", "handle SIGSYS nostop noprint pass", "-ex", "handle SIGSTOP nostop noprint nopass", "-ex", "continue", "-ex", "bt",
                           "-ex", "print totals.lines[0].bytes"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120).stdout
    check("SIGTRAP for a debugger", (True, True, True),
          ("received signal SIGTRAP" in seen, bool(re.search(r"^#0 .*main \(", seen, re.M)), "$1 = 7" in seen))
    status, out, said = watched.end()
    check("and the program goes on", (3, "800 800 0\n", 1), (status, out, said.count("is stopped")))

print(f"{passed} passed, {failed} failed")
sys.exit(failed != 0)
