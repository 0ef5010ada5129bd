/* frame.c: see frame.h.
 *
 * SOURCES: Linux arch/x86/kernel/signal_64.c (rt_sigreturn, the frame's flags), arch/x86/kernel/fpu/signal.c (what it
 * demands of the floating-point state); Intel SDM vol. 1, 13.4 (the XSAVE area) and 13.2 (CPUID leaf 0DH). */
#include "frame.h"

#include <cpuid.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>

#define MOST_CODE (UINT64_C(16) << 20)
/* The XSAVE area: what software may use in it, which components are not in their first state, its smallest size. */
#define SOFTWARE 464u
#define COMPONENTS 512u
#define LEGACY 576u
#define XSAVE_LEAF 0xdu
#define MAGIC_1 UINT32_C(0x46505853)
#define MAGIC_2 UINT32_C(0x46505845)
/* uc_flags: there is an XSAVE area; ss is in the frame; and is to be loaded. */
#define FLAGS 7u
/* An alternate stack that the kernel refuses, so that it leaves the thread's as it is. */
#define NO_STACK 7
/* In the link: what a function returns to; what is popped; the restorer. */
#define LINK_SIZE 24u
#define SYSCALL_END 9u

/* ---- the C library's code ---- */

static const unsigned char store[] = {0x48, 0x89, 0x03, 0x5b, 0xc3};
static const unsigned char restorer[] = {0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05};

static void find_in(struct frame *frame, pid_t process, uint64_t start, size_t size)
{
    unsigned char *code = malloc(size);
    struct iovec local = {code, size}, remote = {(void *)(uintptr_t)start, size};
    if (code && process_vm_readv(process, &local, 1, &remote, 1, 0) == (ssize_t)size) {
        const unsigned char *found = memmem(code, size, store, sizeof store);
        if (found)
            frame->store = start + (uint64_t)(found - code);
        found = memmem(code, size, restorer, sizeof restorer);
        if (found)
            frame->restorer = start + (uint64_t)(found - code);
    }
    free(code);
}

bool frame_find(struct frame *frame, pid_t process)
{
    char path[64], line[512], rights[5];
    uint64_t start, end;
    *frame = (struct frame){.store = 0};
    snprintf(path, sizeof path, "/proc/%d/maps", (int)process);
    FILE *maps = fopen(path, "re");
    while (maps && fgets(line, sizeof line, maps))
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &start, &end, rights) == 3 && strcmp(rights, "r-xp") == 0 &&
            (strstr(line, "/libc.so") || strstr(line, "/libc-2.")) && end - start <= MOST_CODE)
            find_in(frame, process, start, end - start);
    if (maps)
        fclose(maps);
    return frame->store && frame->restorer;
}

/* ---- the frame ---- */

/* How much of the area its components need. */
static size_t size_of(uint64_t components)
{
    size_t size = LEGACY;
    for (unsigned i = 2; i < 63; i++) {
        unsigned length, offset, flags, unused;
        if (components >> i & 1 && __get_cpuid_count(XSAVE_LEAF, i, &length, &offset, &flags, &unused) &&
            offset + (size_t)length > size)
            size = offset + (size_t)length;
    }
    return size;
}

static void make_context(ucontext_t *context, const struct user_regs_struct *regs, uint64_t mask, uint64_t state)
{
    const uint64_t values[] = {
        [REG_R8] = regs->r8,
        [REG_R9] = regs->r9,
        [REG_R10] = regs->r10,
        [REG_R11] = regs->r11,
        [REG_R12] = regs->r12,
        [REG_R13] = regs->r13,
        [REG_R14] = regs->r14,
        [REG_R15] = regs->r15,
        [REG_RDI] = regs->rdi,
        [REG_RSI] = regs->rsi,
        [REG_RBP] = regs->rbp,
        [REG_RBX] = regs->rbx,
        [REG_RDX] = regs->rdx,
        [REG_RAX] = regs->rax,
        [REG_RCX] = regs->rcx,
        [REG_RSP] = regs->rsp,
        [REG_RIP] = regs->rip,
        [REG_EFL] = regs->eflags,
        [REG_CSGSFS] = (regs->cs & 0xffff) | (regs->ss & 0xffff) << 48,
    };
    memset(context, 0, sizeof *context);
    context->uc_flags = FLAGS;
    context->uc_stack.ss_flags = NO_STACK;
    memcpy(context->uc_mcontext.gregs, values, sizeof values);
    context->uc_mcontext.fpregs = (fpregset_t)(uintptr_t)state;
    memcpy(&context->uc_sigmask, &mask, sizeof mask);
}

void *frame_make(struct frame *frame, const struct user_regs_struct *regs, uint64_t mask, const void *state,
                 size_t state_size, uint64_t top)
{
    uint64_t components = 0;
    const uint32_t magic = MAGIC_2;
    if (state_size < LEGACY)
        return NULL;
    memcpy(&components, (const char *)state + COMPONENTS, sizeof components);
    const size_t size = size_of(components);
    if (size > state_size)
        return NULL;
    frame->text = top - FRAME_TEXT;
    frame->result = (frame->text - sizeof(uint64_t)) & ~UINT64_C(7);
    frame->state = (frame->result - size - sizeof magic) & ~UINT64_C(63);
    frame->context = (frame->state - sizeof(ucontext_t)) & ~UINT64_C(63);
    frame->link = frame->context - LINK_SIZE;
    frame->size = frame->state + size + sizeof magic - frame->link;
    char *memory = calloc(1, frame->size);
    if (!memory)
        return NULL;
    const uint64_t link[] = {frame->store, 0, frame->restorer};
    memcpy(memory, link, sizeof link);
    ucontext_t context;
    make_context(&context, regs, mask, frame->state);
    memcpy(memory + LINK_SIZE, &context, sizeof context);
    /* The size of all components may be more than the kernel takes from this thread. */
    const struct {
        uint32_t magic, extended_size;
        uint64_t components;
        uint32_t size, padding[7];
    } software = {MAGIC_1, (uint32_t)(size + sizeof magic), components | 3, (uint32_t)size, {0}};
    char *area = memory + (frame->state - frame->link);
    memcpy(area, state, size);
    memcpy(area + SOFTWARE, &software, sizeof software);
    memcpy(area + size, &magic, sizeof magic);
    return memory;
}

/* ---- the thread ---- */

void frame_park(const struct frame *frame, struct user_regs_struct *regs)
{
    regs->rip = frame->restorer;
    regs->rsp = frame->context;
    regs->orig_rax = UINT64_MAX;
}

void frame_call(const struct frame *frame, struct user_regs_struct *regs)
{
    regs->rsp = frame->link;
    regs->rbx = frame->result;
}

bool frame_is_back(const struct frame *frame, const struct user_regs_struct *regs)
{
    return regs->rip == frame->restorer + SYSCALL_END && regs->rsp == frame->context &&
           regs->orig_rax == SYS_rt_sigreturn;
}
