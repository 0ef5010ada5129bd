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

# Whether a process may trace one that it has not started; else says SKIP, for what is named.
can_attach() {
    local scope=0
    read -r scope 2> /dev/null < /proc/sys/kernel/yama/ptrace_scope
    case $scope in
        0) return 0 ;;
        1 | 2) [ "$(id -u)" -ne 0 ] || return 0 ;;
    esac
    echo "SKIP $1: no process may trace one that it has not started (kernel.yama.ptrace_scope is $scope)"
    return 1
}

check_end() {
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
}
