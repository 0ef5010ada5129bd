# work.py: few things, many times: the Python program that hot sites are measured with. work(scale) counts in a
# dictionary of strings, makes each string twice, sorts, adds squares, and calls itself.


def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def work(scale):
    counts = {}
    for i in range(6000 * scale):
        counts["k%d" % (i % 997)] = counts.get("k%d" % (i % 997), 0) + i
    numbers = sorted([i * 7919 % 10007 for i in range(3000 * scale)])
    squares = sum(number * number for number in numbers)
    return "%d %d %d %d\n" % (len(counts), max(counts.values()), squares, fibonacci(15 + scale // 2))
