#!/usr/bin/env bash
# deps.sh SOURCE: what tools/deps.sh installs, on systems that are made up: apt-get, dpkg and the like are this test's
# own, so nothing of this machine is asked or changed.
set -uo pipefail
. "$(dirname "$0")/../../support/check.sh"
source=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A tree with sets of its own.
mkdir -p "$work/tree/tools/deps" "$work/bin"
cp "$source/tools/deps.sh" "$work/tree/tools/"
sets=$work/tree/tools/deps
printf '# Comment.\nalpha  why\nbeta   why not\n' >"$sets/small.txt"
printf '@set small\ngamma  the third\n' >"$sets/test.txt"
printf '@architecture i386  for the next\nalpha:i386  on another\n' >"$sets/foreign.txt"
printf '@source zeta  its sources\n' >"$sets/sources.txt"

# A system. INSTALLED: what dpkg has; what apt-get and dpkg are asked is written to `asked`.
for tool in awk basename cat chmod cp dirname env grep install mktemp paste printf readlink rm sed sh sort; do
    ln -s "$(command -v $tool)" "$work/bin/$tool"
done
write() {
    cat >"$work/bin/$1"
    chmod +x "$work/bin/$1"
}
write id <<'END'
#!/bin/sh
echo 0
END
write dpkg <<'END'
#!/bin/sh
case $1 in
--print-architecture) echo amd64 ;;
--print-foreign-architectures) ;;
*) echo "dpkg $*" >>"$ASKED" ;;
esac
END
write dpkg-query <<'END'
#!/bin/sh
printf "$INSTALLED"
END
write apt-cache <<'END'
#!/bin/sh
case $1 in
policy) [ "$2" = gamma ] && echo "  Candidate: (none)" || echo "  Candidate: 1" ;;
showsrc) [ -z "$SOURCES" ] || echo "Package: $3" ;;
esac
END
write apt-get <<'END'
#!/bin/sh
case $1 in
update) echo "update" >>"$ASKED"; exit "${UPDATE:-0}" ;;
install) echo "$*" | sed 's/ -[^ ]*//g; s/Dir::[^ ]* //' >>"$ASKED"; exit "${INSTALL:-0}" ;;
indextargets) ;;
esac
END

# SET...: what is asked of the system, in one line, and the exit status.
asked() {
    : >"$work/asked"
    PATH=$work/bin ASKED=$work/asked INSTALLED=$installed SOURCES=${SOURCES:-} UPDATE=${UPDATE:-0} \
        INSTALL=${INSTALL:-0} \
        "$work/bin/sh" "$work/tree/tools/deps.sh" "$@" >"$work/out" 2>"$work/err"
    local status=$?
    echo "$(paste -s -d , "$work/asked") $status"
}
said() {
    grep -q -e "$1" "$work/err" && echo yes
}

installed='ii  alpha amd64 \nii  beta all \nrc  gamma amd64 \n'
check "what is there is not asked for" " 0" "$(asked small)"
check "nor does it say anything" "" "$(cat "$work/out" "$work/err")"
check "what was removed is missing, and it alone is installed" "update,install gamma 0" "$(asked test)"
check "without a set it is the set test" "update,install gamma 0" "$(asked)"
check "the reason is said" yes "$(asked >/dev/null; grep -q 'missing: gamma  *the third' "$work/out" && echo yes)"
check "several sets are one" "update,install gamma 0" "$(asked small test small)"
check "no set of this name" " 1" "$(asked small tset)"
check "and those that there are" yes "$(said 'no set tset; the sets are: foreign small sources test')"

check "apt-get update may fail" "update,install gamma 0" "$(UPDATE=100 asked)"
check "apt-get install may not" "update,install gamma 1" "$(INSTALL=100 asked)"
check "a package that apt does not know is named" yes "$(said 'apt knows no package gamma')"

installed='ii  other amd64 alpha (= 1), beta\nii  gamma amd64\n'
check "what another package provides is there" " 0" "$(asked)"

installed='ii  alpha amd64 \n'
check "the same package for another architecture" "dpkg --add-architecture i386,update,install alpha:i386 0" \
    "$(asked foreign)"
installed='ii  alpha i386 \nii  beta amd64 \n'
check "is there on its own" " 0" "$(asked foreign)"
check "and is not the native one" "update,install alpha 0" "$(asked small)"

check "sources that are known" " 0" "$(SOURCES=yes asked sources)"
check "and that cannot be" "update 1" "$(asked sources)"

rm "$work/bin/apt-get"
check "no Debian system" " 1" "$(asked)"
check "says what to install" yes "$(said '  gamma  *the third')"
check "and how to go on" yes "$(said 'DEPS=none')"

# The tree's own sets.
for set in "$source"/tools/deps/*.txt; do
    check "each line of $(basename "$set") has a reason" "" "$(awk '!/^(#|$)/ && NF < 3 && $1 != "@set"' "$set")"
    check "and each set that it builds on is there" "" \
        "$(awk '$1 == "@set" { print $2 }' "$set" | while read -r other; do
            [ -f "$source/tools/deps/$other.txt" ] || echo "$other"
        done)"
done

check_end
