import ctypes, os, resource, signal, subprocess, sys, time
resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2 if resource.getrlimit(resource.RLIMIT_CORE)[1] < 0 else resource.getrlimit(resource.RLIMIT_CORE))
def end(child):
    status = os.waitpid(child, 0)[1]
    return (os.WTERMSIG(status), os.WCOREDUMP(status)) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
for number in [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGSEGV, signal.SIGBUS, signal.SIGSYS, signal.SIGTRAP, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGXCPU, signal.SIGRTMIN]:
    child = subprocess.Popen(["sleep", "30"])
    time.sleep(0.05)
    child.send_signal(number)
    status = os.waitpid(child.pid, 0)[1]
    print(number, os.WTERMSIG(status), os.WCOREDUMP(status))
def forked(what):
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        what()
        os._exit(0)
    return end(child)
print("fault", forked(lambda: ctypes.string_at(8)), "abort", forked(os.abort), "exit", forked(lambda: os._exit(9)))
child = subprocess.Popen(["sleep", "30"])
os.kill(child.pid, signal.SIGTSTP)
status = os.waitpid(child.pid, os.WUNTRACED)[1]
print("stopped", os.WIFSTOPPED(status), os.WSTOPSIG(status) == signal.SIGTSTP)
os.kill(child.pid, signal.SIGCONT)
print("continued", os.WIFCONTINUED(os.waitpid(child.pid, os.WCONTINUED)[1]))
child.terminate()
print(child.wait(), subprocess.run(["timeout", "0.2", "sleep", "30"]).returncode, subprocess.run(["timeout", "-s", "KILL", "0.2", "sleep", "30"]).returncode)
