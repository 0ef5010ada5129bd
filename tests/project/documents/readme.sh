#!/bin/sh
# readme.sh README FIRST FIRST.C: the program in the README is the one in examples, checks of results apart, and prints
# what its last line says.
set -u
. "$(dirname "$0")/../../support/check.sh"
check "what it prints" "42: 1 write to a protected page, and 1 read" "$("$2")"
# Every call to the library in the README stands in the example as well.
for call in $(awk '/^```c$/ { on = 1; next } /^```$/ { on = 0 } on' "$1" | grep -o 'segue_[a-z_]*(' | sort -u); do
    check "$call is in the example" yes "$(grep -q "$call" "$3" && echo yes)"
done
check_end
