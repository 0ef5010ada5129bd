/* threads.c: threads and memory. See loader.h. */
#define _GNU_SOURCE
#include "loader.h"

#include <asm/prctl.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct thread *threads;
static pthread_mutex_t threads_lock = PTHREAD_MUTEX_INITIALIZER;

static struct thread *make(void)
{
    struct thread *thread = calloc(1, sizeof *thread);
    pthread_mutex_lock(&threads_lock);
    thread->next = threads;
    __atomic_store_n(&threads, thread, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&threads_lock);
    return thread;
}

static void begin(struct thread *self)
{
    locals.self = self;
    self->number = gettid();
    signals_begin_thread();
}

void threads_begin(void)
{
    begin(make());
}

/* No lock: a thread may be asked for in a handler; none is ever freed. */
struct thread *thread_by_number(int number)
{
    for (struct thread *thread = __atomic_load_n(&threads, __ATOMIC_ACQUIRE); thread; thread = thread->next)
        if (thread->number && thread->number + FIRST_THREAD == number)
            return thread;
    return NULL;
}

/* ---- pthreads ---- */

struct thread *f_pthread_self(void);
struct thread *f_pthread_self(void)
{
    return locals.self;
}

static void *run(void *argument)
{
    struct thread *self = argument;
    begin(self);
    image_begin_thread();
    self->result = self->run(self->argument);
    return NULL;
}

/* A thread's number is free when its last destructor has run: that is the loader's, for its key is the first. */
static pthread_key_t last;

static void end_thread(void *self)
{
    __atomic_store_n(&((struct thread *)self)->number, 0, __ATOMIC_RELEASE);
}

static void *run_counted(void *argument)
{
    pthread_setspecific(last, argument);
    return run(argument);
}

int f_pthread_create(struct thread **thread, const void *attributes, void *(*function)(void *), void *argument);
int f_pthread_create(struct thread **thread, const void *attributes, void *(*function)(void *), void *argument)
{
    struct thread *made = make();
    if (attributes)
        fail("pthread_create with attributes");
    if (!last)
        pthread_key_create(&last, end_thread);
    made->run = function;
    made->argument = argument;
    *thread = made;
    return pthread_create(&made->native, NULL, run_counted, made);
}

int f_pthread_join(struct thread *thread, void **result);
int f_pthread_join(struct thread *thread, void **result)
{
    int error = pthread_join(thread->native, NULL);
    if (result)
        *result = thread->result;
    return error;
}

int f_pthread_kill(struct thread *thread, int number);
int f_pthread_kill(struct thread *thread, int number)
{
    if (!thread->number)
        return ESRCH;
    if (number)
        signal_send(thread, number, 0x10007);
    return 0;
}

/* A key is an int, as in Linux; a mutex is a pointer, and what it points to is made at the first use. */
int f_pthread_mutex_lock(pthread_mutex_t **mutex);
int f_pthread_mutex_init(pthread_mutex_t **mutex, const void *attributes);
int f_pthread_mutex_init(pthread_mutex_t **mutex, const void *attributes)
{
    (void)attributes;
    pthread_mutex_t *made = calloc(1, sizeof *made);
    pthread_mutex_init(made, NULL);
    *mutex = made;
    return 0;
}

static pthread_mutex_t *mutex_of(pthread_mutex_t **mutex)
{
    pthread_mutex_t *none = NULL, *made;
    if (!__atomic_load_n(mutex, __ATOMIC_ACQUIRE)) {
        f_pthread_mutex_init(&made, NULL);
        __atomic_compare_exchange_n(mutex, &none, made, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    }
    return *mutex;
}

int f_pthread_mutex_lock(pthread_mutex_t **mutex)
{
    return pthread_mutex_lock(mutex_of(mutex));
}

/* EBUSY has the same number in both systems. */
int f_pthread_mutex_trylock(pthread_mutex_t **mutex);
int f_pthread_mutex_trylock(pthread_mutex_t **mutex)
{
    return pthread_mutex_trylock(mutex_of(mutex));
}

int f_pthread_mutex_unlock(pthread_mutex_t **mutex);
int f_pthread_mutex_unlock(pthread_mutex_t **mutex)
{
    return pthread_mutex_unlock(*mutex);
}

int f_pthread_attr_init(void **attributes);
int f_pthread_attr_init(void **attributes)
{
    *attributes = calloc(1, sizeof(pthread_attr_t));
    return 0;
}

int f_pthread_attr_destroy(void **attributes);
int f_pthread_attr_destroy(void **attributes)
{
    free(*attributes);
    return 0;
}

int f_pthread_attr_get_np(struct thread *thread, void **attributes);
int f_pthread_attr_get_np(struct thread *thread, void **attributes)
{
    if (thread != locals.self)
        fail("pthread_attr_get_np of another thread");
    return pthread_getattr_np(pthread_self(), *attributes);
}

int f_pthread_attr_getstack(void *const *attributes, void **lowest, size_t *size);
int f_pthread_attr_getstack(void *const *attributes, void **lowest, size_t *size)
{
    return pthread_attr_getstack(*attributes, lowest, size);
}

/* ---- the kernel's threads ---- */

int f_thr_self(long *number);
int f_thr_self(long *number)
{
    *number = gettid() + FIRST_THREAD;
    return 0;
}

int f_pthread_getthreadid_np(void);
int f_pthread_getthreadid_np(void)
{
    return gettid() + FIRST_THREAD;
}

int f_thr_kill2(int process, long number, int signal);
int f_thr_kill2(int process, long number, int signal)
{
    struct thread *thread = process == getpid() ? thread_by_number((int)number) : NULL;
    if (!thread) {
        errno = ESRCH;
        return -1;
    }
    if (signal)
        signal_send(thread, signal, 0x10007);
    return 0;
}

int f_umtx_op(void *word, int operation, unsigned long value, void *size, void *limit);
int f_umtx_op(void *word, int operation, unsigned long value, void *size, void *limit)
{
    enum { WAIT_UINT_PRIVATE = 15, WAKE_PRIVATE = 16 };
    if (size && (size_t)size != sizeof(struct timespec))
        fail("_umtx_op with a time of %zu bytes", (size_t)size);
    switch (operation) {
    case WAIT_UINT_PRIVATE:
        return (int)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, (uint32_t)value, limit, NULL, 0);
    case WAKE_PRIVATE:
        syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, (int)value, NULL, NULL, 0);
        return 0;
    default:
        fail("_umtx_op %d", operation);
    }
}

#if defined(__x86_64__)
int f_amd64_get_fsbase(void **base);
int f_amd64_get_fsbase(void **base)
{
    return (int)syscall(SYS_arch_prctl, ARCH_GET_FS, base);
}

int f_amd64_get_gsbase(void **base);
int f_amd64_get_gsbase(void **base)
{
    return (int)syscall(SYS_arch_prctl, ARCH_GET_GS, base);
}

int f_amd64_set_gsbase(void *base);
int f_amd64_set_gsbase(void *base)
{
    return (int)syscall(SYS_arch_prctl, ARCH_SET_GS, base);
}
#else
int f_i386_get_fsbase(void **base);
int f_i386_get_fsbase(void **base)
{
    *base = NULL;
    return 0;
}

int f_i386_get_gsbase(void **base);
int f_i386_get_gsbase(void **base)
{
    __asm__("movl %%gs:0, %0" : "=r"(*base));
    return 0;
}
#endif

/* ---- processes ---- */

int f_kill(int process, int number);
int f_kill(int process, int number)
{
    if (process != getpid() && number)
        fail("kill of another process");
    if (process == getpid() && number)
        signal_send(locals.self, number, 0x10001);
    return process == getpid() ? 0 : kill(process, 0);
}

int f_raise(int number);
int f_raise(int number)
{
    signal_send(locals.self, number, 0x10007);
    return 0;
}

int f_fork(void);
int f_fork(void)
{
    int child = fork();
    if (child == 0)
        for (struct thread *thread = threads; thread; thread = thread->next)
            thread->number = thread == locals.self ? gettid() : 0;
    return child;
}

int f_waitpid(int process, int *status, int options);
int f_waitpid(int process, int *status, int options)
{
    int found = waitpid(process, status, options);
    if (found > 0 && status)
        *status = signal_status(*status);
    return found;
}

/* ---- memory and files ---- */

void *f_mmap(void *address, size_t size, int access, int flags, int file, int64_t offset);
void *f_mmap(void *address, size_t size, int access, int flags, int file, int64_t offset)
{
    enum { SHARING = 3, FIXED = 0x10, ANON = 0x1000, GUARD = 0x2000, EXCL = 0x4000, NO_CORE = 0x20000 };
    int native = (flags & SHARING) | MAP_NORESERVE | (flags & ANON ? MAP_ANONYMOUS : 0);
    if (flags & ~(SHARING | FIXED | ANON | EXCL | NO_CORE))
        fail("mmap with flags %#x", (unsigned)flags);
    if (flags & FIXED)
        native |= flags & EXCL ? MAP_FIXED_NOREPLACE : MAP_FIXED;
    void *memory = mmap64(address, size, access, native, file, offset);
    if (memory == MAP_FAILED && errno == EEXIST)
        errno = ENOMEM;
    return memory;
}

int f_minherit(void *address, size_t size, int inheritance);
int f_minherit(void *address, size_t size, int inheritance)
{
    enum { NONE = 2, ZERO = 3 };
    if (inheritance != NONE && inheritance != ZERO)
        fail("minherit %d", inheritance);
    return madvise(address, size, inheritance == NONE ? MADV_DONTFORK : MADV_WIPEONFORK);
}

int f_madvise(void *address, size_t size, int advice);
int f_madvise(void *address, size_t size, int advice)
{
    enum { NO_CORE = 8 };
    if (advice != NO_CORE)
        fail("madvise %d", advice);
    return madvise(address, size, MADV_DONTDUMP);
}

int f_shm_open(const char *name, int flags, int mode);
int f_shm_open(const char *name, int flags, int mode)
{
    (void)flags;
    (void)mode;
    if (name != (const char *)1)
        fail("shm_open of %s", name);
    return memfd_create("anonymous", MFD_CLOEXEC);
}

int f_ftruncate(int file, int64_t size);
int f_ftruncate(int file, int64_t size)
{
    return ftruncate64(file, size);
}

int f_pipe2(int *ends, int flags);
int f_pipe2(int *ends, int flags)
{
    enum { NONBLOCK = 4, CLOEXEC = 0x100000 };
    return pipe2(ends, (flags & NONBLOCK ? O_NONBLOCK : 0) | (flags & CLOEXEC ? O_CLOEXEC : 0));
}

int f_getrlimit(int resource, int64_t *limit);
int f_getrlimit(int resource, int64_t *limit)
{
    (void)resource;
    limit[0] = limit[1] = INT64_MAX;
    return 0;
}

long f_sysconf(int name);
long f_sysconf(int name)
{
    enum { PAGE_SIZE = 47, PROCESSORS = 58 };
    if (name == PAGE_SIZE)
        return 4096;
    if (name == PROCESSORS)
        return sysconf(_SC_NPROCESSORS_ONLN);
    fail("sysconf(%d)", name);
}

int f_clock_gettime(int clock, struct timespec *now);
int f_clock_gettime(int clock, struct timespec *now)
{
    enum { REALTIME = 0, MONOTONIC = 4 };
    if (clock != REALTIME && clock != MONOTONIC)
        fail("clock_gettime(%d)", clock);
    return clock_gettime(clock == REALTIME ? CLOCK_REALTIME : CLOCK_MONOTONIC, now);
}
