import multiprocessing as m, os, sys
def square(x): return x * x
def child(q, n): q.put((n, os.getpid() != parent))
parent = os.getpid()
if __name__ == "__main__":
    with m.Pool(3) as pool: print(pool.map(square, range(20)))
    for method in "fork", "spawn":
        c = m.get_context(method); v = c.Value("i", 0); q = c.Queue()
        if method == "fork":
            p = [c.Process(target=child, args=(q, i)) for i in range(4)]
        else:
            p = [c.Process(target=print, args=("spawned",), kwargs={"flush": True})]
        [x.start() for x in p]; [x.join() for x in p]
        print(method, [x.exitcode for x in p], sorted(q.get() for x in p) if method == "fork" else "")
    p = m.Process(target=os.abort); p.start(); p.join(); print(p.exitcode)
    r = os.fork()
    if r == 0: os._exit(17)
    print(os.waitstatus_to_exitcode(os.waitpid(r, 0)[1]))
