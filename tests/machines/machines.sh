#!/bin/bash
# machines.sh BUILD [NAME...]: boots the tests of a build on kernels and processors that this machine does not have,
# under qemu, and prints one line for each; without names, on all of machines.tsv. MACHINE_TESTS="step handler" boots
# with these tests alone. Fetches Debian's kernel packages and unpacks their kernels into BUILD/machines, where they are
# found again; nothing of them is installed.
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

# The newest kernel that a package depends on: its file, unpacked.
kernel_of() {
    local package kept
    package=$(apt-cache depends "$1" | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
    [ -n "$package" ] || die "no kernel is known by the name $1; run apt-get update, then make test-machines again"
    kept=$work/kernels/$package
    if ! [ -s "$kept" ]; then
        mkdir -p "$work/kernels" "$work/fetched"
        (cd "$work/fetched" && apt-get download -q "$package" >/dev/null 2>&1) ||
            die "cannot fetch $package from Debian"
        dpkg-deb --fsys-tarfile "$work/fetched/$package"_*.deb | tar -xO --wildcards './boot/vmlinuz-*' >"$kept.part"
        mv "$kept.part" "$kept"
        rm -rf "$work/fetched"
    fi
    echo "$kept"
}

# Shared libraries of a program, one path a line, the loader among them.
libraries_of() {
    ldd "$1" | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) .*/\1/p'
}

# A file system in memory: busybox, the tests, and what they are linked with.
pack() {
    local root=$work/root name seconds arguments library program
    rm -rf "$root"
    mkdir -p "$root"/{bin,proc,sys,dev,tmp,lib,lib64,tests}
    cp /bin/busybox "$root/bin/busybox"
    cp "$here/init.sh" "$root/init"
    chmod 755 "$root/init"
    cp "$here/../../docs/decode.md" "$root/tests/decode.md"
    while read -r name seconds arguments; do
        case $name in '' | '#'*) continue ;; esac
        [ -n "${MACHINE_TESTS:-}" ] && [[ " $MACHINE_TESTS " != *" $name "* ]] && continue
        echo "$name $seconds $arguments"
    done <"$here/tests.txt" >"$root/tests.txt"
    while read -r name seconds arguments; do
        program=$(find "$build/tests" -name "test_$name" -type f)
        [ -x "$program" ] || die "there is no test $name in $build; build it first"
        cp "$program" "$root/tests/$name"
        libraries_of "$program"
    done <"$root/tests.txt" | sort -u >"$work/libraries"
    # The C library loads it when a thread is ended.
    cc -print-file-name=libgcc_s.so.1 >>"$work/libraries"
    while read -r library; do
        case $library in
        */ld-linux-x86-64.so.2) cp -L "$library" "$root/lib64/" ;;
        *) cp -L "$library" "$root/lib/" ;;
        esac
    done <"$work/libraries"
    (cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/initrd"
}

# name, kernel, processor, tests to be left out: boots, and prints the machine's line.
run_machine() {
    local name=$1 kernel=$2 cpu=$3 log=$work/$1.log status=0 line
    timeout -s KILL "$limit" qemu-system-x86_64 -accel tcg -cpu "$cpu" -smp 2 -m 2G -nodefaults -no-user-config \
        -no-reboot \
        -display none -serial file:"$log" -kernel "$kernel" -initrd "$work/initrd" \
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

pack
: >"$work/lines"
found=0
while IFS=$'\t' read -r name package cpu <&3; do
    case $name in '' | '#'*) continue ;; esac
    wanted "$name" "$@" || continue
    found=1
    kernel=$(kernel_of "$package")
    run_machine "$name" "$kernel" "$cpu"
done 3<"$here/machines.tsv"
[ "$found" = 1 ] || die "no machine is called $*; tests/machines/machines.tsv names them"
awk '{ match($0, /[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped/); split(substr($0, RSTART, RLENGTH), n, /[^0-9]+/)
       passed += n[1]; failed += n[2]; skipped += n[3] }
     END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped; exit failed != 0 }' "$work/lines"
