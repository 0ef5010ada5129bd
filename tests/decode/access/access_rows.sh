#!/usr/bin/env bash
# Holds the access list of every row of files against the processor, part after part, and goes on where it was left:
#
#      access_rows.sh ACCESS_CHECK FOLDER PARTS [FILE...]
#
# Each part leaves its counts in FOLDER; a part whose counts are there is not run again. Without files: the corpus'
# rows, and the public ones if they stand beside the checkout. With ACCESS_ROWS_PARTS=N only the first N parts are run.
# At the end the counts of all parts are added up. Exits with 1 if there was any difference.
set -euo pipefail
root=$(cd "$(dirname "$0")/../../.." && pwd)
check=${1:?usage: access_rows.sh ACCESS_CHECK FOLDER PARTS [FILE...]}
folder=${2:?a folder for the counts}
parts=${3:?the number of parts}
shift 3
if [ $# -eq 0 ]; then
  set -- "$root"/corpus/data/*.hex.xz
  for public in "$root"/../shared/corpus/*.hex; do
    [ -e "$public" ] && set -- "$@" "$public"
  done
fi
mkdir -p "$folder"

rows_of() {
  case $1 in
    *.xz) xzcat "$1" ;;
    *) cat "$1" ;;
  esac
}

different=0
for file in "$@"; do
  name=$(basename "$file")
  for ((part = 0; part < ${ACCESS_ROWS_PARTS:-$parts}; part++)); do
    counts=$folder/$name.$part-of-$parts
    [ -e "$counts" ] && continue
    status=0
    rows_of "$file" | "$check" --shard "$part/$parts" /dev/stdin > "$counts.unfinished" || status=$?
    case $status in
      0) ;;
      1) different=1 ;;
      *) exit "$status" ;;
    esac
    mv "$counts.unfinished" "$counts"
  done
  echo "$name"
  cat "$folder/$name".*-of-"$parts" | grep -E '^ *[0-9]+ [a-z]' |
    awk '{ n = $1; $1 = ""; sum[$0] += n; if (!(($0) in at)) { at[$0] = ++count; text[count] = $0 } }
      END { for (i = 1; i <= count; i++) printf "%10d%s\n", sum[text[i]], text[i] }'
  ! grep -h '^DIFFERENT' "$folder/$name".*-of-"$parts" || different=1
done
exit $different
