#!/usr/bin/env bash
# command_line.sh SEGUE PAGE COMPLETION ZSH_COMPLETION: what the command takes, what its help says, what the manual page
# PAGE says and what shells complete are one.
set -uo pipefail
. "$(dirname "$0")/../support/check.sh"
segue=$1
page=$2
completion=$3
zsh_completion=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# misuse STATUS TEXT WHAT ARGUMENT...
misuse() {
  local status=$1 text=$2 what=$3 got=0
  shift 3
  "$segue" "$@" > "$work/out" 2> "$work/err" < /dev/null || got=$?
  check "$what: status" "$status" "$got"
  check "$what: nothing on standard output" "" "$(cat "$work/out")"
  check "$what: message" yes "$(grep -qF -- "$text" "$work/err" && echo yes || cat "$work/err")"
}

MANWIDTH=200 man -l "$page" 2> /dev/null | col -b > "$work/page"
check "the page is there" yes "$([ "$(wc -l < "$work/page")" -gt 200 ] && echo yes)"

# Options that are listed in an option list, as opposed to a usage line.
listed() {
  sed -nE 's/^ +(-[a-z], )?(--[a-z-]+).*/\2/p' "$1" | sort -u
}

section() {
  sed -n "/^$1\$/,/^[A-Z]/p" "$work/page" | sed 1d
}

total=0
for verb in explain doctor patch run watch corpus; do
  "$segue" help "$verb" > "$work/help"
  section "${verb^^}" > "$work/section"
  listed "$work/help" > "$work/in_help"
  listed "$work/section" > "$work/in_page"
  check "$verb: help and page list the same options" "$(cat "$work/in_help")" "$(cat "$work/in_page")"
  total=$((total + $(wc -l < "$work/in_help")))
  # Usage lines name no other.
  check "$verb: usage names what is listed" "" \
    "$(grep -oE -- '--[a-z][a-z-]+' "$work/help" | sort -u | comm -23 - "$work/in_help")"
done
check "options were found" yes "$([ "$total" -ge 30 ] && echo yes)"

# Each option is known to the verb: it is never "no option", whatever else may be wrong.
while read -r verb part option; do
  [ "$part" = - ] && part=
  "$segue" $verb $part "$option" > /dev/null 2> "$work/err" < /dev/null
  check "segue $verb $part $option is known" "" "$(grep 'there is no option' "$work/err")"
done < <(
  for verb in explain doctor patch run watch; do
    "$segue" help "$verb" > "$work/help"
    listed "$work/help" | sed "s/^/$verb - /"
  done
  for part in build check merge diff stat; do
    "$segue" help corpus "$part" > "$work/help"
    listed "$work/help" | sed "s/^/corpus $part /"
  done
)

# No line of the help is wider than a terminal may be, nor empty of meaning.
for verb in explain doctor demo patch run watch corpus; do
  check "$verb: width" 0 "$("$segue" help "$verb" | awk 'length > 100' | wc -l)"
  check "$verb: --help is the help" "$("$segue" help "$verb")" "$("$segue" "$verb" --help)"
done
check "a part's help" "$("$segue" help corpus check)" "$("$segue" corpus check --help)"

# What bash completes. complete_line WORD...: the last word is what is to be completed.
complete_line() {
  bash --norc -c '. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _segue; echo "${COMPREPLY[*]}"' "$completion" "$@"
}
check "completes verbs" "explain" "$(complete_line segue ex)"
check "completes verbs behind help" "doctor" "$(complete_line segue help do)"
check "completes parts" "check" "$(complete_line segue corpus ch)"
check "completes options" "--count" "$(complete_line segue explain --co)"
check "completes options of parts" "--decoder" "$(complete_line segue corpus check --de)"
check "completes options of run" "--syscalls" "$(complete_line segue run --trace --sy)"
check "leaves a program's options alone" "" "$(complete_line segue run ls --tr)"
check "leaves files to bash" "" "$(complete_line segue patch a)"
for verb in explain doctor patch run watch; do
  "$segue" help "$verb" > "$work/help"
  check "completes all options of $verb" "$(listed "$work/help" | tr '\n' ' ')" \
    "$(complete_line segue "$verb" -- | tr ' ' '\n' | grep -v -- '^--help$' | sort | tr '\n' ' ')"
done

# The verbs, as the command lists them.
"$segue" help | sed -nE 's/^  ([a-z]+) .*/\1/p' | sort > "$work/verbs"
check "bash completes every verb" "$(tr '\n' ' ' < "$work/verbs")" \
  "$(complete_line segue '' | tr ' ' '\n' | grep -v '^-' | sort | tr '\n' ' ')"

# zsh: what it asks of its own functions, which are stood in for.
if command -v zsh > /dev/null; then
  zsh_line() {
    zsh -f -c '
      _arguments() { print -rl -- "$@" }
      _describe() { print -rl -- ${(P)4} }
      file=$1; shift; words=("$@"); CURRENT=$#
      . $file' zsh "$zsh_completion" "$@"
  }
  zsh_options() {
    zsh_line "$@" '' | grep -oE -- '--[a-z-]+(=-?)?\[' | tr -d '=[' | sed 's/-$//' | grep -v -- '^--help$' | sort |
      tr '\n' ' '
  }
  check "zsh completes every verb" "$(tr '\n' ' ' < "$work/verbs")" \
    "$(zsh_line segue '' | sed 's/:.*//' | sort | tr '\n' ' ')"
  check "zsh completes parts" "build check diff merge report stat " \
    "$(zsh_line segue corpus '' | sed 's/:.*//' | sort | tr '\n' ' ')"
  for verb in explain doctor patch run 'corpus check' 'corpus build'; do
    # shellcheck disable=SC2086 # two words
    "$segue" help $verb > "$work/help"
    # shellcheck disable=SC2086
    check "zsh completes all options of $verb" "$(listed "$work/help" | tr '\n' ' ')" "$(zsh_options segue $verb)"
  done
  check "zsh offers the values of an option" yes \
    "$(zsh_line segue patch '' | has -- '^\*--from=.*:value:(fs gs)$' && echo yes)"
else
  echo "SKIP: no zsh"
fi

# One wording for one mistake. The runner of programs ends with the status that env(1) has for its own errors.
for verb in explain doctor patch 'corpus build' 'corpus check' 'corpus merge' 'corpus diff' 'corpus stat'; do
  misuse 2 "segue $verb: there is no option --nosuch" "$verb: unknown option" $verb --nosuch
  misuse 2 "Try: segue help ${verb%% *}" "$verb: where help is" $verb --nosuch
  misuse 2 "segue $verb: there is no option -z" "$verb: unknown letter" $verb -z
done
misuse 125 "segue run: there is no option --nosuch" "run: unknown option" run --nosuch
misuse 125 "Try: segue help run" "run: where help is" run --nosuch
misuse 125 "there is no program to run" "run: nothing to run" run
misuse 125 "there is no program to run" "run: only options" run --trace
misuse 125 "--syscalls wants a value" "run: a value is missing" run --syscalls
misuse 2 "--count wants a value" "a value is missing" explain --count
misuse 2 "-o wants a value" "a letter's value is missing" patch -o
misuse 2 "--json=3 is too much: the option takes no value" "a value too much" explain --json=3 90

# Options that exclude each other, of every verb, in either order. pair STATUS ONE OTHER VERB ARGUMENT...
pair() {
  local status=$1 one=$2 other=$3
  shift 3
  misuse "$status" "${one%%[= ]*} and ${other%%[= ]*} exclude each other" "$1: $one $other" $1 $one $other "${@:2}"
  misuse "$status" "${one%%[= ]*} and ${other%%[= ]*} exclude each other" "$1: $other $one" $1 $other $one "${@:2}"
}
pair 125 --eager --lazy run true
pair 2 --json '--pid 1' doctor
pair 2 --all '--per-form 2' 'corpus build' -o "$work/never" /bin/true
pair 2 '--verify l' '--revert l' patch f
for other in '--output o' '--list l' --dry-run --json --strict; do
  pair 2 '--verify l' "$other" patch f
done
for other in '--list l' --dry-run --json --strict; do
  pair 2 '--revert l' "$other" patch f -o o
done
pair 2 --dry-run '--output o' patch f
for referee in all none; do
  misuse 2 "--referee $referee and --share exclude each other" "a share of no disputed rows: $referee" \
    corpus check --share 2 --referee $referee /bin/true
done
check "nothing was made" "" "$(ls "$work/never" 2> /dev/null)"
check "one option twice is taken" hello "$("$segue" run --eager --eager echo hello)"

# Slips.
misuse 2 "there is no verb 'ru'; did you mean run?" "a verb cut short" ru
misuse 2 "there is no verb 'explian'; did you mean explain?" "a verb with letters swapped" explian
misuse 2 "there is no verb 'xyzzy'; the verbs are:" "a verb like none" xyzzy
misuse 2 "there is no option --jsno; did you mean --json?" "an option with letters swapped" explain --jsno 90
misuse 125 "there is no option --syscal1s; did you mean --syscalls?" "an option of run" run --syscal1s=trap
misuse 2 "--s may mean --share, --shard or --spoil" "an option cut too short" corpus check --s 1 x
misuse 2 "there is no 'chekc'; did you mean check?" "a part" corpus chekc
misuse 2 "there is no demo 'luaa'; did you mean lua?" "a demonstration" demo luaa
check "an option cut short that is like no other is taken" "$("$segue" explain --json 90)" "$("$segue" explain --js 90)"

check_end
