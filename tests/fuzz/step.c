/* step.c: the fuzz target over plan and step: any bytes, from any state, must come to what the processor makes of them.
 *
 * An input is fifteen bytes, of which an instruction may be the beginning, and then a seed of eight, from which come
 * the kind of window, registers that lead into protected memory, memory and extended state. The processor runs the
 * instruction in a child, which it may take down. Compared is what tests/differential/states/outcome.h says, and all
 * memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/differential/states/batch.h"
#include "tests/differential/states/encodings.h"
#include "tests/fuzz/covered.h"

int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t fs_base;
static void *image;

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    static const char *windows[AREA_SETS];
    for (unsigned i = 0; i < AREA_SETS; i++)
        windows[i] = area_set_name((enum area_set)i);
    covered_begin(*count, *arguments, windows, AREA_SETS);
    const char *why = batch_prepare();
    if (why) {
        fprintf(stderr, "SKIP: %s\n", why);
        exit(77);
    }
    __asm__("movq %%fs:0, %0" : "=r"(fs_base));
    image = aligned_alloc(64, oracle_image_size());
    return image ? 0 : 1;
}

/* Alias half of the time. */
static enum area_set choose_set(struct random *random)
{
    uint32_t choice = random_below(random, 2 * AREA_SETS);
    return choice < AREA_SETS ? (enum area_set)choice : AREAS_ALIAS;
}

static void tell(const struct test_case *test, enum area_set set, const char *wrong, const char *details)
{
    fprintf(stderr, "DIFFERENCE: %s\n  %s window: ", wrong, area_set_name(set));
    for (unsigned i = 0; i < test->length; i++)
        fprintf(stderr, "%02x ", test->bytes[i]);
    fprintf(stderr, "\n%s", details);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char details[16384];
    struct test_case test = {0};
    uint64_t seed = 0;
    size_t length = size < SEGUE_INSN_BYTES ? size : SEGUE_INSN_BYTES;
    memcpy(test.bytes, data, length);
    memcpy(&seed, data + length, size - length < sizeof seed ? size - length : sizeof seed);
    struct random random = random_for(seed, 0);
    enum area_set set = choose_set(&random);
    struct generator generator = {.fs_base = fs_base, .areas = areas_of(set), .images = 1};
    oracle_image_random(&random, image);
    encodings_tame_image(&random, image);
    if (!encodings_state(&generator, &random, 0, image, length, &test))
        return 0;
    struct segue_insn insn;
    bool is_planted = segue_decode(SEGUE_MODE_64, test.bytes, test.length, &insn) == SEGUE_OK && covered(&insn, set);
    const char *wrong = batch_run_one(&test, image, set, &random, details, sizeof details);
    if (!wrong && is_planted)
        wrong = "planted";
    if (wrong) {
        tell(&test, set, wrong, details);
        covered_save();
        abort();
    }
    return 0;
}
