#!/bin/sh
# others_java.sh SOURCE SIGCHAIN HOST: a Java virtual machine ends and prints alike with a library preloaded that
# protects its memory by Segue, with and without libsegue-sigchain.so; and its compiled code reads that memory.
set -u
source=$1 sigchain=$2 host=$3
passed=0 failed=0
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
if ! command -v java >/dev/null 2>&1; then
    echo "SKIP: java is not installed"
    exit 77
fi
if ! java "$source" >"$directory/without" 2>"$directory/errors"; then
    echo "SKIP: java runs no source file here: $(tail -n 1 "$directory/errors")"
    exit 77
fi

check() {
    if [ "$2" -eq 0 ] && diff "$3" "$directory/with"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $1: ends with $2"
        cat "$directory/errors"
    fi
}

grep -q '^done$' "$directory/without" || exit 1
LD_PRELOAD="$sigchain $host" java "$source" >"$directory/with" 2>"$directory/errors"
check "behind libsegue-sigchain.so" $? "$directory/without"
LD_PRELOAD="$host" java "$source" >"$directory/with" 2>"$directory/errors"
check "over the library's handler" $? "$directory/without"
# A hundred times 512 words that end with 0x77.
echo "sum 6092800" >"$directory/sum"
LD_PRELOAD="$sigchain $host" java "$source" 0x21000000 >"$directory/with" 2>"$directory/errors"
check "reading a closed page" $? "$directory/sum"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
