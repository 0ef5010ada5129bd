/* faults.c: faults of 32-bit code, in and out of the kernel's frame on i386: registers, segments, stacks, windows,
 * previous handlers with and without SA_SIGINFO, small stacks. */
#if !defined(__linux__) || !defined(__i386__)
#error "faults.c is specific to Linux on i386"
#endif

#include "tests/platform/ports/fixture.h"

#include <asm/ldt.h>
#include <segue/mutator.h>
#include <segue/segment.h>
#include <segue/segue.h>
#include <segue/try.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "tests/support/child.h"

static uint32_t own_gs_base(void)
{
    uint32_t base;
    __asm__("movl %%gs:0, %0" : "=r"(base));
    return base;
}

static void policy_sees_the_access_and_the_registers(void **state)
{
    volatile uint32_t *cell = begin(note);
    uint32_t value = 0x12345678, eflags;
    uint16_t code, stack, data, gs;
    (void)state;
    __asm__ volatile("stc; movl %2, 4(%1); pushfl; popl %0"
                     : "=&r"(eflags)
                     : "r"(cell), "r"(value), "S"(0x51515151), "D"(0xd1d1d1d1)
                     : "memory", "cc");
    __asm__("movw %%cs, %0" : "=r"(code));
    __asm__("movw %%ss, %0" : "=r"(stack));
    __asm__("movw %%ds, %0" : "=r"(data));
    __asm__("movw %%gs, %0" : "=r"(gs));
    assert_int_equal(asked, 1);
    assert_int_equal(shown_event.address, (uintptr_t)cell + 4);
    assert_int_equal(shown_event.size, 4);
    assert_int_equal(shown_event.direction, SEGUE_WRITE);
    assert_int_equal(shown.rsi, 0x51515151);
    assert_int_equal(shown.rdi, 0xd1d1d1d1);
    assert_int_equal(shown.r8, 0);
    assert_int_equal(shown.selectors[SEGUE_SEGMENT_CS], code);
    assert_int_equal(shown.selectors[SEGUE_SEGMENT_SS], stack);
    assert_int_equal(shown.selectors[SEGUE_SEGMENT_DS], data);
    assert_int_equal(shown.selectors[SEGUE_SEGMENT_ES], data);
    assert_int_equal(shown.selectors[SEGUE_SEGMENT_GS], gs);
    assert_int_equal(shown.gs_base, own_gs_base());
    assert_int_equal(eflags & 1, 1);
    assert_int_equal(((uint32_t *)mapping.alias)[1], value);
    end();
}

static void access_through_a_segment_of_the_programs_is_stepped(void **state)
{
    volatile uint32_t *cell = begin(note);
    uint16_t selector, before;
    uint32_t value;
    struct user_desc segment = {.entry_number = (unsigned)-1,
                                .base_addr = (unsigned)(uintptr_t)cell - 0x100,
                                .limit = 0xfffff,
                                .seg_32bit = 1,
                                .limit_in_pages = 1,
                                .useable = 1};
    (void)state;
    ((uint32_t *)mapping.alias)[0] = 77;
    assert_int_equal(syscall(SYS_set_thread_area, &segment), 0);
    selector = (uint16_t)(segment.entry_number << 3 | 3);
    __asm__ volatile("movw %%fs, %0; movw %1, %%fs" : "=&r"(before) : "r"(selector));
    __asm__ volatile("movl %%fs:0x100, %0" : "=r"(value));
    assert_int_equal(value, 77);
    assert_int_equal(asked, 1);
    assert_int_equal(shown.fs_base, (uintptr_t)cell - 0x100);
    assert_int_equal(shown_event.address, (uintptr_t)cell);
    /* And through one of the local table. */
    segment.entry_number = 5;
    assert_int_equal(syscall(SYS_modify_ldt, 1, &segment, sizeof segment), 0);
    selector = 5 << 3 | 7;
    value = 0;
    __asm__ volatile("movw %0, %%fs" : : "r"(selector));
    __asm__ volatile("movl %%fs:0x100, %0" : "=r"(value));
    assert_int_equal(value, 77);
    assert_int_equal(shown.fs_base, (uintptr_t)cell - 0x100);
    __asm__ volatile("movw %0, %%fs" : : "r"(before));
    end();
}

static void stack_is_stepped(void **state)
{
    volatile uint32_t *cell = begin(note);
    uint32_t esp, value;
    (void)state;
    /* A stack in the region; the handler runs on its alternate one. */
    __asm__ volatile("movl %%esp, %%edi\n\tmovl %[top], %%esp\n\tpushl $0x1234\n\tpushl %%esp\n\tpopl %%ecx\n\t"
                     "popl %[value]\n\tmovl %%edi, %%esp"
                     : [value] "=&a"(value), "=&c"(esp)
                     : [top] "d"((uintptr_t)cell + 256)
                     : "edi", "memory");
    assert_int_equal(value, 0x1234);
    assert_int_equal(esp, (uintptr_t)cell + 252);
    end();
}

/* ---- windows ---- */

static void forced_window_is_served(void **state)
{
    void *page = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    volatile uint32_t *cell = page;
    const struct segue_region forced = {.window = {.base = (uintptr_t)page, .size = PAGE, .kind = SEGUE_WINDOW_FORCED}};
    (void)state;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    if (segue_region_add(&forced) != SEGUE_OK) {
        segue_uninstall(NULL);
        skip_if("no forced windows");
    }
    *cell = 7;
    *cell += 3;
    assert_int_equal(*cell, 10);
    segue_region_remove(page);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    munmap(page, PAGE);
}

static enum segue_verdict open_and_step(void *page, const struct segue_event *event)
{
    (void)event;
    asked++;
    return mprotect(page, PAGE, PROT_READ | PROT_WRITE) == 0 ? SEGUE_STEP : SEGUE_PASS;
}

static void exposed_window_is_served_where_the_policy_opens_it(void **state)
{
    char *page = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    volatile uint32_t *cell = (volatile uint32_t *)page;
    struct segue_region exposed = {
        .window = segue_window_exposed(page, PAGE), .policy = open_and_step, .context = page};
    struct segue_counters before, after;
    (void)state;
    asked = 0;
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_region_add(&exposed), SEGUE_OK);
    assert_int_equal(segue_counters_read(&before), SEGUE_OK);
    /* By the table of moves, by replay, and by the stack engine. */
    *cell = 5;
    assert_int_equal(mprotect(page, PAGE, PROT_NONE), 0);
    *cell += 3;
    assert_int_equal(mprotect(page, PAGE, PROT_NONE), 0);
    __asm__ volatile("pushl (%0)\n\tpopl 4(%0)" : : "r"(cell) : "memory");
    assert_int_equal(segue_counters_read(&after), SEGUE_OK);
    assert_int_equal(asked, 3);
    assert_int_equal(after.stepped - before.stepped, 3);
    assert_int_equal(cell[0], 8);
    assert_int_equal(cell[1], 8);
    assert_int_equal(segue_region_remove(page), SEGUE_OK);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    munmap(page, PAGE);
}

/* ---- previous handlers ---- */

static volatile int told_number, told_code;
static void *volatile told_place;
static jmp_buf way_back;

static void plain_handler(int number)
{
    told_number = number;
    longjmp(way_back, 1);
}

static void full_handler(int number, siginfo_t *info, void *ucontext)
{
    told_number = number;
    told_code = info->si_code;
    told_place = info->si_addr;
    ((ucontext_t *)ucontext)->uc_mcontext.gregs[REG_EIP] += 2;
    ((ucontext_t *)ucontext)->uc_mcontext.gregs[REG_EDX] = 99;
}

static void previous_handlers_get_what_is_not_ours(void **state)
{
    volatile char *page = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct sigaction plain = {.sa_handler = plain_handler, .sa_flags = SA_NODEFER}, kept,
                     full = {.sa_sigaction = full_handler, .sa_flags = SA_SIGINFO};
    uint32_t value = 0;
    (void)state;
    sigaction(SIGSEGV, &plain, &kept);
    begin(note);
    told_number = 0;
    if (setjmp(way_back) == 0)
        *page = 1;
    assert_int_equal(told_number, SIGSEGV);
    end();
    sigaction(SIGSEGV, &full, NULL);
    begin(note);
    told_number = 0;
    __asm__ volatile("movl (%1), %%edx" : "=d"(value) : "a"(page));
    assert_int_equal(told_number, SIGSEGV);
    assert_int_equal(told_code, SEGV_ACCERR);
    assert_ptr_equal(told_place, (void *)(uintptr_t)page);
    assert_int_equal(value, 99);
    end();
    sigaction(SIGSEGV, &kept, NULL);
}

static void action_that_is_set_again_serves(void **state)
{
    struct sigaction ours;
    (void)state;
    volatile uint32_t *cell = begin(note);
    sigaction(SIGSEGV, NULL, &ours);
    sigaction(SIGSEGV, &ours, NULL);
    cell[0] = 3;
    assert_int_equal(asked, 1);
    end();
}

static volatile uint32_t *cell_of_handler;

/* The kernel gives it a frame of the older kind. */
static void access_the_region(int number)
{
    told_number = number;
    cell_of_handler[3] = 33;
}

static void fault_in_a_handler_without_siginfo_is_served(void **state)
{
    struct sigaction plain = {.sa_handler = access_the_region}, kept;
    (void)state;
    cell_of_handler = begin(note);
    sigaction(SIGUSR1, &plain, &kept);
    raise(SIGUSR1);
    assert_int_equal(told_number, SIGUSR1);
    assert_int_equal(((uint32_t *)mapping.alias)[3], 33);
    sigaction(SIGUSR1, &kept, NULL);
    end();
}

static void block_that_faults_is_left(void **state)
{
    volatile char *page = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct segue_trial trial;
    volatile int times = 0;
    (void)state;
    begin(note);
    if (segue_try(&trial) == 0) {
        times++;
        page[5] = 1;
        times = 100;
    } else {
        times++;
        assert_int_equal(trial.fault.address, (uintptr_t)page + 5);
        assert_int_equal(trial.fault.direction, SEGUE_WRITE);
    }
    assert_int_equal(times, 2);
    assert_int_equal(segue_try_end(&trial), SEGUE_NOT_FOUND);
    end();
}

/* Code for a system whose thread pointer is in FS, and which leaves FS empty: the site then goes through GS. */
static void code_that_uses_fs_is_made_to_use_gs(void **state)
{
    static const uint8_t code[] = {0x64, 0xa1, 0, 0, 0, 0, 0x64, 0x8b, 0x15, 0, 0, 0, 0, 0x01, 0xd0, 0xc3};
    const struct segue_segment_options options = {.rewrite = {SEGUE_SEGMENT_FS, SEGUE_SEGMENT_GS}};
    uint8_t *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint32_t result;
    (void)state;
    memcpy(page, code, sizeof code);
    mprotect(page, PAGE, PROT_READ | PROT_EXEC);
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    struct segue_segment_options whole = options;
    whole.flags = SEGUE_SEGMENT_WHOLE_MODULES;
    assert_int_equal(segue_segment_enable(&whole), SEGUE_UNSUPPORTED);
    assert_string_equal(segue_reason(), "only 64-bit code is searched for sites");
    assert_int_equal(segue_segment_enable(&options), SEGUE_OK);
    assert_int_equal(segue_segment_rewrite_module((const void *)malloc, NULL), SEGUE_UNSUPPORTED);
    for (unsigned i = 0; i < 2; i++) {
        __asm__ volatile("call *%1" : "=a"(result) : "r"(page) : "edx", "memory", "cc");
        assert_int_equal(result, 2 * own_gs_base());
        assert_int_equal(page[0], 0x65);
        assert_int_equal(page[6], 0x65);
    }
    assert_int_equal(segue_segment_disable(), SEGUE_OK);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
}

/* ---- contexts of collectors ---- */

static void registers_are_captured(void **state)
{
    struct segue_mutator context;
    uint32_t esp, ebx_before;
    static _Alignas(64) uint8_t area[16384];
    (void)state;
    __asm__ volatile("movl %%esp, %0; movl %%ebx, %1" : "=r"(esp), "=r"(ebx_before));
    const size_t size = segue_xstate_size(0);
    assert_true(size > 0 && size <= sizeof area);
    assert_int_equal(segue_mutator_capture(&context, area, sizeof area), SEGUE_OK);
    assert_true(context.regs.rsp <= esp && esp - context.regs.rsp < 512);
    assert_true(context.regs.rip - (uintptr_t)registers_are_captured < 4096);
    assert_int_equal(context.regs.r15, 0);
    assert_int_equal(context.regs.rsp >> 32, 0);
    assert_ptr_equal(context.xstate.area, area);
}

/* ---- what there is not ---- */

static void what_needs_64_bits_is_refused_by_name(void **state)
{
    struct segue_mapping memory;
    struct segue_guest guest;
    (void)state;
    assert_int_equal(segue_feature_check(SEGUE_FEATURE_HOT), SEGUE_UNSUPPORTED);
    assert_string_equal(segue_reason(), "hot sites need 64-bit code");
    assert_int_equal(segue_feature_check(SEGUE_FEATURE_GUEST), SEGUE_UNSUPPORTED);
    assert_string_equal(segue_reason(), "guests need 64-bit code");
    assert_int_equal(segue_feature_check(SEGUE_FEATURE_DIRECT_RESTORE), SEGUE_UNSUPPORTED);
    assert_string_equal(segue_reason(), "a direct restore needs 64-bit code");
    assert_int_equal(segue_feature_check(SEGUE_FEATURE_REPLAY), SEGUE_OK);
    assert_int_equal(segue_feature_check(SEGUE_FEATURE_SUSPEND), SEGUE_OK);
    assert_int_equal(segue_guest_new(&guest, NULL), SEGUE_UNSUPPORTED);
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_mapping_create(NULL, PAGE, &memory), SEGUE_OK);
    const struct segue_region hot = {.window = segue_mapping_window(&memory), .flags = SEGUE_REGION_HOT};
    assert_int_equal(segue_region_add(&hot), SEGUE_UNSUPPORTED);
    assert_string_equal(segue_reason(), "hot sites need 64-bit code");
    segue_mapping_destroy(&memory);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
}

/* ---- in children ---- */

static int die_of_a_fault(void)
{
    volatile char *page = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (segue_install(NULL) != SEGUE_OK)
        return 2;
    *page = 1;
    return 1;
}

static void unserved_fault_kills(void **state)
{
    struct child_result result = child_run("die_of_a_fault");
    (void)state;
    assert_int_equal(result.signal, SIGSEGV);
}

/* With every size of an alternate stack on which the kernel still puts a frame: the access is served, or the thread
 * dies of its fault. */
static int fault_on_small_stacks(void)
{
    volatile uint32_t *cell = begin(note);
    char *stacks = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int served = 0, died = 0;
    for (size_t size = 2048; size < 1 << 15; size += size < 8192 ? 64 : 1024) {
        pid_t child = fork();
        if (child == 0) {
            stack_t small = {.ss_sp = stacks + PAGE, .ss_size = size};
            segue_thread_detach();
            if (sigaltstack(&small, NULL) != 0)
                _exit(2);
            *cell = (uint32_t)size;
            _exit(*(uint32_t *)mapping.alias != size);
        }
        int status;
        waitpid(child, &status, 0);
        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV)
            died++;
        else if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
            served++;
        else if (!WIFEXITED(status) || WEXITSTATUS(status) != 2)
            return 1;
    }
    return served && died ? 0 : 3;
}

static void small_stacks_serve_or_kill(void **state)
{
    struct child_result result = child_run("fault_on_small_stacks");
    (void)state;
    assert_int_equal(result.signal, 0);
    assert_int_equal(result.status, 0);
}

int main(int argc, char **argv)
{
    static const struct child_case cases[] = {
        {"die_of_a_fault", die_of_a_fault},
        {"fault_on_small_stacks", fault_on_small_stacks},
    };
    child_main(argc, argv, cases, sizeof cases / sizeof *cases);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policy_sees_the_access_and_the_registers),
        cmocka_unit_test(access_through_a_segment_of_the_programs_is_stepped),
        cmocka_unit_test(stack_is_stepped),
        cmocka_unit_test(forced_window_is_served),
        cmocka_unit_test(exposed_window_is_served_where_the_policy_opens_it),
        cmocka_unit_test(previous_handlers_get_what_is_not_ours),
        cmocka_unit_test(action_that_is_set_again_serves),
        cmocka_unit_test(fault_in_a_handler_without_siginfo_is_served),
        cmocka_unit_test(block_that_faults_is_left),
        cmocka_unit_test(code_that_uses_fs_is_made_to_use_gs),
        cmocka_unit_test(registers_are_captured),
        cmocka_unit_test(what_needs_64_bits_is_refused_by_name),
        cmocka_unit_test(unserved_fault_kills),
        cmocka_unit_test(small_stacks_serve_or_kill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
