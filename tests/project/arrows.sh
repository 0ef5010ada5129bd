#!/bin/sh
# arrows.sh SOURCE: each folder includes only what docs/design.md says it may. A file of another folder is included by its
# path from the root, one of the same folder by its name alone.
set -u
cd "$1" || exit 1
passed=0 failed=0
# MODULE and the folders of others that it may include, beside the public headers.
while read -r module allowed; do
    pattern=$(echo "$module $allowed" | sed 's/ /\\|/g')
    wrong=$(grep -rn '#include "[^"]*/' "$module" --include='*.[chS]' | grep -v "\"\\($pattern\\)/[^\"]*\"")
    up=$(grep -rn '#include "\.\.' "$module" --include='*.[chS]')
    if [ -z "$wrong$up" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "$module may not include:"
        echo "$wrong$up"
    fi
done <<'END'
platform decode/x86
decode nothing
emulate decode platform
patch decode platform
ctx decode/x86 platform
signals emulate patch ctx decode platform
corpus decode
corpus/support nothing
corpus/rows corpus/support
corpus/decoders corpus/support corpus/rows
corpus/gather corpus/support corpus/rows corpus/decoders
corpus/rules corpus/support corpus/rows corpus/decoders
corpus/check corpus/support corpus/rows corpus/decoders corpus/rules
END
echo "[  PASSED  ] $passed test(s)."
[ "$failed" = 0 ]
