/* threads.c: threads, their ports and keys, and memory as Mach has it. See loader.h. */
#define _GNU_SOURCE
#include "loader.h"

#include <asm/prctl.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static struct thread *threads;
static pthread_mutex_t threads_lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t next_port = 0x100103;

static __thread struct thread *own;

struct thread *thread_self(void)
{
    return own;
}

static void begin(struct thread *self)
{
    own = self;
    self->base = (uint64_t)(uintptr_t)self->keys;
    self->keys[0] = self;
    self->number = gettid();
    if (syscall(SYS_arch_prctl, ARCH_SET_GS, self->keys) != 0)
        fail("the base of GS cannot be set");
    signals_begin_thread();
    __atomic_store_n(&self->has_begun, true, __ATOMIC_RELEASE);
}

static struct thread *make(void)
{
    struct thread *thread = calloc(1, sizeof *thread);
    pthread_mutex_lock(&threads_lock);
    thread->port = next_port;
    next_port += 0x100;
    thread->next = threads;
    threads = thread;
    pthread_mutex_unlock(&threads_lock);
    return thread;
}

void threads_begin(void)
{
    begin(make());
}

/* No lock: a thread may be asked for in a handler; none is ever freed. */
struct thread *thread_by_port(uint32_t port)
{
    for (struct thread *thread = __atomic_load_n(&threads, __ATOMIC_ACQUIRE); thread; thread = thread->next)
        if (thread->port == port && thread->number)
            return thread;
    return NULL;
}

/* ---- pthreads ---- */

struct thread *d_pthread_self(void);
struct thread *d_pthread_self(void)
{
    return thread_self();
}

uint32_t d_pthread_mach_thread_np(struct thread *thread);
uint32_t d_pthread_mach_thread_np(struct thread *thread)
{
    return thread->port;
}

typedef void introspection_hook(unsigned event, struct thread *thread, void *address, size_t size);
static introspection_hook *hook;
introspection_hook *d_pthread_introspection_hook_install(introspection_hook *wanted);
introspection_hook *d_pthread_introspection_hook_install(introspection_hook *wanted)
{
    introspection_hook *before = hook;
    hook = wanted;
    return before;
}

static void (*destructors[KEYS])(void *);
static bool key_is_taken[KEYS];

int d_pthread_key_create(unsigned long *key, void (*destructor)(void *));
int d_pthread_key_create(unsigned long *key, void (*destructor)(void *))
{
    for (unsigned i = FIRST_KEY; i < KEYS; i++)
        if (!__atomic_exchange_n(&key_is_taken[i], true, __ATOMIC_ACQ_REL)) {
            destructors[i] = destructor;
            *key = i;
            return 0;
        }
    return EAGAIN;
}

int d_pthread_setspecific(unsigned long key, void *value);
int d_pthread_setspecific(unsigned long key, void *value)
{
    if (key < FIRST_KEY || key >= KEYS || !key_is_taken[key])
        return EINVAL;
    thread_self()->keys[key] = value;
    return 0;
}

void *d_pthread_getspecific(unsigned long key);
void *d_pthread_getspecific(unsigned long key)
{
    return key < KEYS ? thread_self()->keys[key] : NULL;
}

static void *run(void *argument)
{
    struct thread *self = argument;
    begin(self);
    if (hook)
        hook(2, self, NULL, 0);
    self->result = self->run(self->argument);
    for (unsigned round = 0, any = 1; round < 4 && any; round++) {
        any = 0;
        for (unsigned i = FIRST_KEY; i < KEYS; i++) {
            void *value = self->keys[i];
            self->keys[i] = NULL;
            if (value && destructors[i])
                any = 1, destructors[i](value);
        }
    }
    if (hook)
        hook(3, self, NULL, 0);
    self->number = 0;
    return NULL;
}

int d_pthread_create(struct thread **thread, const void *attributes, void *(*function)(void *), void *argument);
int d_pthread_create(struct thread **thread, const void *attributes, void *(*function)(void *), void *argument)
{
    struct thread *made = make();
    (void)attributes;
    made->run = function;
    made->argument = argument;
    *thread = made;
    int error = pthread_create(&made->native, NULL, run, made);
    /* Its port is there at once. */
    while (error == 0 && !__atomic_load_n(&made->has_begun, __ATOMIC_ACQUIRE))
        sched_yield();
    return error;
}

int d_pthread_join(struct thread *thread, void **result);
int d_pthread_join(struct thread *thread, void **result)
{
    int error = pthread_join(thread->native, NULL);
    if (result)
        *result = thread->result;
    return error;
}

static uint64_t own_stack(bool wants_end)
{
    pthread_attr_t attributes;
    void *low = NULL;
    size_t size = 0;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &low, &size);
    pthread_attr_destroy(&attributes);
    return wants_end ? (uint64_t)(uintptr_t)low + size : size;
}

uint64_t d_pthread_get_stackaddr_np(struct thread *thread);
uint64_t d_pthread_get_stackaddr_np(struct thread *thread)
{
    (void)thread;
    return own_stack(true);
}

uint64_t d_pthread_get_stacksize_np(struct thread *thread);
uint64_t d_pthread_get_stacksize_np(struct thread *thread)
{
    (void)thread;
    return own_stack(false);
}

/* ---- words that threads wait for; a mutex is such a word, behind its signature ---- */

int d_ulock_wait(uint32_t operation, uint32_t *word, uint64_t value, uint32_t microseconds);
int d_ulock_wait(uint32_t operation, uint32_t *word, uint64_t value, uint32_t microseconds)
{
    struct timespec limit = {microseconds / 1000000, microseconds % 1000000 * 1000L};
    (void)operation;
    return (int)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, (uint32_t)value, microseconds ? &limit : NULL, NULL, 0);
}

int d_ulock_wake(uint32_t operation, uint32_t *word, uint64_t value);
int d_ulock_wake(uint32_t operation, uint32_t *word, uint64_t value)
{
    (void)value;
    return (int)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, operation & 0x100 ? INT_MAX : 1, NULL, NULL, 0);
}

int d_pthread_mutex_lock(uint32_t *mutex);
int d_pthread_mutex_lock(uint32_t *mutex)
{
    uint32_t *word = mutex + 2;
    while (__atomic_exchange_n(word, 1, __ATOMIC_ACQUIRE))
        d_ulock_wait(1, word, 1, 1000);
    return 0;
}

int d_pthread_mutex_trylock(uint32_t *mutex);
int d_pthread_mutex_trylock(uint32_t *mutex)
{
    return __atomic_exchange_n(mutex + 2, 1, __ATOMIC_ACQUIRE) ? EBUSY : 0;
}

int d_pthread_mutex_unlock(uint32_t *mutex);
int d_pthread_mutex_unlock(uint32_t *mutex)
{
    __atomic_store_n(mutex + 2, 0, __ATOMIC_RELEASE);
    return d_ulock_wake(1, mutex + 2, 0) < 0;
}

int d_pthread_mutex_init(uint32_t *mutex, const void *attributes);
int d_pthread_mutex_init(uint32_t *mutex, const void *attributes)
{
    (void)attributes;
    memset(mutex, 0, 64);
    return 0;
}

/* ---- Mach ---- */

enum { SUCCESS = 0, INVALID_ADDRESS = 1, NO_SPACE = 3, INVALID_ARGUMENT = 4, TERMINATED = 37 };
enum { FLAG_ANYWHERE = 1, FLAG_OVERWRITE = 0x4000 };
#define IDENTIFIER_INFO 4

int d_thread_info(uint32_t port, int flavor, void *info, uint32_t *size);
int d_thread_info(uint32_t port, int flavor, void *info, uint32_t *size)
{
    struct thread *thread = thread_by_port(port);
    if (!thread)
        return INVALID_ARGUMENT;
    memset(info, 0, *size * 4);
    if (flavor == IDENTIFIER_INFO && *size >= 6)
        memcpy(info, (uint64_t[3]){port, thread->base, 0}, 24);
    return SUCCESS;
}

int d_thread_suspend(uint32_t port);
int d_thread_suspend(uint32_t port)
{
    struct thread *thread = thread_by_port(port);
    if (!thread || thread == thread_self())
        return INVALID_ARGUMENT;
    return thread_hold(thread) ? SUCCESS : TERMINATED;
}

int d_thread_resume(uint32_t port);
int d_thread_resume(uint32_t port)
{
    struct thread *thread = thread_by_port(port);
    if (!thread || !thread->suspensions)
        return INVALID_ARGUMENT;
    thread_release(thread);
    return SUCCESS;
}

/* A suspended thread that has its answer comes to stand still in a moment. */
static bool stands_still(const struct thread *thread)
{
    for (;;) {
        if (__atomic_load_n(&thread->stopped, __ATOMIC_ACQUIRE) ||
            __atomic_load_n(&thread->in_exception, __ATOMIC_ACQUIRE))
            return true;
        if (!__atomic_load_n(&thread->suspensions, __ATOMIC_ACQUIRE) || !thread->number)
            return false;
        sched_yield();
    }
}

uint32_t d_mach_thread_self(void);
uint32_t d_mach_thread_self(void)
{
    return thread_self()->port;
}

int d_thread_get_state(uint32_t port, int flavor, void *state, uint32_t *size);
int d_thread_get_state(uint32_t port, int flavor, void *state, uint32_t *size)
{
    struct thread *thread = thread_by_port(port);
    if (!thread || !stands_still(thread))
        return INVALID_ARGUMENT;
    size_t wanted = state_size(flavor);
    if (!wanted || *size * 4 < wanted)
        return INVALID_ARGUMENT;
    state_get(thread->registers, flavor, state);
    *size = (uint32_t)(wanted / 4);
    return SUCCESS;
}

int d_thread_set_state(uint32_t port, int flavor, const void *state, uint32_t size);
int d_thread_set_state(uint32_t port, int flavor, const void *state, uint32_t size)
{
    struct thread *thread = thread_by_port(port);
    if (!thread || !stands_still(thread) || !state_size(flavor) || size * 4 != state_size(flavor))
        return INVALID_ARGUMENT;
    state_set(thread->registers, flavor, state);
    return SUCCESS;
}

int d_vm_read_overwrite(uint32_t task, uint64_t address, uint64_t size, uint64_t to, uint64_t *done);
int d_vm_read_overwrite(uint32_t task, uint64_t address, uint64_t size, uint64_t to, uint64_t *done)
{
    struct iovec into = {(void *)(uintptr_t)to, size}, from = {(void *)(uintptr_t)address, size};
    (void)task;
    if (syscall(SYS_process_vm_readv, getpid(), &into, 1, &from, 1, 0) != (long)size)
        return INVALID_ADDRESS;
    *done = size;
    return SUCCESS;
}

int d_mprotect(void *address, size_t size, int protection);
int d_mprotect(void *address, size_t size, int protection)
{
    if ((protection & PROT_WRITE) && image_is_constant((uint64_t)(uintptr_t)address)) {
        errno = EACCES;
        return -1;
    }
    return mprotect(address, size, protection);
}

int d_vm_protect(uint32_t task, uint64_t address, uint64_t size, int most, int protection);
int d_vm_protect(uint32_t task, uint64_t address, uint64_t size, int most, int protection)
{
    enum { COPY = 0x10 };
    (void)task;
    if (most || (!(protection & COPY) && (protection & PROT_WRITE) && image_is_constant(address)))
        return INVALID_ARGUMENT;
    return mprotect((void *)(uintptr_t)address, size, protection & ~COPY) == 0 ? SUCCESS : INVALID_ADDRESS;
}

/* By the list that Linux shows. */
int d_vm_region_64(uint32_t task, uint64_t *address, uint64_t *size, int flavor, int *info, uint32_t *count,
                   uint32_t *object);
int d_vm_region_64(uint32_t task, uint64_t *address, uint64_t *size, int flavor, int *info, uint32_t *count,
                   uint32_t *object)
{
    enum { BASIC_INFO_64 = 9, WORDS = 9 };
    char line[512];
    (void)task;
    if (flavor != BASIC_INFO_64 || *count < WORDS)
        return INVALID_ARGUMENT;
    FILE *list = fopen("/proc/self/maps", "r");
    bool is_found = false;
    while (list && !is_found && fgets(line, sizeof line, list)) {
        unsigned long start, end;
        char access[5];
        if (sscanf(line, "%lx-%lx %4s", &start, &end, access) != 3 || end <= *address)
            continue;
        is_found = true;
        memset(info, 0, WORDS * sizeof *info);
        info[0] = (access[0] == 'r' ? PROT_READ : 0) | (access[1] == 'w' ? PROT_WRITE : 0) |
                  (access[2] == 'x' ? PROT_EXEC : 0);
        info[3] = access[3] == 's';
        *address = start;
        *size = end - start;
    }
    if (list)
        fclose(list);
    *object = 0;
    *count = WORDS;
    return is_found ? SUCCESS : INVALID_ADDRESS;
}

int d_vm_allocate(uint32_t task, uint64_t *address, uint64_t size, int flags);
int d_vm_allocate(uint32_t task, uint64_t *address, uint64_t size, int flags)
{
    int placed = flags & FLAG_ANYWHERE ? 0 : flags & FLAG_OVERWRITE ? MAP_FIXED : MAP_FIXED_NOREPLACE;
    (void)task;
    void *memory = mmap((void *)(uintptr_t)*address, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | placed, -1, 0);
    if (memory == MAP_FAILED)
        return NO_SPACE;
    *address = (uint64_t)(uintptr_t)memory;
    return SUCCESS;
}

/* Of shared memory, as a whole mapping: what else macOS can is not asked for. */
int d_vm_remap(uint32_t task, uint64_t *address, uint64_t size, uint64_t mask, int flags, uint32_t from_task,
               uint64_t from, int copy, int *present, int *most, int inheritance);
int d_vm_remap(uint32_t task, uint64_t *address, uint64_t size, uint64_t mask, int flags, uint32_t from_task,
               uint64_t from, int copy, int *present, int *most, int inheritance)
{
    (void)task, (void)from_task, (void)inheritance;
    if (mask || copy || (flags & FLAG_ANYWHERE))
        return INVALID_ARGUMENT;
    if (!(flags & FLAG_OVERWRITE)) {
        void *taken = mmap((void *)(uintptr_t)*address, size, PROT_NONE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        if (taken == MAP_FAILED)
            return NO_SPACE;
    }
    void *memory = mremap((void *)(uintptr_t)from, 0, size, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)(uintptr_t)*address);
    *present = *most = PROT_READ | PROT_WRITE;
    return memory == MAP_FAILED ? NO_SPACE : SUCCESS;
}

void *d_mmap(void *address, size_t size, int protection, int flags, int file, off_t offset);
void *d_mmap(void *address, size_t size, int protection, int flags, int file, off_t offset)
{
    enum { FIXED = 0x10, NORESERVE = 0x40, ANON = 0x1000 };
    int native = flags & 3;
    native |= (flags & FIXED ? MAP_FIXED : 0) | (flags & ANON ? MAP_ANONYMOUS : 0) | MAP_NORESERVE;
    if (flags & ~(3 | FIXED | NORESERVE | ANON))
        fail("mmap with flags %#x", (unsigned)flags);
    return mmap(address, size, protection, native, file, offset);
}
