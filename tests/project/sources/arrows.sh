#!/bin/sh
# arrows.sh SOURCE: each folder includes only what docs/design.md says it may. A file of another folder is included by
# its path from the root, one of the same folder by its name alone.
set -u
cd "$1" || exit 1
passed=0 failed=0
# MODULE and the folders of others that it may include, beside the public headers. A folder in a MODULE that stands
# here, too, is held to both.
modules=$(cat <<'END'
include nothing
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
tools/command_line nothing
tools/support tools/command_line
tools/main.c tools/support
tools/corpus corpus decode/x86 tools/support
tools/corpus/report corpus/check tools/support
tools/demo tools/support
tools/doctor decode/x86 tools/support
tools/explain decode emulate/body patch/hot tools/support
tools/patch corpus/gather tools/support
tools/patch/files tools/support
tools/patch/elf corpus/gather tools/patch/files tools/support
tools/patch/list tools/patch/files tools/patch/elf tools/support
tools/patch/tree tools/patch/files tools/patch/elf tools/patch/list tools/support
tools/watch decode/x86 platform signals/syscalls signals/watch tools/support
tools/windows tools/explain tools/doctor tools/support decode/x86
tools/run decode patch/poke patch/scan platform tools/command_line tools/support
bench decode emulate patch ctx signals platform corpus tools/patch/elf
examples nothing
tests decode emulate patch ctx signals platform corpus tools bench examples
END
)
while read -r module allowed; do
    if [ ! -e "$module" ]; then
        failed=$((failed + 1))
        echo "there is no $module"
        continue
    fi
    pattern=$(echo "$module $allowed" | sed 's/ /\\|/g')
    wrong=$(grep -rn '#include "[^"]*/' "$module" --include='*.[chS]' --include='*.cpp' |
        grep -v "\"\\($pattern\\)/[^\"]*\"")
    up=$(grep -rn '#include "\.\.' "$module" --include='*.[chS]' --include='*.cpp')
    if [ -z "$wrong$up" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "$module may not include:"
        echo "$wrong$up"
    fi
done <<END
$modules
END
# Each folder with sources belongs to one of them.
outside=$(find . -name .git -prune -o -path './build*' -prune -o \( -name '*.[chS]' -o -name '*.cpp' \) -print |
    sed 's|^\./||; s|/[^/]*$||' | sort -u | while read -r folder; do
        echo "$modules" | while read -r module _; do
            case $folder/ in "$module"/*) echo yes ;; esac
        done | grep -q yes || echo "$folder"
    done)
outside=$(echo "$outside" | grep -vx tools)
if [ -z "$outside" ]; then
    passed=$((passed + 1))
else
    failed=$((failed + 1))
    echo "no rule says what these may include:"
    echo "$outside"
fi

# No code of these folders names an operating system, a system call or a type of one: it asks platform, for a reason
# in words too. Comments may. include/segue/{posix,linux,windows,darwin,sigsegv_compat}.h are for those who
# have such a type.
# Each line behind its file's name and its number.
without_comments() {
    xargs awk 'FNR == 1 { inside = 0 }
    {
        line = $0; kept = ""
        while (line != "") {
            if (inside) {
                end = index(line, "*/")
                if (!end) { line = ""; continue }
                line = substr(line, end + 2); inside = 0
            } else {
                begin = index(line, "/*")
                if (!begin) { kept = kept line; line = ""; continue }
                kept = kept substr(line, 1, begin - 1); line = substr(line, begin + 2); inside = 1
            }
        }
        print FILENAME ":" FNR ":" kept
    }'
}
types='\b(siginfo_t|u?context_t|mcontext_t|sigset_t|stack_t|struct sigaction|SS_[A-Z]+)\b'
names='\b(SYS_[A-Za-z0-9_]+|system_call[0-9]|__NR_[a-z0-9_]+)\b'
names="$types|$names|\\b(mmap|munmap|mremap|mprotect|madvise|membarrier|sigaltstack) *\\("
names="$names|\\b(pthread_atfork|dlsym|dladdr|dl_iterate_phdr) *\\("
names="$names|\\b(__linux__|__APPLE__|__FreeBSD__|EXCEPTION_POINTERS|PEXCEPTION_POINTERS|mach_[a-z_]+)\\b"
names="$names|#include <(linux/|asm/|sys/(mman|syscall|ucontext|resource|auxv)|ucontext|windows|mach/)"
names="$names|\"[^\"]*(/proc/|SELinux|seccomp|prctl)"
names="$names|#include \"platform/(linux|windows|darwin|freebsd)/"
# Assembly asks by the macros of platform/asm_calls.h.
in_assembly='\b(syscall|SIG_[A-Z]+|SI_[A-Z]+|CALL_NUMBERED|ENOMEM|E(INTR|INVAL|AGAIN|FAULT|PERM|EXIST))\b'
exempt='^include/segue/(posix|linux|windows|darwin|sigsegv_compat)\.h$'
neutral=$(find decode emulate patch ctx signals include -name '*.[chS]' | grep -vE "$exempt" | sort)
found=$(
    echo "$neutral" | without_comments | grep -E "$names"
    echo "$neutral" | grep '\.S$' | without_comments | grep -E "$in_assembly"
    echo "$neutral" | grep '_linux[^/]*$' | sed "s|$|: the file's own name|"
    # No more do the headers of platform, apart from those of a system, have its types.
    find platform -name '*.h' | grep -vE '^platform/(linux|posix|windows|darwin|freebsd)/' | sort |
        without_comments | grep -E "$types"
)
if [ -z "$found" ]; then
    passed=$((passed + 1))
else
    failed=$((failed + 1))
    echo "these name a system, a call or a type of it:"
    echo "$found"
fi
echo "[  PASSED  ] $passed test(s)."
[ "$failed" = 0 ]
