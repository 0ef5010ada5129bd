/* step.c: plans and steps of plain moves, through every kind of window, without a signal in sight: the registers, the
 * bytes, and what is refused. Whether moves do what the processor does is shown by differential.c; here stands what a
 * window may not get wrong. A handler of the test's own shows that segue_recover is all that guarded accesses need. */
#include "tests/support/test.h"

#include <segue/segue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "emulate/details.h"
#include "platform/memory/forced.h"
#include "tests/support/processor/large_plan.h"

#define PAGE 4096u

static void recover(int number, siginfo_t *info, void *context)
{
    ucontext_t *frame = context;
    uint64_t rip = (uint64_t)frame->uc_mcontext.gregs[REG_RIP];
    (void)info;
    if (!segue_recover(&rip)) {
        signal(number, SIG_DFL);
        return;
    }
    frame->uc_mcontext.gregs[REG_RIP] = (greg_t)rip;
}

/* cmocka has handlers of its own in force while a test runs; ours go over them. */
static void catch_faults(void)
{
    struct sigaction action = {.sa_sigaction = recover, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
}

/* Three pages with two views, the first closed on one side and the middle on the other, at a known address. */
struct fixture {
    struct segue_mapping mapping;
    char *memory, *alias;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    if (segue_mapping_create(NULL, 3 * PAGE, &fixture->mapping) != SEGUE_OK)
        return -1;
    fixture->memory = fixture->mapping.memory;
    fixture->alias = fixture->mapping.alias;
    for (size_t i = 0; i < 3 * PAGE; i++)
        fixture->alias[i] = (char)(i * 7 + i / 256);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    segue_mapping_destroy(&fixture->mapping);
    free(fixture);
    return 0;
}

static uint64_t bytes_at(const void *place, size_t size)
{
    uint64_t value = 0;
    memcpy(&value, place, size);
    return value;
}

static struct segue_window alias_of(const struct fixture *fixture, size_t first, size_t pages)
{
    return (struct segue_window){
        .base = (uint64_t)fixture->memory + first * PAGE,
        .size = pages * PAGE,
        .kind = SEGUE_WINDOW_ALIAS,
        .alias = fixture->alias + first * PAGE,
    };
}

/* Plans and steps the instruction in `code`, RBX being the address. */
static enum segue_status run(const char *code, size_t length, struct segue_regs *regs,
                             const struct segue_window *windows, size_t count, struct segue_plan *plan)
{
    struct segue_insn insn;
    catch_faults();
    assert_int_equal(segue_decode(SEGUE_MODE_64, code, length, &insn), SEGUE_OK);
    assert_int_equal(insn.length, length);
    enum segue_status status = segue_plan(&insn, regs, NULL, NULL, windows, count, plan);
    if (status != SEGUE_OK) {
        assert_non_null(plan->refusal);
        return status;
    }
    struct segue_fault fault;
    return segue_step(plan, regs, NULL, &fault);
}

#define RUN(code, regs, windows, count, plan) run(code, sizeof(code) - 1, regs, windows, count, plan)

static void step_changes_what_the_operand_size_says_and_nothing_else(void **state)
{
    struct fixture *fixture = *state;
    struct segue_window window = alias_of(fixture, 0, 3);
    const uint64_t before = 0x1122334455667788;
    const char *place = fixture->alias + 0x80;
    mprotect(fixture->memory, 3 * PAGE, PROT_NONE);
    static const struct {
        const char *code;
        size_t length;
        uint64_t kept;
        unsigned size, shift;
        bool is_signed;
    } rows[] = {
        {"\x8a\x03", 2, 0xffffffffffffff00, 1, 0, false},     /* mov al, [rbx] */
        {"\x8a\x23", 2, 0xffffffffffff00ff, 1, 8, false},     /* mov ah, [rbx] */
        {"\x66\x8b\x03", 3, 0xffffffffffff0000, 2, 0, false}, /* mov ax, [rbx] */
        {"\x8b\x03", 2, 0, 4, 0, false},                      /* mov eax, [rbx] */
        {"\x48\x8b\x03", 3, 0, 8, 0, false},                  /* mov rax, [rbx] */
        {"\x0f\xb6\x03", 3, 0, 1, 0, false},                  /* movzx eax, byte [rbx] */
        {"\x48\x0f\xbf\x03", 4, 0, 2, 0, true},               /* movsx rax, word [rbx] */
        {"\x48\x63\x03", 3, 0, 4, 0, true},                   /* movsxd rax, dword [rbx] */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct segue_regs regs = {
            .rax = before, .rbx = (uint64_t)fixture->memory + 0x80, .rip = 0x1000, .rflags = 0x10ad7};
        struct segue_regs expected = regs;
        struct segue_plan plan;
        uint64_t value = bytes_at(place, rows[i].size);
        if (rows[i].is_signed)
            value = (uint64_t)((int64_t)(value << (64 - 8 * rows[i].size)) >> (64 - 8 * rows[i].size));
        expected.rax = (before & rows[i].kept) | value << rows[i].shift;
        expected.rip += rows[i].length;
        /* The resume flag is the fault's, not the program's. */
        expected.rflags = 0xad7;
        assert_int_equal(run(rows[i].code, rows[i].length, &regs, &window, 1, &plan), SEGUE_OK);
        assert_memory_equal(&regs, &expected, sizeof regs);
        assert_int_equal(plan.engine, SEGUE_ENGINE_MOVE);
        assert_int_equal(plan.flags, 0);
    }
}

static void sign_extension_stops_at_the_operand_size(void **state)
{
    struct fixture *fixture = *state;
    struct segue_window window = alias_of(fixture, 0, 3);
    struct segue_plan plan;
    memcpy(fixture->alias, "\xff\xff", 2);
    struct segue_regs regs = {.rax = 0x1122334455667788, .rbx = (uint64_t)fixture->memory};
    assert_int_equal(RUN("\x0f\xbe\x03", &regs, &window, 1, &plan), SEGUE_OK); /* movsx eax, byte [rbx] */
    assert_int_equal(regs.rax, 0xffffffff);
    regs = (struct segue_regs){.rax = 0x1122334455667788, .rbx = (uint64_t)fixture->memory};
    assert_int_equal(RUN("\x66\x0f\xbe\x03", &regs, &window, 1, &plan), SEGUE_OK); /* movsx ax, byte [rbx] */
    assert_int_equal(regs.rax, 0x112233445566ffff);
}

static void access_over_a_window_edge_is_split(void **state)
{
    struct fixture *fixture = *state;
    /* Only the middle page is a window and closed; its neighbours are reached where they are. */
    struct segue_window window = alias_of(fixture, 1, 1);
    mprotect(fixture->memory + PAGE, PAGE, PROT_NONE);
    for (unsigned before = 0; before <= 8; before++) {
        for (unsigned edge = 1; edge <= 2; edge++) {
            size_t offset = edge * PAGE - before;
            struct segue_plan plan;
            struct segue_regs regs = {.rbx = (uint64_t)fixture->memory + offset};
            assert_int_equal(RUN("\x48\x8b\x03", &regs, &window, 1, &plan), SEGUE_OK);
            assert_int_equal(regs.rax, bytes_at(fixture->alias + offset, 8));
            assert_int_equal(details_of(&plan)->piece_count, before % 8 ? 2 : 1);
            assert_int_equal(plan.flags, before % 8 ? SEGUE_PLAN_NOT_ATOMIC : 0);

            regs.rax = 0x0807060504030201 * (before + 1);
            assert_int_equal(RUN("\x48\x89\x03", &regs, &window, 1, &plan), SEGUE_OK);
            assert_int_equal(bytes_at(fixture->alias + offset, 8), regs.rax);
        }
    }
}

static void two_windows_that_continue_each_other_are_one_access(void **state)
{
    struct fixture *fixture = *state;
    struct segue_window windows[2] = {alias_of(fixture, 0, 1), alias_of(fixture, 1, 1)};
    struct segue_plan plan;
    struct segue_regs regs = {.rbx = (uint64_t)fixture->memory + PAGE - 3};
    mprotect(fixture->memory, 2 * PAGE, PROT_NONE);
    assert_int_equal(RUN("\x48\x8b\x03", &regs, windows, 2, &plan), SEGUE_OK);
    assert_int_equal(details_of(&plan)->piece_count, 1);
    assert_int_equal(regs.rax, bytes_at(fixture->alias + PAGE - 3, 8));
}

static void store_that_meets_unmapped_memory_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct segue_window window = alias_of(fixture, 1, 1);
    char copy[3 * PAGE];
    catch_faults();
    /* The window is whole, the page after it is not to be written, or not there. */
    for (int kind = 0; kind < 2; kind++) {
        mprotect(fixture->memory + 2 * PAGE, PAGE, kind ? PROT_NONE : PROT_READ);
        memcpy(copy, fixture->alias, sizeof copy);
        struct segue_insn insn;
        struct segue_plan plan;
        struct segue_fault fault = {0};
        struct segue_regs regs = {.rax = ~0ull, .rbx = (uint64_t)fixture->memory + 2 * PAGE - 3}, kept = regs;
        segue_decode(SEGUE_MODE_64, "\x48\x89\x03", 3, &insn);
        assert_int_equal(segue_plan(&insn, &regs, NULL, NULL, &window, 1, &plan), SEGUE_OK);
        assert_int_equal(segue_step(&plan, &regs, NULL, &fault), SEGUE_FAULT);
        assert_int_equal(fault.address, (uint64_t)fixture->memory + 2 * PAGE);
        assert_int_equal(fault.direction, SEGUE_WRITE);
        assert_memory_equal(&regs, &kept, sizeof regs);
        assert_memory_equal(copy, fixture->alias, sizeof copy);
    }
}

static void exposed_window_that_is_closed_is_a_fault_not_a_crash(void **state)
{
    struct fixture *fixture = *state;
    struct segue_window window = {.base = (uint64_t)fixture->memory, .size = PAGE, .kind = SEGUE_WINDOW_EXPOSED};
    struct segue_plan plan;
    struct segue_regs regs = {.rbx = (uint64_t)fixture->memory + 16}, kept = regs;
    mprotect(fixture->memory, PAGE, PROT_NONE);
    assert_int_equal(RUN("\x48\x8b\x03", &regs, &window, 1, &plan), SEGUE_FAULT);
    assert_memory_equal(&regs, &kept, sizeof regs);
    mprotect(fixture->memory, PAGE, PROT_READ);
    assert_int_equal(RUN("\x48\x8b\x03", &regs, &window, 1, &plan), SEGUE_OK);
    assert_int_equal(regs.rax, bytes_at(fixture->alias + 16, 8));
}

/* ---- a device ------------------------------------------------------------------------------------------------- */

struct device {
    unsigned reads, writes;
    uint64_t address;
    size_t size;
    uint64_t value;
    enum segue_status answer;
};

static enum segue_status device_read(void *context, uint64_t address, void *bytes, size_t size)
{
    struct device *device = context;
    device->reads++;
    device->address = address;
    device->size = size;
    memcpy(bytes, &device->value, size);
    return device->answer;
}

static enum segue_status device_write(void *context, uint64_t address, const void *bytes, size_t size)
{
    struct device *device = context;
    device->writes++;
    device->address = address;
    device->size = size;
    device->value = 0;
    memcpy(&device->value, bytes, size);
    return device->answer;
}

static struct segue_window device_at(const struct fixture *fixture, size_t page, struct device *device)
{
    return (struct segue_window){.base = (uint64_t)fixture->memory + page * PAGE,
                                 .size = PAGE,
                                 .kind = SEGUE_WINDOW_CALLBACK,
                                 .read = device_read,
                                 .write = device_write,
                                 .context = device};
}

static void device_is_given_address_size_and_value(void **state)
{
    struct fixture *fixture = *state;
    struct device device = {.value = 0xa1b2c3d4e5f60718};
    struct segue_window window = device_at(fixture, 0, &device);
    struct segue_plan plan;
    struct segue_regs regs = {.rax = 0x1122334455667788, .rbx = (uint64_t)fixture->memory + 0x123};
    assert_int_equal(RUN("\x66\x8b\x43\x01", &regs, &window, 1, &plan), SEGUE_OK); /* mov ax, [rbx + 1] */
    assert_int_equal(regs.rax, 0x1122334455660718);
    assert_int_equal(device.address, (uint64_t)fixture->memory + 0x124);
    assert_int_equal(device.size, 2);
    assert_int_equal(plan.flags, SEGUE_PLAN_NOT_ATOMIC);
    assert_int_equal(RUN("\x48\xc7\x03\xfe\xff\xff\xff", &regs, &window, 1, &plan), SEGUE_OK); /* mov qword [rbx], -2 */
    assert_int_equal(device.value, -2ll);
    assert_int_equal(device.size, 8);
    assert_int_equal(RUN("\x88\x23", &regs, &window, 1, &plan), SEGUE_OK); /* mov [rbx], ah */
    assert_int_equal(device.value, 0x07);
    assert_int_equal(device.reads, 1);
    assert_int_equal(device.writes, 2);
}

static void device_that_refuses_leaves_everything_as_it_was(void **state)
{
    struct fixture *fixture = *state;
    struct device device = {.answer = SEGUE_UNSUPPORTED};
    struct segue_window window = device_at(fixture, 1, &device);
    struct segue_plan plan;
    char copy[PAGE];
    struct segue_regs regs = {.rax = 1, .rbx = (uint64_t)fixture->memory + PAGE - 4}, kept = regs;
    memcpy(copy, fixture->alias, PAGE);
    assert_int_equal(RUN("\x48\x8b\x03", &regs, &window, 1, &plan), SEGUE_UNSUPPORTED);
    assert_int_equal(RUN("\x48\x89\x03", &regs, &window, 1, &plan), SEGUE_UNSUPPORTED);
    assert_int_equal(device.writes, 1);
    assert_int_equal(device.size, 4);
    assert_memory_equal(&regs, &kept, sizeof regs);
    assert_memory_equal(copy, fixture->alias, PAGE);
    window.write = NULL;
    assert_int_equal(RUN("\x48\x89\x03", &regs, &window, 1, &plan), SEGUE_UNSUPPORTED);
    assert_string_equal(plan.refusal, "the callback window has no write function");
}

static void two_devices_in_one_access_are_refused_before_either_is_called(void **state)
{
    struct fixture *fixture = *state;
    struct device first = {0}, second = {0};
    struct segue_window windows[2] = {device_at(fixture, 0, &first), device_at(fixture, 1, &second)};
    struct segue_plan plan;
    struct segue_regs regs = {.rbx = (uint64_t)fixture->memory + PAGE - 4};
    assert_int_equal(RUN("\x48\x8b\x03", &regs, windows, 2, &plan), SEGUE_UNSUPPORTED);
    assert_int_equal(first.reads + second.reads, 0);
}

/* ---- through the kernel ---------------------------------------------------------------------------------------- */

static struct segue_window forced_pages(char **memory, size_t pages)
{
    *memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return (struct segue_window){.base = (uint64_t)*memory, .size = pages * PAGE, .kind = SEGUE_WINDOW_FORCED};
}

static bool can_force(void)
{
    return forced_prepare() == SEGUE_OK;
}

static void forced_window_reaches_closed_memory(void **state)
{
    char *memory;
    struct segue_window window = forced_pages(&memory, 2);
    struct segue_plan plan;
    (void)state;
    if (!can_force()) {
        print_message("SKIP: this kernel lets no process past its own protection\n");
        skip();
    }
    memset(memory, 0x5a, 2 * PAGE);
    mprotect(memory, 2 * PAGE, PROT_NONE);
    struct segue_regs regs = {.rax = 0x1122334455667788, .rbx = (uint64_t)memory + PAGE - 3};
    assert_int_equal(RUN("\x48\x89\x03", &regs, &window, 1, &plan), SEGUE_OK);
    assert_int_equal(plan.flags, SEGUE_PLAN_NOT_ATOMIC);
    regs.rax = 0;
    assert_int_equal(RUN("\x48\x8b\x03", &regs, &window, 1, &plan), SEGUE_OK);
    assert_int_equal(regs.rax, 0x1122334455667788);
    mprotect(memory, 2 * PAGE, PROT_READ);
    assert_int_equal(bytes_at(memory + PAGE - 3, 8), 0x1122334455667788);
    assert_int_equal(memory[PAGE - 4], 0x5a);
    assert_int_equal(memory[PAGE + 5], 0x5a);
    munmap(memory, 2 * PAGE);
}

static void forced_window_in_a_child_reaches_the_childs_memory(void **state)
{
    char *memory;
    struct segue_window window = forced_pages(&memory, 1);
    (void)state;
    if (!can_force())
        skip();
    memset(memory, 0x11, PAGE);
    mprotect(memory, PAGE, PROT_NONE);
    pid_t child = fork();
    if (child == 0) {
        struct segue_plan plan;
        struct segue_regs regs = {.rax = 0x2222222222222222, .rbx = (uint64_t)memory};
        enum segue_status status = RUN("\x48\x89\x03", &regs, &window, 1, &plan);
        mprotect(memory, PAGE, PROT_READ);
        _exit(status == SEGUE_OK && bytes_at(memory, 8) == 0x2222222222222222 ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    mprotect(memory, PAGE, PROT_READ);
    assert_int_equal(bytes_at(memory, 8), 0x1111111111111111);
    munmap(memory, PAGE);
}

/* The program closes every descriptor and opens files of its own under all of their numbers. */
static void forced_window_never_writes_to_a_file_under_its_number(void **state)
{
    char *memory;
    struct segue_window window = forced_pages(&memory, 1);
    (void)state;
    if (!can_force())
        skip();
    mprotect(memory, PAGE, PROT_NONE);
    pid_t child = fork();
    if (child == 0) {
        struct segue_plan plan;
        struct segue_regs regs = {.rax = 0x3333333333333333, .rbx = (uint64_t)memory};
        if (RUN("\x48\x89\x03", &regs, &window, 1, &plan) != SEGUE_OK)
            _exit(1);
        FILE *file = tmpfile();
        for (int descriptor = 3; descriptor < 1000; descriptor++)
            if (descriptor != fileno(file))
                dup2(fileno(file), descriptor);
        if (RUN("\x48\x89\x43\x08", &regs, &window, 1, &plan) != SEGUE_OK)
            _exit(2);
        if (lseek(fileno(file), 0, SEEK_END) != 0)
            _exit(3);
        mprotect(memory, PAGE, PROT_READ);
        _exit(bytes_at(memory + 8, 8) == 0x3333333333333333 ? 0 : 4);
    }
    int status = -1;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    munmap(memory, PAGE);
}

/* ---- plans ----------------------------------------------------------------------------------------------------- */

/* The second page can be read past its protection but not written: then nothing is written to the first either. */
static void forced_store_is_all_or_nothing(void **state)
{
    struct fixture *fixture = *state;
    char *memory = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct segue_window window = {.base = (uint64_t)memory, .size = 2 * PAGE, .kind = SEGUE_WINDOW_FORCED};
    struct segue_regs regs = {.rbx = (uint64_t)memory + PAGE - 4, .rax = UINT64_MAX};
    struct segue_plan plan;
    if (forced_prepare() != SEGUE_OK)
        skip();
    char *shared = mremap(fixture->memory, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, memory + PAGE);
    assert_ptr_equal(shared, memory + PAGE);
    mprotect(memory, PAGE, PROT_NONE);
    mprotect(shared, PAGE, PROT_READ);
    assert_int_equal(RUN("\x48\x89\x03", &regs, &window, 1, &plan), SEGUE_FAULT);
    mprotect(memory, PAGE, PROT_READ);
    assert_int_equal(bytes_at(memory + PAGE - 4, 4), 0);
    munmap(memory, 2 * PAGE);
}

static void plan_holds_the_fault_against_the_accesses(void **state)
{
    struct fixture *fixture = *state;
    struct segue_window window = alias_of(fixture, 0, 2);
    struct segue_insn insn;
    struct segue_plan plan;
    struct segue_regs regs = {.rbx = (uint64_t)fixture->memory + PAGE - 3};
    segue_decode(SEGUE_MODE_64, "\x48\x8b\x03", 3, &insn);
    static const struct {
        int64_t offset;
        uint8_t direction;
        enum segue_status expected;
    } rows[] = {
        {PAGE - 3, SEGUE_READ, SEGUE_OK},       {PAGE, SEGUE_READ, SEGUE_OK}, /* the second page's base */
        {PAGE + 4, SEGUE_READ, SEGUE_OK},       {PAGE + 5, SEGUE_READ, SEGUE_MISMATCH},
        {PAGE - 4, SEGUE_READ, SEGUE_MISMATCH}, {PAGE, SEGUE_WRITE, SEGUE_MISMATCH},
        {PAGE, SEGUE_FETCH, SEGUE_UNSUPPORTED}, {PAGE, 0, SEGUE_OK},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct segue_fault fault = {.address = (uint64_t)fixture->memory + (uint64_t)rows[i].offset,
                                    .direction = rows[i].direction,
                                    .address_known = true};
        assert_int_equal(segue_plan(&insn, &regs, NULL, &fault, &window, 1, &plan), rows[i].expected);
    }
}

static void plan_is_pure(void **state)
{
    struct fixture *fixture = *state;
    struct device device = {0};
    struct segue_window window = device_at(fixture, 0, &device);
    struct segue_regs regs = {.rbx = (uint64_t)fixture->memory}, kept = regs;
    struct segue_insn insn;
    struct segue_plan plan;
    mprotect(fixture->memory, 3 * PAGE, PROT_NONE);
    segue_decode(SEGUE_MODE_64, "\x48\x89\x03", 3, &insn);
    assert_int_equal(segue_plan(&insn, &regs, NULL, NULL, &window, 1, &plan), SEGUE_OK);
    assert_int_equal(device.writes, 0);
    assert_memory_equal(&regs, &kept, sizeof regs);
    assert_int_equal(plan.access_count, 1);
    assert_int_equal(plan.accesses[0].address, (uint64_t)fixture->memory);
    assert_int_equal(plan.accesses[0].size, 8);
    assert_int_equal(plan.accesses[0].direction, SEGUE_WRITE);
}

static void refusals_say_why(void **state)
{
    static const char looks_up[] = "it looks a segment up in the descriptor tables, which no engine does";
    static const char segment_register[] = "it reads or writes a segment register, and a handler runs with its own";
    static const char selectors[] = "it needs the thread's selectors, and the registers hold none";
    static const char wrapped_key[] = "it works with a wrapped key (Key Locker), which no engine does";
    static const struct {
        const char *code;
        size_t length;
        const char *why;
    } rows[] = {
        {"\x90", 1, "it accesses no memory"},
        {"\x48\x8d\x03", 3, "it accesses no memory"},            /* lea rax, [rbx] */
        {"\x8e\x03", 2, selectors},                              /* mov es, [rbx] */
        {"\x0f\xb4\x03", 3, segment_register},                   /* lfs eax, [rbx] */
        {"\x0f\x01\x03", 3, "privileged or system instruction"}, /* sgdt [rbx] */
        {"\x0f\x02\x03", 3, looks_up},                           /* lar eax, [rbx] */
        {"\x0f\x03\x03", 3, looks_up},                           /* lsl eax, [rbx] */
        {"\x0f\x00\x23", 3, looks_up},                           /* verr [rbx] */
        {"\x0f\x00\x2b", 3, looks_up},                           /* verw [rbx] */
        {"\xf3\x0f\x38\xdd\x03", 5, wrapped_key},                /* aesdec128kl xmm0, [rbx] */
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct segue_regs regs = {0};
        struct segue_plan plan;
        assert_int_equal(run(rows[i].code, rows[i].length, &regs, NULL, 0, &plan), SEGUE_UNSUPPORTED);
        assert_string_equal(plan.refusal, rows[i].why);
        assert_int_equal(segue_step(&plan, &regs, NULL, NULL), SEGUE_INVALID);
    }
}

static void windows_that_lead_nowhere_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct segue_window window = {.base = (uint64_t)fixture->memory, .size = PAGE, .kind = SEGUE_WINDOW_ALIAS};
    struct segue_regs regs = {.rbx = (uint64_t)fixture->memory};
    struct segue_plan plan;
    assert_int_equal(run("\x48\x8b\x03", 3, &regs, &window, 1, &plan), SEGUE_UNSUPPORTED);
    assert_string_equal(plan.refusal, "the alias window has no alias");
    window.kind = (enum segue_window_kind)77;
    assert_int_equal(run("\x48\x8b\x03", 3, &regs, &window, 1, &plan), SEGUE_UNSUPPORTED);
    assert_string_equal(plan.refusal, "the window's kind is unknown");
}

/* It holds no byte, so it cuts nothing: not even an access that it stands in the middle of. */
static void empty_window_is_as_none(void **state)
{
    struct fixture *fixture = *state;
    struct segue_window window = {.base = (uint64_t)fixture->memory + 4, .kind = SEGUE_WINDOW_EXPOSED};
    struct segue_regs regs = {.rbx = (uint64_t)fixture->memory};
    struct segue_plan plan;
    catch_faults();
    alarm(20);
    assert_int_equal(run("\x48\x8b\x03", 3, &regs, &window, 1, &plan), SEGUE_OK);
    alarm(0);
    assert_int_equal(details_of(&plan)->piece_count, 1);
    assert_int_equal(details_of(&plan)->pieces[0].size, 8);
}

/* ENTER at the deepest level has the most accesses, one fragment each. A window of one byte inside a word makes two
 * more, and one at a word's edge makes one more. */
static void plan_holds_so_many_fragments_and_no_more(void **state)
{
    enum { WORDS = 63, INSIDE = (PLAN_PIECES - WORDS) / 2 };
    struct fixture *fixture = *state;
    struct segue_window windows[INSIDE + 1];
    struct segue_regs regs = {.rsp = (uint64_t)fixture->memory + PAGE, .rbp = (uint64_t)fixture->memory + 3 * PAGE};
    struct segue_regs before = regs;
    static union large_plan large;
    const struct segue_plan *plan = &large.plan;
    struct segue_plan small;
    struct segue_insn insn;
    _Static_assert(WORDS + 2 * INSIDE == PLAN_PIECES, "the last one is over");
    for (unsigned i = 0; i < INSIDE; i++)
        windows[i] = segue_window_alias(fixture->memory + PAGE - 8 * i - 5, 1, fixture->alias + 2 * PAGE + 16 * i);
    windows[INSIDE] = segue_window_alias(fixture->memory + PAGE - 8 * (INSIDE + 1), 1, fixture->alias);
    catch_faults();
    assert_int_equal(segue_decode(SEGUE_MODE_64, "\xc8\x10\x00\x1f", 4, &insn), SEGUE_OK);
    assert_int_equal(large_plan_make(&insn, &regs, NULL, NULL, windows, INSIDE, &large), SEGUE_OK);
    assert_int_equal(plan->access_count, WORDS);
    assert_int_equal(details_of(plan)->piece_count, PLAN_PIECES);
    assert_int_equal(segue_step(plan, &regs, NULL, NULL), SEGUE_OK);
    regs = before;
    assert_int_equal(large_plan_make(&insn, &regs, NULL, NULL, windows, INSIDE + 1, &large), SEGUE_UNSUPPORTED);
    assert_string_equal(plan->refusal, "windows cut the access into too many fragments");
    /* A struct segue_plan has no room for so many accesses. */
    assert_int_equal(segue_plan(&insn, &regs, NULL, NULL, windows, INSIDE, &small), SEGUE_TOO_SMALL);
    assert_string_equal(small.refusal, "it makes more accesses than a plan holds");
    assert_true(small.access_count >= 8 && small.access_count < WORDS);
    assert_int_equal(segue_step(&small, &regs, NULL, NULL), SEGUE_INVALID);
    assert_memory_equal(&regs, &before, sizeof regs);
}

/* The same accesses in any memory that suffices; what is beyond the memory is not touched. */
static void plan_uses_the_memory_that_it_is_given(void **state)
{
    struct fixture *fixture = *state;
    struct segue_regs regs = {.rsp = (uint64_t)fixture->memory + PAGE, .rbp = (uint64_t)fixture->memory + 3 * PAGE};
    struct segue_insn insn;
    const struct segue_plan *plan;
    static _Alignas(64) uint8_t memory[SEGUE_PLAN_SIZE_MOST + 64];
    size_t size = SEGUE_PLAN_SIZE;
    enum segue_status status;
    assert_int_equal(segue_decode(SEGUE_MODE_64, "\xc8\x10\x00\x1f", 4, &insn), SEGUE_OK);
    do {
        memset(memory, 0xa5, sizeof memory);
        status = segue_plan_in(memory, size, &insn, &regs, NULL, NULL, NULL, 0, &plan);
        assert_ptr_equal(plan, memory);
        assert_true(status == SEGUE_OK || status == SEGUE_TOO_SMALL);
        for (size_t i = size; i < sizeof memory; i++)
            assert_int_equal(memory[i], 0xa5);
        size += 64;
    } while (status != SEGUE_OK && size < sizeof memory);
    assert_int_equal(status, SEGUE_OK);
    assert_int_equal(plan->access_count, 63);
    assert_int_equal(segue_plan_in(memory, SEGUE_PLAN_SIZE - 1, &insn, &regs, NULL, NULL, NULL, 0, &plan),
                     SEGUE_INVALID);
    assert_null(plan);
    assert_int_equal(segue_plan_in(memory + 8, SEGUE_PLAN_SIZE, &insn, &regs, NULL, NULL, NULL, 0, &plan),
                     SEGUE_INVALID);
    assert_int_equal(segue_plan_in(NULL, SEGUE_PLAN_SIZE, &insn, &regs, NULL, NULL, NULL, 0, &plan), SEGUE_INVALID);
    assert_int_equal(segue_plan_in(memory, SEGUE_PLAN_SIZE, &insn, &regs, NULL, NULL, NULL, 0, NULL), SEGUE_INVALID);
}

/* What the program cannot access is copied out of private memory, and into it. */
static void bytes_of_a_closed_forced_window_are_copied(void **state)
{
    char word[8] = "forcedly", got[8];
    (void)state;
    void *memory = mmap(NULL, 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    const struct segue_window forced = segue_window_forced(memory, 2 * PAGE);
    if (!forced_ready())
        assert_int_equal(segue_window_read(&forced, forced.base, got, sizeof got), SEGUE_UNSUPPORTED);
    if (segue_forced_prepare() != SEGUE_OK)
        skip();
    assert_int_equal(segue_window_write(&forced, forced.base + PAGE - 4, word, sizeof word), SEGUE_OK);
    assert_int_equal(segue_window_read(&forced, forced.base + PAGE - 4, got, sizeof got), SEGUE_OK);
    assert_memory_equal(got, word, sizeof word);
    assert_int_equal(segue_window_read(&forced, forced.base + 2 * PAGE - 7, got, sizeof got), SEGUE_INVALID);
    munmap(memory, 2 * PAGE);
    assert_int_equal(segue_window_read(&forced, forced.base, got, sizeof got), SEGUE_FAULT);
    assert_int_equal(segue_window_write(&forced, forced.base, word, sizeof word), SEGUE_FAULT);
}

/* Its accesses are where it was made. */
static void copy_of_a_plan_is_refused(void **state)
{
    struct fixture *fixture = *state;
    const struct segue_window window = segue_window_alias(fixture->memory, PAGE, fixture->alias);
    struct segue_regs regs = {.rbx = (uint64_t)fixture->memory}, before = regs;
    struct segue_insn insn;
    struct segue_plan plan, copy;
    assert_int_equal(segue_decode(SEGUE_MODE_64, "\x48\x89\x03", 3, &insn), SEGUE_OK);
    assert_int_equal(segue_plan(&insn, &regs, NULL, NULL, &window, 1, &plan), SEGUE_OK);
    copy = plan;
    assert_int_equal(segue_step(&copy, &regs, NULL, NULL), SEGUE_INVALID);
    assert_string_equal(segue_reason(), "the plan was copied: its accesses are where it was made");
    assert_int_equal(segue_step_values(&copy, &regs, NULL, NULL, NULL, NULL), SEGUE_INVALID);
    assert_memory_equal(&regs, &before, sizeof regs);
    assert_int_equal(segue_step(&plan, &regs, NULL, NULL), SEGUE_OK);
}

static void bad_arguments_are_refused(void **state)
{
    struct segue_insn insn = {0};
    struct segue_regs regs = {0};
    struct segue_plan plan;
    struct segue_mapping mapping;
    (void)state;
    assert_int_equal(segue_plan(NULL, &regs, NULL, NULL, NULL, 0, &plan), SEGUE_INVALID);
    assert_int_equal(segue_plan(&insn, NULL, NULL, NULL, NULL, 0, &plan), SEGUE_INVALID);
    assert_int_equal(segue_plan(&insn, &regs, NULL, NULL, NULL, 1, &plan), SEGUE_INVALID);
    assert_int_equal(segue_plan(&insn, &regs, NULL, NULL, NULL, 0, NULL), SEGUE_INVALID);
    assert_int_equal(segue_step(NULL, &regs, NULL, NULL), SEGUE_INVALID);
    assert_int_equal(segue_mapping_create(NULL, 0, &mapping), SEGUE_INVALID);
    assert_int_equal(segue_mapping_create((void *)1, 4096, &mapping), SEGUE_INVALID);
    assert_int_equal(segue_mapping_create(NULL, 4096, NULL), SEGUE_INVALID);
    assert_int_equal(segue_mapping_destroy(NULL), SEGUE_INVALID);
}

static void mapping_is_placed_where_asked_or_not_at_all(void **state)
{
    struct segue_mapping first, second;
    (void)state;
    assert_int_equal(segue_mapping_create((void *)0x30000000, 100, &first), SEGUE_OK);
    assert_ptr_equal(first.memory, (void *)0x30000000);
    assert_int_equal(first.size, PAGE);
    assert_int_equal(segue_mapping_create((void *)0x30000000, 100, &second), SEGUE_EXISTS);
    *(int *)first.memory = 77;
    assert_int_equal(*(int *)first.alias, 77);
    assert_int_equal(segue_mapping_destroy(&first), SEGUE_OK);
    assert_int_equal(segue_mapping_destroy(&first), SEGUE_OK);
}

static void mapping_is_not_bound_by_the_limit_of_files(void **state)
{
    struct rlimit kept;
    struct segue_mapping mapping;
    (void)state;
    getrlimit(RLIMIT_FSIZE, &kept);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){PAGE, kept.rlim_max});
    enum segue_status larger = segue_mapping_create(NULL, 2 * PAGE, &mapping);
    setrlimit(RLIMIT_FSIZE, &kept);
    assert_int_equal(larger, SEGUE_OK);
    ((char *)mapping.memory)[PAGE] = 5;
    assert_int_equal(((char *)mapping.alias)[PAGE], 5);
    segue_mapping_destroy(&mapping);
}

static void peek_stops_at_the_first_byte_that_cannot_be_read(void **state)
{
    struct fixture *fixture = *state;
    char bytes[32];
    catch_faults();
    mprotect(fixture->memory + PAGE, PAGE, PROT_NONE);
    assert_int_equal(segue_peek(bytes, (uint64_t)fixture->memory + PAGE - 5, sizeof bytes), 5);
    assert_memory_equal(bytes, fixture->alias + PAGE - 5, 5);
    assert_int_equal(segue_peek(bytes, (uint64_t)fixture->memory + PAGE - 16, 16), 16);
    assert_int_equal(segue_peek(bytes, (uint64_t)fixture->memory + PAGE, 16), 0);
    assert_int_equal(segue_peek(bytes, 0x123456789abcdef0, 16), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(step_changes_what_the_operand_size_says_and_nothing_else),
        TEST(sign_extension_stops_at_the_operand_size),
        TEST(access_over_a_window_edge_is_split),
        TEST(two_windows_that_continue_each_other_are_one_access),
        TEST(store_that_meets_unmapped_memory_changes_nothing),
        TEST(exposed_window_that_is_closed_is_a_fault_not_a_crash),
        TEST(device_is_given_address_size_and_value),
        TEST(device_that_refuses_leaves_everything_as_it_was),
        TEST(two_devices_in_one_access_are_refused_before_either_is_called),
        TEST(forced_window_reaches_closed_memory),
        TEST(forced_window_in_a_child_reaches_the_childs_memory),
        TEST(forced_window_never_writes_to_a_file_under_its_number),
        TEST(forced_store_is_all_or_nothing),
        TEST(plan_holds_the_fault_against_the_accesses),
        TEST(plan_is_pure),
        TEST(refusals_say_why),
        TEST(windows_that_lead_nowhere_are_refused),
        TEST(empty_window_is_as_none),
        TEST(plan_holds_so_many_fragments_and_no_more),
        TEST(plan_uses_the_memory_that_it_is_given),
        TEST(copy_of_a_plan_is_refused),
        TEST(bytes_of_a_closed_forced_window_are_copied),
        TEST(bad_arguments_are_refused),
        TEST(mapping_is_placed_where_asked_or_not_at_all),
        TEST(mapping_is_not_bound_by_the_limit_of_files),
        TEST(peek_stops_at_the_first_byte_that_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
