/* freebsd.h: as much of FreeBSD's C library as Segue and its tests name, for a machine that has no FreeBSD: build.sh
 * makes a header of each of FreeBSD's names that includes it. The library's own files name FreeBSD's headers, and
 * platform/freebsd/frame/native.h asserts the sizes and offsets that matter, so that they hold for both.
 *
 * SOURCES: FreeBSD 14: sys/sys/signal.h, sys/sys/_sigset.h, sys/sys/_ucontext.h, sys/x86/include/ucontext.h,
 * sys/x86/include/signal.h (MINSIGSTKSZ), sys/x86/include/trap.h, sys/sys/mman.h, sys/sys/umtx.h, sys/sys/thr.h,
 * sys/sys/errno.h, sys/sys/fcntl.h, sys/sys/_pthreadtypes.h, sys/sys/resource.h, sys/sys/_clock_id.h,
 * sys/x86/include/setjmp.h, sys/sys/unistd.h, sys/sys/wait.h; sysarch(2), thr_kill2(2), _umtx_op(2), pthread(3). */
#ifndef SEGUE_TESTS_FREEBSD_H
#define SEGUE_TESTS_FREEBSD_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- types ---- */

/* register_t has a word; time_t has one on i386 alone. */
typedef long register_t;
#if defined(__i386__)
typedef int time_t;
#else
typedef long time_t;
#endif
typedef long ssize_t;
typedef int64_t off_t;
typedef int pid_t;
typedef uint32_t uid_t, gid_t;
typedef uint16_t mode_t;
typedef int clockid_t;
typedef long suseconds_t;
typedef unsigned useconds_t;
struct timespec {
    time_t tv_sec;
    long tv_nsec;
};
struct timeval {
    time_t tv_sec;
    suseconds_t tv_usec;
};

/* ---- errno.h ---- */

int *__error(void);
#define errno (*__error())
#define EPERM 1
#define ENOENT 2
#define ESRCH 3
#define EINTR 4
#define EBADF 9
#define ECHILD 10
#define EDEADLK 11
#define ENOMEM 12
#define EACCES 13
#define EFAULT 14
#define EBUSY 16
#define EEXIST 17
#define EINVAL 22
#define EMFILE 24
#define EFBIG 27
#define ENOSPC 28
#define EPIPE 32
#define EDOM 33
#define ERANGE 34
#define EAGAIN 35
#define ENOTSUP 45
#define ETIMEDOUT 60
#define ENOSYS 78

/* ---- signal.h ---- */

#define SIGINT 2
#define SIGQUIT 3
#define SIGILL 4
#define SIGTRAP 5
#define SIGABRT 6
#define SIGEMT 7
#define SIGFPE 8
#define SIGKILL 9
#define SIGBUS 10
#define SIGSEGV 11
#define SIGSYS 12
#define SIGPIPE 13
#define SIGALRM 14
#define SIGTERM 15
#define SIGURG 16
#define SIGSTOP 17
#define SIGTSTP 18
#define SIGCONT 19
#define SIGCHLD 20
#define SIGXCPU 24
#define SIGVTALRM 26
#define SIGPROF 27
#define SIGWINCH 28
#define SIGINFO 29
#define SIGUSR1 30
#define SIGUSR2 31
#define SIGTHR 32
#define SIGLIBRT 33
#define SIGRTMIN 65
#define SIGRTMAX 126
#define NSIG 32

#define SIG_DFL ((void (*)(int))0)
#define SIG_IGN ((void (*)(int))1)
#define SIG_ERR ((void (*)(int)) - 1)
#define SIG_BLOCK 1
#define SIG_UNBLOCK 2
#define SIG_SETMASK 3

#define SA_ONSTACK 0x0001
#define SA_RESTART 0x0002
#define SA_RESETHAND 0x0004
#define SA_NODEFER 0x0010
#define SA_SIGINFO 0x0040

#define SI_NOINFO 0
#define SI_USER 0x10001
#define SI_QUEUE 0x10002
#define SI_TIMER 0x10003
#define SI_KERNEL 0x10006
#define SI_LWP 0x10007
#define ILL_PRVOPC 5
#define BUS_ADRALN 1
#define BUS_ADRERR 2
#define BUS_OBJERR 3
#define SEGV_MAPERR 1
#define SEGV_ACCERR 2
#define SEGV_PKUERR 100
#define FPE_INTOVF 1
#define FPE_INTDIV 2
#define FPE_FLTDIV 3
#define FPE_FLTINV 7
#define TRAP_BRKPT 1
#define TRAP_TRACE 2

#define SS_ONSTACK 0x0001
#define SS_DISABLE 0x0004
#define MINSIGSTKSZ (512 * 4)
#define SIGSTKSZ (MINSIGSTKSZ + 32768)

typedef struct {
    uint32_t __bits[4];
} sigset_t;
union sigval {
    int sival_int;
    void *sival_ptr;
};
typedef struct __siginfo {
    int si_signo, si_errno, si_code;
    pid_t si_pid;
    uid_t si_uid;
    int si_status;
    void *si_addr;
    union sigval si_value;
    union {
        struct {
            int _trapno;
        } _fault;
        struct {
            long __spare1__;
            int __spare2__[7];
        } __spare__;
    } _reason;
} siginfo_t;
#define si_trapno _reason._fault._trapno
struct sigaction {
    union {
        void (*__sa_handler)(int);
        void (*__sa_sigaction)(int, siginfo_t *, void *);
    } __sigaction_u;
    int sa_flags;
    sigset_t sa_mask;
};
#define sa_handler __sigaction_u.__sa_handler
#define sa_sigaction __sigaction_u.__sa_sigaction
typedef struct __stack_t {
    void *ss_sp;
    size_t ss_size;
    int ss_flags;
} stack_t;

typedef struct pthread *pthread_t;
int sigaction(int, const struct sigaction *, struct sigaction *);
int sigaltstack(const stack_t *, stack_t *);
int sigprocmask(int, const sigset_t *, sigset_t *);
int sigpending(sigset_t *);
int sigemptyset(sigset_t *);
int sigfillset(sigset_t *);
int sigaddset(sigset_t *, int);
int sigdelset(sigset_t *, int);
int sigismember(const sigset_t *, int);
int pthread_sigmask(int, const sigset_t *, sigset_t *);
int pthread_kill(pthread_t, int);
int kill(pid_t, int);
int raise(int);
void (*signal(int, void (*)(int)))(int);

/* ---- ucontext.h ---- */

#define _MC_HASSEGS 0x1
#define _MC_HASBASES 0x2
#define _MC_HASFPXSTATE 0x4
#define _MC_FPFMT_NODEV 0x10000
#define _MC_FPFMT_XMM 0x10002
#define _MC_FPOWNED_NONE 0x20000
#define _MC_FPOWNED_FPU 0x20001
#define _MC_FPOWNED_PCB 0x20002
#if defined(__i386__)
typedef struct __mcontext {
    register_t mc_onstack, mc_gs, mc_fs, mc_es, mc_ds, mc_edi, mc_esi, mc_ebp, mc_isp, mc_ebx, mc_edx, mc_ecx, mc_eax;
    register_t mc_trapno, mc_err, mc_eip, mc_cs, mc_eflags, mc_esp, mc_ss;
    int mc_len, mc_fpformat, mc_ownedfp;
    register_t mc_flags;
    int mc_fpstate[128] __attribute__((aligned(16)));
    register_t mc_fsbase, mc_gsbase, mc_xfpustate, mc_xfpustate_len;
    int mc_spare2[4];
} mcontext_t;
#else
typedef struct __mcontext {
    register_t mc_onstack, mc_rdi, mc_rsi, mc_rdx, mc_rcx, mc_r8, mc_r9, mc_rax, mc_rbx, mc_rbp, mc_r10, mc_r11;
    register_t mc_r12, mc_r13, mc_r14, mc_r15;
    uint32_t mc_trapno;
    uint16_t mc_fs, mc_gs;
    register_t mc_addr;
    uint32_t mc_flags;
    uint16_t mc_es, mc_ds;
    register_t mc_err, mc_rip, mc_cs, mc_rflags, mc_rsp, mc_ss;
    long mc_len, mc_fpformat, mc_ownedfp;
    long mc_fpstate[64] __attribute__((aligned(16)));
    register_t mc_fsbase, mc_gsbase, mc_xfpustate, mc_xfpustate_len, mc_tlsbase;
    long mc_spare[3];
} mcontext_t;
#endif
typedef struct __ucontext {
    sigset_t uc_sigmask;
    mcontext_t uc_mcontext;
    struct __ucontext *uc_link;
    stack_t uc_stack;
    int uc_flags;
    int __spare__[4];
} ucontext_t;

/* ---- machine/trap.h ---- */

#define T_PRIVINFLT 1
#define T_BPTFLT 3
#define T_ARITHTRAP 6
#define T_PROTFLT 9
#define T_TRCTRAP 10
#define T_PAGEFLT 12
#define T_ALIGNFLT 14
#define T_DIVIDE 18
#define T_NMI 19
#define T_OFLOW 20
#define T_BOUND 21
#define T_DNA 22
#define T_DOUBLEFLT 23
#define T_TSSFLT 25
#define T_SEGNPFLT 26
#define T_STKFLT 27
#define T_MCHK 28
#define T_XMMFLT 29

/* ---- machine/sysarch.h, sys/thr.h, sys/umtx.h ---- */

#if defined(__i386__)
int i386_get_fsbase(void **);
int i386_get_gsbase(void **);
int i386_set_fsbase(void *);
int i386_set_gsbase(void *);
#else
int amd64_get_fsbase(void **);
int amd64_get_gsbase(void **);
int amd64_set_fsbase(void *);
int amd64_set_gsbase(void *);
#endif
int thr_self(long *);
int thr_kill(long, int);
int thr_kill2(pid_t, long, int);
#define UMTX_OP_WAIT_UINT_PRIVATE 15
#define UMTX_OP_WAKE_PRIVATE 16
int _umtx_op(void *, int, unsigned long, void *, void *);

/* ---- sys/mman.h, sys/resource.h ---- */

#define PROT_NONE 0
#define PROT_READ 1
#define PROT_WRITE 2
#define PROT_EXEC 4
#define MAP_SHARED 0x0001
#define MAP_PRIVATE 0x0002
#define MAP_FIXED 0x0010
#define MAP_ANON 0x1000
#define MAP_ANONYMOUS MAP_ANON
#define MAP_GUARD 0x2000
#define MAP_EXCL 0x4000
#define MAP_NOCORE 0x20000
#define MAP_FAILED ((void *)-1)
#define MADV_FREE 5
#define MADV_NOCORE 8
#define INHERIT_NONE 2
#define INHERIT_ZERO 3
#define SHM_ANON ((char *)1)
void *mmap(void *, size_t, int, int, int, off_t);
int munmap(void *, size_t);
int mprotect(void *, size_t, int);
int madvise(void *, size_t, int);
int minherit(void *, size_t, int);
int shm_open(const char *, int, mode_t);
#define RLIMIT_AS 10
#define RLIM_INFINITY INT64_MAX
struct rlimit {
    int64_t rlim_cur, rlim_max;
};
int getrlimit(int, struct rlimit *);

/* ---- unistd.h, fcntl.h, sys/wait.h, sched.h ---- */

#define O_RDWR 0x0002
#define O_NONBLOCK 0x0004
#define O_CLOEXEC 0x00100000
#define STDIN_FILENO 0
#define STDOUT_FILENO 1
#define STDERR_FILENO 2
#define _SC_PAGESIZE 47
#define _SC_NPROCESSORS_ONLN 58
long sysconf(int);
ssize_t read(int, void *, size_t);
ssize_t write(int, const void *, size_t);
int close(int);
int ftruncate(int, off_t);
int pipe(int[2]);
int pipe2(int[2], int);
pid_t fork(void);
pid_t getpid(void);
int usleep(useconds_t);
unsigned alarm(unsigned);
int isatty(int);
_Noreturn void _exit(int);
pid_t waitpid(pid_t, int *, int);
#define WNOHANG 1
#define WTERMSIG(status) ((status)&0x7f)
#define WIFSIGNALED(status) (WTERMSIG(status) != 0x7f && WTERMSIG(status) != 0)
#define WIFEXITED(status) (WTERMSIG(status) == 0)
#define WEXITSTATUS(status) (((status) >> 8) & 0xff)
int sched_yield(void);

/* ---- pthread.h ---- */

typedef struct pthread_attr *pthread_attr_t;
typedef struct pthread_mutex *pthread_mutex_t;
typedef int pthread_key_t;
#define PTHREAD_MUTEX_INITIALIZER NULL
pthread_t pthread_self(void);
int pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
int pthread_join(pthread_t, void **);
int pthread_equal(pthread_t, pthread_t);
int pthread_getthreadid_np(void);
int pthread_atfork(void (*)(void), void (*)(void), void (*)(void));
int pthread_key_create(pthread_key_t *, void (*)(void *));
int pthread_setspecific(pthread_key_t, const void *);
void *pthread_getspecific(pthread_key_t);
int pthread_mutex_init(pthread_mutex_t *, const void *);
int pthread_mutex_lock(pthread_mutex_t *);
int pthread_mutex_trylock(pthread_mutex_t *);
int pthread_mutex_unlock(pthread_mutex_t *);
int pthread_attr_init(pthread_attr_t *);
int pthread_attr_destroy(pthread_attr_t *);
int pthread_attr_get_np(pthread_t, pthread_attr_t *);
int pthread_attr_getstack(const pthread_attr_t *, void **, size_t *);

/* ---- time.h ---- */

#define CLOCK_REALTIME 0
#define CLOCK_MONOTONIC 4
int clock_gettime(clockid_t, struct timespec *);
int nanosleep(const struct timespec *, struct timespec *);
time_t time(time_t *);

/* ---- fenv.h, sys/time.h ---- */

#define FE_TONEAREST 0x0000
#define FE_DOWNWARD 0x0400
#define FE_UPWARD 0x0800
#define FE_TOWARDZERO 0x0c00
int fegetround(void);
int fesetround(int);
#define ITIMER_REAL 0
struct itimerval {
    struct timeval it_interval, it_value;
};
int setitimer(int, const struct itimerval *, struct itimerval *);

/* ---- setjmp.h ---- */

#if defined(__i386__)
typedef struct {
    int _jb[12];
} jmp_buf[1];
#else
typedef struct {
    long _jb[12];
} jmp_buf[1];
#endif
__attribute__((returns_twice)) int setjmp(jmp_buf);
_Noreturn void longjmp(jmp_buf, int);
typedef jmp_buf sigjmp_buf;
__attribute__((returns_twice)) int sigsetjmp(sigjmp_buf, int);
_Noreturn void siglongjmp(sigjmp_buf, int);

/* ---- string.h, stdlib.h, stdio.h, ctype.h ---- */

void *memcpy(void *, const void *, size_t);
void *memmove(void *, const void *, size_t);
void *memset(void *, int, size_t);
int memcmp(const void *, const void *, size_t);
void *memchr(const void *, int, size_t);
size_t strlen(const char *);
int strcmp(const char *, const char *);
int strncmp(const char *, const char *, size_t);
char *strchr(const char *, int);
char *strrchr(const char *, int);
char *strstr(const char *, const char *);
char *strcpy(char *, const char *);
char *strncpy(char *, const char *, size_t);
char *strdup(const char *);
char *strerror(int);
char *strtok(char *, const char *);
char *strtok_r(char *, const char *, char **);
char *strcat(char *, const char *);
size_t strspn(const char *, const char *);
size_t strcspn(const char *, const char *);
void *malloc(size_t);
void *calloc(size_t, size_t);
void *realloc(void *, size_t);
void free(void *);
_Noreturn void abort(void);
_Noreturn void exit(int);
int atexit(void (*)(void));
char *getenv(const char *);
int rand(void);
void srand(unsigned);
long strtol(const char *, char **, int);
unsigned long strtoul(const char *, char **, int);
unsigned long long strtoull(const char *, char **, int);
void qsort(void *, size_t, size_t, int (*)(const void *, const void *));
uint32_t arc4random(void);
#define EXIT_SUCCESS 0
#define EXIT_FAILURE 1

typedef struct __sFILE FILE;
extern FILE *__stdinp, *__stdoutp, *__stderrp;
#define stdin __stdinp
#define stdout __stdoutp
#define stderr __stderrp
#define EOF (-1)
int printf(const char *, ...) __attribute__((format(printf, 1, 2)));
int fprintf(FILE *, const char *, ...) __attribute__((format(printf, 2, 3)));
int vprintf(const char *, va_list) __attribute__((format(printf, 1, 0)));
int vfprintf(FILE *, const char *, va_list) __attribute__((format(printf, 2, 0)));
int snprintf(char *, size_t, const char *, ...) __attribute__((format(printf, 3, 4)));
int vsnprintf(char *, size_t, const char *, va_list) __attribute__((format(printf, 3, 0)));
int sprintf(char *, const char *, ...) __attribute__((format(printf, 2, 3)));
int sscanf(const char *, const char *, ...) __attribute__((format(scanf, 2, 3)));
int puts(const char *);
int putchar(int);
int fputs(const char *, FILE *);
int fputc(int, FILE *);
int fflush(FILE *);
void setbuf(FILE *, char *);
FILE *fopen(const char *, const char *);
int fclose(FILE *);
size_t fread(void *, size_t, size_t, FILE *);
size_t fwrite(const void *, size_t, size_t, FILE *);
char *fgets(char *, int, FILE *);
ssize_t getline(char **, size_t *, FILE *);
int feof(FILE *);
int isspace(int);
int isdigit(int);
int isprint(int);
int isxdigit(int);
int strcasecmp(const char *, const char *);
_Noreturn void __assert(const char *, const char *, int, const char *);
#define assert(condition) ((condition) ? (void)0 : __assert(__func__, __FILE__, __LINE__, #condition))

/* ---- inttypes.h ---- */

#if defined(__i386__)
#define PRIX64 "llX"
#define PRIx64 "llx"
#define PRIu64 "llu"
#define PRId64 "lld"
#else
#define PRIX64 "lX"
#define PRIx64 "lx"
#define PRIu64 "lu"
#define PRId64 "ld"
#endif
#define PRIx32 "x"
#define PRIu32 "u"
#define PRIdS "zd"

/* ---- limits.h ---- */

#ifndef INT_MAX
#define INT_MAX __INT_MAX__
#define UINT_MAX (2u * INT_MAX + 1)
#define LONG_MAX __LONG_MAX__
#define ULONG_MAX (2ul * LONG_MAX + 1)
#endif
#define SSIZE_MAX LONG_MAX
#define PATH_MAX 1024

#endif
