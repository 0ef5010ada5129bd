/* stub_linux_x86_64.c: SOURCES: Linux kernel/signal.c (restart: the instruction pointer goes back to the instruction,
 * RAX is the number again). */
#include "stub.h"

#include <errno.h>
#include <sys/syscall.h>

#include "call_linux_x86_64.h"
#include "tools/run/host/report.h"
#include "tools/run/signals/registers.h"

bool stub_contains(const struct thread *thread, uint64_t instruction)
{
    return instruction - thread_gate(thread, run_gate) < (uint64_t)(run_gate_end - run_gate);
}

void stub_leave(struct thread *thread, ucontext_t *frame)
{
    uint64_t instruction = registers_get(frame, REG_RIP);
    thread->is_led = false;
    if (!stub_contains(thread, instruction)) {
        thread->has_call_mask = false;
        return;
    }
    if (instruction < thread_gate(thread, run_gate_pass)) {
        registers_set(frame, REG_RIP, thread->target);
        registers_set(frame, REG_RCX, thread->target);
        thread->has_call_mask = false;
        return;
    }
    bool is_made = instruction != thread_gate(thread, run_gate_pass);
    for (int i = 0; i < 6; i++)
        registers_set(frame, registers_of_arguments[i], thread->arguments[i]);
    registers_set(frame, REG_RIP, is_made ? thread->target : thread->target - CALL_SIZE);
    /* What the program asked for may not be what the stub was to call. */
    if (!is_made && registers_get(frame, REG_RAX) == thread->made_number)
        registers_set(frame, REG_RAX, thread->led_number);
    /* Only a call that was interrupted leaves its handler the mask that it had. */
    if (!is_made || registers_get(frame, REG_RAX) != (uint64_t)-EINTR)
        thread->has_call_mask = false;
    registers_set(frame, REG_RCX, thread->target);
}

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
