/* views.c: memory that is mapped twice (platform/memory/memory.h): an anonymous object of shm_open, mapped at both
 * addresses.
 *
 * SOURCES: FreeBSD shm_open(2) (SHM_ANON), mmap(2) (MAP_EXCL), madvise(2) (MADV_NOCORE). */
#if !defined(__FreeBSD__)
#error "platform/freebsd/memory/views.c is specific to FreeBSD"
#endif

#include "platform/posix/memory/views.h"
#include "platform/memory/inherited.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static bool map_object(int object, uint64_t at, uint64_t size, int access, int more)
{
    return mmap((void *)(uintptr_t)at, size, access, MAP_SHARED | MAP_FIXED | more, object, 0) != MAP_FAILED;
}

static long map_both(int object, const struct platform_views *views, uint64_t size, int access, bool is_reserved)
{
    if (ftruncate(object, (off_t)size) != 0 || !map_object(object, views->second, size, PROT_READ | PROT_WRITE, 0))
        return -ENOMEM;
    if (map_object(object, views->first, size, access, is_reserved ? 0 : MAP_EXCL))
        return 0;
    return is_reserved ? -ENOMEM : -EEXIST;
}

long views_map(const struct platform_views *views, uint64_t size, int access, bool is_reserved)
{
    int kept = errno, object = shm_open(SHM_ANON, O_RDWR | O_CLOEXEC, 0600);
    long result = -ENOMEM;
    if (object >= 0) {
        result = map_both(object, views, size, access, is_reserved);
        close(object);
    }
    errno = kept;
    return result;
}

bool platform_view_keep_from_dump(uint64_t view, uint64_t size)
{
    return madvise((void *)(uintptr_t)view, size, MADV_NOCORE) == 0;
}

/* No copy can be made. */
long inherited_add(const struct inherited *memory)
{
    (void)memory;
    return -ENOTSUP;
}

void inherited_remove(uint64_t first)
{
    (void)first;
}
