#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>
#define INITIAL 0x55555554u
static unsigned rights(void) { unsigned a, d; __asm__ volatile("rdpkru" : "=a"(a), "=d"(d) : "c"(0)); return a; }
static void set_rights(unsigned v) { __asm__ volatile("wrpkru" : : "a"(v), "c"(0), "d"(0) : "memory"); }
static sigjmp_buf again; static volatile unsigned inside; static volatile int code, key_told; static char *page;
static void jumps(int n, siginfo_t *i, void *c)
{
    (void)c; inside = rights(); code = i->si_code; key_told = (int)i->si_pkey;
    if (n == SIGSEGV) siglongjmp(again, 1);
}
/* Gives the key back in the state that it returns to. */
static void opens(int n, siginfo_t *i, void *c)
{
    char *state = (char *)((ucontext_t *)c)->uc_mcontext.fpregs; unsigned a = 13, at, x = 9, d, all = 0; uint64_t present;
    (void)n; (void)i; __asm__("cpuid" : "+a"(a), "=b"(at), "+c"(x), "=d"(d));
    memcpy(state + at, &all, 4); memcpy(&present, state + 512, 8); present |= 1u << 9; memcpy(state + 512, &present, 8);
}
static void set(int n, void *handler, int flags)
{
    struct sigaction action; memset(&action, 0, sizeof action); action.sa_sigaction = (void (*)(int, siginfo_t *, void *))handler;
    action.sa_flags = SA_SIGINFO | flags; sigaction(n, &action, NULL);
}
static void *work(void *argument) { printf("thread %x\n", rights()); return argument; }
int main(void)
{
    /* mov rax, fs:0x10; ret */
    static const unsigned char pointer[] = {0x64, 0x48, 0x8b, 4, 0x25, 16, 0, 0, 0, 0xc3};
    int key = pkey_alloc(0, 0); pthread_t one; char *code_page, link[64]; long r;
    if (key < 0) { printf("no keys\n"); return 0; }
    unsigned closed = INITIAL | 3u << 2 * key, open = INITIAL & ~(3u << 2 * key);
    printf("key %d, rights %x\n", key, rights());
    page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); strcpy(page, "hello"); pkey_mprotect(page, 4096, PROT_READ | PROT_WRITE, key);
    set(SIGUSR1, jumps, 0); raise(SIGUSR1); printf("handler %x, after %x\n", inside, rights());
    set_rights(closed); set(SIGSEGV, jumps, 0);
    if (!sigsetjmp(again, 1)) printf("%c\n", *page); else printf("fault %d, key %d, handler %x, after %x\n", code, key_told, inside, rights());
    set_rights(closed); set(SIGSEGV, opens, 0); printf("read %c\n", *page);
    set_rights(closed); errno = 0; r = write(1, page, 1); printf("write %ld %d\n", r, errno);
    errno = 0; r = syscall(SYS_rt_sigaction, SIGUSR2, page, NULL, 8); printf("closed %ld %d\n", r, errno);
    set_rights(open); memset(page, 0, 64); printf("open %ld", syscall(SYS_rt_sigaction, SIGUSR2, page, NULL, 8)); printf(" %ld\n", syscall(SYS_rt_sigprocmask, SIG_BLOCK, page, page + 8, 8));
    strcpy(page, "/proc/self/exe"); printf("link %d\n", readlink(page, link, sizeof link) > 0);
    pthread_create(&one, NULL, work, NULL); pthread_join(one, NULL); fflush(stdout);
    if (!fork()) { printf("child %x\n", rights()); fflush(stdout); _exit(0); }
    wait(NULL);
    code_page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); memcpy(code_page, pointer, sizeof pointer);
    printf("execute only %d\n", mprotect(code_page, 4096, PROT_EXEC)); set(SIGSEGV, jumps, 0);
    if (!sigsetjmp(again, 1)) { printf("pointer %d\n", ((void *(*)(void))(uintptr_t)code_page)() == (void *)pthread_self()); printf("%d\n", *(volatile char *)code_page); }
    else printf("cannot be read: %d\n", code);
    return 0;
}
