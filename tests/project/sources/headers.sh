#!/bin/sh
# headers.sh INCLUDE_DIRECTORY: every public header stands by itself, in strict C and in C++; the neutral ones need no
# POSIX, and compile for the other systems, as far as compilers for these are installed.
set -u
include=$1
passed=0 failed=0 skipped=0
all=$(cd "$include" && ls segue/*.h)
# Those that name a system, and the one that context.h includes.
neutral=$(echo "$all" |
    grep -v -x 'segue/\(posix\|linux\|sigsegv_compat\|windows\|context_sysv_x86_64\|context_sysv_i386\)\.h')

# compiles NAME COMPILER...: a program that includes it alone.
compiles() {
    header=$1
    shift
    echo "#include <$header>" | "$@" -Wall -Wextra -Wpedantic -Werror -fsyntax-only -
}

# check HEADERS COMPILER...
check() {
    headers=$1
    shift
    if ! echo '#include <stdint.h>' | "$@" -fsyntax-only - 2>/dev/null; then
        echo "SKIP: $*: not installed"
        skipped=$((skipped + 1))
        return
    fi
    for one in $headers; do
        if compiles "$one" "$@"; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
            echo "FAILED: $one with $*"
        fi
    done
}

with_system=$(echo "$all" | grep -v -x 'segue/\(windows\|context_sysv_x86_64\|context_sysv_i386\)\.h')
for compiler in 'gcc -std=c11 -x c' 'g++ -std=c++11 -x c++' 'g++ -std=c++20 -x c++'; do
    # shellcheck disable=SC2086
    check "$with_system" $compiler -I "$include" -D_POSIX_C_SOURCE=200809L
done
check "$neutral" gcc -std=c11 -x c -I "$include"
for compiler in x86_64-w64-mingw32-gcc i686-w64-mingw32-gcc; do
    check segue/windows.h $compiler -std=c11 -x c -I "$include"
done
# All at once.
for compiler in 'gcc -std=c17' 'gcc -std=c2x' 'gcc -std=c11 -m32' 'clang -std=c11' \
    'clang --target=i686-linux-gnu -std=c11' 'clang --target=x86_64-apple-darwin -std=c11 -ffreestanding' \
    'clang --target=x86_64-unknown-freebsd -std=c11 -ffreestanding' 'x86_64-w64-mingw32-gcc -std=c11' \
    'i686-w64-mingw32-gcc -std=c11'; do
    # shellcheck disable=SC2086
    check segue/segue.h $compiler -x c -I "$include"
done
for compiler in 'g++ -std=c++17' 'clang++ -std=c++17'; do
    # shellcheck disable=SC2086
    check segue/segue.h $compiler -x c++ -I "$include"
done
# As a system's headers they compile in C89 as well.
check segue/segue.h gcc -std=c89 -x c -isystem "$include"

# Where the compiler hides POSIX, one error says what to do about it; after that it may stop.
for standard in c11 c17 c2x; do
    if echo "#include <segue/posix.h>" | gcc -std=$standard -x c -I "$include" -fsyntax-only - 2>&1 |
        grep -m 1 'error:' | grep -q 'needs POSIX: compile with -std=gnu11 or -D_POSIX_C_SOURCE=200809L'; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: segue/posix.h with -std=$standard: the first error is not the one that helps"
    fi
    for macro in _GNU_SOURCE _POSIX_C_SOURCE=200809L _DEFAULT_SOURCE; do
        if compiles segue/posix.h gcc -std=$standard -D$macro -x c -I "$include"; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
            echo "FAILED: segue/posix.h with -std=$standard -D$macro"
        fi
    done
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
