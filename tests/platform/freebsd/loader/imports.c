/* imports.c: what programs may import: functions of the loader's where FreeBSD's differ from Linux's, and those of the
 * C library that are alike in both. See loader.h. */
#define _GNU_SOURCE
#include "loader.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static FILE *standard_output, *standard_error, *standard_input;

static uint32_t f_arc4random(void)
{
    return (uint32_t)(random() ^ (random() << 16));
}

static _Noreturn void f_assert(const char *function, const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: %s: %s\n", file, line, function, what);
    abort();
}

static int f_atexit(void (*function)(void))
{
    return atexit(function);
}

static int f_pthread_atfork(void (*before)(void), void (*in_parent)(void), void (*in_child)(void))
{
    return pthread_atfork(before, in_parent, in_child);
}

/* clang-format off */
#define IN_LOADER(EACH)                                                                                                \
    EACH(sigaction) EACH(signal) EACH(sigaltstack) EACH(sigprocmask) EACH(sigpending) EACH(sigemptyset)                \
    EACH(sigfillset) EACH(sigaddset) EACH(sigdelset) EACH(sigismember) EACH(pthread_sigmask) EACH(pthread_self)        \
    EACH(pthread_create) EACH(pthread_join) EACH(pthread_kill) EACH(pthread_mutex_init) EACH(pthread_mutex_lock)       \
    EACH(pthread_mutex_trylock) EACH(pthread_mutex_unlock) EACH(pthread_attr_init) EACH(pthread_attr_destroy)          \
    EACH(pthread_attr_get_np) EACH(pthread_attr_getstack) EACH(pthread_getthreadid_np) EACH(thr_self) EACH(thr_kill2)  \
    EACH(kill) EACH(raise) EACH(fork) EACH(waitpid) EACH(mmap) EACH(minherit) EACH(madvise) EACH(shm_open)             \
    EACH(ftruncate) EACH(pipe2) EACH(getrlimit) EACH(sysconf) EACH(clock_gettime)
#if defined(__x86_64__)
#define OF_PROCESSOR(EACH) EACH(amd64_get_fsbase) EACH(amd64_get_gsbase) EACH(amd64_set_gsbase)
#else
#define OF_PROCESSOR(EACH) EACH(i386_get_fsbase) EACH(i386_get_gsbase)
#endif
/* clang-format on */
/* Their types are not needed here. */
#define DECLARE(function) extern const char f_##function[];
IN_LOADER(DECLARE)
OF_PROCESSOR(DECLARE)
DECLARE(umtx_op)

static const struct {
    const char *name;
    const void *address;
} own[] = {
#define ROW(function) {#function, f_##function},
    IN_LOADER(ROW) OF_PROCESSOR(ROW)
#undef ROW
        {"_umtx_op", f_umtx_op},
    {"arc4random", (const void *)f_arc4random},
    {"__assert", (const void *)f_assert},
    {"atexit", (const void *)f_atexit},
    {"pthread_atfork", (const void *)f_pthread_atfork},
    {"__error", (const void *)__errno_location},
    {"setjmp", (const void *)loader_setjmp},
    {"longjmp", (const void *)loader_longjmp},
    {"sigsetjmp", (const void *)loader_setjmp},
    {"siglongjmp", (const void *)loader_longjmp},
};
static const struct {
    const char *name;
    const void *address;
} objects[] = {{"__stdoutp", &standard_output}, {"__stderrp", &standard_error}, {"__stdinp", &standard_input}};

/* Alike in both systems, as far as the tests use them. */
static const char *const alike[] = {
    "bcmp",
    "strtok_r",
    "strcat",
    "fegetround",
    "fesetround",
    "memcpy",
    "memmove",
    "memset",
    "memcmp",
    "memchr",
    "strlen",
    "strcmp",
    "strncmp",
    "strchr",
    "strrchr",
    "strstr",
    "strcpy",
    "strncpy",
    "strdup",
    "strerror",
    "strtok",
    "strspn",
    "strcspn",
    "malloc",
    "calloc",
    "realloc",
    "free",
    "abort",
    "exit",
    "_exit",
    "getenv",
    "rand",
    "srand",
    "strtol",
    "strtoul",
    "strtoull",
    "qsort",
    "printf",
    "fprintf",
    "vprintf",
    "vfprintf",
    "snprintf",
    "vsnprintf",
    "sprintf",
    "sscanf",
    "puts",
    "putchar",
    "fputs",
    "fputc",
    "fflush",
    "setbuf",
    "fopen",
    "fclose",
    "fread",
    "fwrite",
    "fgets",
    "getline",
    "feof",
    "isspace",
    "isdigit",
    "isprint",
    "isxdigit",
    "strcasecmp",
    "read",
    "write",
    "close",
    "getpid",
    "usleep",
    "isatty",
    "sched_yield",
    "munmap",
    "mprotect",
    "nanosleep",
    "time",
    "pthread_equal",
    "pthread_key_create",
    "pthread_setspecific",
    "pthread_getspecific",
#if defined(__i386__)
    "__udivdi3",
    "__umoddi3",
    "__divdi3",
    "__moddi3",
#endif
};
#define COUNT(array) (sizeof(array) / sizeof *(array))

#if defined(__i386__)
/* The compiler's own functions, which are not in the C library. */
uint64_t __udivdi3(uint64_t a, uint64_t b);
uint64_t __umoddi3(uint64_t a, uint64_t b);
int64_t __divdi3(int64_t a, int64_t b);
int64_t __moddi3(int64_t a, int64_t b);
static void *find_of_compiler(const char *name)
{
    return strcmp(name, "__udivdi3") == 0   ? (void *)__udivdi3
           : strcmp(name, "__umoddi3") == 0 ? (void *)__umoddi3
           : strcmp(name, "__divdi3") == 0  ? (void *)__divdi3
           : strcmp(name, "__moddi3") == 0  ? (void *)__moddi3
                                            : NULL;
}
#else
static void *find_of_compiler(const char *name)
{
    (void)name;
    return NULL;
}
#endif

void *import_find(const char *name)
{
    standard_output = stdout;
    standard_error = stderr;
    standard_input = stdin;
    for (size_t i = 0; i < COUNT(own); i++)
        if (strcmp(own[i].name, name) == 0)
            return (void *)(uintptr_t)own[i].address;
    for (size_t i = 0; i < COUNT(objects); i++)
        if (strcmp(objects[i].name, name) == 0)
            return (void *)(uintptr_t)objects[i].address;
    for (size_t i = 0; i < COUNT(alike); i++)
        if (strcmp(alike[i], name) == 0)
            return find_of_compiler(name) ?: dlsym(RTLD_DEFAULT, name);
    return NULL;
}

static void print_names(void)
{
    for (size_t i = 0; i < COUNT(own); i++)
        printf("function %s\n", own[i].name);
    for (size_t i = 0; i < COUNT(alike); i++)
        printf("function %s\n", alike[i]);
    for (size_t i = 0; i < COUNT(objects); i++)
        printf("object %s\n", objects[i].name);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        fail("usage: loader PROGRAM [ARGUMENT...], or loader --names");
    if (strcmp(argv[1], "--names") == 0) {
        print_names();
        return 0;
    }
    threads_begin();
    signals_begin();
    setvbuf(stdout, NULL, _IOLBF, 0);
    program_main *run = image_load(argv[1], argc - 1, argv + 1);
    exit(run(argc - 1, argv + 1, environ));
}
