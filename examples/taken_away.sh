#!/bin/sh
# taken_away.sh SEGUE: unmodified programs, static and dynamic, with shells, pipes, forks and threads, while the base of
# FS is 0.
segue=$1
echo "busybox and bash, static; python3, dynamic. None of them can use FS."
"$segue" run busybox sh -c '
    echo "  FS was never set: $(busybox seq 1 1000 | busybox sort -rn |
        busybox awk "{s += \$1} END {print s}") is the sum of 1 to 1000,"
    echo "  $(busybox seq 1 100000 | busybox gzip | busybox gunzip | busybox sha256sum |
        busybox cut -c1-16) a digest through two pipes."'
"$segue" run bash-static -c '
    trap "echo \"  bash was sent a signal, and handled it\"" USR1
    kill -USR1 $$
    diff <(echo a) <(echo b) >/dev/null || echo "  and told two processes apart"'
"$segue" run --stats python3 -c '
import concurrent.futures, hashlib, subprocess
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    digests = list(pool.map(lambda i: hashlib.sha256(str(i).encode() * 10000).hexdigest()[:8], range(8)))
print("  python, 8 threads:", *digests)
print("  and a child:", subprocess.run(["uname", "-sm"], capture_output=True, text=True).stdout.strip())'
