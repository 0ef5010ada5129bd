#!/usr/bin/env bash
# pipes.sh SOURCE: no script under pipefail leads a pipe into grep -q. That ends at the first line it likes, the writer
# dies of SIGPIPE if it has more to say, and pipefail makes that the answer: a test that fails now and then.
set -u
cd "$1" || exit 1
mapfile -t scripts < <(grep -rlIE '^set -[a-z]*o pipefail' tests tools docs bench examples .ci debian 2> /dev/null)
[ "${#scripts[@]}" -gt 20 ] || { echo "FAILED: only ${#scripts[@]} scripts are found"; exit 1; }
found=$(grep -nE '\|[[:space:]]*(LC_ALL=C )?grep( -[^ ]+)* -[a-zA-Z]*q' "${scripts[@]}")
if [ -n "$found" ]; then
    echo "FAILED: use has (tests/support/check.sh), or a file:"
    echo "$found"
    echo "0 passed, 1 failed"
    exit 1
fi
echo "1 passed, 0 failed"
