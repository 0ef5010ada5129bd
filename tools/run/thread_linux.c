/* thread_linux.c: blocks of threads.
 *
 * A thread that the program makes has no thread-local storage of the host's. It is given a copy of the first thread's:
 * the storage of the modules that were there at the start, and the C library's descriptor of a thread, with its own
 * address in it. So initial-exec variables, errno among them, are its own. What would share with the first thread what
 * must not be shared, malloc above all, is not called once the program runs.
 *
 * SOURCES: Documentation/admin-guide/syscall-user-dispatch.rst; System V ABI for x86-64 (TLS, variant II: the storage
 * lies below the thread pointer, which points to itself). ASSUMPTIONS: glibc's descriptor is not larger than
 * DESCRIPTOR_SIZE, and holds its own address at 0 and at 16. */
#include "thread.h"

#include <errno.h>
#include <link.h>
#include <linux/prctl.h>
#include <string.h>
#include <sys/mman.h>

#include "call_linux_x86_64.h"
#include "exempt.h"
#include "lock.h"

#define DESCRIPTOR_SIZE 0x1000
#define PAGE 4096

static uint64_t storage_start, storage_pointer, storage_end;
static struct thread *ended;

static uint64_t own_pointer(void)
{
    uint64_t pointer;
    __asm__("movq %%fs:0, %0" : "=r"(pointer));
    return pointer;
}

static int find_storage(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)context;
    if (size >= sizeof *info && info->dlpi_tls_data && (uint64_t)(uintptr_t)info->dlpi_tls_data < storage_start)
        storage_start = (uint64_t)(uintptr_t)info->dlpi_tls_data;
    return 0;
}

/* How much of the descriptor is mapped: it may end with its page. */
static uint64_t mapped_end(uint64_t pointer)
{
    uint64_t end = pointer + DESCRIPTOR_SIZE;
    unsigned char resident;
    for (uint64_t page = (pointer | (PAGE - 1)) + 1; page < end; page += PAGE)
        if (system_call3(SYS_mincore, (long)page, PAGE, (long)&resident) != 0)
            return page;
    return end;
}

bool thread_prepare(void)
{
    storage_pointer = storage_start = own_pointer();
    dl_iterate_phdr(find_storage, NULL);
    storage_start &= -(uint64_t)64;
    storage_end = mapped_end(storage_pointer);
    return storage_end - storage_start <= TLS_SPACE - 64;
}

static struct thread *block_new(void)
{
    long at = system_call6(SYS_mmap, 0, 2 * BLOCK_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at < 0 && at > -PAGE)
        return NULL;
    uint64_t start = (uint64_t)at, base = (start + BLOCK_SIZE - 1) & -(uint64_t)BLOCK_SIZE;
    if (base > start)
        system_call3(SYS_munmap, (long)start, (long)(base - start), 0);
    system_call3(SYS_munmap, (long)(base + BLOCK_SIZE), (long)(start + BLOCK_SIZE - base), 0);
    if (system_call3(SYS_mprotect, (long)base, BLOCK_GUARD, PROT_READ | PROT_WRITE) != 0 ||
        system_call3(SYS_mprotect, (long)(base + BLOCK_STACK), BLOCK_SIZE - BLOCK_STACK, PROT_READ | PROT_WRITE) != 0)
        return NULL;
    memcpy((char *)(uintptr_t)base + BLOCK_CODE, run_gate, (size_t)(run_gate_end - run_gate));
    if (system_call3(SYS_mprotect, (long)(base + BLOCK_CODE), PAGE, PROT_READ | PROT_EXEC) != 0)
        return NULL;
    return (struct thread *)(uintptr_t)base;
}

struct thread *thread_first(void)
{
    struct thread *thread = block_new();
    if (thread)
        thread->host_fs = storage_pointer;
    return thread;
}

uint64_t thread_storage(struct thread *thread)
{
    return thread->host_fs;
}

static void copy_storage(struct thread *thread)
{
    uint64_t top = (uint64_t)(uintptr_t)thread + BLOCK_SIZE, space = top - TLS_SPACE;
    /* The same distance from a multiple of 64 as the original. */
    uint64_t start = space + (storage_start & 63);
    memcpy((void *)(uintptr_t)start, (const void *)(uintptr_t)storage_start, storage_end - storage_start);
    thread->host_fs = start + (storage_pointer - storage_start);
    uint64_t *descriptor = (uint64_t *)(uintptr_t)thread->host_fs;
    descriptor[0] = descriptor[2] = thread->host_fs;
}

/* One of those whose thread is gone, as far as a few looks tell. */
static struct thread *block_again(void)
{
    struct thread **at = &ended;
    for (unsigned looks = 0; *at && looks < 8; looks++, at = &(*at)->next) {
        struct thread *thread = *at;
        if (thread->number && system_call3(SYS_tgkill, thread->process, thread->number, 0) != -ESRCH)
            continue;
        *at = thread->next;
        return thread;
    }
    return NULL;
}

struct thread *thread_take(const struct thread *parent)
{
    lock_take();
    struct thread *thread = block_again();
    lock_release();
    if (!thread)
        thread = block_new();
    if (!thread)
        return NULL;
    void *scratch = thread->scratch;
    size_t scratch_size = thread->scratch_size;
    memset(thread, 0, sizeof *thread);
    thread->scratch = scratch;
    thread->scratch_size = scratch_size;
    thread->mask = parent->mask;
    thread->actions = parent->actions;
    thread->alternate.ss_flags = SS_DISABLE;
    copy_storage(thread);
    return thread;
}

/* Once: a child of vfork may end so, and then its parent gives it back. */
static void put_on_list(struct thread *thread)
{
    lock_take();
    if (!thread->has_ended)
        thread->next = ended;
    if (!thread->has_ended)
        ended = thread;
    thread->has_ended = true;
    lock_release();
}

void thread_give(struct thread *thread)
{
    thread->number = 0;
    put_on_list(thread);
}

void thread_begins(struct thread *thread)
{
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
        .ss_size = BLOCK_SIZE - BLOCK_STACK - TLS_SPACE,
    };
    system_call3(SYS_sigaltstack, (long)&stack, 0, 0);
}

bool thread_arm_calls(struct thread *thread)
{
    return system_call6(SYS_prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, (long)exempt_start(),
                        (long)exempt_size(), (long)&thread->selector, 0) == 0;
}
