#!/usr/bin/env bash
# site.sh SOURCE VERSION: the site is made without a warning, all of its links lead somewhere, and it has every
# document, every program of docs/examples.md and every header.
set -uo pipefail
. "$(dirname "$0")/../../support/check.sh"
source=$1 version=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for tool in sphinx-build dot python3; do
    if ! command -v $tool > /dev/null; then
        echo "SKIP: no $tool"
        exit 77
    fi
done

export PYTHONDONTWRITEBYTECODE=1
python3 "$source/tools/pages/site/site.py" "$source" "$version" "$work/site" > "$work/log" 2>&1
check "is made without a warning" 0 "$?$(head -5 "$work/log")"
python3 "$source/tools/pages/site/links.py" "$work/site" > "$work/links"
check "all links lead somewhere" 0 "$?$(grep -v ' 0 wrong$' "$work/links")"
rm "$work/site/docs/guide.html"
python3 "$source/tools/pages/site/links.py" "$work/site" > "$work/links"
check "one that does not is found" 1 "$?"
for page in "$source"/docs/*.md; do
    name=$(basename "$page" .md)
    [ "$name" = guide ] || check "has docs/$name.md" yes "$([ -f "$work/site/docs/$name.html" ] && echo yes)"
done
for name in $(sed -n 's/^## //p' "$source/docs/examples.md"); do
    name=${name##*/}
    check "has the program $name" yes "$([ -f "$work/site/tutorials/$name.html" ] && echo yes)"
done
for header in "$source"/include/segue/*.h; do
    name=$(basename "$header" .h)
    # Those that declare a function with a name for users.
    grep -qE '^SEGUE_(API|CHECK|RETURNS|NORETURN).*segue_[a-z_0-9]*[a-z0-9]\(' "$header" || continue
    check "has $name.h" yes "$([ -f "$work/site/api/$name.html" ] && echo yes)"
done
check "has diagrams" yes "$([ "$(find "$work/site/_images" -name '*.svg' | wc -l)" -ge 5 ] && echo yes)"
check "has a chart of times" yes "$(grep -q '<rect .*fill="#3465c9"' "$work/site/index.html" && echo yes)"
for colour in 3465c9 9aa3b2; do
    check "the benchmarks have bars of #$colour" yes \
        "$(grep -q "<rect .*fill=\"#$colour\"" "$work/site/docs/bench.html" && echo yes)"
done
check "one axis of theirs is logarithmic" yes \
    "$(grep -q '>logarithmic</text>' "$work/site/docs/bench.html" && echo yes)"
check "is searched" yes "$(grep -q segue_region_add "$work/site/searchindex.js" && echo yes)"

check_end
