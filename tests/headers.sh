#!/bin/sh
# headers.sh INCLUDE_DIRECTORY: every public header stands by itself, in strict C and in C++.
set -u
include=$1
passed=0 failed=0
for header in "$include"/segue/*.h; do
    name=segue/$(basename "$header")
    for compiler in 'gcc -std=c11 -x c' 'g++ -std=c++11 -x c++' 'g++ -std=c++20 -x c++'; do
        if echo "#include <$name>" | $compiler -I "$include" -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Wpedantic -Werror \
            -fsyntax-only -; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
            echo "FAILED: $name with $compiler"
        fi
    done
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
