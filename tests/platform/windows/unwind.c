/* unwind.c: walks by the system's unwind data from wherever a thread is interrupted in the library: they reach the
 * program's frame, at the instruction that faulted. A function without data is a leaf, whose return address is at the
 * stack pointer: the stubs and the guarded accesses are such functions.
 *
 * SOURCES: Microsoft, "x64 exception handling" (leaf functions), RtlVirtualUnwind. */
#if !defined(_WIN32) || !defined(__x86_64__)
#error "unwind.c is specific to Windows on x86-64"
#endif

#include "fixture.h"

#define FRAMES_MOST 64u

/* Where the program faults, and with which registers of a caller. */
static uint64_t instruction, stack_pointer;
#define KEPT_R12 0x1212
#define KEPT_R15 0x1515

/* A frame of the walk. */
static bool step_out(CONTEXT *context)
{
    DWORD64 image, establisher;
    void *handler_data;
    RUNTIME_FUNCTION *function = RtlLookupFunctionEntry(context->Rip, &image, NULL);
    if (!function) {
        context->Rip = *(const DWORD64 *)(uintptr_t)context->Rsp;
        context->Rsp += 8;
        return context->Rip;
    }
    RtlVirtualUnwind(UNW_FLAG_NHANDLER, image, context->Rip, function, context, &handler_data, &establisher, NULL);
    return context->Rip;
}

/* What the last walk has found. */
static struct {
    unsigned frames;
    bool reaches, keeps;
} walk;

static void walk_from(CONTEXT context)
{
    memset(&walk, 0, sizeof walk);
    do {
        walk.frames++;
        walk.reaches = context.Rip == instruction;
    } while (!walk.reaches && walk.frames < FRAMES_MOST && step_out(&context));
    walk.keeps = context.R12 == KEPT_R12 && context.R15 == KEPT_R15 && context.Rsp == stack_pointer;
}

/* The program's access: reads, or adds to what is there, at an address in RBX. Written so that its registers and its
 * instruction are known. */
#define ACCESS(page, instruction_text)                                                                                 \
    __asm__ volatile("movq $0x1212, %%r12\n\tmovq $0x1515, %%r15\n\tleaq 1f(%%rip), %%rax\n\tmovq %%rax, %0\n\t"       \
                     "movq %%rsp, %1\n\tmovl $1, %%eax\n"                                                              \
                     "1:\t" instruction_text                                                                           \
                     : "=m"(instruction), "=m"(stack_pointer)                                                          \
                     : "b"(page)                                                                                       \
                     : "rax", "r12", "r15", "memory", "cc")

static enum segue_verdict walk_in_the_policy(void *context, const struct segue_event *event)
{
    CONTEXT here;
    (void)context;
    (void)event;
    asked++;
    RtlCaptureContext(&here);
    walk_from(here);
    return SEGUE_STEP;
}

static void policy_is_called_from_the_program(void **state)
{
    volatile uint64_t *cell = begin(walk_in_the_policy);
    (void)state;
    ACCESS(cell, "movq (%%rbx), %%rax");
    assert_int_equal(asked, 1);
    assert_true(walk.reaches);
    assert_true(walk.keeps);
    end();
}

/* ---- faults of the library's own ---- */

static bool is_nested;

/* In front of the library's handler: sees the nested fault first. The program's own fault is the first. */
static LONG CALLBACK walk_at_the_nested_fault(EXCEPTION_POINTERS *exception)
{
    if (exception->ContextRecord->Rip != instruction && !is_nested) {
        is_nested = true;
        walk_from(*exception->ContextRecord);
    }
    return EXCEPTION_CONTINUE_SEARCH;
}

/* Behind it: the fault that the step met is the program's. */
static LONG CALLBACK skip_the_access(EXCEPTION_POINTERS *exception)
{
    if (exception->ContextRecord->Rip != instruction)
        return EXCEPTION_CONTINUE_SEARCH;
    exception->ContextRecord->Rip += 3;
    return EXCEPTION_CONTINUE_EXECUTION;
}

/* The alias is closed, too: the step faults, in a stub or in a guarded access. */
static void begin_closed(void **handlers)
{
    DWORD before;
    begin(note);
    assert_true(VirtualProtect(mapping.alias, PAGE, PAGE_NOACCESS, &before));
    handlers[0] = AddVectoredExceptionHandler(1, walk_at_the_nested_fault);
    handlers[1] = AddVectoredExceptionHandler(0, skip_the_access);
    is_nested = false;
}

static void end_closed(void **handlers)
{
    RemoveVectoredExceptionHandler(handlers[0]);
    RemoveVectoredExceptionHandler(handlers[1]);
    assert_true(is_nested);
    assert_true(walk.reaches);
    assert_true(walk.keeps);
    end();
}

static void stub_is_called_from_the_program(void **state)
{
    void *handlers[2];
    (void)state;
    begin_closed(handlers);
    ACCESS(mapping.memory, "addq %%rax, (%%rbx)");
    end_closed(handlers);
}

static void guarded_access_is_called_from_the_program(void **state)
{
    void *handlers[2];
    (void)state;
    begin_closed(handlers);
    ACCESS(mapping.memory, "movq (%%rbx), %%rax");
    end_closed(handlers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policy_is_called_from_the_program),
        cmocka_unit_test(stub_is_called_from_the_program),
        cmocka_unit_test(guarded_access_is_called_from_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
