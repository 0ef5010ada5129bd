#!/bin/sh
# others_python.sh libsegue.so: Python's faulthandler, which has an alternate stack of its own for its threads' faults,
# reports them under the library's handler as it does without it, and the process dies of the same signal.
set -u
library=$1
passed=0 failed=0
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
if ! command -v python3 >/dev/null 2>&1; then
    echo "SKIP: python3 is not installed"
    exit 77
fi
cat >"$directory/fault.py" <<'END'
import ctypes, faulthandler, sys, threading
faulthandler.enable()
if sys.argv[1] != "none":
    assert ctypes.CDLL(sys.argv[1]).segue_install(None) == 0
def dereference_null():
    ctypes.string_at(0)
if sys.argv[2] == "main":
    dereference_null()
else:
    thread = threading.Thread(target=dereference_null)
    thread.start()
    thread.join()
END
for where in main thread; do
    for how in none "$library"; do
        python3 "$directory/fault.py" "$how" "$where" >"$directory/said" 2>&1
        status=$?
        if [ "$status" -eq 139 ] && grep -q 'Fatal Python error: Segmentation fault' "$directory/said" &&
            grep -q 'in dereference_null' "$directory/said"; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
            echo "FAILED: $where, $how: ends with $status"
            cat "$directory/said"
        fi
    done
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
