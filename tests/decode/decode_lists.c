/* decode_lists.c: bytes and registers become the access lists that the manuals promise, as data: bytes, registers,
 * list. What the processor really does is access_check's affair. */
#include <stdio.h>
#include <string.h>

#include "decode/x86/xsave.h"
#include "decode_words.h"

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
         {"8b 03", "rbx=fffffffffffffffc", "r4@fffffffffffffffc"}, {"8b 03", "rbx=fffffffffffffffd", "unlisted 9"},
         {"67 8b 03", "rbx=fffffffe", "r4@fffffffe"}, {"67 0f 10 03", "rbx=fffffff0", "r16@fffffff0/4"},
         {"67 0f 10 03", "rbx=fffffff1", "unlisted 9"}, {"67 db 2b", "rbx=fffffff8", "unlisted 9"},
         {"65 67 0f ae 03", "rbx=ffffff00", "unlisted 9"}, {"67 50", "rsp=100000004", "w8@fffffffc"});
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
         {"ff 2b", "rbx=1000", "r6@1000"}, {"ff 1b", "rbx=1000", "r6@1000 w8@6ff8/4-"},
         {"48 cf", "rflags=4202", "unlisted 10"}, {"eb 00", "", ""});
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
         {"66 61", "", "r6@7000/2 r2@7006? r8@7008/2"}, {"9a 00 00 00 00 33 00", "", "w8@6ff8/4-"},
         {"62 03", "rbx=1000", "r8@1000/4"}, {"66 62 03", "rbx=1000", "r4@1000/2"}, {"c4 03", "rbx=1000", "r6@1000"},
         {"66 c5 03", "rbx=1000", "r4@1000"}, {"c8 00 00 02", "rbp=8000", "w4@6ffc r4@7ffc w4@6ff8 w4@6ff4"},
         {"0f 01 03", "rbx=1000", "w6@1000"}, {"63 0b", "rbx=1000", "u2@1000"},
         {"64 a1 14 00 00 00", "", "fs:r4@f0014"}, {"8b 03", "rbx=fffffffd", "unlisted 9"},
         {"64 8b 03", "rbx=fffffffd", "unlisted 9"}, {"67 0f 10 07", "rbx=fff8", "unlisted 9"},
         {"ff 30", "rax=1000", "r4@1000 w4@6ffc"}, {"8f 04 24", "", "r4@7000 w4@7004"},
         {"f3 ab", "rdi=fffffff8 rcx=4", "w8@fffffff8/4* w8@0/4*"},
         {"67 f3 ab", "rdi=1fff8 rcx=10004", "w8@fff8/4* w8@0/4*"}, {"67 ff 37", "rbx=1000", "r4@1000 w4@6ffc"},
         {"d5 0a", "", ""}, {"d7", "rbx=1000 rax=5", "r1@1005"});
}

/* ---- state areas: their layout is the processor's --------------------------------------------------------------- */

static uint64_t enabled_components(void)
{
    uint64_t enabled = xsave_enabled();
    if (!enabled)
        skip();
    return enabled;
}

static void xsave_lists_the_components_asked_for(void **state)
{
    (void)state;
    if (!(enabled_components() & 4))
        skip();
    struct xsave_component avx;
    assert_true(xsave_find(STATE_AVX, &avx));
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

int main(void)
{
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
