/* frames.h: FreeBSD's structures, and what the files of signals share. See loader.h. */
#ifndef FREEBSD_FRAMES_H
#define FREEBSD_FRAMES_H

#include "loader.h"

enum { F_THR = 32 };
enum { CODE_USER = 0x10001 };
enum { T_PRIVINFLT = 1, T_BPTFLT = 3, T_ARITHTRAP = 6, T_PROTFLT = 9, T_TRCTRAP = 10, T_PAGEFLT = 12 };
enum { T_ALIGNFLT = 14, T_DIVIDE = 18, T_OFLOW = 20, T_BOUND = 21, T_SEGNPFLT = 26, T_STKFLT = 27, T_XMMFLT = 29 };
enum { HAS_SEGMENTS = 1, HAS_STATE = 4, KNOWN_FLAGS = 15 };
enum { FORMAT_XMM = 0x10002, OWNED_NONE = 0x20000, OWNED_FPU = 0x20001, OWNED_PCB = 0x20002 };
#define LEAST_STACK 2048u
#define SIGNALS 128
/* The flags that sigreturn lets a program change. */
#define USER_FLAGS 0x254dd5ul

/* ---- FreeBSD's structures ---- */

struct f_siginfo {
    int number, error, code, process;
    uint32_t user;
    int status;
    uintptr_t address, value;
    int trap;
    long more[2];
    int rest[sizeof(long) == 8 ? 4 : 5];
};
#if defined(__x86_64__)
struct f_machine {
    long on_stack, rdi, rsi, rdx, rcx, r8, r9, rax, rbx, rbp, r10, r11, r12, r13, r14, r15;
    uint32_t trap;
    uint16_t fs, gs;
    long address;
    uint32_t flags;
    uint16_t es, ds;
    long error, rip, cs, rflags, rsp, ss, length, format, owned;
    uint8_t legacy[512] __attribute__((aligned(16)));
    long fs_base, gs_base, state, state_size, tls_base, spare[3];
};
#else
struct f_machine {
    long on_stack, gs, fs, es, ds, edi, esi, ebp, isp, ebx, edx, ecx, eax, trap, error, eip, cs, eflags, esp, ss;
    long length, format, owned, flags;
    uint8_t legacy[512] __attribute__((aligned(16)));
    long fs_base, gs_base, state, state_size, spare[4];
};
#endif
struct f_stack {
    uintptr_t lowest, size;
    int flags;
};
struct f_context {
    struct mask mask;
    struct f_machine machine;
    uintptr_t link;
    struct f_stack stack;
    int flags, spare[4];
};
struct f_action {
    uintptr_t handler;
    int flags;
    uint32_t mask[4];
};
/* What is on the stack. */
struct f_frame {
#if defined(__i386__)
    uint32_t number, info, context, address;
#endif
    uintptr_t handler;
    struct f_context system;
    struct f_siginfo information;
};
#if defined(__x86_64__)
_Static_assert(sizeof(struct f_machine) == 800 && sizeof(struct f_context) == 880 && sizeof(struct f_siginfo) == 80 &&
                   offsetof(struct f_frame, system) == 16,
               "the kernel's sizes");
#else
_Static_assert(sizeof(struct f_machine) == 640 && sizeof(struct f_context) == 704 && sizeof(struct f_siginfo) == 64 &&
                   offsetof(struct f_frame, system) == 32,
               "the kernel's sizes");
#endif

/* What the C library has, too: the kernel knows only the C library's own handler. */
extern struct f_action actions[SIGNALS + 1];

static inline bool has(const struct mask *mask, int number)
{
    return mask->words[(number - 1) / 64] >> (number - 1) % 64 & 1;
}

static inline void add(struct mask *mask, int number)
{
    mask->words[(number - 1) / 64] |= UINT64_C(1) << (number - 1) % 64;
}

static inline void set_mask(struct thread *self, struct mask wanted, bool of_program)
{
    wanted.words[0] &= ~(UINT64_C(1) << (BSD_KILL - 1) | UINT64_C(1) << (BSD_STOP - 1));
    if (of_program)
        wanted.words[0] &= ~(UINT64_C(1) << (F_THR - 1));
    self->mask = wanted;
}

static inline bool is_on(const struct thread *self, uintptr_t address)
{
    return self->has_stack && address - self->stack < self->stack_size;
}

/* The XSAVE area's first part. */
#define LEGACY 512u

/* ---- state.c: the extended state: from the thread to the frame, whose second part is `rest`; and the reverse ---- */

extern uint64_t state_components;
extern uint32_t state_area_size;
void state_get(const ucontext_t *native, struct f_machine *machine, uint8_t *rest);
void state_set(ucontext_t *native, const struct f_machine *machine);

/* ---- signals.c ---- */

/* Has the thread take what is pending and not blocked. */
void signal_settle(struct thread *self);

#endif
