#!/usr/bin/env bash
# installed_docs.sh BUILD SOURCE: what the README leads to is installed beside it, and so are the programs of
# docs/examples.md.
set -uo pipefail
. "$(dirname "$0")/../../support/check.sh"
build=$1 source=$2
installed=$(meson introspect --installed "$build")

pages=$(cd "$source" && ls docs/*.md)
programs=$(cd "$source" && for name in $(sed -n 's/^## //p' docs/examples.md); do ls examples/"$name".c*; done)
check "there are pages and programs" yes "$([ -n "$pages" ] && [ -n "$programs" ] && echo yes)"
for file in README.md LICENSE $pages $programs; do
    check "$file is installed" yes "$(grep -q "/doc/segue/$file\"" <<< "$installed" && echo yes)"
done
for link in $(grep -o '](docs/[^)#]*' "$source/README.md" | sed 's/](//' | sort -u); do
    check "$link, which the README leads to, is there" yes "$([ -e "$source/$link" ] && echo yes)"
done

check_end
