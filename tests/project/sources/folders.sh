#!/bin/sh
# folders.sh SOURCE: no folder holds more than fifteen source files: a module that has more has folders of its own, each
# for one concept. Folders within do not count.
set -u
cd "$1" || exit 1
most=15
passed=0 failed=0

# A folder that may hold more, and the reason.
exceptions=$(cat <<'END'
include/segue    one header for each concept, and all that a program includes
tests/programs   programs that are run and not linked: tests/run/programs.tsv names what each is for
END
)
# "FILES FOLDER" for each folder.
counts=$({ git ls-files 2>/dev/null || find . -type f | sed 's|^\./||'; } |
    grep -vE '^build(-[^/]*)?/' | grep -E '\.(c|h|S|cpp|inc|awk|sh|py)$' | sed -n 's|/[^/]*$||p' | sort | uniq -c)
[ "$(echo "$counts" | wc -l)" -ge 50 ] || { echo "few folders were found: $counts"; exit 1; }

while read -r files folder; do
    if ! echo "$exceptions" | grep -q "^$folder "; then
        if [ "$files" -le "$most" ]; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
            echo "$folder has $files source files, more than $most"
        fi
    elif [ "$files" -le "$most" ]; then
        failed=$((failed + 1))
        echo "$folder has $files source files: take it off the list of exceptions"
    fi
done <<END
$counts
END
while read -r folder _; do
    if [ ! -d "$folder" ]; then
        failed=$((failed + 1))
        echo "there is no $folder: take it off the list of exceptions"
    fi
done <<END
$exceptions
END
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
