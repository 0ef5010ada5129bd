#!/bin/sh
# lint.sh BUILD: clang-tidy (.clang-tidy) over each C file of a build with clang, once. The analyzer, which takes nine
# tenths of the time, looks at the library's folders alone.
set -u
cd "$1" || exit 1
mkdir -p lint
# The build's list has a file once for each target; clang-tidy would look at it as often. The compiler is the command's
# first word: clang-tidy knows no launcher.
awk '
    /^  \{/ { entry = ""; name = "" }
    { entry = entry $0 "\n" }
    /^    "file": "\.\.\/.*\.c"/ { name = $2; gsub(/[",]/, "", name) }
    /^  \}/ && name && !(name in seen) {
        seen[name] = 1
        sub(/}[,\n]*$/, "}", entry)
        sub(/"command": "[^ "]*ccache /, "\"command\": \"", entry)
        printf "%s%s", separator, entry
        separator = ",\n"
        print name >"lint/files"
    }
    BEGIN { print "[" }
    END { print "\n]" }' compile_commands.json >lint/compile_commands.json
[ -s lint/files ] || { echo "lint.sh: $1 has no C files: is it a build?"; exit 1; }
library='^\.\./(platform|decode|emulate|patch|ctx|signals)/'
status=0
grep -E "$library" lint/files | xargs -P "$(nproc)" -n 4 clang-tidy -p lint --quiet 2>lint/errors || status=1
grep -vE "$library" lint/files | xargs -P "$(nproc)" -n 4 clang-tidy -p lint --quiet '--checks=-clang-analyzer-*' \
    2>>lint/errors || status=1
# What it could not read at all is said there.
grep -E '(^|: )error: ' lint/errors && status=1
if [ $status = 0 ]; then
    echo "clang-tidy has nothing to say of $(wc -l <lint/files) files"
fi
exit $status
