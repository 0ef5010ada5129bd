/* decode.c: bytes and registers become the access lists that the manuals promise; classes, refusals, the cache and the
 * decoder's defects. Pins the lists as data: bytes, registers, list. What the processor really does is
 * access_check's affair. */
#include "test.h"

#include <Zydis/Zydis.h>
#include <inttypes.h>
#include <pthread.h>
#include <segue/decode.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../decode/processor.h"
#include "../decode/redirect.h"
#include "../decode/registers.h"
#include "../decode/rules.h"
#include "../decode/state.h"
#include "../decode/zydis.h"

#define PAGE 4096u

/* ---- a state, written in words --------------------------------------------------------------------------------- */

static const char *const register_names[] = {"rax", "rbx", "rcx", "rdx",    "rsi",     "rdi",    "rbp",
                                             "rsp", "r8",  "r9",  "r10",    "r11",     "r12",    "r13",
                                             "r14", "r15", "rip", "rflags", "fs_base", "gs_base"};

static _Alignas(64) uint8_t area[4096];
static struct segue_xstate xstate;

static void store(size_t offset, uint64_t value, size_t size)
{
    assert_true(offset + size <= sizeof area);
    memcpy(area + offset, &value, size);
}

static size_t place_of(unsigned component)
{
    struct state_component place;
    assert_true(state_find(component, &place));
    return place.offset;
}

/* Element `index` of `size` bytes of a vector register. */
static void set_vector(unsigned number, unsigned size, unsigned index, uint64_t value)
{
    unsigned byte = size * index;
    if (number >= 16)
        store(place_of(STATE_HI16_ZMM) + (number - 16) * 64 + byte, value, size);
    else if (byte < 16)
        store(160 + number * 16 + byte, value, size);
    else if (byte < 32)
        store(place_of(STATE_AVX) + number * 16 + byte - 16, value, size);
    else
        store(place_of(STATE_ZMM_HI256) + number * 32 + byte - 32, value, size);
}

/* name=hex. The names: general registers; k1; v2.4.1 (vector register, bytes of an element, its number); st2.0 (byte
 * of the x87 register at that place of the area); top; bv (the components in use). */
static void set(struct segue_regs *regs, const char *word)
{
    const char *equals = strchr(word, '=');
    unsigned number, size, index;
    assert_non_null(equals);
    uint64_t value = strtoull(equals + 1, NULL, 16);
    for (unsigned i = 0; i < SEGUE_REGISTER_COUNT; i++)
        if (strncmp(word, register_names[i], (size_t)(equals - word)) == 0 && !register_names[i][equals - word]) {
            *segue_register_at(regs, i) = value;
            return;
        }
    if (sscanf(word, "v%u.%u.%u=", &number, &size, &index) == 3)
        set_vector(number, size, index, value);
    else if (sscanf(word, "st%u.%u=", &number, &index) == 2)
        store(32 + number * 16 + index, value, 1);
    else if (sscanf(word, "k%u=", &number) == 1)
        store(place_of(STATE_OPMASK) + number * 8, value, 8);
    else if (strncmp(word, "top=", 4) == 0)
        store(3, value << 3, 1);
    else if (strncmp(word, "bv=", 3) == 0)
        store(512, value, 8);
    else
        fail_msg("what is %s?", word);
}

static void set_all(struct segue_regs *regs, const char *words)
{
    char copy[512], *rest = copy, *word;
    *regs =
        (struct segue_regs){.rsp = 0x7000, .rip = 0x400000, .rflags = 0x202, .fs_base = 0xf0000, .gs_base = 0xe0000};
    memset(area, 0, sizeof area);
    store(512, 0xe7, 8);
    xstate = (struct segue_xstate){.area = area, .size = sizeof area, .features = 0xe7};
    assert_true(strlen(words) < sizeof copy);
    strcpy(copy, words);
    while ((word = strtok_r(rest, " ", &rest)))
        set(regs, word);
}

static size_t bytes_of(const char *hex, uint8_t bytes[SEGUE_INSN_BYTES])
{
    size_t size = 0;
    for (unsigned value; sscanf(hex, " %2x", &value) == 1; size++) {
        assert_true(size < SEGUE_INSN_BYTES);
        bytes[size] = (uint8_t)value;
        hex += strspn(hex, " ");
        hex += 2;
    }
    return size;
}

/* ---- a list, written in words ---------------------------------------------------------------------------------- */

/* r8@1000: reads 8 bytes at 0x1000; w writes, u updates. Then, where they say something: /4 bytes an element, !16
 * aligned, :2 lane. Then flags: a atomic, m masked, * repeated, - downwards, ~ until, ? optional, p probe. fs: and gs:
 * before it. Or the reason why there is no list. */
static void describe(const struct segue_access *access, char *text)
{
    static const char flags[] = "am*-~?p";
    static const char directions[] = "?rwu";
    if (access->segment >= SEGUE_SEGMENT_FS)
        text += sprintf(text, access->segment == SEGUE_SEGMENT_FS ? "fs:" : "gs:");
    text += sprintf(text, "%c%" PRIu64 "@%" PRIx64, directions[access->direction & 3], access->size, access->address);
    if (access->element != access->size)
        text += sprintf(text, "/%u", access->element);
    if (access->alignment)
        text += sprintf(text, "!%u", access->alignment);
    if (access->lane)
        text += sprintf(text, ":%u", access->lane);
    for (unsigned i = 0; flags[i]; i++)
        if (access->flags >> i & 1)
            text += sprintf(text, "%c", flags[i]);
}

static void list(const struct segue_insn *insn, const struct segue_regs *regs, char *text)
{
    struct segue_access accesses[SEGUE_ACCESSES_MOST];
    size_t count;
    enum segue_status status = segue_accesses(insn, regs, &xstate, accesses, SEGUE_ACCESSES_MOST, &count);
    enum segue_unlisted why = segue_accesses_unlisted(insn, regs, &xstate);
    *text = 0;
    if (status == SEGUE_UNSUPPORTED) {
        assert_int_not_equal(why, SEGUE_UNLISTED_NONE);
        assert_int_equal(count, 0);
        sprintf(text, "unlisted %d", (int)why);
        return;
    }
    assert_int_equal(status, SEGUE_OK);
    assert_int_equal(why, SEGUE_UNLISTED_NONE);
    for (size_t i = 0; i < count; i++) {
        if (i)
            strcat(text, " ");
        describe(&accesses[i], text + strlen(text));
    }
}

struct row {
    const char *bytes;
    const char *state;
    const char *accesses;
};

static void check_rows(enum segue_mode mode, const struct row *rows, size_t count)
{
    static char text[8192];
    uint8_t bytes[SEGUE_INSN_BYTES];
    unsigned wrong = 0;
    for (size_t i = 0; i < count; i++) {
        struct segue_insn insn;
        struct segue_regs regs;
        size_t size = bytes_of(rows[i].bytes, bytes);
        set_all(&regs, rows[i].state);
        enum segue_status status = segue_decode(mode, bytes, size, &insn);
        if (status != SEGUE_OK || insn.length != size) {
            print_error("%s: status %d\n", rows[i].bytes, (int)status);
            wrong++;
            continue;
        }
        list(&insn, &regs, text);
        if (strcmp(text, rows[i].accesses) == 0)
            continue;
        print_error("%s (%s), %s:\n  wanted: %s\n  listed: %s\n", rows[i].bytes, segue_mnemonic_name(insn.mnemonic),
                    rows[i].state, rows[i].accesses, text);
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

#define ROWS(mode, ...)                                                                                                \
    static const struct row rows[] = {__VA_ARGS__};                                                                    \
    (void)state;                                                                                                       \
    check_rows(mode, rows, sizeof rows / sizeof *rows)

static bool has_components(unsigned components)
{
    struct state_component place;
    for (unsigned i = STATE_FIRST_EXTENDED; i < 8; i++)
        if ((components >> i & 1) && !state_find(i, &place))
            return false;
    return true;
}

static void need_avx(void)
{
    if (!has_components(0x4))
        skip();
}

static void need_avx512(void)
{
    if (!has_components(0xe4))
        skip();
}

/* ---- lists ---- */

static void plain_operands(void **state)
{
    ROWS(SEGUE_MODE_64, {"8b 03", "rbx=1000", "r4@1000"}, {"48 8b 44 8b 10", "rbx=1000 rcx=20", "r8@1090"},
         {"88 4b ff", "rbx=1000", "w1@fff"}, {"48 01 03", "rbx=1000", "u8@1000"}, {"48 39 03", "rbx=1000", "r8@1000"},
         {"c6 05 10 00 00 00 07", "", "w1@400017"}, {"a1 88 77 66 55 44 33 22 11", "", "r4@1122334455667788"},
         {"f7 3b", "rbx=1000", "r4@1000"}, {"0f 45 03", "rbx=1000", "r4@1000"}, {"0f 95 03", "rbx=1000", "w1@1000"},
         {"0f b7 03", "rbx=1000", "r2@1000"}, {"48 63 03", "rbx=1000", "r4@1000"},
         {"0f 38 f0 03", "rbx=1000", "r4@1000"}, {"db 2b", "rbx=1000", "r10@1000"}, {"d9 33", "rbx=1000", "w28@1000/1"},
         {"66 d9 33", "rbx=1000", "w14@1000/1"}, {"dd 33", "rbx=1000", "w108@1000/1"}, {"dd 3b", "rbx=1000", "w2@1000"},
         {"9b", "rbx=1000", ""});
}
static void segments_and_address_sizes(void **state)
{
    ROWS(SEGUE_MODE_64, {"64 8b 03", "rbx=1000", "fs:r4@f1000"}, {"65 8b 04 25 08 00 00 00", "", "gs:r4@e0008"},
         {"67 8b 03", "rbx=ffffffff00001000", "r4@1000"}, {"67 8b 44 0b 10", "rbx=fffffff8 rcx=8", "r4@10"},
         {"67 8b 05 10 00 00 00", "rip=ffffffff00000000", "r4@17"},
         {"64 67 8b 03", "rbx=ffffffff00001000", "fs:r4@f1000"}, {"2e 8b 03", "rbx=1000", "r4@1000"},
         {"67 41 8a 0c 25 d8 e9 88 00", "r13=5000", "r1@88e9d8"},
         {"67 41 8a 0c 6d d8 e9 88 00", "r13=5000 rbp=10", "r1@88e9f8"},
         {"8b 03", "rbx=fffffffffffffffc", "r4@fffffffffffffffc"}, {"8b 03", "rbx=fffffffffffffffd", "unlisted 9"});
}
static void no_access(void **state)
{
    ROWS(SEGUE_MODE_64, {"48 8d 03", "rbx=1000", ""}, {"0f 1f 03", "rbx=1000", ""}, {"0f 18 0b", "rbx=1000", ""},
         {"0f 0d 0b", "rbx=1000", ""}, {"0f 1c 03", "rbx=1000", ""}, {"0f 0b", "", ""}, {"0f b9 03", "", ""},
         {"89 d8", "", ""}, {"f3 0f 1e fa", "", ""});
}
static void locked(void **state)
{
    ROWS(SEGUE_MODE_64, {"f0 48 01 03", "rbx=1000", "u8@1000a"}, {"87 03", "rbx=1000", "u4@1000a"},
         {"f0 0f b1 0b", "rbx=1000", "u4@1000a"}, {"0f b1 0b", "rbx=1000", "u4@1000"},
         {"0f c7 0b", "rbx=1000", "u8@1000"}, {"48 0f c7 0b", "rbx=1000", "u16@1000!16"},
         {"f0 48 0f c7 0b", "rbx=1000", "u16@1000!16a"});
}
static void stack(void **state)
{
    ROWS(SEGUE_MODE_64, {"50", "", "w8@6ff8"}, {"66 50", "", "w2@6ffe"}, {"6a ff", "", "w8@6ff8"},
         {"66 6a ff", "", "w2@6ffe"}, {"68 01 02 03 04", "", "w8@6ff8"}, {"66 68 01 02", "", "w2@6ffe"},
         {"0f a0", "", "w8@6ff8"}, {"66 0f a0", "", "w2@6ffe"}, {"67 50", "rsp=100007000", "w8@100006ff8"},
         {"ff 33", "rbx=1000", "r8@1000 w8@6ff8"}, {"66 ff 33", "rbx=1000", "r2@1000 w2@6ffe"},
         {"ff 34 24", "", "r8@7000 w8@6ff8"}, {"58", "", "r8@7000"}, {"5c", "", "r8@7000"}, {"66 58", "", "r2@7000"},
         {"0f a1", "", "r8@7000"}, {"8f 03", "rbx=1000", "r8@7000 w8@1000"}, {"8f 04 24", "", "r8@7000 w8@7008"},
         {"8f 44 24 f8", "", "r8@7000 w8@7000"}, {"66 8f 44 24 10", "", "r2@7000 w2@7012"},
         {"67 8f 04 24", "rsp=100007000", "r8@100007000 w8@7008"}, {"9c", "", "w8@6ff8"}, {"66 9d", "", "r2@7000"},
         {"c9", "rbp=8000", "r8@8000"}, {"66 c9", "rbp=8000", "r2@8000"}, {"c8 00 00 00", "rbp=8000", "w8@6ff8"},
         {"c8 10 00 00", "rbp=8000", "w8@6ff8 w8@6fe8p"}, {"c8 10 00 01", "rbp=8000", "w8@6ff8 w8@6ff0 w8@6fe0p"},
         {"c8 00 00 03", "rbp=8000", "w8@6ff8 r8@7ff8 w8@6ff0 r8@7ff0 w8@6fe8 w8@6fe0"},
         {"66 c8 00 00 02", "rbp=8000", "w2@6ffe r2@7ffe w2@6ffc w2@6ffa"},
         {"66 c8 10 00 00", "rbp=8000", "w2@6ffe w2@6feep"}, {"c8 00 00 21", "rbp=8000", "w8@6ff8 w8@6ff0"});
}
static void branches(void **state)
{
    ROWS(SEGUE_MODE_64, {"e8 00 00 00 00", "", "w8@6ff8"}, {"ff d0", "", "w8@6ff8"},
         {"ff 13", "rbx=1000", "r8@1000 w8@6ff8"}, {"ff 23", "rbx=1000", "r8@1000"},
         {"ff 14 24", "", "r8@7000 w8@6ff8"}, {"c3", "", "r8@7000"}, {"c2 08 00", "", "r8@7000"},
         {"ff 2b", "rbx=1000", "r6@1000"}, {"ff 1b", "rbx=1000", "r6@1000 w8@6ff8/4-"}, {"cb", "", "r8@7000/4"},
         {"48 cb", "", "r16@7000/8"}, {"66 cb", "", "r4@7000/2"}, {"cf", "", "r20@7000/4"}, {"48 cf", "", "r40@7000/8"},
         {"66 cf", "", "r10@7000/2"}, {"48 cf", "rflags=4202", "unlisted 10"}, {"eb 00", "", ""});
}
static void strings(void **state)
{
    ROWS(SEGUE_MODE_64, {"a4", "rsi=1000 rdi=2000", "r1@1000 w1@2000"},
         {"48 a5", "rsi=1000 rdi=2000", "r8@1000 w8@2000"}, {"a4", "rsi=1000 rdi=2000 rflags=602", "r1@1000- w1@2000-"},
         {"64 a4", "rsi=1000 rdi=2000", "fs:r1@f1000 w1@2000"},
         {"f3 a4", "rsi=1000 rdi=2000 rcx=10", "r16@1000/1* w16@2000/1*"},
         {"f3 48 a5", "rsi=1000 rdi=2000 rcx=3", "r24@1000/8* w24@2000/8*"},
         {"f3 48 a5", "rsi=1000 rdi=2000 rcx=3 rflags=602", "r24@ff0/8*- w24@1ff0/8*-"},
         {"f3 a4", "rsi=1000 rdi=2000 rcx=0", ""}, {"f2 a4", "rsi=1000 rdi=2000 rcx=2", "r2@1000/1* w2@2000/1*"},
         {"f3 aa", "rdi=2000 rcx=5", "w5@2000/1*"},
         {"67 f3 aa", "rdi=ffffffff00002000 rcx=ffffffff00000005", "w5@2000/1*"},
         {"67 f3 aa", "rdi=2000 rcx=ffffffff00000000", ""},
         {"67 f3 ab", "rdi=fffffff8 rcx=4", "w8@fffffff8/4* w8@0/4*"},
         {"67 f3 ab", "rdi=4 rcx=4 rflags=602", "w8@0/4*- w8@fffffff8/4*-"},
         {"67 f3 ab", "rdi=fffffffa rcx=4", "unlisted 9"}, {"67 f3 ab", "rdi=0 rcx=40000000", "w4294967296@0/4*"},
         {"67 f3 ab", "rdi=0 rcx=40000001", "unlisted 9"}, {"67 ab", "rdi=fffffffe", "w4@fffffffe"},
         {"ac", "rsi=1000", "r1@1000"}, {"f3 48 ad", "rsi=1000 rcx=2", "r16@1000/8*"}, {"ae", "rdi=2000", "r1@2000"},
         {"f2 ae", "rdi=2000 rcx=4", "r4@2000/1*~"},
         {"f2 ae", "rdi=2000 rcx=ffffffffffffffff", "r18446744073709543424@2000/1*~"},
         {"f2 48 af", "rdi=2004 rcx=ffffffffffffffff", "r18446744073709543416@2004/8*~"},
         {"f2 ae", "rdi=2000 rcx=ffffffffffffffff rflags=602", "r8193@0/1*-~"},
         {"a6", "rsi=1000 rdi=2000", "r1@2000 r1@1000"},
         {"f3 66 a7", "rsi=1000 rdi=2000 rcx=3", "r6@2000/2*~ r6@1000/2*~"},
         {"65 a7", "rsi=1000 rdi=2000", "r4@2000 gs:r4@e1000"}, {"6c", "rdi=2000", "w1@2000"},
         {"f3 6f", "rsi=1000 rcx=2", "r8@1000/4*"}, {"d7", "rbx=1000 rax=12345", "r1@1045"},
         {"67 d7", "rbx=ffffffff rax=2", "r1@1"}, {"65 d7", "rbx=1000 rax=5", "gs:r1@e1005"},
         {"f2 0f 10 03", "rbx=1000", "r8@1000"}, {"f2 0f c2 03 00", "rbx=1000", "r8@1000"});
}
static void bit_offsets(void **state)
{
    ROWS(SEGUE_MODE_64, {"0f a3 0b", "rbx=1000 rcx=1f", "r4@1000"}, {"0f a3 0b", "rbx=1000 rcx=20", "r4@1004"},
         {"0f a3 0b", "rbx=1000 rcx=ffffffff", "r4@ffc"}, {"0f a3 0b", "rbx=1000 rcx=1ffffffe0", "r4@ffc"},
         {"0f a3 0b", "rbx=20000000 rcx=7fffffff", "r4@2ffffffc"},
         {"0f a3 0b", "rbx=20000000 rcx=80000000", "r4@10000000"},
         {"48 0f ab 0b", "rbx=1000 rcx=ffffffffffffffff", "u8@ff8"},
         {"48 0f ab 0b", "rbx=1000 rcx=8000000000", "u8@1000001000"},
         {"48 0f bb 0b", "rbx=8000 rcx=8000000000000000", "u8@f000000000008000"},
         {"66 0f b3 0b", "rbx=4000 rcx=8000", "u2@3000"}, {"66 0f b3 0b", "rbx=4000 rcx=17fff", "u2@4ffe"},
         {"67 0f a3 0b", "rbx=1000 rcx=ffff0000", "r4@fffff000"}, {"f0 0f ab 0b", "rbx=1000 rcx=40", "u4@1008a"},
         {"0f ba 2b 25", "rbx=1000 rcx=40", "u4@1000"});
}
static void vector_alignment(void **state)
{
    ROWS(SEGUE_MODE_64, {"0f 28 03", "rbx=1000", "r16@1000/4!16"}, {"0f 29 03", "rbx=1000", "w16@1000/4!16"},
         {"0f 10 03", "rbx=1001", "r16@1001/4"}, {"66 0f fe 03", "rbx=1000", "r16@1000/4!16"},
         {"0f fe 03", "rbx=1000", "r8@1000"}, {"66 0f e7 03", "rbx=1000", "w16@1000/4!16"},
         {"f2 0f f0 03", "rbx=1000", "r16@1000/4"}, {"66 0f 3a 63 03 00", "rbx=1000", "r16@1000/4"},
         {"f3 0f 10 03", "rbx=1000", "r4@1000"}, {"0f 16 03", "rbx=1000", "r8@1000/4"},
         {"66 0f 3a 14 03 00", "rbx=1000", "w1@1000"}, {"c5 fc 28 03", "rbx=1000", "r32@1000/4!32"},
         {"c5 fc 10 03", "rbx=1000", "r32@1000/4"}, {"c5 fd fe 03", "rbx=1000", "r32@1000/4"},
         {"c5 fd e7 03", "rbx=1000", "w32@1000/4!32"}, {"0f c2 03 00", "rbx=1000", "r16@1000/4!16"},
         {"0f ae 03", "rbx=1000", "w512@1000/1!16"}, {"0f ae 0b", "rbx=1000", "r512@1000/1!16"},
         {"0f ae 13", "rbx=1000", "r4@1000"});
}
static void system_structures(void **state)
{
    ROWS(SEGUE_MODE_64, {"0f 01 03", "rbx=1000", "w10@1000"}, {"0f 01 0b", "rbx=1000", "w10@1000"},
         {"0f 01 23", "rbx=1000", "w2@1000"}, {"0f 00 03", "rbx=1000", "w2@1000"}, {"0f 01 13", "rbx=1000", "r10@1000"},
         {"8e 1b", "rbx=1000", "r2@1000"}, {"8c 1b", "rbx=1000", "w2@1000"}, {"0f b2 03", "rbx=1000", "r6@1000"},
         {"0f 02 03", "rbx=1000", "r2@1000"}, {"0f ae 3b", "rbx=1000", "r1@1000"},
         {"66 0f ae 3b", "rbx=1000", "r1@1000"}, {"0f 01 c8", "rax=1000", "r1@1000"},
         {"67 0f 01 c8", "rax=ffffffff00001000", "r1@1000"}, {"64 0f 01 c8", "rax=1000", "fs:r1@f1000"},
         {"f3 0f ae f3", "rbx=1000", "r1@1000"}, {"0f 01 fc", "rax=1047", "w64@1040"},
         {"64 0f 01 fc", "rax=1047 fs_base=30", "fs:w64@1040"},
         {"66 0f 38 f8 0b", "rbx=1000 rcx=2000", "r64@1000 w64@2000!64a"},
         {"65 66 0f 38 f8 0b", "rbx=1000 rcx=2000", "gs:r64@e1000 w64@2000!64a"},
         {"67 66 0f 38 f8 0b", "rbx=1000 rcx=ffffffff00002000", "r64@1000 w64@2000!64a"},
         {"f2 0f 38 f8 0b", "rbx=1000 rcx=2000", "r64@1000 w64@2000!64a"}, {"f3 0f 01 ec", "", "r24@7000/8"});
}
static void refused_by_name(void **state)
{
    ROWS(SEGUE_MODE_64, {"f3 0f 01 2b", "rbx=1000", "unlisted 1"}, {"66 0f 38 f5 0b", "rbx=1000", "unlisted 1"},
         {"c4 e2 7b 4b 04 0b", "rbx=1000", "unlisted 2"}, {"0f 1a 03", "rbx=1000", "unlisted 3"},
         {"f3 0f a7 c8", "", "unlisted 4"}, {"0f c7 2b", "rbx=1000", "unlisted 7"}, {"0f 01 d7", "", "unlisted 6"});
}
static void vsib(void **state)
{
    need_avx();
    ROWS(SEGUE_MODE_64,
         {"c4 e2 69 92 04 8b",
          "rbx=1000 v1.4.0=1 v1.4.1=ffffffff v1.4.2=7 v2.4.0=80000000 v2.4.1=ffffffff v2.4.3=80000000",
          "r4@1004m r4@ffc:1m r4@1000:3m"},
         {"c4 e2 e9 92 04 cb", "rbx=1000 v1.4.0=1 v1.4.1=2 v2.8.0=8000000000000000 v2.8.1=8000000000000000",
          "r8@1008m r8@1010:1m"},
         {"c4 e2 6d 93 04 8b", "rbx=1000 v1.8.3=10 v2.4.3=80000000", "r4@1040:3m"},
         {"67 c4 e2 69 92 04 8b", "rbx=ffffffff00001000 v1.4.0=fffffbff v2.4.0=80000000", "r4@fffffffcm"},
         {"64 c4 e2 69 92 04 0b", "rbx=1000 v1.4.0=1 v2.4.0=80000000", "fs:r4@f1001m"},
         {"c4 e2 69 92 04 8b", "rbx=1000", ""}, {"c4 e2 69 92 04 8b", "rbx=1000 v2.4.0=80000000 bv=1", ""});
}
static void vsib_evex(void **state)
{
    need_avx512();
    ROWS(SEGUE_MODE_64, {"62 f2 7d 49 90 04 8b", "rbx=1000 k1=8001 v1.4.0=2 v1.4.15=fffffffe", "r4@1008m r4@ff8:15m"},
         {"62 f2 7d 41 90 04 8b", "rbx=1000 k1=1 v17.4.0=2", "r4@1008m"},
         {"62 f2 fd 49 a0 04 cb", "rbx=1000 k1=81 v1.4.0=2 v1.4.7=3", "w8@1010m w8@1018:7m"},
         {"62 f2 7d 49 a3 04 8b", "rbx=1000 k1=ff v1.8.7=3",
          "w4@1000m w4@1000:1m w4@1000:2m w4@1000:3m w4@1000:4m w4@1000:5m w4@1000:6m w4@100c:7m"},
         {"62 f2 7d 49 c6 0c 8b", "rbx=1000 k1=ffff", ""});
}
static void evex_masks(void **state)
{
    need_avx512();
    ROWS(SEGUE_MODE_64, {"62 f1 7c 48 10 03", "rbx=1000", "r64@1000/4"},
         {"62 f1 7c 49 10 03", "rbx=1000 k1=ffff", "r64@1000/4m"}, {"62 f1 7c 49 10 03", "rbx=1000 k1=0", ""},
         {"62 f1 7c 49 10 03", "rbx=1000 k1=f00f", "r16@1000/4m r16@1030/4:12m"},
         {"62 f1 7c 49 11 03", "rbx=1000 k1=2", "w4@1004:1m"},
         {"62 f1 7c 49 10 03", "rbx=1000 k1=1ffff", "r64@1000/4m"},
         {"62 f1 7f 49 6f 03", "rbx=1000 k1=8000000000000001", "r1@1000m r1@103f:63m"},
         {"62 f1 7f 49 6f 03", "rbx=1000 k1=ffffffffffffffff", "r64@1000/1m"},
         {"62 f1 7c 49 28 03", "rbx=1000 k1=6", "r8@1004/4!64:1m"},
         {"62 f1 7c 59 58 03", "rbx=1000 k1=8000", "r4@1000m"}, {"62 f1 7c 59 58 03", "rbx=1000 k1=0", ""},
         {"62 f1 7c 58 58 43 01", "rbx=1000", "r4@1004"}, {"62 f1 7c 48 58 43 01", "rbx=1000", "r64@1040/4"},
         {"62 f1 7c 28 58 43 ff", "rbx=1000", "r32@fe0/4"}, {"62 f1 7e 09 10 03", "rbx=1000 k1=2", ""},
         {"62 f1 7e 09 10 03", "rbx=1000 k1=1", "r4@1000m"}, {"62 f2 7d 49 18 03", "rbx=1000 k1=100", "r4@1000m"},
         {"62 f2 7d 49 1a 03", "rbx=1000 k1=2020", "r4@1004:1m"}, {"62 f2 7d 49 31 03", "rbx=1000 k1=3", "r2@1000/1m"},
         {"62 f2 7e 49 31 03", "rbx=1000 k1=8001", "w1@1000m w1@100f:15m"},
         {"62 f2 7d 49 c8 03", "rbx=1000 k1=1", "r4@1000m"}, {"62 f2 7d 49 8a 03", "rbx=1000 k1=ff00", "w32@1000/4m"},
         {"62 f2 7d 49 8a 03", "rbx=1000 k1=0", ""}, {"62 f2 7d 48 8a 03", "rbx=1000", "w64@1000/4"},
         {"62 f2 7d 49 89 03", "rbx=1000 k1=8421", "r16@1000/4m"},
         {"62 f3 7d 49 19 03 00", "rbx=1000 k1=2", "w16@1000/4mp w4@1004:1m"},
         {"62 f1 6d 49 6b 03", "rbx=1000 k1=0", "r64@1000/4"}, {"62 f1 7c 49 10 03", "rbx=1000 k1=ffff bv=c7", ""});
}
static void sign_masks(void **state)
{
    need_avx();
    ROWS(SEGUE_MODE_64,
         {"c4 e2 69 2c 03", "rbx=1000 v2.4.0=80000000 v2.4.2=80000000 v2.4.3=ffffffff", "r4@1000m r8@1008/4:2m"},
         {"c4 e2 6d 2e 03", "rbx=1000 v2.4.7=80000000", "w4@101c:7m"},
         {"c4 e2 e9 8c 03", "rbx=1000 v2.8.1=8000000000000000", "r8@1008:1m"},
         {"66 0f f7 c1", "rdi=2000 v1.1.0=80 v1.1.15=ff", "w16@2000/1m?p w1@2000m w1@200f:15m"},
         {"66 0f f7 c1", "rdi=2000 v1.8.0=8080808080808080 v1.8.1=8080808080808080", "w16@2000/1m"},
         {"64 66 0f f7 c1", "rdi=2000 v1.1.3=80", "fs:w16@f2000/1m?p fs:w1@f2003:3m"},
         {"0f f7 c1", "rdi=2000 st1.0=80 st1.7=80", "w8@2000/1m?p w1@2000m w1@2007:7m"},
         {"0f f7 c1", "rdi=2000 top=7 st2.0=80", "w8@2000/1m?p w1@2000m"},
         {"67 0f f7 c1", "rdi=ffffffff00002000 st1.0=80", "w8@2000/1m?p w1@2000m"});
}
static void accesses_of_32_bit_mode(void **state)
{
    ROWS(SEGUE_MODE_32, {"8b 43 fc", "rbx=1000", "r4@ffc"}, {"8b 04 24", "rsp=100007000", "r4@7000"},
         {"67 8b 00", "rbx=ffff rsi=2", "r4@1"}, {"50", "", "w4@6ffc"}, {"66 50", "", "w2@6ffe"},
         {"06", "", "w2@6ffc w2@6ffe?"}, {"66 06", "", "w2@6ffe"}, {"07", "", "r4@7000"}, {"60", "", "w32@6fe0/4-"},
         {"66 60", "", "w16@6ff0/2-"}, {"61", "", "r12@7000/4 r4@700c? r16@7010/4"},
         {"66 61", "", "r6@7000/2 r2@7006? r8@7008/2"}, {"cf", "", "r12@7000/4"}, {"66 cf", "", "r6@7000/2"},
         {"cb", "", "r8@7000/4"}, {"9a 00 00 00 00 33 00", "", "w8@6ff8/4-"}, {"62 03", "rbx=1000", "r8@1000/4"},
         {"66 62 03", "rbx=1000", "r4@1000/2"}, {"c4 03", "rbx=1000", "r6@1000"}, {"66 c5 03", "rbx=1000", "r4@1000"},
         {"c8 00 00 02", "rbp=8000", "w4@6ffc r4@7ffc w4@6ff8 w4@6ff4"}, {"0f 01 03", "rbx=1000", "w6@1000"},
         {"63 0b", "rbx=1000", "u2@1000"}, {"64 a1 14 00 00 00", "", "fs:r4@f0014"},
         {"8b 03", "rbx=fffffffd", "unlisted 9"}, {"ff 30", "rax=1000", "r4@1000 w4@6ffc"},
         {"8f 04 24", "", "r4@7000 w4@7004"}, {"f3 ab", "rdi=fffffff8 rcx=4", "w8@fffffff8/4* w8@0/4*"},
         {"67 f3 ab", "rdi=1fff8 rcx=10004", "w8@fff8/4* w8@0/4*"}, {"67 ff 37", "rbx=1000", "r4@1000 w4@6ffc"},
         {"d5 0a", "", ""}, {"d7", "rbx=1000 rax=5", "r1@1005"});
}

/* ---- state areas: their layout is the processor's --------------------------------------------------------------- */

static uint64_t enabled_components(void)
{
    uint64_t enabled;
    if (!state_enabled(&enabled))
        skip();
    return enabled;
}

static void xsave_lists_the_components_asked_for(void **state)
{
    (void)state;
    if (!(enabled_components() & 4))
        skip();
    struct state_component avx;
    assert_true(state_find(STATE_AVX, &avx));
    char wanted[256], text[1024];
    struct segue_insn insn;
    struct segue_regs regs;
    uint8_t bytes[SEGUE_INSN_BYTES];
    size_t size = bytes_of("0f ae 23", bytes);
    assert_int_equal(segue_decode(SEGUE_MODE_64, bytes, size, &insn), SEGUE_OK);

    set_all(&regs, "rbx=1000 rax=3");
    list(&insn, &regs, text);
    assert_string_equal(text, "w576@1000/1!64?p w24@1000/1!64 w8@1018/1 w128@1020/1 w256@10a0/1 u8@1200/1!64");
    set_all(&regs, "rbx=1000 rax=1");
    list(&insn, &regs, text);
    assert_string_equal(text, "w576@1000/1!64?p w24@1000/1!64 w128@1020/1 u8@1200/1!64");
    set_all(&regs, "rbx=1000 rax=4");
    list(&insn, &regs, text);
    sprintf(wanted, "w%u@1000/1!64?p w8@1018/1 u8@1200/1!64 w%u@%x/1!64", avx.offset + avx.size, avx.size,
            0x1000 + avx.offset);
    assert_string_equal(text, wanted);
}

static void state_instructions_differ_in_the_header(void **state)
{
    (void)state;
    enabled_components();
    ROWS(SEGUE_MODE_64, {"0f ae 33", "rbx=1000 rax=1", "w576@1000/1!64?p w24@1000/1!64? w128@1020/1? u8@1200/1!64"},
         {"0f c7 23", "rbx=1000 rax=1", "w576@1000/1!64?p w24@1000/1!64? w128@1020/1? w16@1200/1!64"},
         {"0f ae 2b", "rbx=1000 rax=1", "r576@1000/1!64?p r64@1200/1!64 r24@1000/1!64? r128@1020/1?"});
}

static void xsave_in_32_bit_mode_saves_eight_registers(void **state)
{
    (void)state;
    enabled_components();
    ROWS(SEGUE_MODE_32, {"0f ae 23", "rbx=1000 rax=2", "w576@1000/1!64?p w8@1018/1 w128@10a0/1 u8@1200/1!64"});
}

/* ---- the call's own contract ------------------------------------------------------------------------------------ */

static void decode_hex(enum segue_mode mode, const char *hex, struct segue_insn *insn)
{
    uint8_t bytes[SEGUE_INSN_BYTES];
    size_t size = bytes_of(hex, bytes);
    assert_int_equal(segue_decode(mode, bytes, size, insn), SEGUE_OK);
}

static void accesses_that_do_not_fit_are_counted(void **state)
{
    (void)state;
    struct segue_insn insn;
    struct segue_regs regs;
    struct segue_access accesses[2] = {{.address = 0}, {.address = 0x77}};
    size_t count = 0;
    set_all(&regs, "rsi=1000 rdi=2000");
    decode_hex(SEGUE_MODE_64, "a4", &insn);
    assert_int_equal(segue_accesses(&insn, &regs, NULL, accesses, 1, &count), SEGUE_TOO_SMALL);
    assert_int_equal(count, 2);
    assert_int_equal(accesses[0].address, 0x1000);
    assert_int_equal(accesses[1].address, 0x77);
    assert_int_equal(segue_accesses(&insn, &regs, NULL, NULL, 0, &count), SEGUE_TOO_SMALL);
    assert_int_equal(count, 2);
}

static void accesses_tell_their_operand(void **state)
{
    (void)state;
    struct segue_insn insn;
    struct segue_regs regs;
    struct segue_access accesses[2];
    size_t count;
    set_all(&regs, "rbx=1000");
    decode_hex(SEGUE_MODE_64, "ff 33", &insn);
    assert_int_equal(segue_accesses(&insn, &regs, NULL, accesses, 2, &count), SEGUE_OK);
    assert_int_equal(accesses[0].operand, 0);
    assert_int_equal(accesses[1].operand, 1);
    assert_int_equal(insn.memory[1].addressing, SEGUE_ADDRESSING_STACK);
}

static void null_pointers_are_invalid(void **state)
{
    (void)state;
    struct segue_insn insn;
    struct segue_regs regs;
    struct segue_access access;
    size_t count;
    set_all(&regs, "");
    decode_hex(SEGUE_MODE_64, "8b 03", &insn);
    assert_int_equal(segue_decode(SEGUE_MODE_64, NULL, 1, &insn), SEGUE_INVALID);
    assert_int_equal(segue_decode(SEGUE_MODE_64, "\x90", 1, NULL), SEGUE_INVALID);
    assert_int_equal(segue_decode((enum segue_mode)2, "\x90", 1, &insn), SEGUE_INVALID);
    assert_int_equal(segue_accesses(NULL, &regs, NULL, &access, 1, &count), SEGUE_INVALID);
    assert_int_equal(segue_accesses(&insn, NULL, NULL, &access, 1, &count), SEGUE_INVALID);
    assert_int_equal(segue_accesses(&insn, &regs, NULL, NULL, 1, &count), SEGUE_INVALID);
    assert_int_equal(segue_accesses(&insn, &regs, NULL, &access, 1, NULL), SEGUE_INVALID);
}

/* No state, one in the compacted format, one without room, one that lacks the component. */
static void masks_without_their_state_are_refused(void **state)
{
    (void)state;
    need_avx512();
    struct segue_insn insn;
    struct segue_regs regs;
    set_all(&regs, "rbx=1000 k1=1");
    decode_hex(SEGUE_MODE_64, "62 f1 7c 49 10 03", &insn);
    assert_int_equal(segue_accesses_unlisted(&insn, &regs, &xstate), SEGUE_UNLISTED_NONE);
    assert_int_equal(segue_accesses_unlisted(&insn, &regs, NULL), SEGUE_UNLISTED_XSTATE);
    struct segue_xstate none = {.area = NULL};
    assert_int_equal(segue_accesses_unlisted(&insn, &regs, &none), SEGUE_UNLISTED_XSTATE);
    struct segue_xstate without = xstate;
    without.features = 7;
    assert_int_equal(segue_accesses_unlisted(&insn, &regs, &without), SEGUE_UNLISTED_XSTATE);
    without = xstate;
    without.size = 800;
    assert_int_equal(segue_accesses_unlisted(&insn, &regs, &without), SEGUE_UNLISTED_XSTATE);
    store(520, UINT64_C(1) << 63, 8);
    assert_int_equal(segue_accesses_unlisted(&insn, &regs, &xstate), SEGUE_UNLISTED_XSTATE);
}

/* A frame without XSAVE has the legacy region alone. */
static void legacy_state_is_enough_for_sse(void **state)
{
    (void)state;
    struct segue_insn insn;
    struct segue_regs regs;
    char text[256];
    set_all(&regs, "rdi=2000 v1.1.2=80 bv=0");
    xstate.size = 512;
    xstate.features = 3;
    decode_hex(SEGUE_MODE_64, "66 0f f7 c1", &insn);
    list(&insn, &regs, text);
    assert_string_equal(text, "w16@2000/1m?p w1@2002:2m");
}

static void reasons_have_texts(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SEGUE_UNLISTED_COUNT; i++) {
        const char *text = segue_unlisted_text((enum segue_unlisted)i);
        assert_non_null(text);
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(text, segue_unlisted_text((enum segue_unlisted)j));
    }
    assert_non_null(segue_unlisted_text((enum segue_unlisted)1000));
}

/* ---- decoding ---------------------------------------------------------------------------------------------------- */

/* Every prefix of every instruction of this file, at the very end of readable memory. */
static void shortened_instructions_are_truncated(void **state)
{
    (void)state;
    static const char *const whole[] = {"8b 03",
                                        "48 8b 84 8b 10 00 00 00",
                                        "62 f1 7c 49 10 43 01",
                                        "c4 e2 69 92 04 8b",
                                        "a1 88 77 66 55 44 33 22 11",
                                        "66 0f 3a 63 03 00",
                                        "c8 00 00 03",
                                        "67 41 8a 0c 25 d8 e9 88 00",
                                        "f0 48 0f c7 0b",
                                        "0f 0f 03 9e"};
    uint8_t *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(pages, MAP_FAILED);
    assert_int_equal(mprotect(pages + PAGE, PAGE, PROT_NONE), 0);
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        uint8_t bytes[SEGUE_INSN_BYTES];
        struct segue_insn insn, untouched;
        size_t length = bytes_of(whole[i], bytes);
        memset(&insn, 0x5a, sizeof insn);
        untouched = insn;
        for (size_t size = 0; size < length; size++) {
            memcpy(pages + PAGE - size, bytes, size);
            assert_int_equal(segue_decode(SEGUE_MODE_64, pages + PAGE - size, size, &insn), SEGUE_TRUNCATED);
            assert_memory_equal(&insn, &untouched, sizeof insn);
        }
        memcpy(pages + PAGE - length, bytes, length);
        assert_int_equal(segue_decode(SEGUE_MODE_64, pages + PAGE - length, length, &insn), SEGUE_OK);
        assert_int_equal(insn.length, length);
    }
    munmap(pages, 2 * PAGE);
}

static void sixteen_bytes_are_no_instruction(void **state)
{
    (void)state;
    struct segue_insn insn;
    uint8_t bytes[20];
    memset(bytes, 0x66, sizeof bytes);
    bytes[15] = 0x90;
    assert_int_equal(segue_decode(SEGUE_MODE_64, bytes, sizeof bytes, &insn), SEGUE_UNDEFINED);
    assert_int_equal(segue_decode(SEGUE_MODE_64, bytes, 14, &insn), SEGUE_TRUNCATED);
    assert_int_equal(segue_decode(SEGUE_MODE_64, "\x06", 1, &insn), SEGUE_UNDEFINED);
}

/* Knights Corner's instructions are nobody's any more: MVEX, and VEX encodings of its own. */
static void knights_corner_is_undefined(void **state)
{
    (void)state;
    static const char *const instructions[] = {"62 f1 78 08 28 03", "62 f2 79 0b 90 04 8b", "c4 e1 7b ae 39",
                                               "c4 e1 7a ae f1",    "c4 e1 78 41 c1",       "c4 e1 7a b8 c1"};
    uint8_t bytes[SEGUE_INSN_BYTES];
    struct segue_insn insn;
    for (size_t i = 0; i < sizeof instructions / sizeof *instructions; i++) {
        size_t size = bytes_of(instructions[i], bytes);
        assert_int_equal(segue_decode(SEGUE_MODE_64, bytes, size, &insn), SEGUE_UNDEFINED);
    }
}

/* Where makers' processors differ, the list is this one's. */
static void what_makers_differ_in_is_as_on_this_processor(void **state)
{
    (void)state;
    struct segue_insn insn;
    struct segue_regs regs;
    char text[256];
    set_all(&regs, "rbx=1000");
    decode_hex(SEGUE_MODE_64, "48 ff 1b", &insn);
    list(&insn, &regs, text);
    assert_string_equal(text, processor_is_amd() ? "r6@1000 w16@6ff0/8-" : "r10@1000 w16@6ff0/8-");
    decode_hex(SEGUE_MODE_64, "66 ff 13", &insn);
    list(&insn, &regs, text);
    assert_string_equal(text, processor_is_amd() ? "r2@1000 w2@6ffe" : "r8@1000 w8@6ff8");
    decode_hex(SEGUE_MODE_64, "66 c3", &insn);
    list(&insn, &regs, text);
    assert_string_equal(text, processor_is_amd() ? "r2@7000" : "r8@7000");
    decode_hex(SEGUE_MODE_64, "66 ff d3", &insn);
    list(&insn, &regs, text);
    assert_string_equal(text, processor_is_amd() ? "w2@6ffe" : "w8@6ff8");
    assert_int_equal(segue_decode(SEGUE_MODE_64, "\x66\xe8\x00\x10\x00\x00", 6, &insn), SEGUE_OK);
    assert_int_equal(insn.length, processor_is_amd() ? 4 : 6);
    decode_hex(SEGUE_MODE_64, "66 63 03", &insn);
    list(&insn, &regs, text);
    assert_string_equal(text, processor_is_amd() ? "r4@1000" : "r2@1000");
    decode_hex(SEGUE_MODE_64, "0f 38 c9 03", &insn);
    list(&insn, &regs, text);
    assert_string_equal(text, processor_is_amd() ? "r16@1000/4" : "r16@1000/4!16");
}

static void decoders_are_as_zydis_makes_them(void **state)
{
    (void)state;
    static const struct {
        enum segue_mode mode;
        ZydisMachineMode machine;
        ZydisStackWidth stack;
    } modes[] = {{SEGUE_MODE_64, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64},
                 {SEGUE_MODE_32, ZYDIS_MACHINE_MODE_LONG_COMPAT_32, ZYDIS_STACK_WIDTH_32}};
    uint64_t seed = 1;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        ZydisDecoder decoder;
        assert_true(ZYAN_SUCCESS(ZydisDecoderInit(&decoder, modes[i].machine, modes[i].stack)));
        if (modes[i].mode == SEGUE_MODE_64)
            ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_AMD_BRANCHES, processor_is_amd());
        for (unsigned round = 0; round < 200000; round++) {
            uint8_t bytes[16];
            ZydisDecodedInstruction instruction;
            ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
            struct segue_insn insn;
            for (size_t j = 0; j < sizeof bytes; j++)
                bytes[j] = (uint8_t)((seed = seed * 6364136223846793005 + 1442695040888963407) >> 56);
            if (segue_decode(modes[i].mode, bytes, sizeof bytes, &insn) != SEGUE_OK)
                continue;
            assert_true(ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, sizeof bytes, &instruction, operands)));
            assert_int_equal(insn.length, instruction.length);
            assert_int_equal(insn.mnemonic, instruction.mnemonic);
        }
    }
}

static bool is_hidden_stack(const ZydisDecodedOperand *operand)
{
    return operand->type == ZYDIS_OPERAND_TYPE_MEMORY && operand->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN;
}

/* Holds what is told of the stack without Zydis' hidden operands against these. */
static bool check_stack_element(enum segue_mode mode, const uint8_t *bytes)
{
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    struct segue_insn insn;
    struct register_place base;
    if (segue_decode(mode, bytes, SEGUE_INSN_BYTES, &insn) != SEGUE_OK ||
        (rules[insn.mnemonic] != RULE_PUSH && rules[insn.mnemonic] != RULE_POP && rules[insn.mnemonic] != RULE_LEAVE))
        return false;
    assert_int_equal(zydis_decode(mode, bytes, SEGUE_INSN_BYTES, OPERANDS_ALL, &instruction, operands), SEGUE_OK);
    unsigned hidden = 0;
    for (unsigned i = 0; i < instruction.operand_count; i++) {
        if (!is_hidden_stack(&operands[i]))
            continue;
        bool writes = operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
        /* A read comes first; a write, and what a selector leaves of its place, last. */
        unsigned at = writes && insn.memory_count == 2 && insn.memory[0].addressing != SEGUE_ADDRESSING_STACK;
        const struct segue_memory_operand *memory = &insn.memory[at];
        bool split = writes && insn.memory_count == 2 && !at;
        assert_int_equal(memory->addressing, SEGUE_ADDRESSING_STACK);
        assert_int_equal(split ? 2 * memory->size : memory->size, operands[i].size / 8);
        assert_int_equal(memory->direction, writes ? SEGUE_WRITE : SEGUE_READ);
        assert_int_equal(memory->segment, SEGUE_SEGMENT_SS);
        assert_int_equal(operands[i].mem.segment, ZYDIS_REGISTER_SS);
        assert_true(register_find(operands[i].mem.base, &base));
        assert_int_equal(memory->base, base.number);
        assert_int_equal(memory->displacement, writes ? -(int64_t)operands[i].size / 8 : 0);
        hidden++;
    }
    assert_int_equal(hidden, 1);
    return true;
}

/* Every opcode of the first two maps with every ModRM byte. */
static void stack_elements_are_as_zydis_has_them(void **state)
{
    (void)state;
    static const char *const prefixes[] = {"", "66", "67", "48", "66 48", "f2", "64"};
    unsigned checked = 0;
    for (unsigned i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        for (unsigned opcode = 0; opcode < 2 * 256 * 256; opcode++) {
            uint8_t bytes[SEGUE_INSN_BYTES + 1] = {0};
            size_t at = bytes_of(prefixes[i], bytes);
            if (opcode >> 16)
                bytes[at++] = 0x0f;
            bytes[at++] = (uint8_t)opcode;
            bytes[at] = (uint8_t)(opcode >> 8);
            checked += check_stack_element(SEGUE_MODE_64, bytes) + check_stack_element(SEGUE_MODE_32, bytes);
        }
    assert_true(checked > 100000);
}

static void registers_have_the_places_of_their_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint8_t number, size, shift;
    } places[] = {
        {"rax", SEGUE_RAX, 8, 0}, {"ebx", SEGUE_RBX, 4, 0},  {"cx", SEGUE_RCX, 2, 0},  {"dl", SEGUE_RDX, 1, 0},
        {"ah", SEGUE_RAX, 1, 8},  {"ch", SEGUE_RCX, 1, 8},   {"dh", SEGUE_RDX, 1, 8},  {"bh", SEGUE_RBX, 1, 8},
        {"spl", SEGUE_RSP, 1, 0}, {"bpl", SEGUE_RBP, 1, 0},  {"sil", SEGUE_RSI, 1, 0}, {"dil", SEGUE_RDI, 1, 0},
        {"r8b", SEGUE_R8, 1, 0},  {"r15b", SEGUE_R15, 1, 0}, {"r9w", SEGUE_R9, 2, 0},  {"r14d", SEGUE_R14, 4, 0},
        {"r13", SEGUE_R13, 8, 0}, {"esp", SEGUE_RSP, 4, 0},  {"bp", SEGUE_RBP, 2, 0},  {"rip", SEGUE_RIP, 8, 0}};
    size_t found = 0;
    for (unsigned reg = 0; reg <= ZYDIS_REGISTER_MAX_VALUE; reg++) {
        struct register_place place;
        const char *name = ZydisRegisterGetString((ZydisRegister)reg);
        if (!register_find((ZydisRegister)reg, &place))
            continue;
        found++;
        for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
            if (strcmp(name, places[i].name) != 0)
                continue;
            assert_int_equal(place.number, places[i].number);
            assert_int_equal(place.size, places[i].size);
            assert_int_equal(place.shift, places[i].shift);
        }
    }
    assert_int_equal(found, 16 * 4 + 4 + 3);
}

/* ---- classes ----------------------------------------------------------------------------------------------------- */

static void every_mnemonic_has_a_class(void **state)
{
    (void)state;
    unsigned without = 0;
    for (unsigned i = 0; i < segue_mnemonic_count(); i++) {
        enum segue_class number = segue_mnemonic_class(i);
        if (number != SEGUE_CLASS_UNKNOWN && number < SEGUE_CLASS_COUNT)
            continue;
        print_error("%s has no class\n", segue_mnemonic_name(i));
        without++;
    }
    assert_int_equal(without, 0);
    assert_int_equal(segue_mnemonic_class(segue_mnemonic_count()), SEGUE_CLASS_UNKNOWN);
    assert_string_equal(segue_class_name(SEGUE_CLASS_COUNT), "?");
}

static void forms_have_their_own_class(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *class_name;
    } forms[] = {{"8b 03", "move"},
                 {"01 c0", "alu"},
                 {"03 03", "alu"},
                 {"01 03", "rmw"},
                 {"f0 01 03", "lock"},
                 {"87 03", "lock"},
                 {"87 c1", "move"},
                 {"39 03", "alu"},
                 {"a5", "string"},
                 {"48 a5", "string"},
                 {"f2 0f 10 03", "simd-move"},
                 {"f2 0f c2 03 00", "simd-compute"},
                 {"a7", "string"},
                 {"ff 33", "stack"},
                 {"0f a0", "segment"},
                 {"8e d8", "segment"},
                 {"0f 20 c0", "system"},
                 {"ff 13", "branch"},
                 {"c3", "branch"},
                 {"0f a3 0b", "bit"},
                 {"f0 0f ab 0b", "lock"},
                 {"d9 03", "x87"},
                 {"0f ae 03", "state"},
                 {"c4 e2 69 92 04 8b", "gather"},
                 {"62 f2 7d 49 a0 04 8b", "scatter"},
                 {"c5 f8 90 0b", "mask"},
                 {"66 0f f7 c1", "mask"},
                 {"0f 01 03", "system"},
                 {"0f 1f 03", "none"},
                 {"0f 18 0b", "none"},
                 {"0f b1 0b", "rmw"},
                 {"f0 0f c7 0b", "lock"},
                 {"8c 1b", "segment"},
                 {"0f 94 03", "alu"}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct segue_insn insn;
        decode_hex(SEGUE_MODE_64, forms[i].bytes, &insn);
        if (strcmp(segue_class_name((enum segue_class)insn.class_), forms[i].class_name) != 0)
            fail_msg("%s is %s, not %s", forms[i].bytes, segue_class_name((enum segue_class)insn.class_),
                     forms[i].class_name);
    }
}

/* ---- the cache --------------------------------------------------------------------------------------------------- */

static void cache_answers_as_decoding_does(void **state)
{
    (void)state;
    static struct segue_cache cache;
    struct segue_insn first, second;
    for (unsigned round = 0; round < 2; round++) {
        assert_int_equal(segue_decode_cached(&cache, SEGUE_MODE_64, 0x1000, "\x8b\x03", 2, &first), SEGUE_OK);
        decode_hex(SEGUE_MODE_64, "8b 03", &second);
        assert_int_equal(second.redirection.kind, SEGUE_REDIRECTION_UNKNOWN);
        redirect_complete(&second);
        assert_int_equal(second.redirection.kind, SEGUE_REDIRECTION_OPERAND);
        assert_memory_equal(&first, &second, sizeof first);
    }
    assert_int_equal(segue_decode_cached(&cache, SEGUE_MODE_64, 0x1000, "\x8b", 1, &first), SEGUE_TRUNCATED);
    assert_int_equal(segue_decode_cached(&cache, SEGUE_MODE_64, 0x1000, "\x06", 1, &first), SEGUE_UNDEFINED);
    assert_int_equal(segue_decode_cached(NULL, SEGUE_MODE_64, 0x1000, "\x90", 1, &first), SEGUE_INVALID);
}

/* Any byte that changes, and the mode, is noticed; so is another address at the same place. */
static void cache_notices_changed_bytes(void **state)
{
    (void)state;
    static struct segue_cache cache;
    uint8_t bytes[16] = {0};
    size_t length = bytes_of("48 8b 84 8b 10 00 00 00", bytes);
    for (size_t at = 0; at < length; at++) {
        struct segue_insn cached, decoded;
        assert_int_equal(segue_decode_cached(&cache, SEGUE_MODE_64, 0x1000, bytes, sizeof bytes, &cached), SEGUE_OK);
        uint8_t changed[sizeof bytes];
        memcpy(changed, bytes, sizeof bytes);
        changed[at] ^= 1;
        enum segue_status status = segue_decode_cached(&cache, SEGUE_MODE_64, 0x1000, changed, sizeof changed, &cached);
        assert_int_equal(status, segue_decode(SEGUE_MODE_64, changed, sizeof changed, &decoded));
        if (status == SEGUE_OK) {
            redirect_complete(&decoded);
            assert_memory_equal(&cached, &decoded, sizeof cached);
        }
    }
    struct segue_insn insn;
    assert_int_equal(segue_decode_cached(&cache, SEGUE_MODE_64, 0x2000, "\x48\x90", 2, &insn), SEGUE_OK);
    assert_int_equal(insn.length, 2);
    assert_int_equal(segue_decode_cached(&cache, SEGUE_MODE_32, 0x2000, "\x48\x90", 2, &insn), SEGUE_OK);
    assert_int_equal(insn.length, 1);
}

/* Two instructions at one address that many threads decode, each its own: none may ever get another's, or a mixture. */
static struct segue_cache shared_cache;

static void *hammer(void *argument)
{
    static const char *const instructions[] = {"48 8b 84 8b 10 00 00 00", "f0 0f c7 0b 90 90 90 90"};
    uint8_t bytes[SEGUE_INSN_BYTES];
    struct segue_insn mine, got;
    size_t size = bytes_of(instructions[argument != NULL], bytes);
    uintptr_t wrong = 0;
    segue_decode(SEGUE_MODE_64, bytes, size, &mine);
    redirect_complete(&mine);
    for (unsigned i = 0; i < 300000; i++) {
        uint64_t address = i % 8 * 0x1000000;
        if (segue_decode_cached(&shared_cache, SEGUE_MODE_64, address, bytes, size, &got) != SEGUE_OK ||
            memcmp(&mine, &got, sizeof mine) != 0)
            wrong++;
    }
    return (void *)wrong;
}

static void cache_never_mixes_what_two_threads_store(void **state)
{
    (void)state;
    pthread_t threads[2];
    for (uintptr_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, (void *)i), 0);
    for (unsigned i = 0; i < 2; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
}

/* ---- the page that tells of it ------------------------------------------------------------------------------------
 */

/* docs/decode.md lists each class's mnemonics as classes.txt does. */
static void page_lists_every_class(void **state)
{
    const char *name = *state;
    static char page[1 << 17];
    FILE *file = fopen(name, "r");
    assert_non_null(file);
    size_t size = fread(page, 1, sizeof page - 1, file);
    fclose(file);
    page[size] = 0;
    for (unsigned i = 1; i < segue_mnemonic_count(); i++) {
        char heading[40], word[40];
        snprintf(heading, sizeof heading, "\n### %s\n", segue_class_name(segue_mnemonic_class(i)));
        const char *section = strstr(page, heading);
        if (!section)
            fail_msg("no section%s", heading);
        const char *end = strstr(section + strlen(heading), "\n### ");
        snprintf(word, sizeof word, "%s", segue_mnemonic_name(i));
        bool found = false;
        for (const char *at = section; !found && (at = strstr(at + 1, word)) && (!end || at < end);)
            found = strchr(" \n`", at[-1]) && strchr(" \n`", at[strlen(word)]);
        if (!found)
            fail_msg("%s does not stand under%s", word, heading);
    }
}

int main(int count, char **arguments)
{
    char *page = count > 1 ? arguments[1] : NULL;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_operands),
        cmocka_unit_test(segments_and_address_sizes),
        cmocka_unit_test(no_access),
        cmocka_unit_test(locked),
        cmocka_unit_test(stack),
        cmocka_unit_test(branches),
        cmocka_unit_test(strings),
        cmocka_unit_test(bit_offsets),
        cmocka_unit_test(vector_alignment),
        cmocka_unit_test(system_structures),
        cmocka_unit_test(refused_by_name),
        cmocka_unit_test(vsib),
        cmocka_unit_test(vsib_evex),
        cmocka_unit_test(evex_masks),
        cmocka_unit_test(sign_masks),
        cmocka_unit_test(accesses_of_32_bit_mode),
        cmocka_unit_test(xsave_lists_the_components_asked_for),
        cmocka_unit_test(state_instructions_differ_in_the_header),
        cmocka_unit_test(xsave_in_32_bit_mode_saves_eight_registers),
        cmocka_unit_test(accesses_that_do_not_fit_are_counted),
        cmocka_unit_test(accesses_tell_their_operand),
        cmocka_unit_test(null_pointers_are_invalid),
        cmocka_unit_test(masks_without_their_state_are_refused),
        cmocka_unit_test(legacy_state_is_enough_for_sse),
        cmocka_unit_test(reasons_have_texts),
        cmocka_unit_test(shortened_instructions_are_truncated),
        cmocka_unit_test(sixteen_bytes_are_no_instruction),
        cmocka_unit_test(knights_corner_is_undefined),
        cmocka_unit_test(what_makers_differ_in_is_as_on_this_processor),
        cmocka_unit_test(decoders_are_as_zydis_makes_them),
        cmocka_unit_test(stack_elements_are_as_zydis_has_them),
        cmocka_unit_test(registers_have_the_places_of_their_names),
        cmocka_unit_test(every_mnemonic_has_a_class),
        cmocka_unit_test(forms_have_their_own_class),
        cmocka_unit_test(cache_answers_as_decoding_does),
        cmocka_unit_test(cache_notices_changed_bytes),
        cmocka_unit_test(cache_never_mixes_what_two_threads_store),
        cmocka_unit_test_prestate(page_lists_every_class, page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
