#!/usr/bin/env bash
# files.sh SEGUE FILES: `segue watch map:PATH` of a file that a program maps (files.c), and what cannot be watched so.
set -uo pipefail
. "$(dirname "$0")/../../support/check.sh"
segue=$(realpath "$1")
files=$(realpath "$2")
work=$(mktemp -d)
disk=
trap 'umount "$work/apart" 2> /dev/null; [ -z "$disk" ] || losetup -d "$disk" 2> /dev/null; rm -rf "$work"' EXIT
cd "$work" || exit 1

if ! "$segue" doctor 2> err | has 'syscall_user_dispatch  *yes'; then
  echo 'SKIP: no system calls are caught here'
  exit 77
fi

run() {
  status=0
  timeout 60 "$segue" watch "$@" > out 2> err || status=$?
}

# As the program has written it down. A mapping that moves may stay where it is.
seen() {
  sed -E 's/.*: (writes|moves|ends|maps) /\1 /; s/ (to|at) 0x[0-9a-f]*$//' report
}

run --follow -o report map:data -- "$files" data
check "the program's status" "0 done" "$status $(cat err)"
check "each access, each mapping" "" "$(diff out <(seen) 2>&1)"
check "how many writes of the parent and the child" "15 3" \
  "$(grep -c ': writes ' report) $(grep ': writes ' report | grep -c ' -> 0x\(e\|f\|10\)$')"

run -o report map:data -- "$files" data
check "without the child's" "12" "$(grep -c ': writes ' report)"

# By what is the same file.
rm data
ln -s "$work/data" link
run --follow -o report map:link -- "$files" "$work/data"
check "by a link, of a file that is made later" "" "$(diff <(sed "s|$work/data|link|" out) <(seen) 2>&1)"
run --count --follow map:../"$(basename "$work")"/data -- "$files" data
# The write that raises SIGBUS is made twice.
check "counts" "0 16" "$status $(awk '$3 ~ /^map:/ { sum += $2 } END { print sum }' err)"

# A part of it.
run -o report map:data+0x1008:8 -- "$files" data
check "a part" "0 $(grep -c '^writes data+0x1008 ' out)" "$status $(grep -c ': writes data+0x1008 ' report)"
check "nothing else of the part" "0" "$(grep -c ': writes data+0x[^1]' report)"

run --json -o report map:data -- "$files" data
check "JSON" "1" "$(grep -c '"target":"data+0x3010",.*"access":"writes",.*"old":"0","new":"0xc"' report)"

# Many at once, and a large one.
run -o report map:data -- "$files" data many
check "many mappings" "0 " "$status $(cat err)"
check "each of many" "300 " "$(grep -c ': writes ' report) $(diff out <(seen) 2>&1)"

# The most targets, and one more.
mapfile -t targets < <(yes map:data | head -64)
rm data
run --follow -o report "${targets[@]}" -- "$files" data
check "the most files" "0 $((64 * $(grep -c . out))) done" "$status $(grep -c . report) $(sort -u err)"
run -o report "${targets[@]}" map:data -- "$files" data
check "one more" "1 1" "$status $(grep -c 'more than 64 targets map:PATH' err)"

# Where the list of mappings cannot be read.
if [ "$(id -u)" = 0 ]; then
  run -o report map:data -- "$files" data apart
  check "without /proc" "0 segue watch: map:data: 1 of its mappings could not be watched: the list of mappings could \
not be read (/proc)" "$status $(grep -v '^done$' err)"
else
  echo 'SKIP: map:PATH in a chroot: only root may make one'
fi

# A disk, and a file system of which stat and the list of mappings say different devices.
watch_image() {
  run -o report "map:$2" -- "$files" "$2" once
  check "$1" "0  " "$status $(cat err) $(diff out <(seen) 2>&1)"
}
truncate -s 128M image
if disk=$(losetup -f --show image 2> err); then
  watch_image 'a disk' "$disk"
  losetup -d "$disk"
  disk=
else
  disk=
  echo "SKIP: map:PATH of a disk: $(tail -1 err)"
fi
if mkfs.btrfs -q image > err 2>&1 && mkdir apart && mount -o loop image apart 2> err; then
  truncate -s 4096 apart/data
  watch_image 'on Btrfs' apart/data
  umount apart
else
  echo "SKIP: map:PATH on Btrfs: $(tail -1 err)"
fi

# In a program that has mapped it already.
attached() {
  rm -f told report
  mkfifo told
  "$files" data wait < told > out 2> ready &
  program=$!
  exec 3> told
  while ! cat ready 2> err | has mapped; do sleep 0.05; done
  timeout 60 "$segue" watch --follow -o report --pid "$program" map:data 2> err &
  watcher=$!
  # It is watched once the pages are closed, and the command is there for it once the first access is reported.
  while ! grep -c -- '---s .*data$' /proc/"$program"/maps > count && kill -0 $watcher 2> /dev/null; do
    sleep 0.05
  done
  echo >&3
  while [ ! -s report ] && kill -0 $watcher 2> /dev/null; do sleep 0.05; done
  echo >&3
  exec 3>&-
  wait $program
  check "the program's status, attached" "0" "$?"
  wait $watcher
  check "the command's" "0" "$?"
  check "attached" "" "$(diff <(tail -n +2 out) <(seen) 2>&1)"
}
if can_attach 'map:PATH with --pid'; then
  attached
fi

# What is not watched, and what is nonsense.
run map:data -- /bin/true
check "never mapped" "0 segue watch: map:data was never mapped" "$status $(cat err)"
cp "$files" copy
run -o report map:copy -- ./copy data
check "code" "0 segue watch: map:copy: its code was mapped, too, which is not watched done" \
  "$status $(sort -r err | paste -sd' ')"
for target in 'map::it wants a file' 'map:.:it is a directory' 'map:no/file:there is no such file' \
  'map:/dev/null:it is neither a file nor a disk' 'map:data+1:0:SIZE is 0' \
  'map:data+zz:4:there is no such file; a part of one is' 'map:data+-4:8:there is no such file; a part of one is' \
  'map:data+4:there is no such file; a part of one is'; do
  run "${target%:*}" -- /bin/true
  check "$target" "1 1" "$status $(grep -c "^segue watch: ${target%:*}: ${target##*:}" err)"
done
run --heat map.png map:later -- /bin/true
check "a map without a size" "1 1" "$status $(grep -c 'wants its size' err)"
check_end
