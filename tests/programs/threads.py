import queue, threading
q, done, lock, total = queue.Queue(), queue.Queue(), threading.Lock(), 0
local = threading.local()
def work(number):
    global total
    local.sum = 0
    while (item := q.get()) is not None:
        local.sum += item * item
    with lock:
        total += local.sum
    done.put(number)
threads = [threading.Thread(target=work, args=(i,)) for i in range(10)]
[t.start() for t in threads]
for i in range(2000): q.put(i)
for t in threads: q.put(None)
[t.join(60) for t in threads]
print(total, sorted(done.get() for t in threads), threading.active_count())
event, barrier = threading.Event(), threading.Barrier(3)
print(event.wait(0.05), [t for t in [threading.Timer(0.01, event.set)] if not t.start()] and event.wait(30))
for round in range(50):
    t = [threading.Thread(target=lambda: None) for i in range(8)]
    [x.start() for x in t], [x.join() for x in t]
print("ended")
