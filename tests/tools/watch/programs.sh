#!/usr/bin/env bash
# programs.sh SEGUE TESTS STATIC [long]: real programs under `segue watch` print what they print natively, and end with
# the same status, while accesses to their data are counted, and while each is a line of a file. Where the accesses are
# the same in each run, as many lines are written as are counted. TESTS: tests/programs. STATIC: a program that is
# linked statically. What is not installed is left out by name; `long` adds what takes longer (make test-long).
set -uo pipefail
. "$(dirname "$0")/../../support/check.sh"
segue=$(readlink -f "$1")
tests=$(readlink -f "$2")
static=$(readlink -f "$3")
length=${4:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LC_ALL=C

# In an empty folder, from one address on: the same in each run, where the system permits that.
fixed=(setarch -R)
setarch -R true 2> /dev/null || fixed=()

# run COMMAND...: its output, errors and status in $work/native or, with a report before, in $work/watched.
run() {
  local to=$1
  shift
  rm -rf "$work/in" && mkdir "$work/in"
  (cd "$work/in" && timeout 120 "$@" < "${input:-/dev/null}" > "$work/$to" 2>&1; echo "status $?" >> "$work/$to")
  find "$work/in" -type f -name '*.s' -exec cat {} + >> "$work/$to"
}

difference() {
  diff "$work/native" "$work/watched" > "$work/difference"
  head -10 "$work/difference"
}

sum_of_counts() {
  awk '$1 ~ /^[0-9]+$/ && $2 ~ /^[0-9]+$/ { sum += $1 > $2 ? $1 : $2 } END { print sum + 0 }' "$work/counts"
}

# compare NAME same|other TARGET... -- PROGRAM ARGUMENT...
compare() {
  local name=$1 kind=$2 targets=()
  shift 2
  while [ "$1" != -- ]; do
    targets+=("$1")
    shift
  done
  shift
  if [ ! -x "$1" ]; then
    echo "SKIP $name: it is not installed"
    return
  fi
  run native "${fixed[@]}" "$@"
  run watched "${fixed[@]}" "$segue" watch --count --read --write -o "$work/counts" "${targets[@]}" -- "$@"
  check "$name, counted" '' "$(difference)"
  run watched "${fixed[@]}" "$segue" watch --read --write -o "$work/events" "${targets[@]}" -- "$@"
  check "$name, each access a line" '' "$(difference)"
  local counted lines
  counted=$(sum_of_counts)
  lines=$(wc -l < "$work/events")
  check "$name: accesses are seen" yes "$([ "$counted" -gt 0 ] && [ "$lines" -gt 0 ] && echo yes)"
  [ "$kind" != same ] || [ ${#fixed[@]} -eq 0 ] || check "$name: as many lines as counts" "$counted" "$lines"
}

# data_of FILE BYTES: the beginning of its variables, where it is loaded without randomised addresses.
data_of() {
  local address
  address=$(readelf -SW "$1" | sed -nE 's/.* \.data +PROGBITS +([0-9a-f]+) .*/\1/p')
  printf '0x%x:%d' $((0x555555554000 + 0x$address)) "$2"
}

input=$tests/sql compare sqlite3 same libsqlite3.so.0:sqlite3Config libsqlite3.so.0:sqlite3BuiltinFunctions -- \
  /usr/bin/sqlite3
compare python3 other _Py_EllipsisObject PyLong_Type -- /usr/bin/python3 "$tests/threads.py"
compare perl same PL_hash_state_w PL_op_seq -- /usr/bin/perl -e '
my %h; $h{$_ % 97} .= $_ for 1 .. 20000; print join(",", map { length $h{$_} } sort keys %h), "\n";'

mkdir "$work/repository"
(
  cd "$work/repository" && git init -q . && git config user.email a@b && git config user.name a || exit
  export GIT_AUTHOR_DATE='1000000000 +0000' GIT_COMMITTER_DATE='1000000000 +0000'
  for i in 1 2 3 4 5; do
    seq $((i * 100)) > "file$i" && git add . && git commit -qm "$i"
  done
) > "$work/git" 2>&1
[ ${#fixed[@]} -eq 0 ] && echo 'SKIP git: its variables have no names, and its addresses are random' ||
  compare git same "$(data_of /usr/bin/git 86288)" -- /usr/bin/git -C "$work/repository" log -p --stat

cat > "$work/some.c" <<'C'
struct list { int number; struct list *next; };
int sum(const struct list *list) { int sum = 0; for (; list; list = list->next) sum += list->number; return sum; }
double product(const double *a, int count) { double p = 1; for (int i = 0; i < count; i++) p *= a[i]; return p; }
C
compare cc1 other input_location -- "$(gcc -print-prog-name=cc1)" -quiet -O2 "$work/some.c" -o some.s
compare node other _ZN4node11IsolateData17wrapper_data_map_E _ZN4node11IsolateData19isolate_data_mutex_E -- \
  /usr/bin/node "$tests/worker.js"

# Blocks of the heap: which ones, depends on the program alone.
input=$tests/sql compare 'sqlite3, blocks' same heap:48 heap@libsqlite3.so.0:sqlite3_prepare_v2 -- /usr/bin/sqlite3
compare 'python3, blocks' other heap:56 -- /usr/bin/python3 "$tests/threads.py"
PERL_HASH_SEED=0 compare 'perl, blocks' same heap:24-48 -- /usr/bin/perl -e '
my %h; $h{$_ % 97} .= $_ for 1 .. 2000; print join(",", map { length $h{$_} } sort keys %h), "\n";'
compare 'git, blocks' other heap:48 -- /usr/bin/git -C "$work/repository" log -p --stat
compare 'cc1, blocks' other heap:40 -- "$(gcc -print-prog-name=cc1)" -quiet -O1 "$work/some.c" -o some.s
if [ "$length" = long ]; then
  compare 'node, blocks, also by builtins that it copies' other heap:128 -- /usr/bin/node "$tests/worker.js"
  compare 'python3 with children' other _Py_EllipsisObject PyLong_Type -- /usr/bin/python3 "$tests/tasks.py"
  compare "python3's whole state" other _PyRuntime -- /usr/bin/python3 -c 'print(sum(range(1000)))'
  compare "node's flags" other _ZN2v88internal8v8_flagsE -- /usr/bin/node "$tests/worker.js"
  compare "cc1's options" other global_options -- "$(gcc -print-prog-name=cc1)" -quiet -O2 "$work/some.c" -o some.s
fi

compare 'a threaded static program' same counter neighbours totals -- "$static"

# A server under load: what it has in the end, and what it prints at its end.
ask() {
  redis-cli -s "$work/redis" "$@"
}

serve() {
  local to=$1 server
  shift
  (cd "$work/in" && exec timeout 120 "$@" > "$work/server" 2>&1) &
  server=$!
  for ((i = 0; i < 1200; i++)); do
    [ -S "$work/redis" ] && break
    sleep 0.05
  done
  redis-benchmark -s "$work/redis" -q -n "$requests" -c 10 -t set,get,incr,lpush,lpop,sadd,hset,zadd,mset \
    > "$work/load" 2>&1
  {
    ask eval 'return redis.sha1hex(ARGV[1])' 0 text
    ask keys '*' | sort
    ask get counter:__rand_int__
    ask lrange mylist 0 -1 | wc -l
    ask debug digest
    ask shutdown nosave
    wait "$server"
    echo "status $?"
    sed 's/.*[0-9] [*#] //' "$work/server" | tail -2
  } > "$work/$to" 2>&1
}

compare_servers() {
  local redis=(/usr/bin/redis-server --port 0 --unixsocket "$work/redis" --save '' --enable-debug-command yes)
  serve native "${redis[@]}"
  serve watched "$segue" watch --count --read --write -o "$work/counts" server -- "${redis[@]}"
  check 'redis-server, counted' '' "$(difference)"
  check 'redis-server: accesses are seen' yes "$([ "$(sum_of_counts)" -gt "$requests" ] && echo yes)"
  serve watched "$segue" watch --read --write -o "$work/events" dbDictType shared -- "${redis[@]}"
  check 'redis-server, each access a line' '' "$(difference)"
  check 'redis-server: lines' yes "$([ "$(wc -l < "$work/events")" -gt "$requests" ] && echo yes)"
}

requests=500
[ "$length" != long ] || requests=20000
if [ -x /usr/bin/redis-server ] && [ -x /usr/bin/redis-benchmark ]; then
  compare_servers
else
  echo 'SKIP redis-server: it is not installed'
fi

check_end
