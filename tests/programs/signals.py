import os, select, signal, threading, time
seen = []
signal.signal(signal.SIGUSR1, lambda n, f: seen.append(n))
for i in range(200): os.kill(os.getpid(), signal.SIGUSR1)
print(len(seen))
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2, signal.SIGSEGV})
os.kill(os.getpid(), signal.SIGUSR2)
print(sorted(signal.sigpending()), signal.sigwait({signal.SIGUSR2}))
print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, set())))
ticks = []
signal.signal(signal.SIGALRM, lambda n, f: ticks.append(n))
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
while len(ticks) < 20: signal.pause()
signal.setitimer(signal.ITIMER_REAL, 0)
print("ticked")
class Late(Exception): pass
def late(n, f): raise Late
signal.signal(signal.SIGALRM, late)
try:
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    time.sleep(20)
except Late: print("late")
r, w = os.pipe()
signal.set_wakeup_fd(w) if os.set_blocking(w, False) is None else 0
signal.signal(signal.SIGALRM, lambda n, f: None)
signal.setitimer(signal.ITIMER_REAL, 0.05)
print(select.select([r], [], [], 20)[0] == [r], os.read(r, 1))
signal.signal(signal.SIGCHLD, lambda n, f: seen.append("child"))
if os.fork() == 0: os._exit(0)
os.wait(); print(seen[-1])
end = threading.Event()
t = threading.Thread(target=end.wait); t.start()
signal.pthread_kill(t.ident, signal.SIGUSR1); end.set(); t.join()
print(signal.siginterrupt(signal.SIGUSR1, False), len(seen) > 200)
os.kill(os.getpid(), signal.SIGTERM)
