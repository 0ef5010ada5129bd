/* patch_pun.c: jumps in instructions that are shorter than a jump, on random bytes and addresses: what was encoded is
 * decoded again, and must be a direct jump exactly to its target. */
#include "tests/support/test.h"

#include <Zydis/Zydis.h>
#include <string.h>

#include "decode/x86/canonical.h"
#include "patch/hot/pun.h"
#include "tests/support/random.h"

#define ROUNDS 200000u
#define BYTES 64u

/* The address of an instruction that a program may have. */
static uint64_t some_address(struct random *random)
{
    uint64_t top = canonical_user_end() - BYTES;
    switch (random_below(random, 4)) {
    case 0:
        return random_next(random) % top;
    case 1:
        return 0x400000 + random_below(random, 0x1000000);
    case 2:
        return top - random_below(random, 0x10000000);
    default:
        return 0x7f0000000000 + random_below(random, 0x40000000);
    }
}

/* Decodes the bytes as the processor would, and expects a direct jump to `target` that has `prefixes` prefixes. */
static void expect_jump(uint64_t address, const uint8_t *bytes, unsigned prefixes, uint64_t target)
{
    ZydisDecoder decoder;
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    ZyanU64 decoded;
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    assert_true(ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, 15, &instruction, operands)));
    assert_int_equal(instruction.mnemonic, ZYDIS_MNEMONIC_JMP);
    assert_int_equal(instruction.length, prefixes + 5);
    assert_true(ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(&instruction, &operands[0], address, &decoded)));
    assert_true(decoded == target);
    assert_true(pun_target(address, bytes, prefixes) == target);
}

/* Writes the jump and expects that nothing else changes. */
static void jump_to(uint64_t address, uint8_t *bytes, unsigned length, unsigned prefixes, uint64_t target)
{
    uint8_t before[BYTES], changed[PUN_BYTES];
    unsigned size = pun_changed(length, prefixes);
    memcpy(before, bytes, BYTES);
    assert_true(pun_encode(address, bytes, length, prefixes, target, changed));
    assert_memory_equal(before, bytes, BYTES);
    memcpy(bytes, changed, size);
    assert_true(size <= length);
    expect_jump(address, bytes, prefixes, target);
}

static void jump_goes_to_its_target_and_changes_its_instruction_alone(void **state)
{
    struct random random = random_for(1, 0);
    unsigned with_targets = 0;
    (void)state;
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint8_t bytes[BYTES];
        struct pun_window window;
        uint64_t address = some_address(&random), from = address + (random_next(&random) >> 32) - (UINT64_C(1) << 31);
        unsigned length = 1 + random_below(&random, 15), prefixes = random_below(&random, PUN_PREFIXES + 1);
        random_fill(&random, bytes, sizeof bytes);
        if (!pun_window(address, bytes, length, prefixes, &window)) {
            assert_true(prefixes >= length);
            continue;
        }
        uint64_t target;
        if (random_below(&random, 2) || (int64_t)from < 0)
            from = 0;
        if (!pun_next(&window, from, &target))
            continue;
        with_targets++;
        assert_true(target >= from && target < canonical_user_end() && pun_has(&window, target));
        uint64_t last, beyond;
        assert_true(pun_last(&window, &last) && last >= target);
        assert_true(pun_has(&window, last) || last >= canonical_user_end());
        assert_false(pun_next(&window, last + 1, &beyond));
        jump_to(address, bytes, length, prefixes, target);
    }
    assert_true(with_targets > ROUNDS / 4);
}

static void too_many_prefixes_leave_no_room(void **state)
{
    struct pun_window window;
    const uint8_t bytes[32] = {0};
    (void)state;
    assert_false(pun_window(0x400000, bytes, 1, 1, &window));
    assert_false(pun_window(0x400000, bytes, 0, 0, &window));
    assert_false(pun_window(0x400000, bytes, 15, PUN_PREFIXES + 1, &window));
    assert_true(pun_window(0x400000, bytes, 2, 1, &window));
    assert_false(pun_window_moved(0x400000, 5, &window));
    assert_false(pun_window_moved(0x400000, 0, &window));
}

/* The free bytes of a displacement are the low ones: 256, 64 KiB, 16 MiB of targets, or all. */
static void edges_are_where_the_free_bytes_are_0_and_FF(void **state)
{
    const uint64_t address = 0x7f1234567890;
    const uint8_t bytes[] = {1, 2, 3, 4, 0x48, 0x8b, 0x15, 0x07, 9, 10, 11, 12};
    (void)state;
    for (unsigned prefixes = 0; prefixes <= PUN_PREFIXES; prefixes++) {
        for (unsigned length = prefixes + 1; length <= prefixes + 4; length++) {
            struct pun_window window;
            unsigned open = length - prefixes - 1;
            uint32_t behind;
            memcpy(&behind, bytes + prefixes + 1, sizeof behind);
            uint32_t low = (UINT32_C(1) << 8 * open) - 1;
            uint64_t first = address + prefixes + 5 + (uint64_t)(int64_t)(int32_t)(behind & ~low), last = first + low;
            uint64_t target;
            assert_true(pun_window(address, bytes, length, prefixes, &window));
            assert_true(pun_next(&window, 0, &target) && target == first);
            assert_true(pun_next(&window, last, &target) && target == last);
            assert_false(pun_next(&window, last + 1, &target));
            assert_true(pun_has(&window, first) && pun_has(&window, last));
            assert_false(pun_has(&window, first - 1) || pun_has(&window, last + 1));
            for (uint64_t edge = first; edge <= last; edge += low ? low : 1) {
                uint8_t copy[BYTES] = {0};
                memcpy(copy, bytes, sizeof bytes);
                jump_to(address, copy, length, prefixes, edge);
            }
        }
    }
}

static void five_bytes_reach_two_gibibytes_either_way(void **state)
{
    const uint64_t address = 0x7f1234567890, middle = address + 5;
    uint8_t bytes[BYTES] = {0};
    struct pun_window window;
    uint64_t target;
    (void)state;
    assert_true(pun_window(address, bytes, 5, 0, &window));
    assert_true(pun_next(&window, 0, &target) && target == middle - 0x80000000);
    jump_to(address, bytes, 5, 0, target);
    assert_true(pun_next(&window, middle + 0x7fffffff, &target) && target == middle + 0x7fffffff);
    jump_to(address, bytes, 7, 0, target);
    assert_false(pun_next(&window, middle + 0x80000000, &target));
    /* Near address 0, and near the end. */
    assert_true(pun_window(0x400000, bytes, 5, 0, &window));
    assert_true(pun_next(&window, 0, &target) && target == 0);
    assert_true(pun_window(canonical_user_end() - 16, bytes, 5, 0, &window));
    assert_true(pun_has(&window, canonical_user_end() - 1));
    assert_false(pun_has(&window, canonical_user_end()));
    assert_false(pun_next(&window, canonical_user_end(), &target));
}

static void target_outside_the_window_is_refused(void **state)
{
    struct random random = random_for(2, 0);
    unsigned refused = 0;
    (void)state;
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint8_t bytes[BYTES], changed[PUN_BYTES];
        struct pun_window window;
        uint64_t address = some_address(&random), target = some_address(&random);
        unsigned length = 1 + random_below(&random, 6);
        random_fill(&random, bytes, sizeof bytes);
        assert_true(pun_window(address, bytes, length, 0, &window));
        bool encoded = pun_encode(address, bytes, length, 0, target, changed);
        assert_int_equal(encoded, pun_has(&window, target));
        refused += !encoded;
    }
    assert_true(refused > 0 && refused < ROUNDS);
}

/* Masks and values of every kind against a search of all numbers, in a displacement of which few bits are free. */
static void next_target_is_the_lowest(void **state)
{
    struct random random = random_for(3, 0);
    unsigned none = 0, some = 0;
    (void)state;
    for (unsigned i = 0; i < 4000; i++) {
        uint32_t freed = 0, targets = 0;
        for (unsigned k = 0; k < 6; k++)
            freed |= UINT32_C(1) << random_below(&random, 32);
        struct pun_window window = {.origin = some_address(&random), .mask = ~freed};
        window.value = (uint32_t)random_next(&random) & window.mask;
        uint64_t from = window.origin + (random_next(&random) >> 32) - (UINT64_C(1) << 31), lowest = UINT64_MAX, next;
        if ((int64_t)from < 0)
            from = 0;
        /* All subsets of the free bits. */
        do {
            uint64_t target = window.origin + (uint64_t)(int64_t)(int32_t)(window.value | targets);
            if (target < canonical_user_end() && target >= from && target < lowest)
                lowest = target;
            targets = (targets - freed) & freed;
        } while (targets);
        bool found = pun_next(&window, from, &next);
        assert_int_equal(found, lowest != UINT64_MAX);
        if (found)
            assert_true(next == lowest);
        none += !found;
        some += found;
    }
    assert_true(none > 100 && some > 100);
}

/* --- T2. --- */

/* Instructions that follow one another; the first `depth` move their successors. */
struct run {
    uint64_t address;
    uint8_t bytes[BYTES];
    uint8_t lengths[4], offsets[4];
    struct pun_window windows[4];
    uint64_t targets[4];
};

static bool join_all(struct run *run, unsigned depth)
{
    for (unsigned pass = 0; pass < depth; pass++)
        for (unsigned i = 0; i < depth; i++)
            if (!pun_join(run->lengths[i], &run->windows[i], &run->windows[i + 1]))
                return false;
    return true;
}

/* Chooses random targets in a random order, of those that remain. */
static bool choose_targets(struct random *random, struct run *run, unsigned depth)
{
    unsigned chosen = 0;
    for (unsigned left = depth + 1; left > 0; left--) {
        unsigned at = random_below(random, depth + 1);
        while (chosen & 1u << at)
            at = (at + 1) % (depth + 1);
        chosen |= 1u << at;
        uint64_t from = run->windows[at].origin + (random_next(random) >> 32) - (UINT64_C(1) << 31);
        if (!pun_next(&run->windows[at], (int64_t)from < 0 ? 0 : from, &run->targets[at]) &&
            !pun_next(&run->windows[at], 0, &run->targets[at]))
            return false;
        pun_fix(&run->windows[at], run->targets[at]);
        assert_true(pun_has(&run->windows[at], run->targets[at]));
        assert_int_equal(pun_freedom(&run->windows[at]), 0);
        /* What is left agrees, whatever was chosen. */
        assert_true(join_all(run, depth));
    }
    return true;
}

static void chains_of_moved_successors_keep_every_target(void **state)
{
    struct random random = random_for(4, 0);
    unsigned made[4] = {0};
    (void)state;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct run run = {.address = some_address(&random)};
        unsigned depth = random_below(&random, 4);
        random_fill(&random, run.bytes, sizeof run.bytes);
        for (unsigned k = 0; k < 4; k++) {
            run.lengths[k] = (uint8_t)(1 + random_below(&random, k < depth ? 4 : 7));
            run.offsets[k] = (uint8_t)(k ? run.offsets[k - 1] + run.lengths[k - 1] : 0);
        }
        for (unsigned k = 0; k < depth; k++)
            assert_true(pun_window_moved(run.address + run.offsets[k], run.lengths[k], &run.windows[k]));
        assert_true(pun_window(run.address + run.offsets[depth], run.bytes + run.offsets[depth], run.lengths[depth], 0,
                               &run.windows[depth]));
        if (!join_all(&run, depth) || !choose_targets(&random, &run, depth))
            continue;
        made[depth]++;
        for (unsigned k = depth + 1; k-- > 0;)
            jump_to(run.address + run.offsets[k], run.bytes + run.offsets[k], run.lengths[k], 0, run.targets[k]);
        /* All jumps are there at once, each at its own instruction. */
        for (unsigned k = 0; k <= depth; k++)
            expect_jump(run.address + run.offsets[k], run.bytes + run.offsets[k], 0, run.targets[k]);
    }
    for (unsigned k = 0; k < 4; k++)
        assert_true(made[k] > ROUNDS / 20);
}

/* With three bytes the highest byte of the displacement is free: a window in each 16 MiB. */
static void moved_successor_frees_the_bytes_behind_its_opcode(void **state)
{
    const uint64_t address = 0x7f1234567890, origin = address + 5;
    struct pun_window window, successor = {0};
    (void)state;
    assert_true(pun_window_moved(address, 3, &window));
    assert_int_equal(pun_freedom(&window), 24);
    for (unsigned high = 0; high < 256; high++) {
        int32_t distance = (int32_t)((uint32_t)high << 24 | 0xe91234);
        assert_true(pun_has(&window, origin + (uint64_t)(int64_t)distance));
        assert_false(pun_has(&window, origin + (uint64_t)(int64_t)(distance - 0x1235)));
    }
    pun_fix(&window, origin + 0x42e91234);
    assert_true(pun_join(3, &window, &successor));
    assert_true(successor.mask == 0xff && successor.value == 0x42);
    /* A successor of two bytes ends in the byte behind it, which the jump before it then has, too. */
    successor = (struct pun_window){.mask = 0xffffff00, .value = 0x33221100};
    assert_true(pun_window_moved(address, 2, &window));
    assert_true(pun_join(2, &window, &successor));
    assert_true(window.mask == 0xff00ff00 && window.value == 0x1100e900);
    pun_fix(&window, origin + 0x1156e978);
    assert_true(pun_join(2, &window, &successor));
    assert_true(successor.mask == UINT32_MAX && successor.value == 0x33221156);
    /* Contradiction. */
    pun_fix(&window, origin + 0x1256e978);
    assert_false(pun_join(2, &window, &successor));
    /* Four bytes reach the opcode alone: nothing is demanded of the successor's target. */
    successor = (struct pun_window){0};
    assert_true(pun_window_moved(address, 4, &window));
    assert_true(pun_has(&window, origin - 0x16ffffff));
    assert_true(pun_join(4, &window, &successor) && successor.mask == 0 && window.mask == 0xff000000);
}

/* --- Dependents. --- */

/* A jump depends on an instruction just if its target changes with the bytes that change there. */
static void jump_depends_on_the_bytes_that_it_reads(void **state)
{
    struct random random = random_for(5, 0);
    unsigned depends = 0;
    (void)state;
    for (unsigned i = 0; i < ROUNDS; i++) {
        const uint64_t base = 0x400000;
        uint8_t bytes[BYTES];
        unsigned at = random_below(&random, 12);
        struct pun_place jump = {.address = base, .length = (uint8_t)(1 + random_below(&random, 8))};
        jump.prefixes = (uint8_t)random_below(&random, jump.length < 4 ? jump.length : 4);
        struct pun_place other = {base + at, (uint8_t)(1 + random_below(&random, 8)), 0};
        /* Instructions do not overlap. */
        if (at < jump.length)
            continue;
        random_fill(&random, bytes, sizeof bytes);
        uint64_t before = pun_target(base, bytes, jump.prefixes);
        for (unsigned k = 0; k < pun_changed(other.length, 0); k++)
            bytes[at + k] ^= 0xff;
        bool changed = pun_target(base, bytes, jump.prefixes) != before;
        assert_int_equal(pun_depends(&jump, &other), changed);
        if (changed)
            assert_true(jump.address >= pun_lowest_dependent(other.address));
        assert_false(pun_depends(&other, &jump));
        depends += changed;
    }
    assert_true(depends > ROUNDS / 20);
}

static void places_are_ordered_from_the_highest_address_down(void **state)
{
    struct random random = random_for(6, 0);
    struct pun_place places[50];
    uint64_t sum = 0;
    (void)state;
    for (size_t i = 0; i < 50; i++) {
        places[i] = (struct pun_place){random_below(&random, 1000), 3, 0};
        sum += places[i].address;
    }
    pun_order(places, 50);
    for (size_t i = 0; i < 50; i++) {
        sum -= places[i].address;
        if (i > 0)
            assert_true(places[i - 1].address >= places[i].address);
    }
    assert_int_equal(sum, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jump_goes_to_its_target_and_changes_its_instruction_alone),
        cmocka_unit_test(too_many_prefixes_leave_no_room),
        cmocka_unit_test(edges_are_where_the_free_bytes_are_0_and_FF),
        cmocka_unit_test(five_bytes_reach_two_gibibytes_either_way),
        cmocka_unit_test(target_outside_the_window_is_refused),
        cmocka_unit_test(next_target_is_the_lowest),
        cmocka_unit_test(chains_of_moved_successors_keep_every_target),
        cmocka_unit_test(moved_successor_frees_the_bytes_behind_its_opcode),
        cmocka_unit_test(jump_depends_on_the_bytes_that_it_reads),
        cmocka_unit_test(places_are_ordered_from_the_highest_address_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
