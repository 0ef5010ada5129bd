/* stub_linux_x86_64.c: SOURCES: Linux kernel/signal.c (restart: the instruction pointer goes back to the instruction,
 * RAX is the number again). */
#include "stub.h"

#include <errno.h>
#include <sys/syscall.h>

#include "call_linux_x86_64.h"
#include "decode/x86/instructions/syscall.h"
#include "tools/run/host/report.h"
#include "tools/run/signals/registers.h"

bool stub_contains(const struct thread *thread, uint64_t instruction)
{
    return instruction - thread_gate(thread, run_gate) < (uint64_t)(run_gate_end - run_gate);
}

void stub_end(struct thread *thread, const ucontext_t *frame)
{
    uint64_t instruction = registers_get(frame, REG_RIP);
    bool is_made = stub_contains(thread, instruction) && instruction > thread_gate(thread, run_gate_pass);
    thread->is_led = false;
    /* Only a call that was interrupted leaves its mask in force for its handler. */
    if (!is_made || registers_get(frame, REG_RAX) != (uint64_t)-EINTR)
        thread->has_call_mask = false;
}

/* The handler runs on the stack in the thread's block. */
static const struct thread *handled_thread(void)
{
    uint64_t stack_pointer = (uint64_t)(uintptr_t)__builtin_frame_address(0);
    return (const struct thread *)(uintptr_t)(stack_pointer & -(uint64_t)BLOCK_SIZE);
}

/* Before the stub's call, the program is at its instruction, afterwards behind it. */
static enum code_range_result translate(const struct code_range *range, struct segue_regs *regs, const void **unused)
{
    const struct thread *thread = handled_thread();
    uint64_t pass = thread_gate(thread, run_gate_pass);
    (void)range;
    (void)unused;
    if (!stub_contains(thread, regs->rip))
        return CODE_RANGE_NOT_FOUND;
    bool is_pass = regs->rip >= pass, is_made = regs->rip != pass;
    regs->rip = is_made ? thread->target : thread->target - SYSCALL_SIZE;
    regs->rcx = thread->target;
    if (!is_pass)
        return CODE_RANGE_REGISTERS;
    regs->rdi = thread->arguments[0];
    regs->rsi = thread->arguments[1];
    regs->rdx = thread->arguments[2];
    regs->r10 = thread->arguments[3];
    regs->r8 = thread->arguments[4];
    regs->r9 = thread->arguments[5];
    /* The program's call may have another number than the stub's. */
    if (!is_made && regs->rax == thread->made_number)
        regs->rax = thread->led_number;
    return CODE_RANGE_REGISTERS;
}

const struct code_range stub_range = {NULL, NULL, translate};

void stub_pass(struct thread *thread, ucontext_t *frame, const uint64_t *before)
{
    for (int i = 0; i < 6; i++)
        thread->arguments[i] = before ? before[i] : registers_argument(frame, i);
    thread->led_number = thread->made_number = registers_get(frame, REG_RAX);
    thread->target = registers_get(frame, REG_RIP);
    registers_set(frame, REG_RIP, thread_gate(thread, run_gate_pass));
    thread->is_led = true;
    count(&counters->passed, 1);
}

void *stub_scratch(struct thread *thread, size_t size)
{
    if (thread->scratch_size >= size)
        return thread->scratch;
    if (thread->scratch)
        system_call3(SYS_munmap, (long)thread->scratch, (long)thread->scratch_size, 0);
    long at = system_call6(SYS_mmap, 0, (long)size, 3, 0x22, -1, 0);
    bool failed = at < 0 && at > -4096;
    thread->scratch = failed ? NULL : (void *)at;
    thread->scratch_size = failed ? 0 : size;
    return thread->scratch;
}
