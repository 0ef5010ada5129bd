#!/bin/sh
# arrows.sh SOURCE: each folder includes only what docs/design.md says it may.
set -u
cd "$1" || exit 1
passed=0 failed=0
# FOLDER and what it may include of others, beside the public headers.
while read -r folder allowed; do
    pattern=$(echo "$allowed" | sed 's/ /\\|/g')
    wrong=$(grep -n '#include "\.\./' "$folder"/*.[chS] 2>/dev/null |
        grep -v "\"\\(\\.\\./\\)*\\($pattern\\)/[^/]*\"")
    if [ -z "$wrong" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "$wrong"
    fi
done <<'END'
decode decode/system
decode/system nothing
emulate decode decode/system
patch decode decode/system
ctx decode/system
signals emulate patch ctx decode decode/system
END
echo "[  PASSED  ] $passed test(s)."
[ "$failed" = 0 ]
