#!/bin/sh
# patch_damaged.sh SEGUE [COUNT]: COUNT files that were damaged at random: objects, archives, programs with Go's table.
# Each is refused, or patched so that only prefix bytes change, the list fits, and taking it back gives the same file.
# The input never changes, no signal ends the command, and nothing is left behind. SEGUE_MUTANTS is COUNT, if that is
# not given.
set -eu
segue=$(realpath "$1") count=${2:-${SEGUE_MUTANTS:-200}}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat >guard.c <<'END'
void use(char *);
__thread int word __attribute__((tls_model("initial-exec")));
static __attribute__((noinline)) int cold(int x) { char a[99]; use(a); return x + a[3] + word; }
int guarded(int x) { char a[64]; use(a); return cold(x) + a[2]; }
END
cc -c -O1 -fPIC -fstack-protector-all -ffunction-sections guard.c -o a_member_with_a_long_name.o
cc -shared -nostdlib a_member_with_a_long_name.o -o shared
cc -shared -nostdlib -s a_member_with_a_long_name.o -o stripped
cp a_member_with_a_long_name.o "$(printf 'caf\351.o')"
ar rc archive ./*.o
objcopy -R .eh_frame shared symbols
set -- a_member_with_a_long_name.o shared stripped archive symbols
if command -v go >/dev/null 2>&1; then
    printf 'package main\nfunc main() { println(1) }\n' >p.go
    if GOCACHE=$work/cache GO111MODULE=off CGO_ENABLED=0 \
        HOME=$work go build -ldflags '-s -w' -o go p.go 2>/dev/null; then
        set -- "$@" go
    fi
fi
[ ! -n "${SEGUE_MORE:-}" ] || set -- "$@" $SEGUE_MORE

python3 - "$segue" "$count" "$@" <<'END'
import os, random, struct, subprocess, sys

segue, count, names = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
seeds = [open(name, 'rb').read() for name in names]
r = random.Random(int(os.environ.get('SEGUE_SEED', '1')))

def damage(data):
    data = bytearray(data)
    start = data.find(b'\x7fELF') if data[:4] == b'!<ar' else 0
    for _ in range(r.choice((1, 1, 2, 5))):
        kind = r.randrange(7)
        at = r.randrange(len(data))
        if kind == 0:
            data[at] = r.randrange(256)
        elif kind == 1 and start >= 0:
            at = start + r.randrange(64)
            data[at % len(data)] = r.randrange(256)
        elif kind in (2, 3) and start >= 0 and start + 64 <= len(data):
            # A field of a section's header.
            table, = struct.unpack_from('<Q', data, start + 40)
            number, = struct.unpack_from('<H', data, start + 60)
            offset, size = r.choice(((0, 4), (4, 4), (8, 8), (16, 8), (24, 8), (32, 8), (40, 4), (44, 4), (56, 8)))
            at = start + table + 64 * r.randrange(max(number, 1)) + offset
            if at + size <= len(data):
                value = r.choice((0, 1, r.randrange(len(data)), 1 << 31, (1 << 63) - 1, (1 << 64) - 1,
                    r.randrange(1 << 16)))
                data[at:at + size] = (value % (1 << 8 * size)).to_bytes(size, 'little')
        elif kind == 4:
            data[at:at + 8] = r.choice((0, 1 << 31, 1 << 63, (1 << 64) - 1)).to_bytes(8, 'little')
        elif kind == 5 and r.random() < 0.3:
            del data[at:]
        else:
            end = at + r.randrange(1, 64)
            data[at:end] = bytes(r.randrange(256) for _ in data[at:end])
        if not data:
            break
    return bytes(data)

def run(*arguments):
    done = subprocess.run([segue, 'patch', *arguments], capture_output=True, timeout=120)
    assert done.returncode in (0, 1), (done.returncode, done.stderr[-2000:])
    return done.returncode == 0

patched = 0
for i in range(count):
    bad = damage(r.choice(seeds))
    open('bad', 'wb').write(bad)
    for name in ('out', 'list', 'back'):
        if os.path.exists(name):
            os.remove(name)
    done = run('bad', '-o', 'out', '--list', 'list')
    assert open('bad', 'rb').read() == bad, i
    if not done:
        assert not os.path.exists('out') and not os.path.exists('list'), i
        continue
    patched += 1
    new = open('out', 'rb').read()
    assert len(new) == len(bad), i
    # A prefix, or a bit of ModRM.
    assert all((a, b) == (0x64, 0x65) or a ^ b == 8 for a, b in zip(bad, new) if a != b), i
    assert run('--verify', 'list', 'out'), i
    assert run('--revert', 'list', 'out', '-o', 'back') and open('back', 'rb').read() == bad, i
assert patched > count // 10, patched
assert not [name for name in os.listdir('.') if name.startswith('.segue')]
print(f'{count} damaged files: {patched} patched and taken back, {count - patched} refused')
END
