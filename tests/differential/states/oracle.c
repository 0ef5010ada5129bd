/* oracle.c: one instruction run by the processor itself (see oracle.h).
 *
 * SOURCES: Intel SDM volume 1, chapter 13 (XSAVE area, standard format; XRSTOR raises #GP for reserved bits of MXCSR
 * and of the header) and volume 3, 8.1.3 (code that is changed at the address where it runs needs no more than a jump).
 */
#if !defined(__linux__) || !defined(__x86_64__)
#error "oracle.c is specific to Linux on x86-64"
#endif

#include "oracle.h"

#include <cpuid.h>
#include <immintrin.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define ARCH_SET_GS 0x1001
#define ARCH_GET_GS 0x1004
#define HWCAP2_FSGSBASE 2u
#define PAGE 4096u
#define TRAP_PAGE_FAULT 14
#define STACK_SIZE ((size_t)1 << 20)
#define ALIGNMENT_CHECK 0x40000u

/* x87, SSE, AVX, opmask, upper halves of ZMM0..15, ZMM16..31. Protection keys (9) would take memory away from the
 * host; the tile registers (17, 18) need the kernel's leave; the bound registers (3, 4) are gone. */
#define FEATURES_WANTED 0xe7u
#define LEGACY_SIZE 512u
#define HEADER_SIZE 64u
#define MXCSR 24
#define MXCSR_MASK 28
#define MXCSR_INITIAL 0x1f80u
#define COMPONENT_SSE 2u

/* The landing's address stands at the start of the mapping, aligned, since an instruction may run with alignment
 * checks. A slot is an instruction's bytes, then `jmp *address(%rip)`. Its size divides no page, so that some
 * instructions lie across two. */
#define INSN_BYTES 16
#define JUMP_BYTES 6
#define SLOT_SIZE (INSN_BYTES + JUMP_BYTES + 1)

struct oracle_context {
    struct oracle_registers before, after;
    uint64_t host_stack;
    uint64_t code;
    const void *image_before;
    void *image_after;
    const void *image_host;
    uint64_t features;
};

_Static_assert(offsetof(struct oracle_registers, general[7]) == ORACLE_RSP, "oracle.h");
_Static_assert(offsetof(struct oracle_registers, rflags) == ORACLE_RFLAGS, "oracle.h");
_Static_assert(offsetof(struct oracle_context, before) == ORACLE_BEFORE, "oracle.h");
_Static_assert(offsetof(struct oracle_context, after) == ORACLE_AFTER, "oracle.h");
_Static_assert(offsetof(struct oracle_context, host_stack) == ORACLE_HOST_STACK, "oracle.h");
_Static_assert(offsetof(struct oracle_context, code) == ORACLE_CODE, "oracle.h");
_Static_assert(offsetof(struct oracle_context, image_before) == ORACLE_IMAGE_BEFORE, "oracle.h");
_Static_assert(offsetof(struct oracle_context, image_after) == ORACLE_IMAGE_AFTER, "oracle.h");
_Static_assert(offsetof(struct oracle_context, image_host) == ORACLE_IMAGE_HOST, "oracle.h");
_Static_assert(offsetof(struct oracle_context, features) == ORACLE_FEATURES, "oracle.h");

extern struct oracle_context oracle_context __attribute__((visibility("hidden")));
struct oracle_context oracle_context;
extern const char oracle_landing[] __attribute__((visibility("hidden")));
void oracle_enter(void) __attribute__((visibility("hidden")));

static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
/* How many of them another handler may stand in for. */
#define SHARED_SIGNALS 2

static struct sigaction own_action;
static struct sigaction kept_actions[SHARED_SIGNALS];
static struct oracle_signal caught;
static uint64_t code_base, code_size, slot_count;
static bool has_fsgsbase;
static greg_t own_code_segment;
static uint32_t mxcsr_mask;
static size_t image_size;
static struct oracle_component components[2 + 8];
static size_t component_count;
/* The initial state: nothing is in use. XRSTOR may touch all of the area nevertheless. */
static _Alignas(64) uint8_t image_host[ORACLE_IMAGE_MAX];

/* Anything that is not a slot's is a real crash, and stays one. */
static void on_signal(int number, siginfo_t *info, void *ucontext)
{
    greg_t *gregs = ((ucontext_t *)ucontext)->uc_mcontext.gregs;
    /* The kernel leaves the alignment check flag as the instruction had it. */
    __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() & ~(uint64_t)ALIGNMENT_CHECK);
    uint64_t instruction = (uint64_t)gregs[REG_RIP];
    if (instruction - code_base >= code_size) {
        signal(number, SIG_DFL);
        return;
    }
    caught = (struct oracle_signal){
        .number = number,
        .code = info->si_code,
        .address = (uint64_t)(uintptr_t)info->si_addr,
        .trap = (uint64_t)gregs[REG_TRAPNO],
        .error = (uint64_t)gregs[REG_ERR],
        /* For any other exception the frame holds that of the last page fault. */
        .page_fault_address = gregs[REG_TRAPNO] == TRAP_PAGE_FAULT ? (uint64_t)gregs[REG_CR2] : 0,
        .instruction = instruction,
    };
    gregs[REG_RIP] = (greg_t)(uintptr_t)oracle_landing;
    /* It may have been 32-bit code. */
    gregs[REG_CSGSFS] = (gregs[REG_CSGSFS] & ~(greg_t)0xffff) | own_code_segment;
}

static void add_component(const char *name, uint32_t offset, uint32_t size)
{
    components[component_count++] = (struct oracle_component){name, offset, size};
    if (image_size < offset + size)
        image_size = (offset + size + 63) / 64 * 64;
}

static const char *learn_processor(void)
{
    static const struct {
        unsigned bit;
        const char *name;
    } extended[] = {{2, "ymm_hi128"}, {5, "opmask"}, {6, "zmm_hi256"}, {7, "hi16_zmm"}};
    unsigned eax, ebx, ecx, edx, low, high;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & bit_OSXSAVE))
        return "the processor or the system has no XSAVE";
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    oracle_context.features = low & FEATURES_WANTED;
    add_component("x87 control, status, tags", 0, 5);
    add_component("mxcsr, st, xmm", MXCSR, 416 - MXCSR);
    for (size_t i = 0; i < sizeof extended / sizeof *extended; i++) {
        if (!(oracle_context.features >> extended[i].bit & 1))
            continue;
        __cpuid_count(0xd, extended[i].bit, eax, ebx, ecx, edx);
        add_component(extended[i].name, ebx, eax);
    }
    if (image_size < LEGACY_SIZE + HEADER_SIZE)
        image_size = LEGACY_SIZE + HEADER_SIZE;
    if (image_size > ORACLE_IMAGE_MAX)
        return "the processor's XSAVE area is larger than expected";
    __asm__("mov %%cs, %0" : "=r"(own_code_segment));
    has_fsgsbase = getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE;
    __asm__("fxsave64 %0" : "=m"(image_host));
    memcpy(&mxcsr_mask, image_host + MXCSR_MASK, sizeof mxcsr_mask);
    memset(image_host + LEGACY_SIZE, 0, HEADER_SIZE);
    oracle_context.image_host = image_host;
    return NULL;
}

const char *oracle_prepare(uint64_t code, size_t slots)
{
    const char *why = learn_processor();
    if (why)
        return why;
    slot_count = slots;
    code_base = code;
    code_size = (sizeof(uint64_t) + slots * SLOT_SIZE + PAGE - 1) / PAGE * PAGE;
    /* One page more, closed: what reads code must stop where it ends. */
    void *mapped =
        mmap((void *)code, code_size + PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (mapped != (void *)code)
        return "the addresses for the code slots are taken";
    oracle_slots_open();
    *(uint64_t *)code_base = (uint64_t)(uintptr_t)oracle_landing;
    oracle_slots_close();

    /* SA_ONSTACK: the stack pointer is random when the signal comes. The stack is our own, large enough for the library
     * to keep: it enters a handler that was there before where the kernel would have. */
    stack_t stack = {.ss_size = STACK_SIZE};
    stack.ss_sp = mmap(NULL, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack.ss_sp == MAP_FAILED || sigaltstack(&stack, NULL) != 0)
        return "there is no alternate stack";
    own_action.sa_sigaction = on_signal;
    own_action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigfillset(&own_action.sa_mask);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (sigaction(signals[i], &own_action, NULL) != 0)
            return "sigaction failed";
    return NULL;
}

size_t oracle_image_size(void)
{
    return image_size;
}

uint64_t oracle_features(void)
{
    return oracle_context.features;
}

const struct oracle_component *oracle_components(size_t *count)
{
    *count = component_count;
    return components;
}

void oracle_image_random(struct random *random, void *image)
{
    uint8_t *bytes = image;
    uint32_t mxcsr;
    uint64_t in_use = oracle_context.features;
    random_fill(random, bytes, image_size);
    memcpy(&mxcsr, bytes + MXCSR, sizeof mxcsr);
    mxcsr &= mxcsr_mask;
    if (random_below(random, 4) == 0)
        in_use &= random_next(random);
    /* With another MXCSR than the initial one, whether the XMM registers count as in use changes when the kernel saves
     * and restores them: XSAVEOPT would show each preemption (docs/facts.md). */
    if (!(in_use & COMPONENT_SSE))
        mxcsr = MXCSR_INITIAL;
    memcpy(bytes + MXCSR, &mxcsr, sizeof mxcsr);
    memset(bytes + LEGACY_SIZE, 0, HEADER_SIZE);
    memcpy(bytes + LEGACY_SIZE, &in_use, sizeof in_use);
}

void oracle_slots_open(void)
{
    mprotect((void *)code_base, code_size, PROT_READ | PROT_WRITE);
}

void oracle_slots_close(void)
{
    mprotect((void *)code_base, code_size, PROT_READ | PROT_EXEC);
}

uint64_t oracle_slot_address(size_t slot, size_t length)
{
    uint64_t end = code_base + code_size - (slot_count - 1 - slot) * SLOT_SIZE;
    return end - JUMP_BYTES - length;
}

void oracle_slot_write(size_t slot, const void *bytes, size_t length)
{
    static const uint8_t jump[] = {0xff, 0x25};
    uint8_t *at = (uint8_t *)oracle_slot_address(slot, length);
    int32_t displacement = (int32_t)(code_base - ((uint64_t)at + length + JUMP_BYTES));
    memcpy(at, bytes, length);
    memcpy(at + length, jump, sizeof jump);
    memcpy(at + length + sizeof jump, &displacement, sizeof displacement);
}

void oracle_signals_take(void)
{
    for (size_t i = 0; i < SHARED_SIGNALS; i++)
        sigaction(signals[i], &own_action, &kept_actions[i]);
}

void oracle_signals_give_back(void)
{
    for (size_t i = 0; i < SHARED_SIGNALS; i++)
        sigaction(signals[i], &kept_actions[i], NULL);
}

__attribute__((target("fsgsbase"))) static void gs_base_set(uint64_t base)
{
    if (has_fsgsbase)
        _writegsbase_u64(base);
    else
        syscall(SYS_arch_prctl, ARCH_SET_GS, base);
}

__attribute__((target("fsgsbase"))) static uint64_t gs_base_get(void)
{
    uint64_t base = 0;
    if (has_fsgsbase)
        return _readgsbase_u64();
    syscall(SYS_arch_prctl, ARCH_GET_GS, &base);
    return base;
}

void oracle_run(const struct oracle_input *input, struct oracle_output *output)
{
    caught.number = 0;
    oracle_context.before = *input->registers;
    oracle_context.code = input->code;
    oracle_context.image_before = input->image;
    oracle_context.image_after = output->image;
    gs_base_set(input->gs_base);
    oracle_enter();
    output->gs_base = gs_base_get();
    output->registers = oracle_context.after;
    output->signal = (struct oracle_signal){0};
    if (caught.number)
        output->signal = caught;
}
