#!/bin/sh
# shapes.sh SOURCE: docs/syscalls.md lists the calls of platform/linux/calls/table/shapes.inc, and no others; none of
# them is refused in all of its forms.
set -u
cd "$1" || exit 1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
sed -n 's/^CALL(\([a-z0-9_]*\),.*/\1/p' platform/linux/calls/table/shapes.inc | sort -u > "$folder/table"
sed -n '/^## The calls whose/,/^Any other call/p' docs/syscalls.md | tr '\n' ' ' | sed 's/([^)]*)//g' |
    sed 's/- [a-z ,]*:/\n&/g; s/Any other call.*//' | sed -n 's/^- [a-z ,]*://p' | tr ' ' '\n' | grep . | sort -u \
    > "$folder/page"
sed -n 's/^REFUSED(\([a-z0-9_]*\),.*/\1/p' platform/linux/calls/table/shapes.inc | sort > "$folder/refused"
status=0
if ! diff "$folder/table" "$folder/page"; then
    echo "FAILED: < only in the table, > only on the page"
    status=1
fi
if [ -n "$(uniq -d "$folder/refused")" ]; then
    echo "FAILED: refused twice: $(uniq -d "$folder/refused")"
    status=1
fi
[ "$status" = 0 ] && echo "$(wc -l < "$folder/table") passed, 0 failed"
exit $status
