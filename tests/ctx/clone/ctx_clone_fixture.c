/* ctx_clone_fixture.c: see the header. */
#include "ctx_clone_fixture.h"

#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "platform/frame/frame.h"
#include "platform/linux/call_x86_64.h"

void (*fixture_before)(void *ucontext), (*fixture_after)(void *ucontext);
char fixture_alternate_stack[65536];

/* It may run on a child, without thread-local storage of its own. */
static void emulate_clone(int number, siginfo_t *info, void *ucontext)
{
    struct segue_regs regs;
    (void)number, (void)info;
    frame_get_registers(ucontext, &regs);
    const struct segue_clone *request = (const struct segue_clone *)(uintptr_t)regs.rdi;
    regs.rip += 2;
    frame_set_registers(ucontext, &regs);
    if (fixture_before)
        fixture_before(ucontext);
    regs.rax = (uint64_t)segue_clone(ucontext, request);
    if (fixture_after)
        fixture_after(ucontext);
    frame_set_registers(ucontext, &regs);
}

void fixture_arm_alternate_stack(void)
{
    stack_t stack = {.ss_sp = fixture_alternate_stack, .ss_size = sizeof fixture_alternate_stack};
    system_call3(SYS_sigaltstack, (long)&stack, 0, 0);
}

void fixture_handle(bool on_alternate_stack)
{
    struct sigaction action = {.sa_sigaction = emulate_clone,
                               .sa_flags = SA_SIGINFO | (on_alternate_stack ? SA_ONSTACK : 0)};
    fixture_arm_alternate_stack();
    sigaction(SIGILL, &action, NULL);
    fixture_before = fixture_after = NULL;
}

struct segue_clone fixture_thread(uint64_t stack_pointer, int *word)
{
    *word = -1;
    return (struct segue_clone){
        .flags = FIXTURE_THREAD_FLAGS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID,
        .stack_pointer = stack_pointer,
        .parent_tid = word,
        .child_tid = word,
    };
}

void fixture_wait(int *word)
{
    for (;;) {
        int value = __atomic_load_n(word, __ATOMIC_ACQUIRE);
        if (value == 0)
            return;
        syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
    }
}

int fixture_wait_for_process(long number)
{
    int status = -1;
    return number > 0 && waitpid((pid_t)number, &status, __WALL) == number ? status : -1;
}

size_t fixture_count_mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    size_t lines = 0;
    for (int c; (c = getc(maps)) != EOF;)
        lines += c == '\n';
    fclose(maps);
    return lines;
}
