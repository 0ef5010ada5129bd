#!/usr/bin/env bash
# corpus.sh SEGUE SOURCE CASE: `segue corpus` as a user runs it. SOURCE is the top of the source tree.
set -euo pipefail
segue=$1
source=$2
case=$3
data=$source/corpus
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "FAIL: $*" >&2
  exit 1
}

check() {
  "$segue" corpus check --data "$data" "$@"
}

# A report without what says how it came about.
bare() {
  sed -e '/"shard": \[/,/\]/d' -e '/"seconds"/d' -e '/"shards"/d' "$1"
}

# Runs a command that must end with a status and say something on standard error.
refuses() {
  local status=$1 says=$2 got=0
  shift 2
  "$@" > "$work/out" 2> "$work/err" || got=$?
  [ "$got" = "$status" ] || fail "status $got, not $status: $*: $(cat "$work/err")"
  grep -q -- "$says" "$work/err" || fail "does not say '$says': $*: $(cat "$work/err")"
}

rows_of() {
  sed -n 's/^ "rows": \([0-9]*\),*$/\1/p' "$1"
}

# No row of the shipped corpus lies outside the known classes, and objdump sees every row of Debian's.
shipped_rows_are_explained() {
  check --referee all --json "$work/debian.json" "$data/debian.hex.xz"
  [ "$(rows_of "$work/debian.json")" -gt 10000 ] || fail "too few rows"
  grep -q '"asked": 0' <(sed -n '/"objdump": {/,/}/p' "$work/debian.json") && fail "objdump saw nothing"
  check --json "$work/generated.json" "$data/generated.hex.xz"
  [ "$(rows_of "$work/generated.json")" -gt 1000000 ] || fail "too few rows"
}

# The same for the public rows beside the checkout.
public_rows_are_explained() {
  local public=$source/../shared/corpus
  if [ ! -d "$public" ]; then
    # A worktree stands one folder deeper than the checkout.
    public=$source/../../shared/corpus
  fi
  if [ ! -d "$public" ]; then
    echo "SKIP: there is no ../shared/corpus beside the checkout"
    exit 77
  fi
  check --referee all "$public"/*.hex
}

merged_shards_equal_the_whole() {
  local i
  check --referee all --json "$work/whole.json" "$data/debian.hex.xz" > /dev/null
  for i in 0 1 2; do
    check --referee all --shard "$i/3" --jobs 1 --json "$work/$i.json" "$data/debian.hex.xz" > /dev/null
  done
  "$segue" corpus merge -o "$work/merged.json" "$work/2.json" "$work/0.json" "$work/1.json" > /dev/null
  diff <(bare "$work/whole.json") <(bare "$work/merged.json") || fail "merged shards differ from the whole"
  "$segue" corpus diff "$work/whole.json" "$work/merged.json" || fail "diff sees a difference"
  refuses 1 "comes twice" "$segue" corpus merge -o "$work/x.json" "$work/0.json" "$work/0.json"
  refuses 1 "differ in 'shards'" "$segue" corpus merge -o "$work/x.json" "$work/whole.json" "$work/0.json"
}

# Takes a class away: its rows then fail the check, and diff tells so.
unexplained_rows_fail() {
  mkdir "$work/data"
  cp "$data/aliases.txt" "$work/data/"
  sed '/^class capstone-lacks-evex/,/^$/d' "$data/disagreements.txt" > "$work/data/disagreements.txt"
  check --json "$work/before.json" "$data/debian.hex.xz" > /dev/null
  if "$segue" corpus check --data "$work/data" --json "$work/after.json" "$data/debian.hex.xz" > "$work/text"; then
    fail "the check passes without a class that it needs"
  fi
  grep -q 'outside every class *[1-9]' "$work/text" || fail "the text does not count them"
  if "$segue" corpus diff "$work/before.json" "$work/after.json" > "$work/text"; then
    fail "diff sees no difference"
  fi
  grep -q '^capstone-lacks-evex' "$work/text" || fail "diff does not name the class"
}

# Of answers that are made wrong, few pass for a known disagreement: per decoder and kind, at most so many in 10,000. The
# counts over code as it is; over enumerated encodings, where whole prefix sets are in dispute, they are higher.
wrong_answers_are_found() {
  local kind most made passed
  check --referee all --spoil --json "$work/report.json" "$data/debian.hex.xz"
  for each in capstone:status:200 capstone:length:45 capstone:mnemonic:45 capstone:operands:20 capstone:size:50 \
    capstone:direction:30 objdump:status:40 objdump:length:2 objdump:mnemonic:2 objdump:operands:2 objdump:size:1 \
    segue:status:1 segue:length:1; do
    IFS=: read -r decoder kind most <<< "$each"
    read -r made passed < <(sed -n "/^  \"$decoder\": {/,/^  }/p" "$work/report.json" |
      sed -n '/"spoilt": {/,$p' | sed -n "/\"$kind\": {/,/}/p" | tr -dc '0-9\n' | xargs)
    [ "$made" -gt 10000 ] || fail "$decoder's $kind was not made wrong often enough: $made"
    [ $((passed * 10000)) -le $((made * most)) ] || fail "$passed of $made wrong answers pass: $decoder, $kind"
  done
}

# A decoder that is right in all but one field of one row is found out, field by field.
one_wrong_field_is_found() {
  local change
  printf '8b4310\n4889d8\n62f17c48580c24\n' > "$work/rows.hex"
  cat > "$work/objdump" << 'END'
#!/bin/sh
objdump "$@" | sed "$CHANGE"
END
  chmod +x "$work/objdump"
  for change in s/eax,DWORD/ecx,DWORD/ s/DWORD/QWORD/ s/+0x10/+0x11/ s/rbx+0x/rcx+0x/ 's/mov    rax/add    rax/' \
    s/rax,rbx/rbx,rax/ s/vaddps/vsubps/ s/ZMMWORD/YMMWORD/ 's/vaddps .*/(bad)/'; do
    export CHANGE=$change
    if check --referee all --objdump "$work/objdump" "$work/rows.hex" > "$work/text"; then
      fail "an answer changed by $change passes"
    fi
    grep -q '(objdump: ' "$work/text" || fail "the report does not say whose answer $change changed"
  done
  CHANGE='' check --referee all --objdump "$work/objdump" "$work/rows.hex" || fail "right answers do not pass"
}

# objdump tells a wrong claim of a source from a right one.
source_claims_are_checked() {
  printf '4889d8\tmov\n0f0b\tud2\n06\tINVALID\n' > "$work/right.hex"
  check "$work/right.hex" > /dev/null
  printf '4889d8\tINVALID\n' > "$work/wrong.hex"
  if check "$work/wrong.hex" > "$work/text"; then
    fail "a source that calls mov invalid passes"
  fi
  grep -q '4889d8 (source: status)' "$work/text" || fail "the row is not shown"
}

rows_from_code_are_those_that_are_there() {
  "$segue" corpus build --all -o "$work/code.hex" "$segue" > /dev/null
  "$segue" corpus build --all -o "$work/again.hex.xz" "$segue" > /dev/null
  xz -dc "$work/again.hex.xz" | cmp - "$work/code.hex" || fail "two builds differ"
  grep -qx 'c3' "$work/code.hex" || fail "no ret in the code"
  [ "$(grep -vc '^#' "$work/code.hex")" -gt 1000 ] || fail "too few rows"
  [ "$(grep -v '^#' "$work/code.hex" | sort | uniq -d | wc -l)" = 0 ] || fail "a row stands twice"
  check --referee all "$segue" > /dev/null || fail "the command's own code is not explained"
  "$segue" corpus stat --json "$work/code.hex" | grep -q '"move"' || fail "no moves"
}

other_decoders_take_part() {
  printf '90\n4889d8\n' > "$work/two.hex"
  check --decoder 'echo=while read -r hex; do case $hex in 90*) echo ok 1 nop;; *) echo ok 3 mov rax,rbx;; esac; done' \
    --json "$work/report.json" "$work/two.hex"
  sed -n '/"echo": {/,/}/p' "$work/report.json" | grep -q '"agreed": 2' || fail "it does not agree"
  refuses 1 "too few lines" check --jobs 1 --decoder 'short=echo refused' "$work/two.hex"
  refuses 1 "is not 'ok LENGTH TEXT'" check --decoder "wrong=sed 's/.*/what?/'" "$work/two.hex"
  refuses 1 "exit status 3" check --decoder 'dead=exit 3' "$work/two.hex"
  refuses 2 "cannot be called" check --decoder 'zydis=cat' "$work/two.hex"
  if ! command -v "${LLVM_MC:-llvm-mc}" > /dev/null; then
    echo "SKIP of a part: there is no llvm-mc"
    return
  fi
  check --referee none --decoder "llvm=$data/llvm-mc-decoder.sh" "$data/debian.hex.xz"
}

# What a few hundred kilobytes hold is never in memory as a whole (the limit is far below what they hold), and the first
# row that is wrong ends the reading.
packed_bombs_are_refused() {
  limited() {
    (
      ulimit -v 700000
      exec "$segue" corpus check --data "$data" "$@"
    )
  }
  # `yes` ends by a signal, which is no failure.
  many_rows() {
    { yes 4889 || :; } | head -c 1500000000
  }
  { printf '4g\n'; many_rows; } | xz -0 > "$work/wrong.hex.xz"
  refuses 1 "wrong.hex.xz:1: a character that is no" limited "$work/wrong.hex.xz"
  many_rows | xz -0 > "$work/big.hex.xz"
  refuses 1 "big.hex.xz: holds more than 512 MiB unpacked" limited "$work/big.hex.xz"
  head -c 1500000000 /dev/zero | xz -0 > "$work/line.hex.xz"
  refuses 1 "line.hex.xz:1: a line of more than" limited "$work/line.hex.xz"
  printf '4889\n' | xz --lzma2=dict=1GiB > "$work/window.hex.xz"
  refuses 1 "window.hex.xz: takes more than 256 MiB to unpack" limited "$work/window.hex.xz"
}

bad_input_is_named() {
  refuses 1 "cannot open .*nowhere.hex: No such file" check "$work/nowhere.hex"
  : > "$work/empty.hex"
  refuses 1 "holds no rows" check "$work/empty.hex"
  printf '# only this\n\n' > "$work/comment.hex"
  refuses 1 "holds no rows" check "$work/comment.hex"
  printf '90\n4g\n' > "$work/letter.hex"
  refuses 1 "letter.hex:2: .*no hexadecimal digit" check "$work/letter.hex"
  printf '909\n' > "$work/odd.hex"
  refuses 1 "odd.hex:1: an odd number" check "$work/odd.hex"
  printf '\tmov\n' > "$work/none.hex"
  refuses 1 "none.hex:1: no bytes" check "$work/none.hex"
  printf '%060d\n' 0 > "$work/long.hex"
  refuses 1 "long.hex:1: more bytes than a row may have" check "$work/long.hex"
  head -c 2000 "$data/debian.hex.xz" > "$work/cut.hex.xz"
  refuses 1 "not a whole xz file" check "$work/cut.hex.xz"
  { printf '90\r\n0f05\tsyscall\r\n'; printf '90'; } > "$work/crlf.hex"
  check "$work/crlf.hex" > /dev/null || fail "line ends of another system are refused"
  head -c 200000 /dev/zero | tr '\0' 0 > "$work/endless.hex"
  refuses 1 "endless.hex:1: a line of more than" check "$work/endless.hex"
  printf '{}' > "$work/empty.json"
  refuses 1 "not a report" "$segue" corpus diff "$work/empty.json" "$work/empty.json"
  printf '{' > "$work/broken.json"
  refuses 1 "broken.json:1:" "$segue" corpus merge -o "$work/x.json" "$work/broken.json"
  printf '90\n' > "$work/nop.hex"
  refuses 1 "cannot run .*no-such-objdump" check --referee all --objdump "$work/no-such-objdump" "$work/nop.hex"
  refuses 1 "cannot write" "$segue" corpus build --all -o "$work/no/such/folder.hex" "$work/nop.hex"
  mkfifo "$work/pipe"
  refuses 1 "cannot write .*pipe: it is no regular file" "$segue" corpus build --all -o "$work/pipe" "$work/nop.hex"
  refuses 1 "would overwrite .*nop.hex" "$segue" corpus build --all -o "$work/nop.hex" "$work/nop.hex"
  refuses 1 "would overwrite .*nop.hex" check --json "$work/nop.hex" "$work/nop.hex"
  refuses 2 "--shard is I/N" check --shard 3/3 "$work/nop.hex"
  refuses 2 "--referee is" check --referee some "$work/nop.hex"
  refuses 2 "there is no 'chekc'" "$segue" corpus chekc
  mkdir "$work/data"
  cp "$data/aliases.txt" "$work/data"
  printf 'class a\n  when opcode=90\n  right zydis\n  why because\nclass b\n  when opocde=90\n' > "$work/data/disagreements.txt"
  refuses 1 "disagreements.txt:6: there is no such term" "$segue" corpus check --data "$work/data" "$work/nop.hex"
  printf 'class a\n  when opcode=90\n' > "$work/data/disagreements.txt"
  refuses 1 "lacks 'when', 'right' or 'why'" "$segue" corpus check --data "$work/data" "$work/nop.hex"
}

"$case"
