#!/usr/bin/env bash
# programs_files.sh: makes the files that the rows of programs.tsv work on, in the working directory. They are the same
# each time. Sources and scripts are those of programs/.
set -euo pipefail

cp "$(dirname "$(realpath "$0")")"/../programs/* .

awk 'BEGIN { for (i = 1; i <= 2000; i++) printf "line %d of the text, %d\n", i, (i * 7919) % 1000 }' >text
awk 'BEGIN { for (i = 1; i <= 300; i++) print "key" i % 13, (i * 104729) % 997 }' >numbers
awk 'BEGIN {
    for (i = 1; i <= 40000; i++)
        printf "%d %s\n", (i * 7919) % 65537, substr("abcdefghijklmnopqrstuvwxyz", i % 20, 6)
}' >big
head -c 3000 /bin/true >binary
mkdir -p tree/one/two tree/three
cp text tree/one/a.txt
cp numbers tree/one/two/b.tab
echo script >tree/three/c.sh
echo member >member
ar rc lib.a member
touch -d 2020-01-01 tree tree/* tree/one/* tree/one/two/* tree/three/* text numbers

printf '#!/bin/sh\necho a $0 $*\n' >a.sh
printf '#!/usr/bin/env perl\nprint "b @ARGV\\n";\n' >b.pl
