#!/bin/sh
# LLVM's llvm-mc as a decoder for `segue corpus check --decoder llvm=corpus/data/llvm-mc-decoder.sh` (docs/corpus.md): rows in
# hexadecimal on standard input, an answer a line on standard output. With --version, prints LLVM's version, or fails.
#
# llvm-mc tells no lengths. But each row comes in a slot of 32 bytes that ends in NOPs, so an instruction is as long as
# what the NOPs behind it leave. Where something else stands between the two the answer is "skip". A block that holds
# one NOP with a displacement of its own ends each row.
set -eu
mc=${LLVM_MC:-llvm-mc}
command -v "$mc" > /dev/null || { echo "llvm-mc-decoder.sh: there is no $mc (Debian: llvm)" >&2; exit 1; }
[ "${1-}" != --version ] || { "$mc" --version | sed -n 's/.*LLVM version //p'; exit 0; }

awk '{
  line = "["
  for (i = 1; i <= 64; i += 2)
    line = line "0x" substr($1, i, 2) " "
  print line "]\n[0x0f 0x1f 0x80 0x5e 0x90 0x0e 0x5e]"
}' | "$mc" --disassemble --triple=x86_64 --output-asm-variant=1 2> /dev/null | awk '
  # Targets are told as distances from the next instruction; the row stands at address 0.
  function absolute(text, size,    prefixes) {
    # A prefix that is a part of the instruction stands on its line.
    if (match(text, /^((lock|rep|repne|xacquire|xrelease|notrack) +)+/)) {
      prefixes = substr(text, 1, RLENGTH)
      text = substr(text, RLENGTH + 1)
    }
    if (text ~ /^(j[a-z]+|call|loop[a-z]*|xbegin) -?[0-9]+$/) {
      split(text, word, " ")
      return prefixes word[1] sprintf(" %.0f", word[2] + size)
    }
    return prefixes text
  }
  BEGIN { prefix_line = "^((lock|rep|repne|data16|rex64|xacquire|xrelease|notrack) *)+$" }
  function answer(    i, first, text) {
    # Prefixes stand on lines of their own.
    for (first = 1; first < count && lines[first] ~ prefix_line; first++)
      text = text lines[first] " "
    for (i = first + 1; i <= count && lines[i] == "nop"; i++)
      ;
    if (count == 0)
      print "refused"
    else if (i <= count)
      print "skip"
    else
      print "ok " 32 - (count - first) " " text absolute(lines[first], 32 - (count - first))
    count = 0
  }
  /1578012766|0x5e0e905e/ { answer(); next }
  /^[ \t]*\./ { next }
  {
    sub(/^[ \t]+/, "")
    sub(/[ \t]*#.*$/, "")
    gsub(/\t/, " ")
    lines[++count] = $0
  }'
