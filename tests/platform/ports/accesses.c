/* accesses.c: accesses to a closed page that every system serves alike: moves, strings, atomic operations, x87 and
 * vectors, a policy that sets registers, a device. A program of each port's tests. */
#include "fixture.h"

static enum segue_verdict skip_with_a_value(void *context, const struct segue_event *event)
{
    (void)context;
    event->regs->rax = 0x600d;
    event->regs->rip += event->plan->insn.length;
    return SEGUE_DONE;
}

static void policy_may_set_the_registers(void **state)
{
    volatile uint32_t *cell = begin(skip_with_a_value);
    uint32_t value;
    (void)state;
    __asm__ volatile("movl (%1), %0" : "=a"(value) : "r"(cell));
    assert_int_equal(value, 0x600d);
    end();
}

static void repeated_move_is_stepped(void **state)
{
    char text[64];
    void *to = text;
    const volatile void *from = begin(note);
    uintptr_t count = sizeof text;
    (void)state;
    memcpy(alias(), "the bytes of the closed page, which a repeated move copies out.", sizeof text);
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
    assert_memory_equal(text, alias(), sizeof text);
    assert_int_equal(count, 0);
    end();
}

static void atomic_operations_are_stepped(void **state)
{
    volatile uint32_t *cell = begin(note);
    uint32_t expected = 42;
    (void)state;
    ((uint32_t *)(void *)alias())[9] = 40;
    assert_int_equal(__atomic_fetch_add(&cell[9], 2, __ATOMIC_SEQ_CST), 40);
    assert_true(__atomic_compare_exchange_n(&cell[9], &expected, 7, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    assert_int_equal(((uint32_t *)(void *)alias())[9], 7);
    assert_int_equal(asked, 2);
    end();
}

static void x87_and_vectors_survive_steps(void **state)
{
    volatile uint32_t *cell = begin(note);
    static _Alignas(16) uint8_t pattern[16], after[2][16];
    double numbers[2] = {1.25, -3.5}, back[2];
    uint16_t control = 0x0c7f, control_after;
    (void)state;
    for (unsigned i = 0; i < 16; i++)
        pattern[i] = (uint8_t)(3 * i + 1);
    __asm__ volatile("fldcw %[control]\n\t"
                     "fldl %[first]\n\tfldl %[second]\n\t"
                     "movaps %[pattern], %%xmm3\n\t"
                     "movl $5, (%[cell])\n\t"
                     "fildl (%[cell])\n\t"
                     "fstp %%st(0)\n\t"
                     "movups (%[cell]), %%xmm5\n\t"
                     "addl $1, (%[cell])\n\t"
                     "movaps %%xmm3, %[kept]\n\tmovaps %%xmm5, %[loaded]\n\t"
                     "fnstcw %[control_after]\n\t"
                     "fstpl %[second_back]\n\tfstpl %[first_back]\n\t"
                     "fninit"
                     : [kept] "=m"(after[0]), [loaded] "=m"(after[1]), [control_after] "=m"(control_after),
                       [second_back] "=m"(back[1]), [first_back] "=m"(back[0])
                     : [cell] "r"(cell), [pattern] "m"(pattern), [first] "m"(numbers[0]), [second] "m"(numbers[1]),
                       [control] "m"(control)
                     : "memory", "cc", "xmm3", "xmm5", "st", "st(1)", "st(2)");
    assert_int_equal(asked, 4);
    assert_memory_equal(after[0], pattern, sizeof pattern);
    assert_int_equal(*(uint32_t *)(void *)after[1], 5);
    assert_int_equal(control_after, control);
    assert_true(back[0] == numbers[0] && back[1] == numbers[1]);
    assert_int_equal(*(uint32_t *)(void *)alias(), 6);
    end();
}

/* ---- a device ---- */

static uint32_t device_word;

static enum segue_status device_read(void *context, uint64_t address, void *bytes, size_t size)
{
    (void)context;
    (void)address;
    memcpy(bytes, &device_word, size);
    return SEGUE_OK;
}

static enum segue_status device_write(void *context, uint64_t address, const void *bytes, size_t size)
{
    (void)context;
    (void)address;
    memcpy(&device_word, bytes, size);
    return SEGUE_OK;
}

static void device_window_is_served(void **state)
{
    (void)state;
    assert_int_equal(segue_mapping_create(NULL, PAGE, &mapping), SEGUE_OK);
    assert_int_equal(segue_mapping_protect(&mapping, 0, PAGE, 0), SEGUE_OK);
    volatile uint32_t *page = mapping.memory;
    const struct segue_region device = {.window =
                                            segue_window_device(mapping.memory, PAGE, device_read, device_write, NULL)};
    assert_int_equal(install(), SEGUE_OK);
    assert_int_equal(segue_region_add(&device), SEGUE_OK);
    *page = 41;
    ++*page;
    assert_int_equal(device_word, 42);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policy_may_set_the_registers),  cmocka_unit_test(repeated_move_is_stepped),
        cmocka_unit_test(atomic_operations_are_stepped), cmocka_unit_test(x87_and_vectors_survive_steps),
        cmocka_unit_test(device_window_is_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
