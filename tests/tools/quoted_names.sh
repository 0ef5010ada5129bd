#!/usr/bin/env bash
# quoted_names.sh SEGUE: names that a terminal, a reader of lines or of UTF-8 would stumble over are quoted alike by
# every verb, in messages, in what is printed and in files; a shell takes what is quoted for the name. Others stand as
# they are.
set -uo pipefail
. "$(dirname "$0")/../support/check.sh"
segue=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export PATH=/usr/local/bin:/usr/bin:/bin

bad=$'a\nb\e[31m\tc\xff\xc2\x9b\'\\d'
quoted='$'\''a\nb\x1b[31m\tc\xff\xc2\x9b\'\''\\d'\'
eval "back=$quoted"
check "what is quoted is the name" "$bad" "$back"

# holds WHAT FILE...: the name is there, and nothing in the files is raw.
holds() {
  local what=$1 file
  shift
  check "$what: the name" yes "$(cat "$@" | has -F -- "$quoted" && echo yes || cat -A "$@")"
  for file; do
    check "$what: nothing raw in $file" "" "$(LC_ALL=C grep -aP '[\x00-\x08\x0b-\x1f\x7f]' "$file" | cat -A)"
    check "$what: UTF-8 in $file" yes "$(iconv -f UTF-8 -t UTF-8 "$file" > /dev/null 2>&1 && echo yes)"
  done
}

# `tells` LINES WHAT ARGUMENT...: the verb names it, in so many lines on both outputs.
tells() {
  local lines=$1 what=$2
  shift 2
  timeout 60 "$segue" "$@" > out 2> err < /dev/null
  holds "$what" out err
  check "$what: lines" "$lines" "$(cat out err | wc -l)"
}

tells 1 "explain, no such file" explain "$bad:main"
tells 1 "patch, no such file" patch --dry-run "$bad"
tells 2 "patch, an option" patch --jobs "$bad" x -o y
tells 1 "corpus stat, no such file" corpus stat "$bad"
tells 2 "demo, none of that name" demo "$bad"
tells 2 "a verb" "$bad"
tells 2 "a topic of help" help corpus "$bad"
tells 2 "doctor" doctor --pid "$bad"
tells 1 "run, no such program" run "$bad"
cp /bin/true "$bad"
tells 1 "explain, no such symbol" explain "$bad:nosuch"
"$segue" patch --dry-run "$bad" > out
holds "patch, a result" out
mkdir t && cp /bin/true "t/$bad" && chmod 000 t && chmod 755 t
"$segue" patch --dry-run --details t > out
check "patch, in a tree" yes "$(grep -qF "\$'t/${quoted#??}" out && echo yes || cat -A out)"
"$segue" patch t -o tn --json > out
check "patch, as JSON" 742f610a621b5b33316d0963ffc29b275c64 \
  "$(python3 -c 'import json; print(json.load(open("out"))["file_hex"])')"

echo 4889 > "$bad.hex" && echo 4889d8 > "$bad.hex"
"$segue" corpus build -o rows.hex "$bad.hex" > out
check "corpus build: where rows come from, in a line" "1 4889d8" \
  "$(grep -c '^# origin: \$' rows.hex) $(grep -v '^#' rows.hex)"
"$segue" corpus check --referee none --json - "$bad.hex" > out
check "corpus check, as JSON" "${quoted%\'}.hex'" \
  "$(python3 -c 'import json; print(json.load(open("out"))["inputs"][0])')"

cp /bin/sleep $'s\e[7m\xff'
./$'s\e[7m\xff' 60 &
# Until it is that program.
while [ "/proc/$!/exe" -ef "/proc/$$/exe" ]; do sleep 0.01; done
"$segue" doctor --pid $! > out
check "doctor, a process" "\$'s\\x1b[7m\\xff'" "$(awk '/^process/ { print $3 }' out)"
kill $!

# Left as they are.
for name in grün 'a b' "it's" 'x$y' 日本 '\n'; do
  "$segue" patch --dry-run "$name" 2> err
  check "as it is: $name" "segue patch: cannot read $name: No such file or directory" "$(cat err)"
  "$segue" run "./$name" 2> err
  check "as it is, run: $name" yes "$(grep -qF "./$name: " err && echo yes || cat -A err)"
done
# What would read as quoted is quoted.
"$segue" patch --dry-run "\$'a'" 2> err
check "a name that looks quoted" "segue patch: cannot read \$'\$\\'a\\'': No such file or directory" "$(cat err)"

check_end
