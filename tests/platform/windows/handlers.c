/* handlers.c: the library's handler among the others of a process on Windows: what it leaves to those behind it, and as
 * what; nested faults; threads; installation. */
#if !defined(_WIN32)
#error "tests/platform/windows/handlers.c is specific to Windows"
#endif

#include "fixture.h"

#include <errno.h>
#include <stdio.h>

/* ---- a handler behind the library's ---- */

static struct {
    unsigned count;
    uint32_t code;
    uint64_t kind, address, instruction;
    CONTEXT context;
} behind;
/* Where the thread continues; 0: at the next instruction, which is `length` bytes further. */
static uint64_t continues_at;
static unsigned length;

static LONG CALLBACK handle_behind(EXCEPTION_POINTERS *exception)
{
    const EXCEPTION_RECORD *record = exception->ExceptionRecord;
    behind.count++;
    behind.code = record->ExceptionCode;
    behind.kind = record->NumberParameters > 1 ? record->ExceptionInformation[0] : 0;
    behind.address = record->NumberParameters > 1 ? record->ExceptionInformation[1] : 0;
    behind.instruction = (uint64_t)(uintptr_t)record->ExceptionAddress;
    behind.context = *exception->ContextRecord;
    exception->ContextRecord->INSTRUCTION_POINTER =
        continues_at ? continues_at : exception->ContextRecord->INSTRUCTION_POINTER + length;
    return EXCEPTION_CONTINUE_EXECUTION;
}

static void *put_behind(unsigned of_length)
{
    memset(&behind, 0, sizeof behind);
    length = of_length;
    continues_at = 0;
    void *handler = AddVectoredExceptionHandler(0, handle_behind);
    assert_non_null(handler);
    return handler;
}

static void fault_in_no_region_is_left_to_others(void **state)
{
    volatile char *page = closed_page();
    (void)state;
    begin(note);
    void *handler = put_behind(3);
    /* 3 bytes. */
    __asm__ volatile("mov $0x1234, " R("si") "\n\t.byte 0x88, 0x4b, 0x07" /* movb %cl, 7(%rbx) */
                     :
                     : "b"(page)
                     : CHANGED("si"), "memory");
    RemoveVectoredExceptionHandler(handler);
    assert_int_equal(behind.count, 1);
    assert_int_equal(behind.code, EXCEPTION_ACCESS_VIOLATION);
    assert_int_equal(behind.kind, 1);
    assert_int_equal(behind.address, (uintptr_t)page + 7);
    assert_int_equal(behind.instruction, behind.context.INSTRUCTION_POINTER);
    assert_int_equal(behind.context.SOURCE_INDEX, 0x1234);
    assert_int_equal(asked, 0);
    end();
}

static enum segue_verdict pass(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    return SEGUE_PASS;
}

static void fault_that_a_policy_passes_is_left_to_others(void **state)
{
    volatile uintptr_t *cell = begin(pass);
    (void)state;
    void *handler = put_behind(2);
    __asm__ volatile(".byte 0x8b, 0x0b" /* movl (%rbx), %ecx */ : : "b"(cell) : CHANGED("cx"), "memory");
    RemoveVectoredExceptionHandler(handler);
    assert_int_equal(behind.count, 1);
    assert_int_equal(behind.address, (uintptr_t)cell);
    end();
}

/* The copy's target faults, at an address that the processor has not reported. */
static void fault_of_a_step_is_reported_where_it_is(void **state)
{
    volatile uintptr_t *cell = begin(note);
    volatile char *page = closed_page();
    uintptr_t to = (uintptr_t)page, from = (uintptr_t)cell;
    (void)state;
    void *handler = put_behind(1);
    __asm__ volatile("movsl" : "+D"(to), "+S"(from) : : "memory");
    RemoveVectoredExceptionHandler(handler);
    assert_int_equal(behind.count, 1);
    assert_int_equal(behind.code, EXCEPTION_ACCESS_VIOLATION);
    assert_int_equal(behind.kind, 1);
    assert_int_equal(behind.address, (uintptr_t)page);
    assert_int_equal(from, (uintptr_t)cell);
    end();
}

static void division_in_a_step_is_reported_as_one(void **state)
{
    volatile uintptr_t *cell = begin(note);
    uint32_t rax = 7, rdx = 0;
    (void)state;
    void *handler = put_behind(2);
    __asm__ volatile(".byte 0xf7, 0x33" /* divl (%rbx) */ : "+a"(rax), "+d"(rdx) : "b"(cell) : "cc", "memory");
    RemoveVectoredExceptionHandler(handler);
    assert_int_equal(behind.count, 1);
    assert_int_equal(behind.code, EXCEPTION_INT_DIVIDE_BY_ZERO);
    assert_int_equal(behind.instruction, behind.context.INSTRUCTION_POINTER);
    assert_int_equal(rax, 7);
    end();
}

/* Its guard is gone then, as after any access. */
static void guard_page_that_a_step_meets_is_reported_as_one(void **state)
{
    volatile uintptr_t *cell = begin(note);
    char *page = VirtualAlloc(NULL, PAGE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE | PAGE_GUARD);
    uintptr_t to = (uintptr_t)page, from = (uintptr_t)cell;
    (void)state;
    void *handler = put_behind(1);
    __asm__ volatile("movsl" : "+D"(to), "+S"(from) : : "memory");
    RemoveVectoredExceptionHandler(handler);
    assert_int_equal(behind.count, 1);
    assert_int_equal(behind.code, STATUS_GUARD_PAGE_VIOLATION);
    assert_int_equal(behind.address, (uintptr_t)page);
    end();
}

/* A vector load from an address that is not a multiple of 16; in 64-bit code also an address that is not canonical. */
static void general_protection_fault_is_left_to_others(void **state)
{
    static _Alignas(16) const uint8_t bytes[32];
    (void)state;
    begin(note);
    void *handler = put_behind(3);
    __asm__ volatile(".byte 0x0f, 0x28, 0x03" /* movaps (%rbx), %xmm0 */ : : "b"(bytes + 1) : "xmm0", "memory");
    assert_int_equal(behind.count, 1);
    assert_int_equal(behind.address, UINTPTR_MAX);
#if defined(__x86_64__)
    __asm__ volatile(".byte 0x48, 0x8b, 0x0b" /* movq (%rbx), %rcx */ : : "b"(INT64_MIN) : "rcx", "memory");
    assert_int_equal(behind.count, 2);
    assert_int_equal(behind.address, UINT64_MAX);
#endif
    RemoveVectoredExceptionHandler(handler);
    end();
}

/* The trap flag: a trap follows each instruction, also one that is stepped. */
static void single_steps_go_on(void **state)
{
    volatile uintptr_t *cell = begin(note);
    (void)state;
    void *handler = put_behind(0);
    __asm__ volatile("pushf\n\torl $0x100, (" R("sp") ")\n\tpopf\n\t"
                                                      "movl $5, (%0)\n"
                                                      "1:\n\tnop\n\t"
                     :
                     : "r"(cell)
                     : "memory", "cc");
    RemoveVectoredExceptionHandler(handler);
    assert_int_equal(behind.code, EXCEPTION_SINGLE_STEP);
    assert_int_equal(*(uintptr_t *)mapping.alias, 5);
    assert_int_equal(asked, 1);
    end();
}

static void exception_that_a_program_raises_goes_on(void **state)
{
    const ULONG_PTR information[] = {1, (ULONG_PTR)0x1000};
    (void)state;
    volatile uintptr_t *cell = begin(note);
    void *handler = put_behind(0);
    RaiseException(0xe0000001, 0, 2, information);
    assert_int_equal(behind.code, 0xe0000001);
    /* It claims to be an access to the region. */
    const ULONG_PTR claim[] = {1, (ULONG_PTR)cell};
    RaiseException(EXCEPTION_ACCESS_VIOLATION, 0, 2, claim);
    RemoveVectoredExceptionHandler(handler);
    assert_int_equal(behind.count, 2);
    assert_int_equal(behind.code, EXCEPTION_ACCESS_VIOLATION);
    assert_int_equal(behind.address, (uintptr_t)cell);
    assert_int_equal(asked, 0);
    end();
}

/* ---- inside the handler ---- */

static volatile uintptr_t *cell_of_policy;
static volatile bool was_inside;

static enum segue_verdict read_the_region(void *context, const struct segue_event *event)
{
    was_inside = segue_in_fault();
    if (asked++ == 0)
        cell_of_policy[2] = cell_of_policy[1] + 1;
    SetLastError(99);
    errno = 98;
    (void)context;
    (void)event;
    return SEGUE_STEP;
}

static void faults_in_a_policy_are_served(void **state)
{
    cell_of_policy = begin(read_the_region);
    (void)state;
    ((uintptr_t *)mapping.alias)[1] = 41;
    assert_false(segue_in_fault());
    SetLastError(7);
    cell_of_policy[0] = 3;
    assert_int_equal(GetLastError(), 7);
    assert_int_equal(asked, 3);
    assert_true(was_inside);
    assert_false(segue_in_fault());
    assert_int_equal(((uintptr_t *)mapping.alias)[2], 42);
    assert_int_equal(((uintptr_t *)mapping.alias)[0], 3);
    end();
}

static enum segue_verdict try_in_the_policy(void *context, const struct segue_event *event)
{
    struct segue_trial trial;
    (void)context;
    (void)event;
    asked++;
    if (segue_try(&trial) == 0) {
        *(volatile char *)cell_of_policy = 1;
        segue_try_end(&trial);
    } else {
        was_inside = trial.fault.address == (uintptr_t)cell_of_policy;
    }
    return SEGUE_STEP;
}

static void block_in_a_policy_is_left(void **state)
{
    volatile uintptr_t *cell = begin(try_in_the_policy);
    (void)state;
    cell_of_policy = (volatile uintptr_t *)closed_page();
    was_inside = false;
    cell[0] = 3;
    assert_true(was_inside);
    assert_int_equal(asked, 1);
    assert_int_equal(((uintptr_t *)mapping.alias)[0], 3);
    end();
}

/* ---- a policy that is left without a return ---- */

static void *before_the_access[5];
static volatile unsigned passages;

static enum segue_verdict leave(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    __builtin_longjmp(before_the_access, 1);
}

static void region_is_removed_after_a_policy_was_left(void **state)
{
    volatile uintptr_t *cell = begin(leave);
    (void)state;
    passages = 0;
    if (__builtin_setjmp(before_the_access) == 0) {
        passages++;
        cell[0] = 1;
    }
    assert_int_equal(passages++, 1);
    assert_false(segue_in_fault());
    end();
}

/* ---- threads ---- */

#define THREADS 4u
#define ROUNDS 3000u

static DWORD WINAPI access_much(void *argument)
{
    volatile uintptr_t *cell = argument;
    for (unsigned i = 0; i < ROUNDS; i++) {
        __atomic_fetch_add(cell, 1, __ATOMIC_RELAXED);
        cell[1] = i;
    }
    return 0;
}

static enum segue_verdict step(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    return SEGUE_STEP;
}

static void threads_fault_at_once(void **state)
{
    volatile uintptr_t *cell = begin(step);
    HANDLE threads[THREADS];
    (void)state;
    for (unsigned i = 0; i < THREADS; i++)
        threads[i] = CreateThread(NULL, 0, access_much, (void *)(uintptr_t)cell, 0, NULL);
    assert_int_equal(WaitForMultipleObjects(THREADS, threads, TRUE, 120000), WAIT_OBJECT_0);
    for (unsigned i = 0; i < THREADS; i++)
        CloseHandle(threads[i]);
    assert_int_equal(*(uintptr_t *)mapping.alias, THREADS * ROUNDS);
    end();
}

/* Its pages are accessible before it goes. */
static void region_is_removed_while_threads_fault(void **state)
{
    volatile uintptr_t *cell = begin(step);
    HANDLE threads[THREADS];
    (void)state;
    for (unsigned i = 0; i < THREADS; i++)
        threads[i] = CreateThread(NULL, 0, access_much, (void *)(uintptr_t)cell, 0, NULL);
    for (unsigned i = 0; i < 20; i++) {
        Sleep(1);
        assert_int_equal(segue_mapping_protect(&mapping, 0, PAGE, SEGUE_READ | SEGUE_WRITE), SEGUE_OK);
        assert_int_equal(segue_region_remove(mapping.memory), SEGUE_OK);
        assert_int_equal(segue_region_add(&page_region), SEGUE_OK);
        assert_int_equal(segue_mapping_protect(&mapping, 0, PAGE, 0), SEGUE_OK);
    }
    assert_int_equal(WaitForMultipleObjects(THREADS, threads, TRUE, 120000), WAIT_OBJECT_0);
    for (unsigned i = 0; i < THREADS; i++)
        CloseHandle(threads[i]);
    assert_int_equal(*(uintptr_t *)mapping.alias, THREADS * ROUNDS);
    end();
}

/* ---- installation ---- */

static void installation_has_its_answers(void **state)
{
    struct segue_owner owner;
    (void)state;
    assert_int_equal(segue_install_check(NULL), SEGUE_NOT_FOUND);
    assert_int_equal(segue_uninstall(NULL), SEGUE_NOT_FOUND);
    assert_int_equal(segue_thread_attach(), SEGUE_NOT_FOUND);
    begin(note);
    assert_int_equal(segue_install(NULL), SEGUE_EXISTS);
    assert_int_equal(segue_install_check(&owner), SEGUE_OK);
    assert_int_equal(segue_uninstall(NULL), SEGUE_BUSY);
    assert_int_equal(segue_thread_attach(), SEGUE_EXISTS);
    assert_int_equal(segue_thread_detach(), SEGUE_OK);
    assert_int_equal(segue_thread_attach(), SEGUE_OK);
    end();
    /* The handler is gone: another one sees the fault first. */
    volatile char *page = closed_page();
    void *handler = put_behind(3);
    __asm__ volatile(".byte 0x88, 0x4b, 0x07" /* movb %cl, 7(%rbx) */ : : "b"(page) : "memory");
    RemoveVectoredExceptionHandler(handler);
    assert_int_equal(behind.count, 1);
}

/* ---- deaths, in a process of their own ---- */

static LONG WINAPI die(EXCEPTION_POINTERS *exception)
{
    TerminateProcess(GetCurrentProcess(), exception->ExceptionRecord->ExceptionCode);
    return EXCEPTION_EXECUTE_HANDLER;
}

static int child(const char *name)
{
    SetUnhandledExceptionFilter(die);
    if (strcmp(name, "unserved") == 0) {
        if (segue_install(NULL) == SEGUE_OK)
            *(volatile char *)closed_page() = 1;
    } else {
        volatile uintptr_t *cell = begin(pass);
        cell[0] = 1;
    }
    return 1;
}

static DWORD status_of_child(const char *name)
{
    char command[MAX_PATH + 64], program[MAX_PATH];
    STARTUPINFOA start = {.cb = sizeof start};
    PROCESS_INFORMATION process;
    DWORD status = 0;
    GetModuleFileNameA(NULL, program, sizeof program);
    snprintf(command, sizeof command, "\"%s\" %s", program, name);
    assert_true(CreateProcessA(NULL, command, NULL, NULL, FALSE, 0, NULL, NULL, &start, &process));
    if (WaitForSingleObject(process.hProcess, 60000) != WAIT_OBJECT_0)
        TerminateProcess(process.hProcess, 2);
    GetExitCodeProcess(process.hProcess, &status);
    CloseHandle(process.hThread);
    CloseHandle(process.hProcess);
    return status;
}

static void unserved_fault_kills(void **state)
{
    (void)state;
    assert_int_equal(status_of_child("unserved"), (DWORD)EXCEPTION_ACCESS_VIOLATION);
    assert_int_equal(status_of_child("passed"), (DWORD)EXCEPTION_ACCESS_VIOLATION);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fault_in_no_region_is_left_to_others),
        cmocka_unit_test(fault_that_a_policy_passes_is_left_to_others),
        cmocka_unit_test(fault_of_a_step_is_reported_where_it_is),
        cmocka_unit_test(division_in_a_step_is_reported_as_one),
        cmocka_unit_test(guard_page_that_a_step_meets_is_reported_as_one),
        cmocka_unit_test(general_protection_fault_is_left_to_others),
        cmocka_unit_test(single_steps_go_on),
        cmocka_unit_test(exception_that_a_program_raises_goes_on),
        cmocka_unit_test(faults_in_a_policy_are_served),
        cmocka_unit_test(block_in_a_policy_is_left),
        cmocka_unit_test(region_is_removed_after_a_policy_was_left),
        cmocka_unit_test(threads_fault_at_once),
        cmocka_unit_test(region_is_removed_while_threads_fault),
        cmocka_unit_test(installation_has_its_answers),
        cmocka_unit_test(unserved_fault_kills),
    };
    if (argc > 1)
        return child(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
