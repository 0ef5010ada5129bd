/* decode_words.c: registers, state and lists of accesses, written in words (see decode_words.h). */
#include "decode_words.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decode/x86/xsave.h"

/* ---- a state, written in words --------------------------------------------------------------------------------- */

static const char *const register_names[] = {"rax", "rbx", "rcx", "rdx",    "rsi",     "rdi",    "rbp",
                                             "rsp", "r8",  "r9",  "r10",    "r11",     "r12",    "r13",
                                             "r14", "r15", "rip", "rflags", "fs_base", "gs_base"};

static _Alignas(64) uint8_t area[4096];
struct segue_xstate xstate;

void store(size_t offset, uint64_t value, size_t size)
{
    assert_true(offset + size <= sizeof area);
    memcpy(area + offset, &value, size);
}

static size_t place_of(unsigned component)
{
    struct xsave_component place;
    assert_true(xsave_find(component, &place));
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

void set_all(struct segue_regs *regs, const char *words)
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

size_t bytes_of(const char *hex, uint8_t bytes[SEGUE_INSN_BYTES])
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

void list(const struct segue_insn *insn, const struct segue_regs *regs, char *text)
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

static bool has_components(unsigned components)
{
    struct xsave_component place;
    for (unsigned i = STATE_FIRST_EXTENDED; i < 8; i++)
        if ((components >> i & 1) && !xsave_find(i, &place))
            return false;
    return true;
}

void need_avx(void)
{
    if (!has_components(0x4))
        skip();
}

void need_avx512(void)
{
    if (!has_components(0xe4))
        skip();
}

void decode_hex(enum segue_mode mode, const char *hex, struct segue_insn *insn)
{
    uint8_t bytes[SEGUE_INSN_BYTES];
    size_t size = bytes_of(hex, bytes);
    assert_int_equal(segue_decode(mode, bytes, size, insn), SEGUE_OK);
}
