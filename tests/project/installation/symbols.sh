#!/bin/sh
# symbols.sh libsegue.so libsegue.a libsegue-sigchain.so: the libraries show their public names and no others, and the
# shared one is bound at load.
set -eu
shared=$1 static=$2 preloaded=$3
passed=0 failed=0
check() {
    if [ -z "$2" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $1: $2"
    fi
}
check "shared library exports only segue_*" \
    "$(nm -D --without-symbol-versions --defined-only "$shared" | awk '$3 !~ /^(segue_|SEGUE_)/ { print $3 }')"
check "each function is in one node, of a release" \
    "$(nm -D --defined-only "$shared" |
        awk '$3 ~ /^segue_/ && $3 !~ /^segue_[a-z_0-9]*@@SEGUE_[0-9]+\.[0-9]+$/ { print $3 }')"
check "static library defines only segue_* for others" \
    "$(nm -g --defined-only "$static" | awk 'NF == 3 && $3 !~ /^segue_/ { print $3 }')"
check "both have the same public names" "$(
    { nm -D --without-symbol-versions --defined-only "$shared" | grep -v ' SEGUE_'; nm -g --defined-only "$static"; } |
        awk 'NF == 3 { seen[$3]++ } END { for (name in seen) if (seen[name] != 2) print name }'
)"
dynamic=$(readelf -dW "$shared")
check "soname is versioned" "$(echo "$dynamic" | grep -q 'soname: \[libsegue\.so\.[0-9]*\]' || echo none)"
check "bound at load" "$(echo "$dynamic" | grep -q 'FLAGS_1.*NOW' || echo lazy)"
check "thread-local storage is found without a call" "$(nm -D --undefined-only "$shared" | grep tls_get_addr || :)"
check "never unmapped" "$(echo "$dynamic" | grep -q 'FLAGS_1.*NODELETE' || echo 'may be unmapped')"
check "stack is not executable" "$(readelf -lW "$shared" | awk '/GNU_STACK/ && /E/ && !/RW /' | grep 'RWE' || :)"
# glibc has 1,664 bytes of it to spare for libraries that are loaded later.
storage=$((0x$(readelf -lW "$shared" | awk '$1 == "TLS" { sub("0x", "", $6); print $6 }')))
check "three copies find room for thread-local storage" \
    "$([ "$storage" -gt 0 ] && [ "$storage" -le 544 ] || echo "$storage bytes")"
check "its own calls do not go by names that others may define" \
    "$(readelf -rW "$shared" | awk '/JUMP_SLO|GLOB_DAT/ && $5 ~ /^segue_/ { print $5 }')"
for file in "$shared" "$preloaded" "$static"; do
    check "$(basename "$file") is marked for indirect branch tracking and shadow stacks" \
        "$(readelf -nW "$file" | grep -q 'IBT, SHSTK' || echo 'the mark is lost')"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
