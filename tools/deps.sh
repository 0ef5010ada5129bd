#!/bin/sh
# deps.sh [SET...]: installs from Debian what the sets of tools/deps need and this machine lacks, and nothing else; the
# set `test` if none is named. If nothing is missing it does nothing, and uses no network.
#
# A line of tools/deps/SET.txt is a package, or one of these, and then why:
#   @set SET              all of another set
#   @architecture ARCH    packages for another architecture can be installed
#   @source PACKAGE       `apt-get source PACKAGE` works: a list of Debian's sources is added if there is no such list
#   @npm NAME@VERSION SUM a package of npm's registry is unpacked into build-deps/SET, if its SHA-256 is SUM
set -eu
root=$(dirname "$(dirname "$(readlink -f "$0")")")
sets=$root/tools/deps
[ $# -gt 0 ] || set -- test

die() {
    echo "deps.sh: $*" >&2
    exit 1
}

# The lines of a set, each with the set's name before it; those of the sets that it builds on come first.
lines_of() {
    [ -f "$sets/$1.txt" ] ||
        die "there is no set $1; the sets are: $(basename -a -s .txt "$sets"/*.txt | paste -s -d ' ' -)"
    while read -r name rest; do
        case $name in
        '' | '#'*) ;;
        @set) lines_of "${rest%% *}" ;;
        *) echo "$1 $name $rest" ;;
        esac
    done <"$sets/$1.txt"
}
lines=$(for set; do lines_of "$set" || exit; done)

# The words after @KIND, once each.
named() {
    echo "$lines" | awk -v kind="@$1" '$2 == kind && !seen[$3]++ { print $3 }'
}

# The packages that are neither installed nor provided by one that is, each with its reason.
missing_packages() {
    {
        dpkg --print-architecture
        dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Architecture} ${Provides}\n'
        echo --
        echo "$lines"
    } | awk '
        NR == 1 { native = $1; next }
        $1 == "--" { wanted = 1; next }
        !wanted && $1 == "ii" {
            there[$2 ":" $3] = 1
            if ($3 != native && $3 != "all")
                next
            there[$2] = 1
            for (i = 4; i <= NF; i++) {
                sub(/,$/, "", $i)
                there[$i] = 1
            }
        }
        wanted && $2 !~ /^@/ && !there[$2] && !seen[$2]++ {
            $1 = ""
            print substr($0, 2)
        }'
}

missing_sources() {
    for source in $(named source); do
        [ -n "$(apt-cache showsrc --only-source "$source" 2>/dev/null)" ] || echo "$source"
    done
}

# SET NAME@VERSION SUM, of those that have not been unpacked.
missing_npm() {
    echo "$lines" | awk '$2 == "@npm" { print $1, $3, $4 }' | while read -r set package sum; do
        [ "$(cat "$root/build-deps/$set/.package" 2>/dev/null)" = "$package $sum" ] || echo "$set $package $sum"
    done
}

if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-query >/dev/null 2>&1; then
    {
        echo "deps.sh: this is not a Debian system: it has no apt-get. Install what your system calls these:"
        echo "$lines" | awk '
            $2 !~ /^@/ && !seen[$2]++ {
                $1 = ""; name = $2; $2 = ""
                printf "  %-27s %s\n", name, substr($0, 3)
            }'
        echo "then run make with DEPS=none, which installs nothing and leaves out tests without their libraries."
    } >&2
    exit 1
fi

packages=$(missing_packages)
sources=$(missing_sources)
npm=$(missing_npm)
[ -n "$packages$sources$npm" ] || exit 0

if [ "$(id -u)" -eq 0 ]; then
    as_root='env'
elif command -v sudo >/dev/null 2>&1; then
    as_root='sudo env'
elif [ -n "$packages$sources" ]; then
    die "run as root, or install sudo; missing: $(echo "$packages" | awk '{ print $1 }' | paste -s -d ' ' -) $sources"
fi

update() {
    $as_root apt-get update -qq ||
        echo "deps.sh: apt-get update failed; going on with the lists of packages that are there" >&2
}

# The system's own lists of Debian's packages, turned into lists of its sources: same mirrors, same keys.
add_sources() {
    work=$1
    # shellcheck disable=SC2016 # apt's own variable
    apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' | sed 's:/*$::' | sort -u >"$work/mirrors"
    [ -s "$work/mirrors" ] || die "apt knows no mirror of Debian; check the network and /etc/apt/sources.list"
    for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -f "$list" ] || continue
        sed -n 's/^deb[[:space:]]/deb-src /p' "$list" | grep -F -f "$work/mirrors" || :
    done >"$work/list"
    for list in /etc/apt/sources.list.d/*.sources; do
        [ -f "$list" ] || continue
        awk -v mirrors="$work/mirrors" '
            BEGIN { while ((getline mirror < mirrors) > 0) known[mirror] = 1; RS = ""; ORS = "\n\n" }
            {
                for (mirror in known)
                    if (index($0, mirror) && sub(/(^|\n)Types:[^\n]*/, "\nTypes: deb-src")) {
                        sub(/^\n/, "")
                        print
                        break
                    }
            }' "$list"
    done >"$work/sources"
    for kind in list sources; do
        [ -s "$work/$kind" ] || continue
        echo "adding /etc/apt/sources.list.d/segue-source-packages.$kind: Debian's source packages"
        $as_root install -m 644 "$work/$kind" "/etc/apt/sources.list.d/segue-source-packages.$kind"
    done
}

# node and npm must both be Debian's, whatever other lists offer.
prefer_debian() {
    cat /etc/apt/preferences 2>/dev/null || :
    printf '\nPackage: nodejs npm\nPin: release o=Debian\nPin-Priority: 990\n'
}

install_packages() {
    echo "$packages" | awk '{ name = $1; $1 = ""; printf "missing: %-27s%s\n", name, $0 }'
    names=$(echo "$packages" | awk '{ print $1 }')
    prefer_debian >"$1/preferences"
    # shellcheck disable=SC2086 # a list of words
    $as_root DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        -o Dir::Etc::Preferences="$1/preferences" $names >"$1/log" 2>&1 && return
    cat "$1/log" >&2
    for name in $names; do
        apt-cache policy "$name" | grep -q 'Candidate: [^(]' || echo "deps.sh: apt knows no package $name here" >&2
    done
    die "apt-get could not install what is missing; check the network and /etc/apt (the sets are those of Debian 12)"
}

# SET NAME@VERSION SUM
unpack_npm() {
    folder=$root/build-deps/$1
    rm -rf "$folder" "$folder.part"
    mkdir -p "$folder.part"
    echo "unpacking $2 into build-deps/$1"
    file=$(cd "$folder.part" && npm pack --silent "$2") || die "cannot fetch $2 from the registry of npm"
    echo "$3  $folder.part/$file" | sha256sum -c --quiet - || die "$2 is not what it was: its SHA-256 is not $3"
    tar -C "$folder.part" --strip-components=1 -xzf "$folder.part/$file"
    rm "$folder.part/$file"
    echo "$2 $3" >"$folder.part/.package"
    mv "$folder.part" "$folder"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
if [ -n "$packages$sources" ]; then
    for architecture in $(named architecture); do
        dpkg --print-foreign-architectures | grep -qx "$architecture" || {
            echo "adding the architecture $architecture"
            $as_root dpkg --add-architecture "$architecture"
        }
    done
    update
fi
[ -z "$packages" ] || install_packages "$work"
if [ -n "$(missing_sources)" ]; then
    add_sources "$work"
    update
    sources=$(missing_sources)
    [ -z "$sources" ] || die "apt-get source knows none of: $sources"
fi
[ -z "$npm" ] || echo "$npm" | while read -r set package sum; do unpack_npm "$set" "$package" "$sum"; done
