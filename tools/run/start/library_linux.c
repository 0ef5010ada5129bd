/* library_linux.c: the C library's functions of the system and of threads that the host and the library's folders call.
 * Threads: the host's code runs with all signals blocked, and makes no threads of its own; a thread that waits for
 * another yields.
 *
 * If the library's folders (without signals/) begin to call another function, the host does not link until it is added
 * here.
 *
 * SOURCES: the manual pages of each; POSIX. ASSUMPTIONS: a mutex and a once-control that are not in use are zero bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "start.h"
#include "tools/run/syscalls/call_linux_x86_64.h"

static _Thread_local int error_number;

int *__errno_location(void)
{
    return &error_number;
}

/* Converts a system call's result to the C library's convention: -1 and errno. */
static long with_errno(long result)
{
    if (result >= 0 || result < -4095)
        return result;
    error_number = (int)-result;
    return -1;
}

/* ---- memory ---- */

void *mmap(void *at, size_t size, int protection, int flags, int file, off_t offset)
{
    return (void *)with_errno(system_call6(SYS_mmap, (long)at, (long)size, protection, flags, file, offset));
}

int munmap(void *at, size_t size)
{
    return (int)with_errno(system_call3(SYS_munmap, (long)at, (long)size, 0));
}

int mprotect(void *at, size_t size, int protection)
{
    return (int)with_errno(system_call3(SYS_mprotect, (long)at, (long)size, protection));
}

int madvise(void *at, size_t size, int advice)
{
    return (int)with_errno(system_call3(SYS_madvise, (long)at, (long)size, advice));
}

int memfd_create(const char *name, unsigned flags)
{
    return (int)with_errno(system_call3(SYS_memfd_create, (long)name, flags, 0));
}

/* The few allocations are small, and never freed. */
void *calloc(size_t count, size_t size)
{
    void *at = mmap(NULL, count * size + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

void *malloc(size_t size)
{
    return calloc(1, size);
}

void free(void *at)
{
    (void)at;
}

/* ---- files ---- */

ssize_t read(int file, void *to, size_t size)
{
    return with_errno(system_call3(SYS_read, file, (long)to, (long)size));
}

ssize_t write(int file, const void *from, size_t size)
{
    return with_errno(system_call3(SYS_write, file, (long)from, (long)size));
}

ssize_t pread(int file, void *to, size_t size, off_t offset)
{
    return with_errno(system_call4(SYS_pread64, file, (long)to, (long)size, offset));
}

int close(int file)
{
    return (int)with_errno(system_call3(SYS_close, file, 0, 0));
}

int ftruncate(int file, off_t size)
{
    return (int)with_errno(system_call3(SYS_ftruncate, file, size, 0));
}

int fstat(int file, struct stat *status)
{
    return (int)with_errno(system_call3(SYS_fstat, file, (long)status, 0));
}

int stat(const char *path, struct stat *status)
{
    return (int)with_errno(system_call4(SYS_newfstatat, AT_FDCWD, (long)path, (long)status, 0));
}

ssize_t readlink(const char *path, char *to, size_t size)
{
    return with_errno(system_call3(SYS_readlink, (long)path, (long)to, (long)size));
}

int fcntl(int file, int command, ...)
{
    va_list more;
    va_start(more, command);
    long argument = va_arg(more, long);
    va_end(more);
    return (int)with_errno(system_call3(SYS_fcntl, file, command, argument));
}

/* ---- the process ---- */

int prctl(int option, ...)
{
    va_list more;
    long arguments[4];
    va_start(more, option);
    for (int i = 0; i < 4; i++)
        arguments[i] = va_arg(more, long);
    va_end(more);
    return (int)with_errno(system_call6(SYS_prctl, option, arguments[0], arguments[1], arguments[2], arguments[3], 0));
}

pid_t getpid(void)
{
    return (pid_t)system_call3(SYS_getpid, 0, 0, 0);
}

long sysconf(int name)
{
    return name == _SC_PAGESIZE ? 4096 : with_errno(-EINVAL);
}

unsigned long getauxval(unsigned long type)
{
    return start_told(type);
}

void _exit(int status)
{
    for (;;)
        system_call3(SYS_exit_group, status, 0, 0);
}

/* ---- threads ---- */

int sched_yield(void)
{
    return (int)with_errno(system_call3(SYS_sched_yield, 0, 0, 0));
}

pthread_t pthread_self(void)
{
    pthread_t self;
    __asm__("movq %%fs:0x10, %0" : "=r"(self));
    return self;
}

int pthread_sigmask(int how, const sigset_t *set, sigset_t *before)
{
    return (int)-system_call4(SYS_rt_sigprocmask, how, (long)set, (long)before, 8);
}

int sigfillset(sigset_t *set)
{
    memset(set, -1, sizeof *set);
    return 0;
}

int sigemptyset(sigset_t *set)
{
    memset(set, 0, sizeof *set);
    return 0;
}

int sigaddset(sigset_t *set, int number)
{
    set->__val[0] |= 1ul << (number - 1);
    return 0;
}

int sigdelset(sigset_t *set, int number)
{
    set->__val[0] &= ~(1ul << (number - 1));
    return 0;
}

int sigismember(const sigset_t *set, int number)
{
    return set->__val[0] >> (number - 1) & 1;
}

int pthread_mutex_trylock(pthread_mutex_t *mutex)
{
    return __atomic_exchange_n(&mutex->__data.__lock, 1, __ATOMIC_ACQUIRE) ? EBUSY : 0;
}

int pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes)
{
    (void)attributes;
    memset(mutex, 0, sizeof *mutex);
    return 0;
}

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    while (__atomic_exchange_n(&mutex->__data.__lock, 1, __ATOMIC_ACQUIRE))
        sched_yield();
    return 0;
}

int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    __atomic_store_n(&mutex->__data.__lock, 0, __ATOMIC_RELEASE);
    return 0;
}

int pthread_once(pthread_once_t *once, void (*work)(void))
{
    pthread_once_t none = 0;
    if (__atomic_load_n(once, __ATOMIC_ACQUIRE) == 2)
        return 0;
    if (__atomic_compare_exchange_n(once, &none, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)) {
        work();
        __atomic_store_n(once, 2, __ATOMIC_RELEASE);
    }
    while (__atomic_load_n(once, __ATOMIC_ACQUIRE) != 2)
        sched_yield();
    return 0;
}

/* process_linux_x86_64.c makes the program's children, and does itself what the handlers would do. */
int pthread_atfork(void (*before)(void), void (*in_parent)(void), void (*in_child)(void))
{
    (void)before;
    (void)in_parent;
    (void)in_child;
    return 0;
}

/* ---- the program ---- */

/* The host is one module. */
int dl_iterate_phdr(int (*visit)(struct dl_phdr_info *, size_t, void *), void *context)
{
    const Elf64_Ehdr *header = (const void *)start_code;
    struct dl_phdr_info info = {
        .dlpi_addr = (uint64_t)(uintptr_t)start_code,
        .dlpi_name = "",
        .dlpi_phdr = (const void *)(start_code + header->e_phoff),
        .dlpi_phnum = header->e_phnum,
    };
    return visit(&info, sizeof info, context);
}
