#!/bin/sh
# outside.sh PROGRAM: an assertion that fails outside of a test says where and what, and ends its process.
set -u
program=$1
. "$(dirname "$0")/../support/check.sh"

# How the program ends with those tests, and what it says, without cmocka's lines and the source's folder.
run_with() {
    ended=0
    said=$(SEGUE_TEST=$1 "$program" 2>&1) || ended=$?
    echo "$ended" $(echo "$said" | sed -n '/^\[/d; s/0x[0-9a-f]\{6,\}/AT/g; s|[^ ]*/outside.c:[0-9]*|outside.c|; p')
}

check 'in a thread' '255 outside.c: assert_int_equal: 0x3 != 0x4' "$(run_with in_a_thread)"
check 'a fault in a thread' \
    '255 The process ends while a test runs: outside of its thread there was a fault or a call of exit.' \
    "$(run_with fault_in_a_thread)"
check 'in a child made by fork' '0 outside.c: assert_string_equal: "these" != "those" once' "$(run_with '*fork')"
check 'in a case' '0 255 outside.c: assert_memory_equal: 5 bytes at AT and AT differ' "$(run_with case_fails)"
check 'in a test' '1 1 FAILED TEST(S)' "$(run_with in_the_test)"
check_end
