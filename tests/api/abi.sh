#!/bin/sh
# abi.sh SOURCE: abi.c holds for each 64-bit compiler that is there, and finds a struct of another size.
set -u
source=$1
passed=0 failed=0
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -r "$source/include/segue" "$copy"
# A reserved word less.
sed -i '/^struct segue_region {/,/^}/s/reserved\[4\]/reserved[3]/' "$copy/segue/region.h"
check() {
    if ! echo '#include <stdint.h>' | "$@" -x c -fsyntax-only - 2>/dev/null; then
        echo "SKIP: $*: not installed"
        return
    fi
    if "$@" -Wall -Wextra -Wpedantic -Werror -I "$source/include" -fsyntax-only "$source/tests/api/abi.c" &&
        "$@" -I "$copy" -fsyntax-only "$source/tests/api/abi.c" 2>&1 |
            grep -q 'struct segue_region has another size'; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $*"
    fi
}
check gcc -std=c11
check clang -std=c11
check x86_64-w64-mingw32-gcc -std=c11
check clang --target=x86_64-apple-darwin -std=c11 -ffreestanding
check clang --target=x86_64-unknown-freebsd -std=c11 -ffreestanding
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
