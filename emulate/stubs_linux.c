/* stubs_linux.c: instructions in executable memory, each ready to be called.
 *
 * A stub is found by its bytes, so that a hot site is written once; instructions that differ only in how they address
 * memory share one. A place is written only when nobody holds it, and held while it is written; so no thread runs what
 * another one writes.
 *
 * Two things can make that memory lie. A processor may have fetched a place's earlier contents: so each writing has a
 * number, and a thread that meets one that is later than its last serialising instruction executes another. A child
 * made by fork would share the memory with its parent: so it does not inherit it, and gets its own.
 *
 * SOURCES: Intel SDM volume 3, 9.1.3 (cross-modifying code), 12.6 (code written at another linear address);
 * memfd_create(2), madvise(2) MADV_DONTFORK and MADV_WIPEONFORK. */
#if !defined(__linux__)
#error "stubs_linux.c is specific to Linux"
#endif

#include "stubs.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "replay.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x10u
#endif

#define PLACES 2048u
/* Places that a stub may stand in before any other is tried. */
#define WAYS 8u
/* A line of the instruction cache each. */
#define PLACE_SIZE 64u
#define CODE_SIZE (PLACES * PLACE_SIZE)
#define WRITING (UINT64_C(1) << 63)

static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};
#define RETURN 0xc3
#define BREAKPOINT 0xcc

/* All that belongs to one process: wiped in a child made by fork. */
struct memory {
    /* The two views; 0 until both are there. */
    uint64_t executable;
    uint64_t writable;
    _Alignas(64) struct stub places[PLACES];
};

static struct memory *memory;
/* How many writings there have been; it goes on counting in a child. */
static uint64_t writings;
/* The writings that the thread's last serialising instruction came after. */
static __thread uint64_t serialised __attribute__((tls_model("initial-exec")));

static pthread_mutex_t preparing = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static int create_file(void)
{
    /* Older kernels do not know that flag, and need none. */
    int file = memfd_create("segue-stubs", MFD_CLOEXEC | MFD_EXEC);
    return file >= 0 ? file : memfd_create("segue-stubs", MFD_CLOEXEC);
}

static void *map_view(int file, int protection)
{
    void *view = mmap(NULL, CODE_SIZE, protection, MAP_SHARED, file, 0);
    if (view == MAP_FAILED)
        return NULL;
    if (madvise(view, CODE_SIZE, MADV_DONTFORK) == 0)
        return view;
    munmap(view, CODE_SIZE);
    return NULL;
}

static enum segue_status map_code(int file)
{
    if (ftruncate(file, CODE_SIZE) != 0)
        return SEGUE_NO_MEMORY;
    void *writable = map_view(file, PROT_READ | PROT_WRITE);
    if (!writable)
        return SEGUE_NO_MEMORY;
    void *executable = map_view(file, PROT_READ | PROT_EXEC);
    if (!executable) {
        munmap(writable, CODE_SIZE);
        return SEGUE_UNSUPPORTED;
    }
    memory->writable = (uint64_t)(uintptr_t)writable;
    __atomic_store_n(&memory->executable, (uint64_t)(uintptr_t)executable, __ATOMIC_RELEASE);
    return SEGUE_OK;
}

static enum segue_status map_places(void)
{
    void *mapped = mmap(NULL, sizeof *memory, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED)
        return SEGUE_NO_MEMORY;
    if (madvise(mapped, sizeof *memory, MADV_WIPEONFORK) != 0) {
        munmap(mapped, sizeof *memory);
        return SEGUE_UNSUPPORTED;
    }
    __atomic_store_n(&memory, mapped, __ATOMIC_RELEASE);
    return SEGUE_OK;
}

static enum segue_status prepare(void)
{
    enum segue_status status = memory ? SEGUE_OK : map_places();
    if (status != SEGUE_OK || stubs_ready())
        return status;
    int file = create_file();
    if (file < 0)
        return SEGUE_UNSUPPORTED;
    status = map_code(file);
    close(file);
    return status;
}

static void before_fork(void)
{
    pthread_mutex_lock(&preparing);
}

static void after_fork(void)
{
    pthread_mutex_unlock(&preparing);
}

static void after_fork_in_child(void)
{
    prepare();
    pthread_mutex_unlock(&preparing);
}

static void watch_forks(void)
{
    pthread_atfork(before_fork, after_fork, after_fork_in_child);
}

enum segue_status stubs_prepare(void)
{
    pthread_once(&fork_once, watch_forks);
    pthread_mutex_lock(&preparing);
    enum segue_status status = prepare();
    pthread_mutex_unlock(&preparing);
    return status;
}

static uint64_t executable_view(void)
{
    const struct memory *present = __atomic_load_n(&memory, __ATOMIC_ACQUIRE);
    return present ? __atomic_load_n(&present->executable, __ATOMIC_ACQUIRE) : 0;
}

bool stubs_ready(void)
{
    return executable_view() != 0;
}

bool stubs_contain(uint64_t rip)
{
    uint64_t executable = executable_view();
    return executable && rip - executable < CODE_SIZE;
}

static unsigned first_place(const uint64_t key[2])
{
    uint64_t mixed = (key[0] ^ (key[1] * UINT64_C(0x9e3779b97f4a7c15))) * UINT64_C(0xd1342543de82ef95);
    return (unsigned)(mixed >> 40) % (PLACES / WAYS) * WAYS;
}

static bool has_key(const struct stub *stub, const uint64_t key[2])
{
    return __atomic_load_n(&stub->key[0], __ATOMIC_RELAXED) == key[0] &&
           __atomic_load_n(&stub->key[1], __ATOMIC_RELAXED) == key[1];
}

/* The key may change until the place is held. */
static bool hold(struct stub *stub, const uint64_t key[2])
{
    if (!has_key(stub, key))
        return false;
    if (!(__atomic_fetch_add(&stub->holders, 1, __ATOMIC_ACQUIRE) & WRITING) && has_key(stub, key))
        return true;
    stubs_let_go(stub);
    return false;
}

static void write_code(struct stub *stub, const struct segue_redirection *redirection)
{
    uint8_t *at = (uint8_t *)(uintptr_t)memory->writable + (size_t)(stub - memory->places) * PLACE_SIZE;
    memset(at, BREAKPOINT, PLACE_SIZE);
    memcpy(at, endbr64, sizeof endbr64);
    memcpy(at + sizeof endbr64, redirection->bytes, redirection->length);
    at[sizeof endbr64 + redirection->length] = RETURN;
}

/* Takes the place if nobody holds it, and holds it then. */
static bool write_place(struct stub *stub, const struct segue_redirection *redirection, const uint64_t key[2])
{
    uint64_t free = 0;
    if (!__atomic_compare_exchange_n(&stub->holders, &free, WRITING, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return false;
    __atomic_store_n(&stub->key[0], key[0], __ATOMIC_RELAXED);
    __atomic_store_n(&stub->key[1], key[1], __ATOMIC_RELAXED);
    write_code(stub, redirection);
    stub->written = __atomic_add_fetch(&writings, 1, __ATOMIC_ACQ_REL);
    /* Others may be looking at the place meanwhile: the count is theirs too. */
    __atomic_fetch_add(&stub->holders, 1 - WRITING, __ATOMIC_RELEASE);
    return true;
}

/* Free places first; then whichever the count of writings leads to. */
static struct stub *write_somewhere(const struct segue_redirection *redirection, const uint64_t key[2], unsigned first)
{
    for (unsigned i = 0; i < WAYS; i++)
        if (memory->places[first + i].key[1] == 0 && write_place(&memory->places[first + i], redirection, key))
            return &memory->places[first + i];
    unsigned start = (unsigned)__atomic_load_n(&writings, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < WAYS; i++) {
        struct stub *stub = &memory->places[first + (start + i) % WAYS];
        if (write_place(stub, redirection, key))
            return stub;
    }
    for (unsigned i = 0; i < PLACES; i++)
        if (write_place(&memory->places[i], redirection, key))
            return &memory->places[i];
    return NULL;
}

static struct stub *find(const struct segue_redirection *redirection)
{
    uint64_t key[2];
    _Static_assert(sizeof key == SEGUE_INSN_BYTES + 1 && offsetof(struct segue_redirection, length) == SEGUE_INSN_BYTES,
                   "the bytes and their number are the key");
    memcpy(key, redirection->bytes, sizeof key);
    unsigned first = first_place(key);
    for (unsigned i = 0; i < WAYS; i++)
        if (hold(&memory->places[first + i], key))
            return &memory->places[first + i];
    return write_somewhere(redirection, key, first);
}

struct stub *stubs_hold(const struct segue_redirection *redirection, const void **code)
{
    struct stub *stub = find(redirection);
    if (!stub)
        return NULL;
    if (stub->written > serialised) {
        serialised = __atomic_load_n(&writings, __ATOMIC_ACQUIRE);
        replay_serialise();
    }
    *code = (const void *)(uintptr_t)(memory->executable + (uint64_t)(stub - memory->places) * PLACE_SIZE);
    return stub;
}

void stubs_let_go(struct stub *stub)
{
    __atomic_fetch_sub(&stub->holders, 1, __ATOMIC_RELEASE);
}
