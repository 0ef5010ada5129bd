#!/usr/bin/env bash
# snippets.sh INCLUDE LIBRARY_FOLDER README FILE...: the C and C++ in the documentation compiles as it is printed, with
# both compilers and each standard, without a warning; what has a main runs, and prints what it says.
set -uo pipefail
. "$(dirname "$0")/../../support/check.sh"
include=$1
libraries=$2
readme=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# compile WHAT FILE OUTPUT COMPILER FLAG...
compile() {
  local what=$1 file=$2 output=$3
  shift 3
  local link=("$file" -o "$output" -L"$libraries" -Wl,-rpath,"$libraries" -lsegue)
  grep -qE '^int main\(' "$file" || link=(-fsyntax-only "$file")
  "$@" -O1 -Wall -Wextra -Werror -I "$include" "${link[@]}" > "$work/log" 2>&1
  check "$what: $*" "0" "$?$(head -5 "$work/log")"
}

# Each block between ``` marks to a file of its own: NAME-LINE.c or .cpp.
extract() {
  awk -v base="$work/$(basename "$1" .md)" '
    /^```(c|cpp)$/ { on = 1; file = base "-" FNR (/cpp/ ? ".cpp" : ".c"); next }
    /^```$/ { on = 0 }
    on { print > file }' "$1"
}

for file in "$readme" "${@:4}"; do
  extract "$file"
done
mapfile -t blocks < <(ls "$work"/*.c "$work"/*.cpp)
check "there are blocks" yes "$([ "${#blocks[@]}" -ge 8 ] && echo yes)"

compilers=("gcc g++")
command -v clang > /dev/null && command -v clang++ > /dev/null && compilers+=("clang clang++")
for block in "${blocks[@]}"; do
  name=$(basename "$block")
  for pair in "${compilers[@]}"; do
    read -r c cpp <<< "$pair"
    case $block in
      *.cpp)
        for standard in c++11 c++17 c++20; do
          compile "$name" "$block" "$work/program" "$cpp" -std=$standard
        done
        ;;
      *)
        compile "$name" "$block" "$work/program" "$c" -std=gnu17
        grep -q 'define _GNU_SOURCE' "$block" || compile "$name" "$block" "$work/program" "$c" -std=c11 -D_GNU_SOURCE
        ;;
    esac
  done
  grep -qE '^int main\(' "$block" || continue
  out=$(timeout 30 "$work/program" 2> "$work/err")
  check "$name runs" 0 $?
  case $name in
    README-*) check "$name prints" "42: 1 write to a protected page, and 1 read" "$out" ;;
    # ++ is one instruction or two, and each makes all of its accesses at its site.
    hot-*)
      each=$(sed 's/^0x[0-9a-f]*:/SITE:/' <<< "$out" | sort -u)
      check "$name counts each access" "SITE: 1000000 accesses" "$each"
      ;;
    watch-*)
      case $out in
        # ++ is one instruction or two.
        6) check "$name tells each access" yes "$([[ $(grep -c '^thread' "$work/err") == [34] ]] && echo yes)" ;;
        *)
          check "$name prints" "counter 8" "$out"
          check "$name reports each change" 8 "$(grep -c '^0x[0-9a-f]*, thread' "$work/err")"
          ;;
      esac
      ;;
  esac
done

check_end
