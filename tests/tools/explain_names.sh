#!/usr/bin/env bash
# explain_names.sh SEGUE: what segue explain takes for a place: names of C++ as they are written, stubs of imported
# functions, objects and archives that are not linked, standard input.
set -uo pipefail
. "$(dirname "$0")/../support/check.sh"
segue=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

# says WHAT STATUS TEXT ARGUMENT...: the status, and a text on either output.
says() {
  local what=$1 status=$2 text=$3 got=0
  shift 3
  timeout 30 "$segue" explain "$@" > out 2> err < "${input:-/dev/null}" || got=$?
  check "$what: status" "$status" "$got"
  check "$what: text" yes "$(grep -qF -- "$text" out err && echo yes || cat out err)"
}

cat > names.cpp <<'C'
#include <cstdio>
#include <thread>
namespace shop {
struct Basket {
    int items[8];
    __attribute__((noinline)) int sum(int from, unsigned to) const;
    __attribute__((noinline)) void add(int item);
    __attribute__((noinline)) void add(int item, long times);
    bool operator==(const Basket &other) const;
    template <typename T> __attribute__((noinline)) T first() const { return static_cast<T>(items[0]); }
};
int Basket::sum(int from, unsigned to) const { return items[from] + items[to]; }
void Basket::add(int item) { items[1] = item; }
void Basket::add(int item, long times) { items[2] = item * static_cast<int>(times); }
bool Basket::operator==(const Basket &other) const { return items[3] == other.items[3]; }
}
int main(int count, char **)
{
    shop::Basket basket = {{count}};
    std::thread thread([] {});
    thread.join();
    basket.add(1), basket.add(1, 2);
    std::printf("%d %f\n", basket.sum(0, 1) + (basket == basket), basket.first<double>());
}
C
g++ -O1 -o names names.cpp -pthread && g++ -O1 -fno-plt -o noplt names.cpp -pthread || exit 1
says "C++, without parentheses" 0 ret 'names:shop::Basket::sum'
says "C++, with parentheses" 0 ret 'names:shop::Basket::sum(int, unsigned int) const'
says "C++, blanks apart" 0 ret 'names:shop::Basket::sum(int,unsigned int)const'
says "an operator" 0 ret 'names:shop::Basket::operator==(shop::Basket const&) const'
says "a template" 0 ret 'names:double shop::Basket::first<double>() const'
says "C++, into the symbol" 0 \
  "$(printf '%s' "$("$segue" explain names:_ZN4shop6Basket3addEi --json |
    python3 -c 'import json, sys; print(json.load(sys.stdin)[-1]["text"])')")" \
  "names:shop::Basket::add(int)+$(printf '0x%x' \
    $(($(nm -S names | awk '/_ZN4shop6Basket3addEi$/ { print "0x" $2 }') - 1)))"
check "the whole symbol is the same" "$("$segue" explain names:_ZN4shop6Basket3addEi)" \
  "$("$segue" explain 'names:shop::Basket::add(int)')"
says "several of one name" 1 "several symbols 'shop::Basket::add'" 'names:shop::Basket::add'
says "one of them" 0 imul 'names:shop::Basket::add(int, long)'
says "of a library" 0 jmp 'names:std::thread::join()@plt'
says "mangled" 0 jmp 'names:_ZNSt6thread4joinEv@plt'
says "none of that name" 1 "has no symbol 'shop::Basket::sub'" 'names:shop::Basket::sub'

cat > calls.c <<'C'
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv) { printf("%d %s\n", argc, argv[0]); return getpid() == atoi(argv[0]); }
C
for flags in '' '-fcf-protection=full' '-fcf-protection=none' '-no-pie' '-Wl,-z,lazy -no-pie' '-Wl,-z,now' \
  '-static-pie' '-fuse-ld=gold'; do
  gcc -O1 $flags -o calls calls.c 2> log || continue
  objdump -d calls > listing
  for function in printf getpid atoi strtol; do
    where=$(grep -oE "^[0-9a-f]+ <$function@plt>" listing | tail -1 | cut -d' ' -f1)
    [ -n "$where" ] || continue
    says "$function@plt, $flags" 0 "0x$(sed 's/^0*//' <<< "$where")" "calls:$function@plt"
    check "$function@plt, $flags: jumps" yes "$(grep -q jmp out && echo yes || cat out)"
  done
done
gcc -O1 -o calls calls.c
says "an imported function" 1 "at 'printf@plt' for the stub" calls:printf
says "no such stub" 1 "has no symbol 'nosuch@plt'" calls:nosuch@plt
if gcc -m32 -O1 -no-pie -nostdlib -shared -fPIC -o calls32.so -x c - \
  <<< 'extern int imported(int); int caller(int a) { return imported(a) + 1; }' 2> log; then
  says "a 32-bit stub" 0 jmp calls32.so:imported@plt
fi

# What is not linked.
printf 'static int hidden(int *p) { return *p; }\nint (*pointer)(int *) = hidden;\n' > a.c
printf 'int one(int *p) { p[1] = 7; return p[0]; }\nint two(int *p) { return p[2]; }\n' >> a.c
printf 'int three(int *p) { return p[3]; }\nint twice(void) { return 1; }\n' > b.c
printf 'int twice(void) { return 2; }\n' > c.c
gcc -O1 -c a.c b.c c.c && ar rcs lib.a a.o b.o c.o || exit 1
says "an object" 0 "+0x0" a.o:one
check "an object: note" yes "$(grep -q 'note: a.o is not linked' err && echo yes)"
check "an object: all of the symbol" yes "$(grep -q 'ret' out && echo yes)"
says "an object's second function" 0 "[rdi + 0x8]" a.o:two
says "an object's static function" 0 ret a.o:hidden
says "an object's section" 0 ret a.o:.text
says "an object's address" 1 "has no addresses yet" a.o:0x10
says "an archive" 0 "[rdi + 0xc]" lib.a:three
says "an archive: what it finds is named" 0 "lib.a(b.o) is not linked" lib.a:three
says "a member" 0 "[rdi + 0x8]" 'lib.a(a.o):two'
says "a name in several members" 1 "two of them b.o and c.o" lib.a:twice
says "a name in a member" 0 "0x02" 'lib.a(c.o):twice'
says "no such member" 1 "no member 'd.o'" 'lib.a(d.o):twice'
says "no such symbol in an archive" 1 "has no symbol 'four'" lib.a:four
says "an archive's address" 1 "give a symbol" lib.a:0x10
says "as JSON" 0 '"offset": 0' --json a.o:one
says "a section of a program" 0 call calls:.text --count 40

# Standard input.
echo '48 8b 04 33' > bytes
input=bytes says "bytes" 0 "mov rax, [rbx+rsi*1]" -
printf '' > nothing
input=nothing says "no bytes" 2 "not one byte" -
input=calls says "a file without a place" 2 "-:main" -
input=calls says "a file" 0 ret -:main
cat calls | "$segue" explain -:main > out 2> err
check "a pipe" "$("$segue" explain calls:main)" "$(cat out)"
echo '488b0433 0f0b' | "$segue" explain - > out
check "a pipe of bytes" 2 "$(grep -c '+0x[0-9a-f]* ' out)"

# Names of files with colons.
cp calls 'a:b::c'
says "a file with colons" 0 ret 'a:b::c:main'
says "main+3" 0 "" calls:main+3
says "main+0x3" 0 "" calls:main+0x3

check_end
