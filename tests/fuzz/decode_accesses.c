/* decode_accesses.c: the fuzz target over segue_decode, segue_decode_cached and segue_accesses: any bytes, any
 * registers.
 *
 * libFuzzer and AFL++ share it (docs/fuzzing.md). An input is:
 *
 *     byte 0        bit 0: 32-bit mode; bit 1: no extended state; bits 2-4: how much of its area is there
 *     byte 1        how many bytes the instruction may have (0 to 31)
 *     then          those bytes
 *     the rest      registers, then the extended state; repeated until both are full
 *
 * What must hold: no crash, no read past the given length (each input lies in a block of exactly its size, so the
 * address sanitizer sees it), the same answer every time, an answer that does not depend on what follows the
 * instruction, and a list of accesses in which every entry makes sense. */
#include <segue/decode.h>
#include <stdlib.h>
#include <string.h>

#include "decode/relocate/relocation.h"
#include "tests/fuzz/covered.h"

#define AREA 4096

int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) {
        covered_save();
        abort();
    }
}

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    static const char *const windows[] = {"none"};
    covered_begin(*count, *arguments, windows, 1);
    return 0;
}

struct input {
    enum segue_mode mode;
    /* A block of its own, of exactly this many bytes. */
    uint8_t *bytes;
    size_t size;
    struct segue_regs regs;
    struct segue_xstate xstate;
    bool has_xstate;
};

/* Repeats `from` until `to` is full. */
static void fill(void *to, size_t size, const uint8_t *from, size_t from_size)
{
    memset(to, 0, size);
    for (size_t at = 0; from_size && at < size; at += from_size)
        memcpy((uint8_t *)to + at, from, from_size < size - at ? from_size : size - at);
}

static bool read_input(struct input *input, const uint8_t *data, size_t size)
{
    if (size < 2)
        return false;
    size_t wanted = data[1] % 32, left = size - 2;
    input->mode = data[0] & 1 ? SEGUE_MODE_32 : SEGUE_MODE_64;
    input->size = wanted < left ? wanted : left;
    input->bytes = malloc(input->size ? input->size : 1);
    if (!input->bytes)
        return false;
    memcpy(input->bytes, data + 2, input->size);
    fill(&input->regs, sizeof input->regs, data + 2 + input->size, left - input->size);
    input->has_xstate = !(data[0] & 2);
    input->xstate.size = (uint32_t)(AREA >> (data[0] >> 2) % 7);
    input->xstate.features = 0xe7;
    input->xstate.area = aligned_alloc(64, input->xstate.size);
    if (!input->xstate.area) {
        free(input->bytes);
        return false;
    }
    fill(input->xstate.area, input->xstate.size, data + 2 + input->size, left - input->size);
    return true;
}

/* Decodes again in every way that must come to the same. */
static void check_decode(const struct input *input, const struct segue_insn *insn, enum segue_status status)
{
    static struct segue_cache cache;
    struct segue_insn again, complete = *insn;
    uint64_t address = input->regs.rip;
    if (status == SEGUE_OK)
        relocation_complete(&complete);
    for (int i = 0; i < 2; i++) {
        check(segue_decode_cached(&cache, input->mode, address, input->bytes, input->size, &again) == status);
        check(status != SEGUE_OK || memcmp(&again, &complete, sizeof again) == 0);
    }
    if (status != SEGUE_OK)
        return;
    uint8_t *exact = malloc(insn->length);
    if (!exact)
        return;
    memcpy(exact, input->bytes, insn->length);
    check(segue_decode(input->mode, exact, insn->length, &again) == SEGUE_OK);
    check(memcmp(&again, insn, sizeof again) == 0);
    for (size_t less = 0; less < insn->length; less++)
        check(segue_decode(input->mode, exact, less, &again) == SEGUE_TRUNCATED);
    free(exact);
}

static bool same_access(const struct segue_access *left, const struct segue_access *right)
{
    return left->address == right->address && left->size == right->size && left->flags == right->flags &&
           left->element == right->element && left->direction == right->direction && left->segment == right->segment &&
           left->lane == right->lane && left->alignment == right->alignment && left->operand == right->operand;
}

static void check_access(const struct input *input, const struct segue_insn *insn, const struct segue_access *access)
{
    check(access->size > 0 && access->element > 0 && access->size % access->element == 0);
    check(access->direction && !(access->direction & ~(SEGUE_READ | SEGUE_WRITE)));
    check(access->segment <= SEGUE_SEGMENT_GS && access->operand < insn->memory_count);
    check(input->mode == SEGUE_MODE_64 || access->address <= UINT32_MAX);
}

static void check_accesses(const struct input *input, const struct segue_insn *insn)
{
    struct segue_access all[SEGUE_ACCESSES_MOST];
    const struct segue_xstate *xstate = input->has_xstate ? &input->xstate : NULL;
    size_t count = 0, again_count = 0;
    enum segue_status status = segue_accesses(insn, &input->regs, xstate, all, SEGUE_ACCESSES_MOST, &count);
    check(status == SEGUE_OK || status == SEGUE_UNSUPPORTED);
    if (status != SEGUE_OK)
        return;
    check(count <= SEGUE_ACCESSES_MOST);
    for (size_t i = 0; i < count; i++)
        check_access(input, insn, &all[i]);
    /* Into a list that is too short by one, or just long enough. */
    for (size_t capacity = count ? count - 1 : 0; capacity <= count; capacity++) {
        struct segue_access *some = malloc(capacity * sizeof *some + 1);
        if (!some)
            return;
        status = segue_accesses(insn, &input->regs, xstate, some, capacity, &again_count);
        check(again_count == count && status == (capacity < count ? SEGUE_TOO_SMALL : SEGUE_OK));
        for (size_t i = 0; i < capacity; i++)
            check(same_access(&some[i], &all[i]));
        free(some);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input;
    struct segue_insn insn;
    if (!read_input(&input, data, size))
        return 0;
    enum segue_status status = segue_decode(input.mode, input.bytes, input.size, &insn);
    check(status == SEGUE_OK || status == SEGUE_TRUNCATED || status == SEGUE_UNDEFINED);
    check(status != SEGUE_OK || (insn.length <= input.size && insn.length <= SEGUE_INSN_BYTES));
    check_decode(&input, &insn, status);
    if (status == SEGUE_OK) {
        check(!covered(&insn, 0));
        check_accesses(&input, &insn);
    }
    free(input.bytes);
    free(input.xstate.area);
    return 0;
}
