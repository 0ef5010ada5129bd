#!/usr/bin/env bash
# corpus.sh SEGUE SOURCE CASE: `segue corpus` as a user runs it. SOURCE is the top of the source tree.
set -euo pipefail
segue=$(realpath "$1")
source=$(realpath "$2")
case=$3
data=$source/corpus/data
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

# Takes a class away: its rows then fail the check, and diff reports them.
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

# Of answers that are made wrong, few pass for a known disagreement: per decoder and kind, at most so many in 10,000.
# The counts over code as it is; over enumerated encodings, where whole prefix sets are in dispute, they are higher.
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

# objdump distinguishes a wrong claim of a source from a right one.
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
  "$segue" corpus stat --json "$work/code.hex" > "$work/stat.json"
  grep -q '"move"' "$work/stat.json" || fail "no moves"
}

other_decoders_take_part() {
  printf '90\n4889d8\n' > "$work/two.hex"
  check --decoder 'echo=while read -r hex; do case $hex in 90*) echo ok 1 nop;; *) echo ok 3 mov rax,rbx;; esac; done' \
    --json "$work/report.json" "$work/two.hex"
  [ "$(sed -n '/"echo": {/,/}/p' "$work/report.json" | grep -c '"agreed": 2')" = 1 ] || fail "it does not agree"
  refuses 1 "too few lines" check --jobs 1 --decoder 'short=echo refused' "$work/two.hex"
  refuses 1 "is not 'ok LENGTH TEXT'" check --decoder "wrong=sed 's/.*/what?/'" "$work/two.hex"
  refuses 1 "exit status 3" check --decoder 'dead=exit 3' "$work/two.hex"
  refuses 2 "cannot be called" check --decoder 'zydis=cat' "$work/two.hex"
  if ! command -v "${LLVM_MC:-llvm-mc}" > /dev/null; then
    echo "SKIP of a part: there is no llvm-mc"
    return
  fi
  check --referee none --decoder "llvm=$source/corpus/data/llvm-mc-decoder.sh" "$data/debian.hex.xz"
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
  # `yes` ends by a signal, which does not count as a failure.
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
  refuses 1 "letter.hex:2: .*not a hexadecimal digit" check "$work/letter.hex"
  printf '909\n' > "$work/odd.hex"
  refuses 1 "odd.hex:1: an odd number" check "$work/odd.hex"
  printf '90 90\n' > "$work/blank.hex"
  refuses 1 "blank.hex:1: a blank between the digits" check "$work/blank.hex"
  printf '# as DOS writes it\r\n4889d8\tmov\r\n90\r\n\r\n06\tINVALID\r\n' > "$work/dos.hex"
  check --referee all "$work/dos.hex" > "$work/out" || fail "a file with CRLF: $(cat "$work/out")"
  grep -q '^rows 3,' "$work/out" || fail "a file with CRLF has other rows: $(cat "$work/out")"
  printf '\tmov\n' > "$work/none.hex"
  refuses 1 "none.hex:1: no bytes" check "$work/none.hex"
  printf '%060d\n' 0 > "$work/long.hex"
  refuses 1 "long.hex:1: more bytes than a row may have" check "$work/long.hex"
  refuses 1 "long.hex: holds no rows" check "$work/long.hex"
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
  refuses 1 "cannot write .*pipe: it is not a regular file" "$segue" corpus build --all -o "$work/pipe" "$work/nop.hex"
  refuses 1 "would overwrite .*nop.hex" "$segue" corpus build --all -o "$work/nop.hex" "$work/nop.hex"
  refuses 1 "would overwrite .*nop.hex" check --json "$work/nop.hex" "$work/nop.hex"
  refuses 2 "--shard is I/N" check --shard 3/3 "$work/nop.hex"
  refuses 2 "--referee is" check --referee some "$work/nop.hex"
  refuses 2 "there is no 'chekc'" "$segue" corpus chekc
  mkdir "$work/data"
  cp "$data/aliases.txt" "$work/data"
  printf 'class a\n  when opcode=90\n  right zydis\n  why because\nclass b\n  when opocde=90\n' \
    > "$work/data/disagreements.txt"
  refuses 1 "disagreements.txt:6: there is no such term" "$segue" corpus check --data "$work/data" "$work/nop.hex"
  printf 'class a\n  when opcode=90\n' > "$work/data/disagreements.txt"
  refuses 1 "lacks 'when', 'right' or 'why'" "$segue" corpus check --data "$work/data" "$work/nop.hex"
}

# Rows that are longer than an instruction may be are refused as instructions; longer ones are left out, and counted.
# The others are checked all the same.
long_rows_do_not_end_the_check() {
  local length
  for length in 16 17 18 19 20 21 22; do
    printf '%s90\tINVALID\n' "$(printf '26%.0s' $(seq $((length - 1))))"
    printf '%s8bc0\tINVALID\n' "$(printf '66%.0s' $(seq $((length - 2))))"
  done > "$work/rows.hex"
  printf '4889d8\tmov\n%060d\n%080d\tx\n90\n' 0 0 >> "$work/rows.hex"
  for referee in all disputed none; do
    check --referee $referee --json "$work/report.json" "$work/rows.hex" > "$work/text" 2> "$work/err" ||
      fail "long rows do not pass, referee $referee: $(cat "$work/text")"
    [ "$(rows_of "$work/report.json")" = 16 ] || fail "not 16 rows"
    grep -q '"left_out": 2' "$work/report.json" || fail "what is left out is not counted"
    [ "$(wc -l < "$work/err")" = 1 ] || fail "not one note: $(cat "$work/err")"
    grep -q '^left out.* 2$' "$work/text" || fail "the text does not count what is left out"
  done
}

# They end within seconds, whatever they do, and leave nothing behind.
decoders_that_never_end_are_ended() {
  # No other test's.
  local i sleep="sleep 7777.$$"
  printf '90\n4889d8\n' > "$work/two.hex"
  refuses 1 "yes wrote more than the 2 lines that were wanted" \
    timeout 20 "$segue" corpus check --data "$data" --jobs 1 \
    --decoder 'yes=yes refused' "$work/two.hex"
  refuses 1 "zero wrote more than .* bytes" timeout 20 "$segue" corpus check --data "$data" --jobs 1 \
    --decoder 'zero=cat /dev/zero' "$work/two.hex"
  refuses 1 "sleeper wrote nothing for 2 seconds and did not end" timeout 20 "$segue" corpus check --data "$data" \
    --patience 2 --decoder "sleeper=$sleep | cat; true" "$work/two.hex"
  refuses 1 "late wrote nothing for 1 seconds" timeout 20 "$segue" corpus check --data "$data" --jobs 1 --patience 1 \
    --decoder "late=echo refused; echo refused; $sleep" "$work/two.hex"
  refuses 2 "--patience takes a number" check --patience 0 "$work/two.hex"
  # What is killed ends when it has its turn.
  for ((i = 0; i < 300; i++)); do
    pgrep -f "$sleep" > /dev/null || break
    sleep 0.1
  done
  [ "$i" -lt 300 ] || fail "a decoder was left behind"
  # Slow ones may be slow, as long as they go on.
  printf '90\n4889d8\n8b4310\n0f0b\nc3\n' > "$work/five.hex"
  check --patience 2 --jobs 1 --decoder 'slow=while read -r hex; do sleep 0.5; echo skip; done' "$work/five.hex" \
    > "$work/text" || fail "a slow decoder is ended: $(cat "$work/text")"
}

failing_decoders_tell_once() {
  local i
  "$segue" corpus build --all -o "$work/rows.hex" "$segue" > /dev/null
  for i in 1 2 3 4 5; do
    refuses 1 "segue corpus: bad ended with exit status 1" check --jobs 4 --decoder 'bad=exit 1' "$work/rows.hex"
    [ "$(cat "$work/err")" = "segue corpus: bad ended with exit status 1" ] ||
      fail "not one whole line: $(cat "$work/err")"
  done
  refuses 1 "short' gave too few lines" check --jobs 4 --decoder 'short=echo refused' "$work/rows.hex"
  [ "$(wc -l < "$work/err")" = 1 ] || fail "not one line: $(cat "$work/err")"
}

# A decoder of one's own can pass: by what is known of its like, by classes of its own, or by a baseline.
decoders_have_what_is_known_of_their_like() {
  # objdump as a decoder from outside: each row in a file of its own.
  cat > "$work/objdump-decoder" << 'END'
#!/usr/bin/env bash
while read -r hex; do
  printf "$(sed 's/../\\x&/g' <<< "$hex")" > "$0.bin"
  objdump -D -z -b binary -m i386:x86-64 -M intel --insn-width=16 "$0.bin" | awk -F'\t' '
    $1 ~ /^ *0:/ { n = split($2, bytes, " "); if ($3 ~ /\(bad\)/) print "refused"; else print "ok " n " " $3; exit }'
done
END
  chmod +x "$work/objdump-decoder"
  printf '6640480f1e00\n66e800000000\n9bd9e0\nf20f0900\n4889d8\n8b4310\n66400fae00\n' > "$work/rows.hex"
  if check --jobs 1 --decoder "od=$work/objdump-decoder" "$work/rows.hex" > "$work/text"; then
    fail "objdump by another name passes"
  fi
  check --jobs 1 --decoder "od:objdump=$work/objdump-decoder" "$work/rows.hex" > "$work/text" ||
    fail "objdump's like does not pass: $(cat "$work/text")"
  # It is not excused for more than objdump is.
  if check --jobs 1 --decoder "od:objdump=$work/objdump-decoder | sed 's/rbx/rcx/; s/eax/edx/'" "$work/rows.hex" \
    > "$work/text"; then
    fail "wrong answers of objdump's like pass"
  fi
  refuses 2 "nothing is known of a decoder 'nosuch'" check --decoder 'od:nosuch=true' "$work/rows.hex"
  refuses 2 "NAME:LIKE=COMMAND" check --decoder 'od' "$work/rows.hex"

  # Capstone's text leaves a scale of 1 out. Another register is an error all the same where there is a base.
  local lea='read -r hex; echo ok 8 lea rdx, "[rbp - 1]"'
  printf '488d142dffffffff\n' > "$work/lea.hex"
  check --jobs 1 --decoder "cs:capstone=$lea" "$work/lea.hex" > "$work/text" ||
    fail "Capstone's text does not pass: $(cat "$work/text")"
  printf '488d942bffffffff\n' > "$work/lea.hex"
  if check --jobs 1 --decoder "cs:capstone=$lea" "$work/lea.hex" > "$work/text"; then
    fail "a base that is not there passes as Capstone's text"
  fi

  printf '90\n4889d8\n' > "$work/two.hex"
  local mine='mine=while read -r hex; do case $hex in 90*) echo ok 1 nop;; *) echo refused;; esac; done'
  cat > "$work/mine.txt" << 'END'
# what mine does not know
class mine-lacks-mov
  of mine status
  when mnemonic=mov mine=refused
  right zydis
  why It has no moves.
END
  if check --jobs 1 --decoder "$mine" --json "$work/before.json" "$work/two.hex" > "$work/text"; then
    fail "a decoder without mov passes"
  fi
  check --jobs 1 --decoder "$mine" --classes "$work/mine.txt" "$work/two.hex" > "$work/text" ||
    fail "classes of one's own do not count: $(cat "$work/text")"
  grep -q '^mine-lacks-mov *1 ' "$work/text" || fail "the class is not named"
  refuses 1 "cannot read the known disagreements" check --classes "$work/nosuch" "$work/two.hex"

  check --jobs 1 --decoder "$mine" --baseline "$work/before.json" "$work/two.hex" > "$work/text" ||
    fail "a baseline does not count: $(cat "$work/text")"
  grep -q '^outside, and in the baseline *1$' "$work/text" || fail "the baseline's rows are not counted"
  printf '8b4310\n' >> "$work/two.hex"
  if check --jobs 1 --decoder "$mine" --baseline "$work/before.json" "$work/two.hex" > "$work/text"; then
    fail "a row that is not in the baseline passes"
  fi
  grep -q '^outside every class *1$' "$work/text" || fail "not the one new row: $(cat "$work/text")"
  printf '{}' > "$work/empty.json"
  refuses 1 "not a report" check --baseline "$work/empty.json" "$work/two.hex"
}

# As JSON, every row outside every class is there; the text shows twenty and counts the rest.
reports_are_whole() {
  seq 0 499 | awk '{ printf "b8%02x%02x0000\n", $1 % 256, int($1 / 256) }' > "$work/rows.hex"
  if check --jobs 3 --decoder 'none=sed s/.*/refused/' --json "$work/report.json" "$work/rows.hex" > "$work/text"; then
    fail "a decoder that refuses everything passes"
  fi
  [ "$(grep -c '"bytes": "b8' "$work/report.json")" = 500 ] || fail "not all rows are listed"
  [ "$(grep -c '^  b8' "$work/text")" = 20 ] || fail "the text shows more or less than 20"
  grep -q '^  and 480 more; --json OUT lists them all' "$work/text" || fail "the rest is not counted"
  "$segue" corpus check --data "$data" --jobs 1 --decoder 'none=sed s/.*/refused/' --json - "$work/rows.hex" \
    > "$work/one.json" || true
  diff <(bare "$work/report.json") <(bare "$work/one.json") || fail "the report depends on the threads"
  for i in 0 1; do
    check --shard "$i/2" --decoder 'none=sed s/.*/refused/' --json "$work/$i.json" "$work/rows.hex" > /dev/null || true
  done
  "$segue" corpus merge -o "$work/merged.json" "$work/0.json" "$work/1.json" > /dev/null || true
  [ "$(grep -c '"bytes": "b8' "$work/merged.json")" = 500 ] || fail "merged reports are not whole"
}

# A decoder that answers with a length alone is compared in status and length.
lengths_alone_are_compared() {
  printf '90\n4889d8\n' > "$work/two.hex"
  local mine='mine=while read -r hex; do case $hex in 90*) echo ok 1;; *) echo ok 3;; esac; done'
  check --jobs 1 --decoder "$mine" --spoil --json "$work/report.json" "$work/two.hex" > "$work/text" ||
    fail "lengths that are right do not pass: $(cat "$work/text")"
  [ "$(sed -n '/"mine": {/,/}/p' "$work/report.json" | grep -c '"agreed": 2')" = 1 ] || fail "it does not agree"
  if check --jobs 1 --decoder 'mine=sed "s/.*/ok 2/"' "$work/two.hex" > "$work/text"; then
    fail "wrong lengths pass"
  fi
  grep -q '4889d8 (mine: length)' "$work/text" || fail "not a wrong length: $(cat "$work/text")"
  refuses 1 "is not 'ok LENGTH TEXT', 'ok LENGTH'" check --decoder 'mine=sed "s/.*/ok 2x/"' "$work/two.hex"
  refuses 1 "is not 'ok LENGTH TEXT', 'ok LENGTH'" check --decoder 'mine=sed "s/.*/ok/"' "$work/two.hex"
}

# A report on decoders that are made up, in the place of those that are known.
reports_say_who_errs() {
  printf '9090\n90\n4889d8\n0f01c0\n' > "$work/rows.hex"
  local right='while read -r hex; do case $hex in 90*) echo ok 1;; *) echo ok 3;; esac; done'
  local wrong='while read -r hex; do case $hex in 90*) echo ok 2;; *) echo ok 3;; esac; done'
  cat > "$work/mine.txt" << 'END'
class mine-counts-nop-twice
  of iced length
  when mnemonic=nop
  right zydis
  why It takes NOP for two bytes & more.
END
  report() {
    "$segue" corpus report --data "$data" --classes "$work/mine.txt" --decoder "distorm3=$right" \
      --decoder "iced=$wrong" --decoder "libopcodes=$right" --decoder "llvm=$right" --decoder "llvm-22=$right" \
      --decoder "ndisasm=$right" "$@"
  }
  report --html "$work/report.html" --json "$work/report.json" "$work/rows.hex" > "$work/text" 2> "$work/err" ||
    fail "does not pass: $(cat "$work/text" "$work/err")"
  [ ! -s "$work/err" ] || fail "says $(cat "$work/err")"
  for part in 'It takes NOP for two bytes &amp; more' '<section id=mine-counts-nop-twice>' '<summary>iced errs' \
    'least row: 90  (length)' 'length (2 rows)' 'right is zydis. ' 'echo 90 > row.hex' '0 lie outside every class' \
    'Notation' 'newer than Zydis' 'carries no rights'; do
    grep -q "$part" "$work/report.html" || fail "the page lacks '$part'"
  done
  grep -q '^<tr><th>iced<td><td>4<td>0<td class=error>2<td>0<td>0<td>0<td>0<td>0<td>0<td>0$' "$work/report.html" ||
    fail "the table is wrong: $(grep '<tr>' "$work/report.html")"
  [ "$(grep -c '<tr><th>' "$work/report.html")" = 11 ] || fail "not a line for each decoder"
  # The parts add up to the whole, to the least rows.
  report --json "$work/0.json" --shard 0/2 "$work/rows.hex" > /dev/null
  report --json "$work/1.json" --shard 1/2 "$work/rows.hex" > /dev/null
  "$segue" corpus merge -o "$work/merged.json" "$work/0.json" "$work/1.json" > /dev/null
  diff <(bare "$work/report.json") <(bare "$work/merged.json") || fail "the parts are not the whole"
  # One that is not there is left out by name; a row outside every class fails the report.
  printf '#!/bin/sh\necho there is no node >&2\nexit 1\n' > "$work/node"
  chmod +x "$work/node"
  if LLVM_MC=nonexistent PATH=$work:$PATH "$segue" corpus report --data "$data" \
    --decoder 'mine=sed "s/.*/refused/"' --html "$work/two.html" "$work/rows.hex" > "$work/text" 2> "$work/err"; then
    fail "wrong answers pass"
  fi
  grep -q '^segue corpus: without iced: there is no node' "$work/err" || fail "iced is not named: $(cat "$work/err")"
  grep -q 'without llvm: llvm-mc-decoder.sh: there is no nonexistent' "$work/err" ||
    fail "no reason: $(cat "$work/err")"
  grep -q '<p>Not asked: iced' "$work/two.html" || fail "the page does not say who was not asked"
  grep -q '(mine: status)' "$work/two.html" || fail "the page does not show what lies outside"
  refuses 2 "report on what" "$segue" corpus report
}

# What the known decoders say that are there, of the public rows, too.
known_decoders_are_explained() {
  local public=$source/../shared/corpus
  [ -d "$public" ] || public=$source/../../shared/corpus
  [ ! -d "$source/build-deps/decoders" ] || export ICED_X86=${ICED_X86:-$source/build-deps/decoders}
  local rows=("$data/debian.hex.xz")
  [ ! -d "$public" ] || rows+=("$public"/*.hex)
  "$segue" corpus report --html "$work/report.html" "${rows[@]}" > "$work/text" ||
    fail "rows lie outside every class: $(cat "$work/text")"
  sed -n '/^against/,/^$/p' "$work/text"
  sed -n 's/<p>Not asked/SKIP of a part: not asked/p' "$work/report.html"
}

shipped_files_are_found_by_name() {
  cd "$work"
  mkdir data
  cp "$data/aliases.txt" "$data/disagreements.txt" "$source/corpus/data/llvm-mc-decoder.sh" data
  printf '90\n4889d8\n' > data/few.hex
  check() {
    "$segue" corpus check --data data "$@"
  }
  for name in few few.hex corpus/few.hex corpus/data/few.hex data/few.hex; do
    check $name > text || fail "$name is not found"
    grep -q '^rows 2,' text || fail "$name is another file"
  done
  # A folder of that name holds no rows.
  mkdir few
  check few > text || fail "a folder hides the rows"
  refuses 1 "cannot open .*nosuch" check nosuch
  # Without --data, the shipped ones; also where the command stands in a build tree.
  "$segue" corpus check --share 0 debian > text || fail "debian is not found"
  grep -qE '^rows [0-9]{5,},' text || fail "debian has too few rows"
  printf '#!/bin/sh\nsed s/.*/skip/\n' > data/own-decoder.sh
  chmod +x data/own-decoder.sh
  check --decoder own=own-decoder.sh few > text || fail "a script of the data folder is not found: $(cat text)"
  # An installation that was moved.
  mkdir -p moved/bin moved/share/segue/corpus
  cp "$segue" moved/bin/segue
  cp data/aliases.txt data/disagreements.txt data/few.hex moved/share/segue/corpus
  LD_LIBRARY_PATH=$(dirname "$(dirname "$segue")") moved/bin/segue corpus check few > text ||
    fail "a moved installation finds nothing"
  grep -q '^rows 2,' text || fail "a moved installation finds another file"
  "$segue" help corpus > text
  grep -q 'share/segue/corpus\|installed' text || fail "the help does not say where they are"
}

"$case"
