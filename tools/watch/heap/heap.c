/* heap.c: libsegue-heap.so, which segue watch preloads if blocks of the heap are watched. Of the C library's functions
 * for memory it has those that give out and take back blocks. What is not watched comes from those behind it: the C
 * library's, or another allocator that is preloaded.
 *
 * SOURCES: malloc(3), posix_memalign(3), malloc_usable_size(3); "Replacing malloc" in glibc's manual, which lists the
 * functions. */
#include "heap.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))
#define CALLER __builtin_return_address(0)
/* That of malloc's blocks. */
#define ALIGNMENT 16u

heap_attach segue_heap_attach EXPORTED;

static const struct heap_face *attached;
/* The thread is in one of the face's functions. */
static __thread bool is_inside __attribute__((tls_model("initial-exec")));

/* ---- the functions behind these ---- */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

static struct {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
    void *(*memalign)(size_t, size_t);
    int (*posix_memalign)(void **, size_t, size_t);
    void *(*aligned_alloc)(size_t, size_t);
    void *(*valloc)(size_t);
    void *(*pvalloc)(size_t);
    size_t (*malloc_usable_size)(void *);
} next;

static const struct {
    const char *name;
    void *to;
} functions[] = {
    {"malloc", &next.malloc},
    {"calloc", &next.calloc},
    {"realloc", &next.realloc},
    {"memalign", &next.memalign},
    {"posix_memalign", &next.posix_memalign},
    {"aligned_alloc", &next.aligned_alloc},
    {"valloc", &next.valloc},
    {"pvalloc", &next.pvalloc},
    {"malloc_usable_size", &next.malloc_usable_size},
    {"free", &next.free},
};

/* dlsym allocates for an error alone, and none of them is missing in the C library. What is asked for meanwhile, by
 * whomever, is the C library's own. */
static int looking;

/* Other libraries' constructors may run before this one's: the first call looks all of them up. */
__attribute__((constructor)) static void find_functions(void)
{
    if (looking || next.free)
        return;
    looking = 1;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        void *found = dlsym(RTLD_NEXT, functions[i].name);
        memcpy(functions[i].to, &found, sizeof found);
    }
    looking = 0;
}

static bool is_ready(void)
{
    if (!next.free)
        find_functions();
    return !looking;
}

/* ---- what is watched ---- */

static const struct heap_face *face_in_force(void)
{
    return is_inside ? NULL : __atomic_load_n(&attached, __ATOMIC_ACQUIRE);
}

static void *give(size_t size, size_t alignment, bool is_zero, const void *caller)
{
    const struct heap_face *face = face_in_force();
    if (!face)
        return NULL;
    is_inside = true;
    void *block = face->give(size, alignment, is_zero, caller);
    is_inside = false;
    return block;
}

static bool is_watched(const void *block)
{
    const struct heap_face *face = __atomic_load_n(&attached, __ATOMIC_ACQUIRE);
    return face && face->has(block);
}

static void *give_again(const void *old, size_t old_size, size_t size, const void *caller)
{
    const struct heap_face *face = face_in_force();
    if (!face)
        return NULL;
    is_inside = true;
    void *block = face->give_again(old, old_size, size, caller);
    is_inside = false;
    return block;
}

/* Of malloc here. */
static volatile size_t calls;

/* Whether the C library's own calls come here: a program's or another library's malloc would be found first. */
static bool is_first(void)
{
    char *(*volatile duplicate)(const char *) = strdup;
    const size_t before = calls;
    char *copy = duplicate("segue");
    if (calls == before)
        return false;
    free(copy);
    return true;
}

bool segue_heap_attach(const struct heap_face *face)
{
    if (!is_ready() || !is_first())
        return false;
    __atomic_store_n(&attached, face, __ATOMIC_RELEASE);
    return true;
}

/* ---- the functions ---- */

EXPORTED void *malloc(size_t size)
{
    if (!is_ready())
        return __libc_malloc(size);
    if (!attached)
        calls = calls + 1;
    void *block = give(size, ALIGNMENT, false, CALLER);
    return block ? block : next.malloc(size);
}

EXPORTED void *calloc(size_t count, size_t size)
{
    size_t all;
    if (!is_ready())
        return __libc_calloc(count, size);
    if (__builtin_mul_overflow(count, size, &all))
        return next.calloc(count, size);
    void *block = give(all, ALIGNMENT, true, CALLER);
    return block ? block : next.calloc(count, size);
}

static void take(void *block)
{
    attached->take(block);
}

EXPORTED void free(void *block)
{
    if (!is_ready())
        __libc_free(block);
    else if (block && is_watched(block))
        take(block);
    else
        next.free(block);
}

/* A block that was watched, and is not any more. */
static void *leave(void *old, size_t size)
{
    void *block = next.malloc(size);
    if (!block)
        return NULL;
    const size_t before = attached->size(old);
    attached->copy(block, old, before < size ? before : size);
    take(old);
    return block;
}

static void *reallocate(void *old, size_t size, const void *caller)
{
    if (!old) {
        void *block = give(size, ALIGNMENT, false, caller);
        return block ? block : next.malloc(size);
    }
    const bool was_watched = is_watched(old);
    if (size == 0 && was_watched) {
        take(old);
        return NULL;
    }
    if (size == 0 || !__atomic_load_n(&attached, __ATOMIC_ACQUIRE))
        return next.realloc(old, size);
    void *block = give_again(old, was_watched ? 0 : next.malloc_usable_size(old), size, caller);
    if (!block)
        return was_watched ? leave(old, size) : next.realloc(old, size);
    if (was_watched)
        take(old);
    else
        next.free(old);
    return block;
}

EXPORTED void *realloc(void *old, size_t size)
{
    return is_ready() ? reallocate(old, size, CALLER) : __libc_realloc(old, size);
}

EXPORTED void *reallocarray(void *old, size_t count, size_t size)
{
    size_t all;
    if (__builtin_mul_overflow(count, size, &all)) {
        errno = ENOMEM;
        return NULL;
    }
    return is_ready() ? reallocate(old, all, CALLER) : __libc_realloc(old, all);
}

/* Other alignments than powers of two are an error, or rounded up, by the function behind this one. */
static void *give_aligned(size_t alignment, size_t size, const void *caller)
{
    if (alignment == 0 || (alignment & (alignment - 1)))
        return NULL;
    return give(size, alignment < ALIGNMENT ? ALIGNMENT : alignment, false, caller);
}

EXPORTED void *memalign(size_t alignment, size_t size)
{
    if (!is_ready())
        return __libc_memalign(alignment, size);
    void *block = give_aligned(alignment, size, CALLER);
    return block ? block : next.memalign(alignment, size);
}

EXPORTED void *aligned_alloc(size_t alignment, size_t size)
{
    if (!is_ready())
        return __libc_memalign(alignment, size);
    void *block = give_aligned(alignment, size, CALLER);
    return block ? block : next.aligned_alloc(alignment, size);
}

EXPORTED int posix_memalign(void **to, size_t alignment, size_t size)
{
    if (!is_ready())
        return ENOMEM;
    void *block = alignment % sizeof(void *) == 0 ? give_aligned(alignment, size, CALLER) : NULL;
    if (!block)
        return next.posix_memalign(to, alignment, size);
    *to = block;
    return 0;
}

EXPORTED void *valloc(size_t size)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (!is_ready())
        return __libc_memalign(page, size);
    void *block = give_aligned(page, size, CALLER);
    return block ? block : next.valloc(size);
}

EXPORTED void *pvalloc(size_t size)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (size + page - 1) & ~(page - 1);
    if (!is_ready())
        return __libc_memalign(page, whole);
    void *block = whole >= size ? give_aligned(page, whole, CALLER) : NULL;
    return block ? block : next.pvalloc(size);
}

EXPORTED size_t malloc_usable_size(void *block)
{
    if (!is_ready())
        return 0;
    return block && is_watched(block) ? attached->size(block) : next.malloc_usable_size(block);
}
