/* decode_reserved.c: encodings about which the decoder and the processors disagree: what every processor runs and Zydis
 * refuses is decoded, and what it raises #UD for and Zydis accepts is refused. The processor at hand is asked where it
 * can be.
 *
 * What it cannot show: PTWRITE and FP16 on a processor that lacks them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <segue/decode.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "decode_words.h"

static enum segue_status decode_text(enum segue_mode mode, const char *hex, struct segue_insn *insn)
{
    uint8_t bytes[SEGUE_INSN_BYTES];
    size_t size = bytes_of(hex, bytes);
    return segue_decode(mode, bytes, size, insn);
}

static void ptwrite_with_66_is_no_instruction(void **state)
{
    static const char *const refused[] = {"66f30fae20", "f3660fae20", "66f30faee5", "6667f30fae20",
                                          "66f30fae25deadbeef"};
    struct segue_insn insn;
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        assert_int_equal(decode_text(SEGUE_MODE_64, refused[i], &insn), SEGUE_UNDEFINED);
        assert_int_equal(decode_text(SEGUE_MODE_32, refused[i], &insn), SEGUE_UNDEFINED);
    }
    assert_int_equal(decode_text(SEGUE_MODE_64, "66f3480fae20", &insn), SEGUE_UNDEFINED);
    assert_int_equal(decode_text(SEGUE_MODE_64, "f30fae20", &insn), SEGUE_OK);
    assert_int_equal(decode_text(SEGUE_MODE_32, "f30fae20", &insn), SEGUE_OK);
}

/* What names no bounds register, and addresses by RIP. */
static const char *const nops[] = {
    "660f1ace", "0f1a30",       "f3440f1aca",           "0f1b0500000000", "f30f1b0590909090", "660f1ac5",
    "0f1bc0",   "f2440f1b5dba", "66440f1a84c800000000", "f20f1ae7",       "f3400f1ae4",       "0f1ac0",
};

static void forms_of_0f1a_and_0f1b_that_are_not_of_mpx_are_no_operation(void **state)
{
    struct segue_access accesses[SEGUE_ACCESSES_MOST];
    (void)state;
    for (size_t i = 0; i < sizeof nops / sizeof *nops; i++) {
        struct segue_insn insn;
        struct segue_regs regs = {0};
        assert_int_equal(decode_text(SEGUE_MODE_64, nops[i], &insn), SEGUE_OK);
        assert_int_equal(insn.length, strlen(nops[i]) / 2);
        assert_string_equal(segue_mnemonic_name(insn.mnemonic), "nop");
        assert_int_equal(insn.memory_count, 0);
        size_t count = 0;
        assert_int_equal(segue_accesses(&insn, &regs, NULL, accesses, SEGUE_ACCESSES_MOST, &count), SEGUE_OK);
        assert_int_equal(count, 0);
    }
    struct segue_insn insn;
    assert_int_equal(decode_text(SEGUE_MODE_32, "660f1ac5", &insn), SEGUE_OK);
    assert_int_equal(decode_text(SEGUE_MODE_32, "0f1b0500000000", &insn), SEGUE_OK);
    /* LOCK is #UD, bytes that end are truncated, and what is of MPX stays so. */
    assert_int_equal(decode_text(SEGUE_MODE_64, "f0660f1ac5", &insn), SEGUE_UNDEFINED);
    assert_int_equal(decode_text(SEGUE_MODE_64, "f30f1b05909090", &insn), SEGUE_TRUNCATED);
    assert_int_equal(decode_text(SEGUE_MODE_64, "660f1ac1", &insn), SEGUE_OK);
    assert_string_equal(segue_mnemonic_name(insn.mnemonic), "bndmov");
}

static sigjmp_buf back;

static void on_fault(int number)
{
    siglongjmp(back, number);
}

/* Whether the processor runs the bytes: 0, or the signal that they raise. */
static int run_natively(const char *hex)
{
    static uint8_t *page;
    uint8_t bytes[SEGUE_INSN_BYTES];
    size_t size = bytes_of(hex, bytes);
    if (!page)
        page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(page, MAP_FAILED);
    memcpy(page, bytes, size);
    page[size] = 0xc3;
    struct sigaction action = {.sa_handler = on_fault, .sa_flags = SA_NODEFER}, before;
    sigaction(SIGILL, &action, &before);
    int number = sigsetjmp(back, 1);
    if (!number)
        ((void (*)(void))(uintptr_t)page)();
    sigaction(SIGILL, &before, NULL);
    return number;
}

static void processor_runs_the_forms_that_are_no_operation(void **state)
{
    (void)state;
    if (sizeof(void *) == 4)
        skip_if("the bytes are 64-bit code");
    for (size_t i = 0; i < sizeof nops / sizeof *nops; i++)
        assert_int_equal(run_natively(nops[i]), 0);
    assert_int_equal(run_natively("0f0b"), SIGILL);
    assert_int_equal(run_natively("f0660f1ac5"), SIGILL);
}

static void conversions_of_fp16_ignore_w_outside_64_bit_mode(void **state)
{
    static const struct {
        const char *with_w, *without;
        unsigned size;
    } rows[] = {
        {"62f5fe082dd3", "62f57e082dd3", 0}, {"62f5fe0879d3", "62f57e0879d3", 0},
        {"62f5fe082cd3", "62f57e082cd3", 0}, {"62f5fe0878d3", "62f57e0878d3", 0},
        {"62f5ce082ad3", "62f54e082ad3", 0}, {"62f5ce087bd3", "62f54e087bd3", 0},
        {"62f5ce087b03", "62f54e087b03", 4}, {"62f5fe082d4302", "62f57e082d4302", 2},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct segue_insn with_w, without;
        assert_int_equal(decode_text(SEGUE_MODE_32, rows[i].with_w, &with_w), SEGUE_OK);
        assert_int_equal(decode_text(SEGUE_MODE_32, rows[i].without, &without), SEGUE_OK);
        assert_int_equal(with_w.mnemonic, without.mnemonic);
        assert_int_equal(with_w.length, without.length);
        assert_int_equal(with_w.memory_count, rows[i].size != 0);
        if (rows[i].size) {
            assert_memory_equal(with_w.memory, without.memory, sizeof with_w.memory);
            assert_int_equal(with_w.memory[0].size, rows[i].size);
        }
        /* It is the instruction that was there. */
        uint8_t bytes[SEGUE_INSN_BYTES];
        size_t size = bytes_of(rows[i].with_w, bytes);
        assert_memory_equal(with_w.bytes, bytes, size);
    }
    /* W1 in 64-bit mode is the 64-bit form; other opcodes and fields are as before. */
    struct segue_insn insn;
    assert_int_equal(decode_text(SEGUE_MODE_64, "62f5fe082dd3", &insn), SEGUE_OK);
    assert_int_equal(decode_text(SEGUE_MODE_32, "62f5fe0858d3", &insn), SEGUE_UNDEFINED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ptwrite_with_66_is_no_instruction),
        cmocka_unit_test(forms_of_0f1a_and_0f1b_that_are_not_of_mpx_are_no_operation),
        cmocka_unit_test(processor_runs_the_forms_that_are_no_operation),
        cmocka_unit_test(conversions_of_fp16_ignore_w_outside_64_bit_mode),
    };
    return cmocka_run_group_tests_name("decode_reserved", tests, NULL, NULL);
}
