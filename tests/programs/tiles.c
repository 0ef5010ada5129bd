#define _GNU_SOURCE
#include <errno.h>
#include <immintrin.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>
static struct { uint8_t palette, start, none[14]; uint16_t bytes[16]; uint8_t rows[16]; } shape __attribute__((aligned(64))) = {.palette = 1, .bytes = {64}, .rows = {16}}, now __attribute__((aligned(64)));
static __thread uint8_t from[1024], to[1024];
static volatile unsigned size; static int mode;
static void load(int value) { memset(from, value, sizeof from); _tile_loadconfig(&shape); _tile_loadd(0, from, 64); }
static int held(void) { memset(to, 0xff, sizeof to); _tile_stored(0, to, 64); for (int i = 0; i < 1024; i++) if (to[i] != to[0]) return -1; return to[0]; }
static void widen(int value) { __m512i v = _mm512_set1_epi32(value); __asm__ volatile("vmovdqu64 %0, %%zmm17\nvmovdqu64 %0, %%zmm3" : : "m"(v) : "xmm3", "xmm17"); }
static int wide(void) { int v[2][16]; __asm__ volatile("vmovdqu64 %%zmm17, %0\nvmovdqu64 %%zmm3, %1" : "=m"(v[0]), "=m"(v[1])); return v[0][15] == v[1][15] ? v[0][15] : -1; }
/* Without a function between: what a call of the C library does to the registers is its own affair. */
static long call(long number, long a, long b, long c) { long r; __asm__ volatile("syscall" : "=a"(r) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory"); return r; }
static void handler(int n, siginfo_t *i, void *c) { (void)n; (void)i; memcpy((void *)&size, (char *)((ucontext_t *)c)->uc_mcontext.fpregs + 468, 4); if (mode == 1) load(9); if (mode == 2) { int s; pid_t p = fork(); if (p) { waitpid(p, &s, 0); printf("child of the handler %x\n", s); } } }
static void tell(int n) { call(SYS_tgkill, getpid(), gettid(), n); }
static void told(const char *what) { int w = wide(); printf("%s: wide %d, frame %u\n", what, w, size); fflush(stdout); }
static void configuration(const char *what) { _tile_storeconfig(&now); printf("%s: palette %d", what, now.palette); printf(now.palette ? " tile %d\n" : "\n", now.palette ? held() : 0); fflush(stdout); }
static void *work(void *argument) { int wrong = 0; for (int i = 0; i < 50; i++) { load((int)(long)argument); raise(SIGUSR1); wrong += held() != (int)(long)argument; } return (void *)(long)wrong; }
int main(void)
{
    static char small[4096]; stack_t stack = {.ss_sp = small, .ss_size = sizeof small}; long r; pthread_t threads[4]; void *wrong; pid_t child;
    struct sigaction action; memset(&action, 0, sizeof action); action.sa_sigaction = handler; action.sa_flags = SA_SIGINFO; sigaction(SIGUSR1, &action, NULL);
    sigaltstack(&stack, NULL); errno = 0; r = syscall(SYS_arch_prctl, 0x1023, 18); printf("with a small stack %ld %d\n", r, errno);
    stack.ss_flags = SS_DISABLE; sigaltstack(&stack, NULL); r = syscall(SYS_arch_prctl, 0x1023, 18); if (r) { printf("no tiles\n"); return 0; }
    stack.ss_flags = 0; errno = 0; r = sigaltstack(&stack, NULL); printf("a small stack afterwards %ld %d\n", r, errno);
    widen(71); mode = 0; tell(SIGUSR1); told("before the first use");
    widen(72); mode = 1; tell(SIGUSR1); told("first use in the handler");
    load(5); mode = 0; tell(SIGUSR1); printf("kept %d\n", held());
    load(6); widen(73); mode = 1; tell(SIGUSR1); told("another in the handler"); printf("kept %d\n", held()); fflush(stdout);
    load(7); widen(74); mode = 2; child = getpid(); tell(SIGUSR1);
    if (getpid() != child) { told("in the handler's child"); _exit(3); }
    printf("kept %d\n", held()); fflush(stdout);
    load(8); widen(75); child = (pid_t)call(SYS_fork, 0, 0, 0);
    if (!child) { int w = wide(); configuration("child"); printf("wide %d\n", w); fflush(stdout); _exit(0); }
    waitpid(child, NULL, 0); printf("kept %d\n", held()); mode = 0;
    for (long i = 0; i < 4; i++) pthread_create(&threads[i], NULL, work, (void *)(i + 1));
    for (int i = 0; i < 4; i++) { pthread_join(threads[i], &wrong); printf("%ld wrong\n", (long)wrong); }
    return 0;
}
