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

# Where the compiler hides POSIX, one error says what to do about it; what needs none goes without.
for header in "$include"/segue/*.h; do
    name=segue/$(basename "$header")
    for standard in c11 c17 c2x; do
        errors=$(echo "#include <$name>" | gcc -std=$standard -x c -I "$include" -Wall -fsyntax-only - 2>&1)
        case $name in
        segue/ctx.h | segue/needs_posix.h | segue/segue.h | segue/signals.h)
            count=$(echo "$errors" | grep -c 'error:')
            if [ "$count" = 1 ] && ! echo "$errors" | grep -q 'warning:' && echo "$errors" | grep -q 'define _GNU_SOURCE, or _POSIX_C_SOURCE'; then
                passed=$((passed + 1))
            else
                failed=$((failed + 1))
                echo "FAILED: $name with -std=$standard: not the one error: $errors"
            fi
            ;;
        *)
            if [ -z "$errors" ]; then
                passed=$((passed + 1))
            else
                failed=$((failed + 1))
                echo "FAILED: $name with -std=$standard: $errors"
            fi
            ;;
        esac
        [ "$name" = segue/segue.h ] || continue
        for macro in _GNU_SOURCE _POSIX_C_SOURCE=200809L _DEFAULT_SOURCE; do
            if echo "#include <$name>" | gcc -std=$standard -D$macro -x c -I "$include" -Wall -Wextra -Werror -fsyntax-only -; then
                passed=$((passed + 1))
            else
                failed=$((failed + 1))
                echo "FAILED: $name with -std=$standard -D$macro"
            fi
        done
    done
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
