#!/bin/busybox sh
# init.sh: the first process of a machine that machines.sh boots. Runs each test of /tests.txt, prints one line of
# result for each, and turns the machine off.
#
# A result is "RESULT name passed failed skipped status", by cmocka's closing lines; what a test printed stands before
# it where it failed.
/bin/busybox --install -s /bin
export PATH=/bin LD_LIBRARY_PATH=/lib TMPDIR=/tmp
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
ln -s /proc/self/fd /dev/fd
hostname machine
ip link set lo up 2>/dev/null

count() {
    sed -n "s/.*\[  $1 *\] \([0-9]*\) test.*/\1/p" /tmp/log | awk '{ sum += $1 } END { print sum + 0 }'
}

echo "KERNEL $(uname -r)"
grep -m 1 '^flags' /proc/cpuinfo | tr ' ' '\n' | grep -xE 'nx|xsave|xsavec|avx|avx2|avx512f|fsgsbase|pku|la57|shstk' |
    tr '\n' ' ' |
    sed 's/^/FLAGS /'
echo
cd /tests || exit 1
while read -r name seconds arguments; do
    # shellcheck disable=SC2086 # a list of words
    timeout -s KILL "$seconds" "./$name" $arguments </dev/null >/tmp/log 2>&1
    status=$?
    [ "$status" = 0 ] || sed 's/^/| /' /tmp/log
    skipped=$(count SKIPPED)
    [ "$status" != 77 ] || skipped=$((skipped + 1)) status=0
    echo "RESULT $name $(count PASSED) $(count FAILED) $skipped $status"
done </tests.txt
echo "END"
poweroff -f
