/* views.c: memory that is mapped twice (platform/memory/memory.h).
 *
 * SOURCES: mmap(2) MAP_SHARED with MAP_ANONYMOUS; mremap(2): with an old size of 0 it makes a second mapping of the
 * same shared pages; getauxval(3) AT_RANDOM; madvise(2) MADV_DONTFORK,
 * MADV_DONTDUMP, MADV_REMOVE.
 * ASSUMPTIONS: shared anonymous memory is a file of the kernel's own: RLIMIT_FSIZE, vm.memfd_noexec and descriptors do
 * not concern it, and no filter takes it for memfd_create. */
#if !defined(__linux__)
#error "platform/linux/memory/views.c is specific to Linux"
#endif

#include "platform/memory/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "decode/x86/page.h"
#include "platform/linux/call.h"
#include "platform/linux/memory/shared/shared_file.h"

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
    uint64_t size, alignment;
    int protection, file;
    bool is_near;
};

static uint64_t align_up(uint64_t address, uint64_t alignment)
{
    return (address + alignment - 1) & -alignment;
}

/* Unmaps what is not within a guard of a view, from `from` to `to`. */
static void unmap_between(uint64_t from, uint64_t to)
{
    if (from < to)
        unmap(from, to - from);
}

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

/* Makes both views near the ends of one reserved range, in either order. */
static long create_apart(const struct order *order, struct platform_views *views)
{
    const uint64_t size = order->size, guard = PLATFORM_VIEW_GUARD;
    const uint64_t whole = size + 2 * guard + order->alignment - PAGE;
    uint64_t reserved;
    if (order->is_near && whole >= PLATFORM_VIEWS_NEAR)
        return -ENOTSUP;
    long at = reserve(2 * whole, distance_for(whole), (uint64_t)(uintptr_t)&create_apart, &reserved);
    if (system_call_failed(at))
        return at;
    const uint64_t begin = (unsigned long)at, end = begin + reserved;
    uint64_t low = align_up(begin + guard, order->alignment), high = (end - guard - size) & -order->alignment;
    bool first_is_low = random_word() & 1;
    views->first = first_is_low ? low : high;
    views->second = first_is_low ? high : low;
    long result = map_first(order, views->first, MAP_FIXED);
    if (!system_call_failed(result))
        result = map_second(order, views->first, views->second);
    if (system_call_failed(result)) {
        unmap(begin, reserved);
        return result;
    }
    unmap_between(begin, low - guard);
    unmap_between(low + size + guard, high - guard);
    unmap_between(high + size + guard, end);
    return 0;
}

/* Reserves `size` bytes within PLATFORM_VIEWS_NEAR of the view at `at`. */
static long reserve_near(uint64_t size, uint64_t at, const struct order *order)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
    const uint64_t reach = PLATFORM_VIEWS_NEAR - PLATFORM_VIEW_GUARD;
    long result = -ENOTSUP;
    if (size + order->size >= reach)
        return result;
    for (unsigned i = 0; i < 8 * HINTS; i++) {
        uint64_t apart = random_word() % (reach - size - order->size) & -(uint64_t)PAGE;
        bool above = (i & 1) || at < reach;
        uint64_t hint = above ? at + order->size + apart : at - size - apart;
        result = map(hint, size, PROT_NONE, flags, -1);
        if ((unsigned long)result == hint)
            return result;
        if (!system_call_failed(result))
            unmap((unsigned long)result, size);
        result = -ENOTSUP;
    }
    return result;
}

static long create_at(const struct order *order, uint64_t at, struct platform_views *views)
{
    const uint64_t guard = PLATFORM_VIEW_GUARD, whole = order->size + 2 * guard + order->alignment - PAGE;
    uint64_t reserved = whole;
    long first = map_first(order, at, MAP_FIXED_NOREPLACE);
    if (system_call_failed(first))
        return first;
    long result = order->is_near ? reserve_near(whole, at, order)
                                 : reserve(whole, DISTANCE, order->protection & PROT_EXEC ? at : 0, &reserved);
    if (!system_call_failed(result)) {
        const uint64_t begin = (unsigned long)result, end = begin + reserved;
        *views = (struct platform_views){at, align_up(begin + guard, order->alignment)};
        result = map_second(order, at, views->second);
        if (system_call_failed(result)) {
            unmap(begin, reserved);
        } else {
            unmap_between(begin, views->second - guard);
            unmap_between(views->second + order->size + guard, end);
        }
    }
    if (system_call_failed(result))
        unmap(at, order->size);
    return system_call_failed(result) ? result : 0;
}

static long create(const struct order *order, uint64_t at, struct platform_views *views)
{
    return at ? create_at(order, at, views) : create_apart(order, views);
}

/* The file that it has made is the caller's. */
static long create_by_file(struct order *order, uint64_t at, const char *name, struct platform_views *views)
{
    long file = shared_file_make(name, order->size, order->protection & PROT_EXEC);
    if (file < 0)
        return file;
    order->file = (int)file;
    long result = create(order, at, views);
    if (result != 0)
        platform_file_close(order->file);
    return result;
}

void platform_file_close(int file)
{
    system_call3(SYS_close, file, 0, 0);
}

long platform_views_create(uint64_t at, uint64_t size, int access, enum platform_backing backing,
                           struct platform_views *views)
{
    struct order order = {.size = size, .alignment = PAGE, .protection = access, .file = -1};
    if (backing != PLATFORM_BACKING_FILE)
        return create(&order, at, views);
    long result = create_by_file(&order, at, access & PLATFORM_EXECUTE ? "segue-stubs" : "segue", views);
    if (result == 0)
        platform_file_close(order.file);
    return result;
}

long platform_views_create_as(const struct platform_views_order *wanted, struct platform_views *views)
{
    struct order order = {.size = wanted->size,
                          .alignment = wanted->alignment,
                          .protection = PROT_READ | PROT_WRITE,
                          .file = -1,
                          .is_near = wanted->is_near};
    if (!wanted->is_file)
        return create(&order, wanted->at, views);
    long result = create_by_file(&order, wanted->at, wanted->name, views);
    if (result == 0)
        *wanted->file = order.file;
    return result;
}

void platform_view_unmap(uint64_t view, uint64_t size, bool guarded)
{
    uint64_t guard = guarded ? PLATFORM_VIEW_GUARD : 0;
    unmap(view - guard, size + 2 * guard);
}

bool platform_view_release(uint64_t pages, uint64_t size)
{
    return system_call3(SYS_madvise, (long)pages, (long)size, MADV_REMOVE) == 0;
}

/* One of "always within_size [advise] never deny force": the kernel accepts the advice also where it means nothing. */
static bool has_huge_pages(void)
{
    char text[128] = {0};
    long file = system_call4(SYS_openat, AT_FDCWD, (long)"/sys/kernel/mm/transparent_hugepage/shmem_enabled",
                             O_RDONLY | O_CLOEXEC, 0);
    if (file < 0)
        return false;
    system_call3(SYS_read, file, (long)text, sizeof text - 1);
    system_call3(SYS_close, file, 0, 0);
    return strstr(text, "[") && !strstr(text, "[never]") && !strstr(text, "[deny]");
}

bool platform_view_prefer_huge_pages(uint64_t view, uint64_t size)
{
    return has_huge_pages() && system_call3(SYS_madvise, (long)view, (long)size, MADV_HUGEPAGE) == 0;
}

bool platform_view_keep_from_child(uint64_t view, uint64_t size)
{
    return system_call3(SYS_madvise, (long)(view - PLATFORM_VIEW_GUARD), (long)(size + 2 * PLATFORM_VIEW_GUARD),
                        MADV_DONTFORK) == 0;
}

bool platform_view_keep_from_dump(uint64_t view, uint64_t size)
{
    return system_call3(SYS_madvise, (long)view, (long)size, MADV_DONTDUMP) == 0;
}
