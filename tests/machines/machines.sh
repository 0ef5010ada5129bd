#!/bin/bash
# machines.sh BUILD [NAME...]: boots the tests of a build on kernels and processors that this machine does not have,
# under qemu, and prints one line for each; without names, on all of machines.tsv. MACHINE_TESTS="step handler" boots
# with these tests alone. Fetches Debian's kernel packages and unpacks their kernels into BUILD/machines, where they are
# found again; nothing of them is installed. A kernel of i386 runs the tests of BUILD/i386, which is built for it.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
build=$(readlink -f "$1")
shift
work=$build/machines
mkdir -p "$work"

# A whole machine may take so long, in seconds.
limit=${MACHINE_LIMIT:-3600}

die() {
    echo "machines.sh: $*" >&2
    exit 2
}

# The files of a package that match a pattern, on standard output: fetched, never installed.
files_of() {
    rm -rf "$work/fetched"
    mkdir -p "$work/fetched"
    (cd "$work/fetched" && apt-get download -q "$1" >/dev/null 2>&1) || die "cannot fetch $1 from Debian"
    dpkg-deb --fsys-tarfile "$work/fetched"/*.deb | tar -xO --wildcards "$2"
    rm -rf "$work/fetched"
}

# The newest kernel that a package depends on: its file, unpacked.
kernel_of() {
    local package kept
    package=$(apt-cache depends "$1" | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
    [ -n "$package" ] || die "no kernel is known by the name $1; run apt-get update, then make test-machines again"
    kept=$work/kernels/$package
    if ! [ -s "$kept" ]; then
        mkdir -p "$work/kernels"
        files_of "$package" './boot/vmlinuz-*' >"$kept.part"
        mv "$kept.part" "$kept"
    fi
    echo "$kept"
}

# Shared libraries of a program, one path a line, the loader among them.
libraries_of() {
    ldd "$1" | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) .*/\1/p'
}

# The architecture of a kernel's package, the build with the tests for it, and what makes programs for it.
architecture_of() {
    case $1 in *:i386) echo i386 ;; *) echo amd64 ;; esac
}

build_of() {
    case $1 in i386) echo "$build/i386" ;; *) echo "$build" ;; esac
}

compiler_of() {
    case $1 in i386) echo cc -m32 ;; *) echo cc ;; esac
}

# A file system in memory for an architecture: busybox, the tests, and what they are linked with.
pack() {
    local architecture=$1 root=$work/root name seconds arguments library program tests
    tests=$(build_of "$architecture")/tests
    rm -rf "$root"
    mkdir -p "$root"/{bin,proc,sys,dev,tmp,lib,lib64,tests}
    if [ "$architecture" = i386 ]; then
        [ -s "$work/busybox" ] || files_of busybox-static:i386 ./bin/busybox >"$work/busybox"
        cp "$work/busybox" "$root/bin/busybox"
        chmod 755 "$root/bin/busybox"
        "$here/../platform/i386/build.sh" "$build"
    else
        cp /bin/busybox "$root/bin/busybox"
    fi
    cp "$here/init.sh" "$root/init"
    chmod 755 "$root/init"
    cp "$here/../../docs/decode.md" "$root/tests/decode.md"
    while read -r name seconds arguments; do
        case $name in '' | '#'*) continue ;; esac
        [ -n "${MACHINE_TESTS:-}" ] && [[ " $MACHINE_TESTS " != *" $name "* ]] && continue
        echo "$name $seconds $arguments"
    done <"$here/$architecture.txt" >"$root/tests.txt"
    while read -r name seconds arguments; do
        program=$(find "$tests" -name "test_$name" -type f)
        [ -x "$program" ] || die "there is no test $name in $tests; build it first"
        cp "$program" "$root/tests/$name"
        libraries_of "$program"
    done <"$root/tests.txt" | sort -u >"$work/libraries"
    # The C library loads it when a thread is ended.
    $(compiler_of "$architecture") -print-file-name=libgcc_s.so.1 >>"$work/libraries"
    while read -r library; do
        case $library in
        */ld-linux-x86-64.so.2) cp -L "$library" "$root/lib64/" ;;
        *) cp -L "$library" "$root/lib/" ;;
        esac
    done <"$work/libraries"
    (cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/initrd.$architecture"
}

# name, kernel, processor, architecture: boots, and prints the machine's line.
run_machine() {
    local name=$1 kernel=$2 cpu=$3 initrd=$work/initrd.$4 log=$work/$1.log status=0 line
    timeout -s KILL "$limit" qemu-system-x86_64 -accel tcg -cpu "$cpu" -smp 2 -m 2G -nodefaults -no-user-config \
        -no-reboot \
        -display none -serial file:"$log" -kernel "$kernel" -initrd "$initrd" \
        -append "console=ttyS0 quiet panic=-1" </dev/null >"$log.qemu" 2>&1 || status=$?
    line=$(awk -v name="$name" -v cpu="$cpu" -v status="$status" '
        { sub(/\r$/, "") }
        /^KERNEL / { kernel = $2 }
        /^RESULT / { passed += $3; failed += $4; skipped += $5
                     if ($6 != 0) bad = bad " " $2 ($6 == 137 ? " (out of time or killed)" : "")
                     if ($6 != 0 && $4 == 0) failed++ }
        /^END/ { end = 1 }
        END {
            if (!end) { failed++; bad = bad " (the machine ended early, status " status ")" }
            printf "%-12s %-28s %-34s %d passed, %d failed, %d skipped%s\n", name, kernel, cpu, passed, failed, skipped,
                bad == "" ? "" : ":" bad
        }' "$log")
    echo "$line"
    case $line in *" 0 failed,"*) ;; *) echo "             what it printed: $log" ;; esac
    echo "$line" >>"$work/lines"
}

wanted() {
    [ "$#" -eq 1 ] || [[ " ${*:2} " == *" $1 "* ]]
}

: >"$work/lines"
rm -f "$work"/initrd.*
found=0
while IFS=$'\t' read -r name package cpu <&3; do
    case $name in '' | '#'*) continue ;; esac
    wanted "$name" "$@" || continue
    found=1
    kernel=$(kernel_of "$package")
    architecture=$(architecture_of "$package")
    [ -f "$work/initrd.$architecture" ] || pack "$architecture"
    run_machine "$name" "$kernel" "$cpu" "$architecture"
done 3<"$here/machines.tsv"
[ "$found" = 1 ] || die "no machine is called $*; tests/machines/machines.tsv names them"
awk '{ match($0, /[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped/); split(substr($0, RSTART, RLENGTH), n, /[^0-9]+/)
       passed += n[1]; failed += n[2]; skipped += n[3] }
     END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped; exit failed != 0 }' "$work/lines"
