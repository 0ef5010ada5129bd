/* filter_linux.c: SOURCES: seccomp(2), prctl(2) PR_SET_SECCOMP; Linux Documentation/userspace-api/seccomp_filter.rst;
 * include/uapi/linux/seccomp.h (struct seccomp_data; the instruction pointer is behind the SYSCALL). ASSUMPTIONS: jumps
 * of a filter are relative, so instructions before its first change none. */
#include "filter.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/syscall.h>

#include "tools/run/host/memory.h"
#include "tools/run/signals/registers.h"
#include "tools/run/start/start.h"
#include "tools/run/syscalls/stub.h"

#define FIELD(name) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, name))
#define LOW_OF(name) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, name))
#define HIGH_OF(name) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, name) + 4)
/* Skips `yes` instructions if the condition holds, else `no`. */
#define IF(condition, value, yes, no) BPF_JUMP(BPF_JMP | (condition) | BPF_K, value, yes, no)

#define PRELUDE 17

/* Which argument points to the filter, in both calls. */
#define FILTER_ARGUMENT 2

static void write_prelude(struct sock_filter *to)
{
    uint64_t start = (uint64_t)(uintptr_t)start_code, end = (uint64_t)(uintptr_t)start_code_end;
    const struct sock_filter prelude[PRELUDE] = {
        /* 0 */ FIELD(arch),
        IF(BPF_JEQ, AUDIT_ARCH_X86_64, 0, PRELUDE - 2),
        HIGH_OF(instruction_pointer),
        IF(BPF_JEQ, (uint32_t)(start >> 32), 0, PRELUDE - 4),
        LOW_OF(instruction_pointer),
        /* 5 */ IF(BPF_JGE, (uint32_t)start, 0, PRELUDE - 6),
        IF(BPF_JGT, (uint32_t)end, PRELUDE - 7, 0),
        FIELD(nr),
        IF(BPF_JEQ, SYS_sigaltstack, 7, 0),
        IF(BPF_JEQ, SYS_rt_sigprocmask, 6, 0),
        /* 10 */ IF(BPF_JEQ, SYS_rt_sigreturn, 5, 0),
        IF(BPF_JEQ, SYS_gettid, 4, 0),
        IF(BPF_JEQ, SYS_getpid, 3, 0),
        IF(BPF_JEQ, SYS_prctl, 0, 3),
        LOW_OF(args[0]),
        /* 15 */ IF(BPF_JEQ, PR_SET_SYSCALL_USER_DISPATCH, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    memcpy(to, prelude, sizeof prelude);
}

static bool puts_in_force(const ucontext_t *frame, uint64_t number)
{
    return number == SYS_seccomp ? registers_argument(frame, 0) == SECCOMP_SET_MODE_FILTER
                                 : number == SYS_prctl && registers_argument(frame, 0) == PR_SET_SECCOMP &&
                                       registers_argument(frame, 1) == SECCOMP_MODE_FILTER;
}

/* Whether the filter can recognise the host's code by comparing the lower half of an address: the upper half is the
 * same for all of it. */
static bool can_recognise_host(void)
{
    return (uint64_t)(uintptr_t)start_code >> 32 == (uint64_t)(uintptr_t)start_code_end >> 32;
}

enum call_outcome filter_lead(struct thread *thread, ucontext_t *frame, const struct call *call, long *result)
{
    struct sock_fprog wanted, *made;
    uint64_t before[6];
    (void)result;
    if (!puts_in_force(frame, call->number) || !can_recognise_host() ||
        !memory_read(&wanted, registers_argument(frame, FILTER_ARGUMENT), sizeof wanted) || wanted.len == 0 ||
        wanted.len + PRELUDE > BPF_MAXINSNS)
        return CALL_PASSED;
    size_t size = wanted.len * sizeof *wanted.filter;
    made = stub_scratch(thread, sizeof *made + PRELUDE * sizeof *wanted.filter + size);
    if (!made)
        return CALL_PASSED;
    made->len = (unsigned short)(wanted.len + PRELUDE);
    made->filter = (struct sock_filter *)(void *)(made + 1);
    write_prelude(made->filter);
    if (!memory_read(made->filter + PRELUDE, (uint64_t)(uintptr_t)wanted.filter, size))
        return CALL_PASSED;
    registers_arguments(frame, before);
    registers_set(frame, registers_of_arguments[FILTER_ARGUMENT], (uint64_t)(uintptr_t)made);
    stub_pass(thread, frame, before);
    return CALL_ARRANGED;
}
