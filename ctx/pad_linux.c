/* pad_linux.c: a list of mappings that only grows, each with an owner. There are as many as ever were in use at once.
 *
 * SOURCES: kill(2): signal 0 tells whether a thread or process is there. A process that has ended is there until its
 * parent has waited for it. */
#if !defined(__linux__)
#error "pad_linux.c is specific to Linux"
#endif

#include "pad.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

#include "../decode/system/call_linux_x86_64.h"

#define PAGE 4096u
#define STACK_SIZE 65536u
#define NOBODY 0
#define TAKEN (-1)

/* At the lowest address of its mapping; then a guard page, the stack, the bytes. */
struct pad {
    struct pad *next;
    size_t mapping_size;
    /* The child's number, NOBODY, or TAKEN. */
    int owner;
    bool owner_is_thread;
};

static struct pad *pads;

static long map(size_t size)
{
    register long r10 __asm__("r10") = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    register long r8 __asm__("r8") = -1;
    register long r9 __asm__("r9") = 0;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(SYS_mmap), "D"(0), "S"(size), "d"(PROT_READ | PROT_WRITE), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

static bool is_gone(const struct pad *pad, int owner)
{
    if (pad->owner_is_thread)
        return system_call3(SYS_tgkill, system_call3(SYS_getpid, 0, 0, 0), owner, 0) == -ESRCH;
    return system_call3(SYS_kill, owner, 0, 0) == -ESRCH;
}

static size_t room(const struct pad *pad)
{
    return pad->mapping_size - 2 * PAGE - STACK_SIZE;
}

static struct pad *take_used(size_t size)
{
    for (struct pad *pad = __atomic_load_n(&pads, __ATOMIC_ACQUIRE); pad; pad = pad->next) {
        int owner = __atomic_load_n(&pad->owner, __ATOMIC_ACQUIRE);
        if (owner == TAKEN || room(pad) < size || (owner != NOBODY && !is_gone(pad, owner)))
            continue;
        if (__atomic_compare_exchange_n(&pad->owner, &owner, TAKEN, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            return pad;
    }
    return NULL;
}

struct pad *pad_take(size_t size)
{
    struct pad *pad = take_used(size);
    if (pad || size > SIZE_MAX / 2)
        return pad;
    size_t mapping_size = 2 * PAGE + STACK_SIZE + (size + PAGE - 1) / PAGE * PAGE;
    long mapping = map(mapping_size);
    if (mapping < 0 && mapping > -(long)PAGE)
        return NULL;
    pad = (struct pad *)mapping;
    if (system_call3(SYS_mprotect, mapping + PAGE, PAGE, PROT_NONE) != 0) {
        system_call3(SYS_munmap, mapping, (long)mapping_size, 0);
        return NULL;
    }
    pad->mapping_size = mapping_size;
    pad->owner = TAKEN;
    pad->next = __atomic_load_n(&pads, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&pads, &pad->next, pad, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        ;
    return pad;
}

void *pad_bytes(struct pad *pad)
{
    return (char *)pad + 2 * PAGE + STACK_SIZE;
}

void *pad_stack(struct pad *pad, size_t *size)
{
    *size = STACK_SIZE;
    return (char *)pad + 2 * PAGE;
}

void pad_give(struct pad *pad, int child, bool is_thread)
{
    pad->owner_is_thread = is_thread;
    __atomic_store_n(&pad->owner, child, __ATOMIC_RELEASE);
}

void pad_release(struct pad *pad)
{
    __atomic_store_n(&pad->owner, NOBODY, __ATOMIC_RELEASE);
}
