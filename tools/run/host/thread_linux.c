/* thread_linux.c: blocks of threads.
 *
 * A thread that the program makes has no thread-local storage of the host's: its block gets a copy of the first
 * thread's. So each thread has its own host variables.
 *
 * SOURCES: Documentation/admin-guide/syscall-user-dispatch.rst; System V ABI for x86-64 (TLS, variant II: the storage
 * lies below the thread pointer, which points to itself). */
#include "thread.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "decode/x86/page.h"
#include "lock.h"
#include "platform/linux/calls/trap_x86_64.h"
#include "tools/run/detours/exempt.h"
#include "tools/run/signals/actions.h"
#include "tools/run/start/start.h"
#include "tools/run/syscalls/call_linux_x86_64.h"

/* The blocks of this many threads. */
#define NEAR 0x400000
#define CHUNK_SIZE (16 * (size_t)BLOCK_SIZE)

/* Blocks whose threads have ended, or may have: the first, and the last if there is one. */
static struct thread *ended, *last_ended;

/* Blocks come from a chunk of addresses, so that they cost the kernel few mappings: a block's code page is between the
 * writable pages of its own block and of the one before. With the lock held. */
static uint64_t chunk_at, chunk_end;

static bool take_chunk(size_t size)
{
    /* Near the host there is room as a rule, and then nothing has to be given back. */
    uint64_t near = ((uint64_t)(uintptr_t)start_code - size - NEAR) & -(uint64_t)BLOCK_SIZE;
    long got = system_call6(SYS_mmap, (long)near, (long)size, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (got == (long)near) {
        chunk_at = near;
        chunk_end = near + size;
        return true;
    }
    if (got >= 0 || got <= -4096)
        system_call3(SYS_munmap, got, (long)size, 0);
    long at = system_call6(SYS_mmap, 0, (long)(size + BLOCK_SIZE), PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at < 0 && at > -4096)
        return false;
    uint64_t start = (uint64_t)at, end = start + size + BLOCK_SIZE;
    chunk_at = (start + BLOCK_SIZE - 1) & -(uint64_t)BLOCK_SIZE;
    chunk_end = chunk_at + size;
    if (chunk_at > start)
        system_call3(SYS_munmap, (long)start, (long)(chunk_at - start), 0);
    if (end > chunk_end)
        system_call3(SYS_munmap, (long)chunk_end, (long)(end - chunk_end), 0);
    return true;
}

static struct thread *block_new(size_t chunk)
{
    if (chunk_at == chunk_end && !take_chunk(chunk))
        return NULL;
    uint64_t base = chunk_at;
    memcpy((char *)(uintptr_t)base + BLOCK_CODE, run_gate, (size_t)(run_gate_end - run_gate));
    if (system_call3(SYS_mprotect, (long)(base + BLOCK_CODE), PAGE, PROT_READ | PROT_EXEC) != 0)
        return NULL;
    chunk_at += BLOCK_SIZE;
    return (struct thread *)(uintptr_t)base;
}

struct thread *thread_first(void)
{
    struct thread *thread = block_new(BLOCK_SIZE);
    if (thread)
        thread->host_fs = start_storage.pointer;
    return thread;
}

uint64_t thread_storage(struct thread *thread)
{
    return thread->host_fs;
}

static void copy_storage(struct thread *thread)
{
    uint64_t size = start_storage.end - start_storage.begin;
    char *to = (char *)thread + BLOCK_TLS;
    memcpy(to, (const void *)(uintptr_t)start_storage.begin, size);
    thread->host_fs = (uint64_t)(uintptr_t)to + (start_storage.pointer - start_storage.begin);
    uint64_t *descriptor = (uint64_t *)(uintptr_t)thread->host_fs;
    descriptor[0] = descriptor[2] = thread->host_fs;
}

static void add_last(struct thread *thread)
{
    thread->next = NULL;
    if (ended)
        last_ended->next = thread;
    else
        ended = thread;
    last_ended = thread;
}

/* Only once: a child that shares memory may put its block on the list, and its parent gives it back as well. */
static void put_on_list(struct thread *thread)
{
    lock_take();
    if (!thread->has_ended)
        add_last(thread);
    thread->has_ended = true;
    lock_release();
}

/* Takes a block whose thread is gone, trying only a few; blocks of live threads go to the end of the list. With the
 * lock held. */
static struct thread *block_again(void)
{
    for (unsigned looks = 0; ended && looks < 8; looks++) {
        struct thread *thread = ended;
        ended = thread->next;
        if (thread->number && system_call3(SYS_tgkill, thread->process, thread->number, 0) != -ESRCH) {
            add_last(thread);
            continue;
        }
        if (thread->owns_actions)
            actions_free(thread->actions);
        return thread;
    }
    return NULL;
}

struct thread *thread_take(const struct thread *parent)
{
    lock_take();
    struct thread *thread = block_again();
    if (!thread)
        thread = block_new(CHUNK_SIZE);
    /* A limit may leave room for a few blocks only. */
    if (!thread)
        thread = block_new(BLOCK_SIZE);
    lock_release();
    if (!thread)
        return NULL;
    void *scratch = thread->scratch;
    size_t scratch_size = thread->scratch_size;
    memset(thread, 0, sizeof *thread);
    thread->scratch = scratch;
    thread->scratch_size = scratch_size;
    thread->mask = parent->mask;
    thread->actions = parent->actions;
    thread->thread_pointer = parent->thread_pointer;
    thread->alternate.ss_flags = SS_DISABLE;
    /* Its number is not known yet, so it does not count as gone. */
    thread->number = -1;
    copy_storage(thread);
    return thread;
}

void thread_give(struct thread *thread)
{
    thread->number = 0;
    put_on_list(thread);
}

void thread_lends(struct thread *child, long number)
{
    child->process = (int)number;
    __atomic_store_n(&child->number, (int)number, __ATOMIC_RELEASE);
    put_on_list(child);
}

void thread_begins(struct thread *thread)
{
    if (thread->is_lent)
        return;
    thread->number = (int)system_call3(SYS_gettid, 0, 0, 0);
    thread->process = (int)system_call3(SYS_getpid, 0, 0, 0);
}

void thread_ends(struct thread *thread)
{
    put_on_list(thread);
}

void thread_arm_stack(struct thread *thread)
{
    stack_t stack = {
        .ss_sp = (char *)thread + BLOCK_STACK,
        .ss_size = BLOCK_SIZE - BLOCK_STACK,
    };
    system_call3(SYS_sigaltstack, (long)&stack, 0, 0);
}

bool thread_arm_calls(struct thread *thread)
{
    return trap_arm(system_call6, exempt_start(), exempt_size(), &thread->selector) == 0;
}
