# CPython: faulthandler's handler, threads, forks, cycles of garbage.
import ctypes, faulthandler, gc, os, sys, threading

faulthandler.enable()
path = os.environ.get("PROBE")
library = ctypes.CDLL(path) if path else None


def touch():
    if library:
        library.probe_touch(None)


class Node:
    pass


def work(results, number):
    for _ in range(20):
        nodes = [Node() for _ in range(500)]
        for left, right in zip(nodes, nodes[1:] + nodes[:1]):
            left.next = right
        results[number] += len(nodes)
        touch()


results = [0] * 4
threads = [threading.Thread(target=work, args=(results, i)) for i in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
gc.collect()
print("nodes", sum(results))
sys.stdout.flush()
child = os.fork()
if child == 0:
    touch()
    os._exit(7)
print("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
faulthandler.enable()
touch()
print("done")
