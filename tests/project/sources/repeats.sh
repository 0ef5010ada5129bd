#!/bin/sh
# repeats.sh SOURCE: no two systems' folders of platform/, and no two files of those that they share, have six equal
# lines of code in a row: what systems share is in platform/posix or platform/generic, or beside the headers.
#
# Not counted as lines: blank ones, comments, includes and other directives, braces and other punctuation, and what
# begins at the margin: the heads of functions, which the seam's headers fix, and declarations of files.
set -u
cd "$1" || exit 1
least=6

# "FOLDER FILE LINE TEXT" for each line that counts; the folder of what systems share is the file itself.
lines() {
    find platform -name '*.[chS]' | sort | while read -r file; do
        folder=$(echo "$file" | cut -d/ -f2)
        case $folder in linux | darwin | windows | freebsd) ;; *) folder=$file ;; esac
        awk -v place="$folder $file" '
            in_comment { if (sub(/^.*\*\//, "")) in_comment = 0; else next }
            { gsub(/\/\*([^*]|\*[^\/])*\*\//, "") }
            sub(/\/\*.*/, "") { in_comment = 1 }
            FILENAME ~ /S$/ { sub(/^[A-Za-z0-9_]+:/, " &") }
            /^[^ \t]/ || !/[A-Za-z0-9]/ || /^[ \t]*#/ { next }
            { gsub(/[ \t]+/, " "); print place, FNR, $0 }
        ' "$file"
    done
}

repeats() {
    awk -v least="$least" '
        $2 != file { file = $2; count = 0 }
        {
            text = $0
            sub(/^[^ ]+ [^ ]+ [^ ]+ +/, "", text)
            kept[count % least] = text
            at[count % least] = $3
            if (++count < least)
                next
            run = ""
            for (i = count - least; i < count; i++)
                run = run "\n" kept[i % least]
            place = $2 ":" at[count % least]
            if (!(run in folder_of)) {
                folder_of[run] = $1
                place_of[run] = place
            } else if (folder_of[run] != $1) {
                print place_of[run], place
            }
        }
    '
}

# A tree with a repeat of that many lines, to show that one is found.
check_itself() {
    scratch=$(mktemp -d) || exit 1
    trap 'rm -rf "$scratch"' EXIT
    for system in linux darwin; do
        mkdir -p "$scratch/platform/$system"
        {
            echo "/* Of $system. */"
            echo "int $system(void)"
            for i in $(seq "$1"); do printf '{\n    call(%s); /* %s */\n}\n' "$i" "$system"; done
        } >"$scratch/platform/$system/file.c"
    done
    (cd "$scratch" && lines | repeats)
}

passed=0 failed=0
[ -n "$(check_itself $least)" ] && passed=$((passed + 1)) || { failed=1; echo "$least equal lines are not found"; }
[ -z "$(check_itself $((least - 1)))" ] && passed=$((passed + 1)) || { failed=1; echo 'fewer lines are found'; }
[ "$(lines | wc -l)" -gt 3000 ] && passed=$((passed + 1)) || { failed=1; echo 'few lines were found'; }
found=$(lines | repeats)
if [ -z "$found" ]; then
    passed=$((passed + 1))
else
    failed=$((failed + 1))
    echo "$least or more equal lines begin in both of:"
    echo "$found"
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
