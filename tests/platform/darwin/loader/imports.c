/* imports.c: what programs may import: functions of the loader's where macOS's differ from Linux's, and those of the C
 * library that are alike in both. See loader.h. */
#define _GNU_SOURCE
#include "loader.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static FILE *standard_output, *standard_error, *standard_input;
static uint32_t task = TASK;
static const uint8_t data_representation[8] = {0, 0, 0, 0, 1};
static uint64_t stack_guard = 0x5e60e0000ff0a00;

static int d_kill(int process, int number)
{
    if (process == getpid()) {
        if (number)
            signal_send(thread_self(), number);
        return 0;
    }
    if (number)
        fail("kill of another process");
    return kill(process, 0);
}

static int d_pthread_kill(struct thread *thread, int number)
{
    if (!thread->number)
        return ESRCH;
    if (number)
        signal_send(thread, number);
    return 0;
}

static int d_pthread_kill_by_port(uint32_t port, int number)
{
    struct thread *thread = thread_by_port(port);
    if (!thread) {
        errno = ESRCH;
        return -1;
    }
    if (number)
        signal_send(thread, number);
    return 0;
}

static int d_raise(int number)
{
    signal_send(thread_self(), number);
    return 0;
}

static int d_pthread_attr_setdetachstate(pthread_attr_t *attributes, int state)
{
    (void)attributes;
    return state == 1 || state == 2 ? 0 : EINVAL;
}

/* Before the program's own handlers. */
static void in_child(void)
{
    thread_self()->number = gettid();
    ports_in_child();
}

static int d_waitpid(int process, int *status, int options)
{
    int found = waitpid(process, status, options);
    if (found > 0 && status)
        *status = signal_status(*status);
    return found;
}

static long d_sysconf(int name)
{
    enum { PAGE_SIZE = 29, PROCESSORS = 58 };
    if (name == PAGE_SIZE)
        return 4096;
    if (name == PROCESSORS)
        return sysconf(_SC_NPROCESSORS_ONLN);
    fail("sysconf(%d)", name);
}

static int d_getrlimit(int resource, uint64_t *limit)
{
    (void)resource;
    limit[0] = limit[1] = INT64_MAX;
    return 0;
}

static uint64_t d_clock_gettime_nsec_np(int clock)
{
    struct timespec now;
    (void)clock;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint32_t d_arc4random(void)
{
    uint32_t word = (uint32_t)(random() ^ (random() << 16));
    return word;
}

static int d_minherit(void *address, size_t size, int inheritance)
{
    enum { NONE = 2 };
    return madvise(address, size, inheritance == NONE ? MADV_DONTFORK : MADV_DOFORK);
}

/* As in dyld's headers. */
struct build_version {
    uint32_t platform, version;
};

/* A program may hold the function of its compiler's library that asks this, whether it calls it or not. */
static bool d_availability_version_check(uint32_t count, const struct build_version *wanted)
{
    enum { MACOS = 1, MACOS_11 = 11 << 16 };
    for (uint32_t i = 0; i < count; i++)
        if (wanted[i].platform == MACOS && wanted[i].version > MACOS_11)
            return false;
    return true;
}

static _Noreturn void d_assert(const char *function, const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: %s: %s\n", file, line, function, what);
    abort();
}

static int d_atexit(void (*function)(void))
{
    return atexit(function);
}

/* clang-format off */
#define IN_LOADER(EACH)                                                                                                \
    EACH(sigaction) EACH(signal) EACH(sigaltstack) EACH(sigpending) EACH(pthread_self) EACH(pthread_mach_thread_np)    \
    EACH(pthread_introspection_hook_install) EACH(pthread_key_create) EACH(pthread_setspecific)                        \
    EACH(pthread_getspecific) EACH(pthread_create) EACH(pthread_join) EACH(pthread_get_stackaddr_np)                   \
    EACH(pthread_get_stacksize_np) EACH(pthread_mutex_lock) EACH(pthread_mutex_trylock) EACH(pthread_mutex_unlock)     \
    EACH(pthread_mutex_init) EACH(thread_info) EACH(thread_suspend) EACH(thread_resume) EACH(thread_get_state)         \
    EACH(thread_set_state) EACH(mach_port_allocate) EACH(mach_port_insert_right) EACH(mach_port_move_member)           \
    EACH(mach_port_mod_refs) EACH(mach_port_deallocate) EACH(mach_msg) EACH(mach_msg_destroy)                          \
    EACH(task_set_exception_ports) EACH(task_get_exception_ports) EACH(task_swap_exception_ports)                      \
    EACH(thread_set_exception_ports) EACH(mach_thread_self) EACH(vm_write) EACH(vm_read_overwrite) EACH(vm_allocate)   \
    EACH(vm_remap) EACH(vm_protect) EACH(vm_region_64) EACH(mmap) EACH(mprotect)
/* clang-format on */
/* Their types are not needed here. */
#define DECLARE(function) extern const char d_##function[];
IN_LOADER(DECLARE)
DECLARE(sigmask)
DECLARE(ulock_wait)
DECLARE(ulock_wake)

static const struct {
    const char *name;
    const void *address;
} own[] = {
#define ROW(function) {#function, d_##function},
    IN_LOADER(ROW)
#undef ROW
        {"pthread_sigmask", d_sigmask},
    {"sigprocmask", d_sigmask},
    {"__ulock_wait", d_ulock_wait},
    {"__ulock_wake", d_ulock_wake},
    {"kill", (const void *)d_kill},
    {"pthread_kill", (const void *)d_pthread_kill},
    {"__pthread_kill", (const void *)d_pthread_kill_by_port},
    {"raise", (const void *)d_raise},
    {"fork", (const void *)fork},
    {"waitpid", (const void *)d_waitpid},
    {"sysconf", (const void *)d_sysconf},
    {"getrlimit", (const void *)d_getrlimit},
    {"clock_gettime_nsec_np", (const void *)d_clock_gettime_nsec_np},
    {"arc4random", (const void *)d_arc4random},
    {"minherit", (const void *)d_minherit},
    {"__assert_rtn", (const void *)d_assert},
    {"atexit", (const void *)d_atexit},
    {"_availability_version_check", (const void *)d_availability_version_check},
    {"__error", (const void *)__errno_location},
    {"setjmp", (const void *)loader_setjmp},
    {"longjmp", (const void *)loader_longjmp},
    {"sigsetjmp", (const void *)loader_setjmp},
    {"siglongjmp", (const void *)loader_longjmp},
    {"_setjmp", (const void *)loader_setjmp},
    {"_longjmp", (const void *)loader_longjmp},
    {"_tlv_bootstrap", (const void *)loader_variable},
    {"dyld_stub_binder", (const void *)fail},
    {"bzero", (const void *)bzero},
    {"__bzero", (const void *)bzero},
    {"pthread_atfork", (const void *)pthread_atfork},
    {"mach_task_self_", &task},
    {"NDR_record", data_representation},
    {"pthread_attr_init", (const void *)pthread_attr_init},
    {"pthread_attr_destroy", (const void *)pthread_attr_destroy},
    {"pthread_attr_setdetachstate", (const void *)d_pthread_attr_setdetachstate},
    {"__stdoutp", &standard_output},
    {"__stderrp", &standard_error},
    {"__stdinp", &standard_input},
    {"__stack_chk_guard", &stack_guard},
    {"__stack_chk_fail", (const void *)abort},
};

/* Alike in both systems, as far as the tests use them. */
static const char *const alike[] = {
    "memcpy",        "memmove",      "memset",        "memcmp",       "memchr",         "strlen",
    "strcmp",        "strncmp",      "strchr",        "strrchr",      "strstr",         "strcpy",
    "strncpy",       "strcat",       "strdup",        "strtol",       "strtoul",        "strtoull",
    "strspn",        "strcspn",      "strtok",        "strerror",     "atoi",           "qsort",
    "bsearch",       "malloc",       "aligned_alloc", "calloc",       "realloc",        "free",
    "exit",          "_exit",        "abort",         "getenv",       "rand",           "srand",
    "random",        "printf",       "fprintf",       "vprintf",      "vfprintf",       "snprintf",
    "vsnprintf",     "sprintf",      "puts",          "putchar",      "fputs",          "fputc",
    "fflush",        "setbuf",       "fopen",         "fclose",       "fread",          "fwrite",
    "fgets",         "getline",      "feof",          "munmap",       "getpid",         "getppid",
    "write",         "read",         "close",         "pipe",         "dup2",           "nanosleep",
    "usleep",        "sched_yield",  "time",          "isspace",      "isdigit",        "memset_pattern16",
    "strcasecmp",    "remove",       "access",        "unlink",       "alarm",          "setitimer",
    "fegetround",    "fesetround",   "getcwd",        "sscanf",       "fscanf",         "strtod",
    "pause",         "fileno",       "ftell",         "fseek",        "rewind",         "toupper",
    "tolower",       "strtok_r",     "strsep",        "strnlen",      "memmem",         "strpbrk",
    "isxdigit",      "isalpha",      "isalnum",       "getchar",      "__memcpy_chk",   "__memmove_chk",
    "__memset_chk",  "__strcpy_chk", "__strncpy_chk", "__strcat_chk", "__snprintf_chk", "__vsnprintf_chk",
    "__sprintf_chk",
};

void *import_find(const char *name)
{
    char plain[128];
    standard_output = stdout;
    standard_error = stderr;
    standard_input = stdin;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strcmp(own[i].name, name) == 0)
            return (void *)(uintptr_t)own[i].address;
    /* Names of variants: write$NOCANCEL, stat$INODE64. */
    snprintf(plain, sizeof plain, "%.*s", (int)strcspn(name, "$"), name);
    for (size_t i = 0; i < sizeof alike / sizeof *alike; i++)
        if (strcmp(alike[i], plain) == 0)
            return dlsym(RTLD_DEFAULT, plain);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        fail("usage: loader PROGRAM [ARGUMENT...]");
    threads_begin();
    signals_begin();
    pthread_atfork(NULL, NULL, in_child);
    setvbuf(stdout, NULL, _IOLBF, 0);
    program_main *run = image_load(argv[1], argc - 1, argv + 1);
    exit(run(argc - 1, argv + 1, environ, NULL));
}
