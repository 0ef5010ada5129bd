#!/bin/sh
# case_names.sh PROGRAM: SEGUE_TEST runs those of a program's tests whose names match, and fails if none does.
set -u
program=$1
. "$(dirname "$0")/../support/check.sh"

# How the program ends, and the tests that it ran.
run_with() {
    ended=0
    ran=$(SEGUE_TEST=$1 "$program" 2>&1) || ended=$?
    echo "$ended" $(echo "$ran" | sed -n 's/^\[ RUN  *\] //p')
}

check 'one name' '0 second' "$(run_with second)"
check 'any characters' '0 first second' "$(run_with '*s*')"
check 'any characters, twice' '0 first' "$(run_with '*s*t*')"
check 'one character' '0 first' "$(run_with '?irst')"
check 'a part of a name' '1' "$(run_with secon)"
check 'more than a name' '1' "$(run_with 'second?')"
check 'no name' '1' "$(run_with third)"
check 'an empty pattern' '1' "$(run_with '')"
check_end
