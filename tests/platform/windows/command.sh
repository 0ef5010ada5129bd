#!/usr/bin/env bash
# command.sh COMMAND CPU WRAPPER...: the command on Windows: what explain and doctor print, and which verbs are refused.
set -uo pipefail
. "$(dirname "$0")/../../support/check.sh"
command=$1
replay="can be stepped by the replay engine"
[ "$2" = x86_64 ] || replay="cannot be stepped: it is 64-bit code, which replay would execute in 32-bit mode"
shift 2
# What it prints on both ways, and its exit code in a last line.
segue() {
    local code
    timeout 60 "${wrapper[@]}" "$command" "$@" 2>&1 </dev/null | tr -d '\r'
    code=${PIPESTATUS[0]}
    echo "code $code"
}
wrapper=("$@")

check "explain lists accesses and the engine" "        +0x0  48 8b 44 8b 10                 mov
              reads 8 bytes at [rbx + rcx*4 + 0x10]
              can be stepped by the move engine
        +0x5  f0 01 03                       add
              reads and writes 4 bytes at [rbx], in one locked operation
              $replay
code 0" "$(segue explain 48 8b 44 8b 10 f0 01 03)"
check "explain reads 32-bit code" "        +0x0  8b 44 8b 10                    mov
              reads 4 bytes at [ebx + ecx*4 + 0x10]
code 0" "$(segue explain --mode 32 8b 44 8b 10 | grep -v engine)"
json=$(segue explain --json 48 8b 03)
check "explain --json names the engine" 1 "$(grep -c '"engine": "move"' <<<"$json")"
check "explain --json has the size" 1 "$(grep -c '"size": 8' <<<"$json")"
check "bytes that are no instruction" "code 1" "$(segue explain 06 | tail -n 1)"
check "a place in a file is refused by name" \
    "segue explain: 'C:\\program.exe:main' is a place in a file, and no files are read on Windows; give bytes
code 1" "$(segue explain 'C:\program.exe:main')"
for verb in demo patch run watch corpus; do
    check "$verb is refused by name" "segue $verb: it is not there on Windows; segue help lists what is
code 1" "$(segue "$verb" anything)"
done
check "a verb that no system has" "segue: there is no verb 'explian'; did you mean explain?" \
    "$(segue explian | head -n 1 | sed 's/ The verbs.*//')"
found=$(segue doctor)
check "doctor ends" "code 0" "$(tail -n 1 <<<"$found")"
# KEY ANSWER
answer() {
    awk -v key="$1" '$1 == key { print $2 }' <<<"$found"
}
check "an access is stepped" yes "$(answer step)"
check "replay is there" yes "$(answer replay)"
check "threads are suspended" yes "$(answer suspend)"
check "hot sites are not" no "$(answer hot_sites)"
check "forced windows are not" no "$(answer forced)"
check "the reason is given" 1 "$(grep -c 'this system lets no process write past its own protection' <<<"$found")"
check "another process is refused" 1 "$(segue doctor --pid 1 | grep -c 'segue doctor: process 1 cannot be read')"
check_end
