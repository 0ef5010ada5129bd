# check.sh: to be sourced by a test in shell, before it changes its folder. check WHAT EXPECTED FOUND counts; check_end
# closes with the line that counts, and fails if anything did.
passed=0 failed=0

check() {
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAILED: %s\nexpected: %s\nfound:    %s\n' "$1" "$2" "$3"
    fi
}

# has PATTERN...: whether that is in what comes in, which it reads to the end. Behind grep -q the writer may die of
# SIGPIPE, and under pipefail that counts as "no".
has() {
    [ "$(grep -c "$@")" -gt 0 ]
}

check_end() {
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
}
