/* views.c: memory that is mapped twice (platform/memory/memory.h).
 *
 * SOURCES: mmap(2) MAP_SHARED with MAP_ANONYMOUS; mremap(2): with an old size of 0 it makes a second mapping of the
 * same shared pages; memfd_create(2); setrlimit(2) RLIMIT_FSIZE; getauxval(3) AT_RANDOM; madvise(2) MADV_DONTFORK,
 * MADV_DONTDUMP, MADV_REMOVE.
 * ASSUMPTIONS: shared anonymous memory is a file of the kernel's own: RLIMIT_FSIZE, vm.memfd_noexec and descriptors do
 * not concern it, and no filter takes it for memfd_create. */
#if !defined(__linux__)
#error "platform/linux/memory/views.c is specific to Linux"
#endif

#include "platform/memory/memory.h"

#include <errno.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "decode/x86/page.h"
#include "platform/linux/call.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x10u
#endif

/* The longest random distance between two views: from the end of one, guards included, to the other. */
#define DISTANCE (UINT64_C(1) << 30)
/* The least distance from code, and the range of distances: so wide that few of them are taken. How many are tried. */
#define FAR (UINT64_C(64) << 30)
#define SPREAD (UINT64_C(1) << 40)
#define HINTS 8u

static long map(uint64_t at, uint64_t size, int protection, int flags, int file)
{
    return system_call6(CALL_MAP, (long)at, (long)size, protection, flags, file, 0);
}

static void unmap(uint64_t at, uint64_t size)
{
    if (size)
        system_call3(SYS_munmap, (long)at, (long)size, 0);
}

/* A word that a process which cannot read this one's memory cannot guess. */
static uint64_t random_word(void)
{
    static uint64_t drawn;
    uint64_t seed[2] = {0}, word;
    const void *secret = (const void *)getauxval(AT_RANDOM);
    if (secret)
        __builtin_memcpy(seed, secret, sizeof seed);
    word =
        seed[0] ^ __builtin_ia32_rdtsc() ^ __atomic_add_fetch(&drawn, UINT64_C(0x9e3779b97f4a7c15), __ATOMIC_RELAXED);
    word = (word ^ word >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ word >> 27 ^ seed[1]) * UINT64_C(0x94d049bb133111eb);
    return word ^ word >> 31;
}

/* An address whose neighbours are not within a jump's reach of the code. */
static uint64_t far_from(uint64_t code)
{
    uint64_t distance = FAR + (random_word() % (SPREAD >> PAGE_BITS) << PAGE_BITS);
    return (code > 2 * distance ? code - distance : code + distance) & -(uint64_t)PAGE;
}

/* Where the address is taken, the system maps beside the libraries. */
static long reserve_far(uint64_t size, uint64_t code)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    for (unsigned i = 0; code && i < HINTS; i++) {
        uint64_t hint = far_from(code);
        long at = map(hint, size, PROT_NONE, flags, -1);
        if (system_call_failed(at) || (unsigned long)at == hint)
            return at;
        unmap((unsigned long)at, size);
    }
    return map(0, size, PROT_NONE, flags, -1);
}

/* Reserves `size` bytes of inaccessible addresses and a random number of bytes more, less than `more`: as many as the
 * system allows; far from `code` if that is not 0. */
static long reserve(uint64_t size, uint64_t more, uint64_t code, uint64_t *reserved)
{
    for (uint64_t most = more >> PAGE_BITS;; most /= 2) {
        *reserved = size + ((most ? random_word() % most : 0) << PAGE_BITS);
        long at = reserve_far(*reserved, code);
        if (!system_call_failed(at) || most == 0)
            return at;
    }
}

/* The views to make. */
struct order {
    uint64_t size;
    int protection, file;
};

static long map_first(const struct order *order, uint64_t at, int placed)
{
    int anonymous = order->file < 0 ? MAP_ANONYMOUS | MAP_NORESERVE : 0;
    long mapped = map(at, order->size, order->protection, MAP_SHARED | anonymous | placed, order->file);
    if (system_call_failed(mapped) || (unsigned long)mapped == at)
        return mapped;
    /* A kernel before 4.17 takes the address only as a hint. */
    unmap((unsigned long)mapped, order->size);
    return -EEXIST;
}

static long map_second(const struct order *order, uint64_t first, uint64_t at)
{
    int protection = PROT_READ | PROT_WRITE;
    if (order->file >= 0)
        return map(at, order->size, protection, MAP_SHARED | MAP_FIXED, order->file);
    long mapped =
        system_call6(SYS_mremap, (long)first, 0, (long)order->size, MREMAP_MAYMOVE | MREMAP_FIXED, (long)at, 0);
    if (system_call_failed(mapped) || order->protection == protection)
        return mapped;
    return system_call3(SYS_mprotect, (long)at, (long)order->size, protection);
}

/* How far apart views of `whole` bytes may be for one of them to be near the other, if that is possible. */
static uint64_t distance_for(uint64_t whole)
{
    uint64_t left = whole < PLATFORM_VIEWS_NEAR ? PLATFORM_VIEWS_NEAR - whole : DISTANCE;
    return left < DISTANCE ? left : DISTANCE;
}

/* Makes both views at the ends of one reserved range, in either order. */
static long create_apart(const struct order *order, struct platform_views *views)
{
    uint64_t reserved, size = order->size, whole = size + 2 * PLATFORM_VIEW_GUARD;
    long at = reserve(2 * whole, distance_for(whole), (uint64_t)(uintptr_t)&create_apart, &reserved);
    if (system_call_failed(at))
        return at;
    uint64_t low = (unsigned long)at + PLATFORM_VIEW_GUARD,
             high = (unsigned long)at + reserved - PLATFORM_VIEW_GUARD - size;
    bool first_is_low = random_word() & 1;
    views->first = first_is_low ? low : high;
    views->second = first_is_low ? high : low;
    long result = map_first(order, views->first, MAP_FIXED);
    if (!system_call_failed(result))
        result = map_second(order, views->first, views->second);
    if (system_call_failed(result))
        unmap((unsigned long)at, reserved);
    else
        unmap((unsigned long)at + whole, reserved - 2 * whole);
    return system_call_failed(result) ? result : 0;
}

static long create_at(const struct order *order, uint64_t at, struct platform_views *views)
{
    uint64_t reserved, whole = order->size + 2 * PLATFORM_VIEW_GUARD;
    long first = map_first(order, at, MAP_FIXED_NOREPLACE);
    if (system_call_failed(first))
        return first;
    long result = reserve(whole, DISTANCE, order->protection & PROT_EXEC ? at : 0, &reserved);
    if (!system_call_failed(result)) {
        uint64_t base = (unsigned long)result;
        *views = (struct platform_views){at, base + PLATFORM_VIEW_GUARD};
        result = map_second(order, at, views->second);
        unmap(base + (system_call_failed(result) ? 0 : whole), reserved - (system_call_failed(result) ? 0 : whole));
    }
    if (system_call_failed(result))
        unmap(at, order->size);
    return system_call_failed(result) ? result : 0;
}

static long create(const struct order *order, uint64_t at, struct platform_views *views)
{
    return at ? create_at(order, at, views) : create_apart(order, views);
}

/* A file longer than RLIMIT_FSIZE allows would cost the process a SIGXFSZ. */
static long set_length(int file, uint64_t size)
{
    struct rlimit64 longest;
    if (system_call4(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, (long)&longest) == 0 && longest.rlim_cur < size)
        return -EFBIG;
    return system_call3(SYS_ftruncate, file, (long)size, 0);
}

/* Older kernels do not know MFD_EXEC, and do not need it. */
static long make_file(bool executable)
{
    const char *name = executable ? "segue-stubs" : "segue";
    long file = -EINVAL;
    if (executable)
        file = system_call3(SYS_memfd_create, (long)name, MFD_CLOEXEC | MFD_EXEC, 0);
    return file == -EINVAL ? system_call3(SYS_memfd_create, (long)name, MFD_CLOEXEC, 0) : file;
}

static long create_by_file(struct order *order, uint64_t at, struct platform_views *views)
{
    long file = make_file(order->protection & PROT_EXEC);
    if (file < 0)
        return file;
    order->file = (int)file;
    long result = set_length(order->file, order->size);
    if (result == 0)
        result = create(order, at, views);
    system_call3(SYS_close, file, 0, 0);
    return result;
}

long platform_views_create(uint64_t at, uint64_t size, int access, enum platform_backing backing,
                           struct platform_views *views)
{
    struct order order = {size, access, -1};
    return backing == PLATFORM_BACKING_FILE ? create_by_file(&order, at, views) : create(&order, at, views);
}

void platform_view_unmap(uint64_t view, uint64_t size, bool guarded)
{
    uint64_t guard = guarded ? PLATFORM_VIEW_GUARD : 0;
    unmap(view - guard, size + 2 * guard);
}

void platform_view_release(uint64_t pages, uint64_t size)
{
    system_call3(SYS_madvise, (long)pages, (long)size, MADV_REMOVE);
}

static bool advise(uint64_t view, uint64_t size, int advice)
{
    return system_call3(SYS_madvise, (long)(view - PLATFORM_VIEW_GUARD), (long)(size + 2 * PLATFORM_VIEW_GUARD),
                        advice) == 0;
}

bool platform_view_keep_from_child(uint64_t view, uint64_t size)
{
    return advise(view, size, MADV_DONTFORK);
}

bool platform_view_keep_from_dump(uint64_t view, uint64_t size)
{
    return advise(view, size, MADV_DONTDUMP);
}
