# workload.py: a bit of everything that Python programs do. work(scale) does so much, and returns text that depends on
# that number alone: not on addresses, time, or when garbage is collected.
import collections
import functools
import gc
import heapq
import json
import re


class Random:
    """Park and Miller's generator: the same numbers everywhere."""

    def __init__(self, seed=20240229):
        self.seed = seed

    def below(self, limit):
        self.seed = self.seed * 48271 % 2147483647
        return self.seed % limit


def words(random, count):
    syllables = ["ka", "lo", "mi", "ren", "tu", "sha", "vo", "pel", "dri", "an"]
    return ["".join(syllables[random.below(10)] for _ in range(random.below(3) + 2)) for _ in range(count)]


def texts(random, scale):
    found = words(random, 60 * scale)
    counts = collections.Counter(found)
    text = " ".join(found)
    swapped = re.sub(r"(\w)(\w*)", lambda match: match.group(2) + match.group(1).upper(), text)
    ends = collections.defaultdict(list)
    for word in found:
        ends[word[-1]].append(f"{word:>12}|{len(word):03d}")
    return [len(text), counts.most_common(3), swapped[:40], {key: len(ends[key]) for key in sorted(ends)}]


def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


@functools.lru_cache(maxsize=None)
def ways(amount, coins):
    if amount == 0 or not coins:
        return int(amount == 0)
    return sum(ways(amount - used, coins[1:]) for used in range(0, amount + 1, coins[0]))


def calls(random, scale):
    ways.cache_clear()
    return [fibonacci(8 + scale // 2), ways(20 + scale, (1, 2, 5, 10, 20)), 3 ** (100 * scale) % 1000007]


class Account:
    __slots__ = ("name", "balance", "history")

    def __init__(self, name):
        self.name = name
        self.balance = 0
        self.history = []

    def move(self, amount):
        if self.balance + amount < 0:
            raise ValueError(self.name)
        self.balance += amount
        self.history.append(amount)


def objects(random, scale):
    accounts = {name: Account(name) for name in words(random, 10)}
    names, refused = sorted(accounts), 0
    for _ in range(80 * scale):
        try:
            accounts[names[random.below(len(names))]].move(random.below(200) - 90)
        except ValueError:
            refused += 1
    richest = max(accounts.values(), key=lambda account: (account.balance, account.name))
    return [refused, richest.name, richest.balance, sum(len(account.history) for account in accounts.values())]


def sorting(random, scale):
    numbers = [random.below(10007) for _ in range(150 * scale)]
    heap = []
    for number in numbers:
        heapq.heappush(heap, (number % 101, number))
    popped = [heapq.heappop(heap)[1] for _ in range(len(heap) // 2)]
    return [sorted(numbers)[:: 40 * scale], sum(popped), len(set(numbers)), sum(x * x for x in numbers)]


def generators(random, scale):
    def primes(limit):
        composite = bytearray(limit)
        for i in range(2, limit):
            if not composite[i]:
                yield i
                composite[i * i :: i] = b"\1" * len(range(i * i, limit, i))

    def permute(items):
        if not items:
            yield ()
        for i, item in enumerate(items):
            for rest in permute(items[:i] + items[i + 1 :]):
                yield (item, *rest)

    return [sum(primes(400 * scale)), sum(p[0] * p[-1] for p in permute((1, 2, 3, 4)))]


def documents(random, scale):
    people = [
        {"name": word, "scores": [random.below(100), random.below(100) / 8], "active": i % 2 == 0}
        for i, word in enumerate(words(random, 10 * scale))
    ]
    text = json.dumps(people, indent=1)
    again = json.dumps(json.loads(text), indent=1)
    return [len(text), text == again, text.count("true")]


def cycles(random, scale):
    for i in range(20 * scale):
        knot = {"number": i}
        knot["self"] = [knot]
    return [gc.collect() > 0]


# What was imported is not looked through again.
gc.collect()
gc.freeze()


def work(scale):
    gc.collect()
    random = Random()
    lines = []
    for part in (texts, calls, objects, sorting, generators, documents, cycles):
        lines.append(f"{part.__name__}: {part(random, scale)}\n")
    return "".join(lines)
