/* fault_linux_x86_64.c: SOURCES: segue/patch.h; Intel SDM volume 3, 4.7 (error code). */
#include "fault.h"

#include <segue/patch.h>
#include <string.h>

#include "deliver.h"
#include "keys.h"
#include "memory.h"
#include "module.h"
#include "registers.h"
#include "report.h"
#include "settings.h"

#define TRAP_PAGE_FAULT 14
#define ERROR_WRITE 2u
#define ERROR_FETCH 16u
#define PAGE 4096

static struct segue_cache cache;

/* In the order of struct segue_regs. */
static const int order[] = {
    REG_RAX, REG_RBX, REG_RCX, REG_RDX, REG_RSI, REG_RDI, REG_RBP, REG_RSP, REG_R8,
    REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP, REG_EFL,
};

static void read_registers(const ucontext_t *frame, struct segue_regs *regs)
{
    for (unsigned i = 0; i < sizeof order / sizeof *order; i++)
        *segue_register_at(regs, i) = get(frame, order[i]);
    regs->fs_base = 0;
    regs->gs_base = gs_base();
    /* Which the frame does not hold of the others is the same in the handler. */
    uint64_t segments = get(frame, REG_CSGSFS);
    memset(regs->selectors, 0, sizeof regs->selectors);
    regs->selectors[SEGUE_SEGMENT_CS] = (uint16_t)segments;
    regs->selectors[SEGUE_SEGMENT_SS] = (uint16_t)(segments >> 48);
    __asm__("movw %%es, %0" : "=m"(regs->selectors[SEGUE_SEGMENT_ES]));
    __asm__("movw %%ds, %0" : "=m"(regs->selectors[SEGUE_SEGMENT_DS]));
    __asm__("movw %%fs, %0" : "=m"(regs->selectors[SEGUE_SEGMENT_FS]));
    __asm__("movw %%gs, %0" : "=m"(regs->selectors[SEGUE_SEGMENT_GS]));
}

static void write_registers(ucontext_t *frame, const struct segue_regs *regs)
{
    for (unsigned i = 0; i < sizeof order / sizeof *order; i++)
        set(frame, order[i], segue_register_get(regs, i));
}

static void read_state(const ucontext_t *frame, struct segue_xstate *state)
{
    /* The kernel's software bytes: magic, size with the second magic number, features, size. */
    char *area = (char *)frame->uc_mcontext.fpregs;
    uint32_t magic = 0;
    *state = (struct segue_xstate){.area = NULL};
    if (area)
        memcpy(&magic, area + 464, sizeof magic);
    if (magic != 0x46505853u)
        return;
    state->area = area;
    memcpy(&state->features, area + 472, sizeof state->features);
    memcpy(&state->size, area + 480, sizeof state->size);
}

static void read_fault(const ucontext_t *frame, struct segue_fault *fault)
{
    uint64_t error = get(frame, REG_ERR);
    *fault = (struct segue_fault){.trap = (uint8_t)get(frame, REG_TRAPNO), .error_code = (uint32_t)error};
    if (fault->trap != TRAP_PAGE_FAULT)
        return;
    fault->address = get(frame, REG_CR2);
    fault->address_known = true;
    fault->direction = error & ERROR_FETCH ? SEGUE_FETCH : error & ERROR_WRITE ? SEGUE_WRITE : SEGUE_READ;
}

static bool decode(uint64_t address, struct segue_insn *insn)
{
    uint8_t bytes[SEGUE_INSN_BYTES];
    size_t size = sizeof bytes, left = PAGE - (address & (PAGE - 1));
    if (!memory_read_freely(bytes, address, size)) {
        size = left < size ? left : size;
        if (!memory_read_freely(bytes, address, size))
            return false;
    }
    return segue_decode_cached(&cache, SEGUE_MODE_64, address, bytes, size, insn) == SEGUE_OK;
}

static bool goes_through_fs(const struct segue_insn *insn)
{
    return insn->segment_prefix != SEGUE_NO_PREFIX && insn->bytes[insn->segment_prefix] == 0x64;
}

/* The access that was meant, without changing code. */
static bool do_access(ucontext_t *frame, const struct segue_insn *insn, struct segue_regs *regs,
                      struct segue_xstate *state, struct segue_fault *fault)
{
    struct segue_plan plan;
    uint64_t kept = regs->fs_base;
    if (segue_plan(insn, regs, state, fault, NULL, 0, &plan) != SEGUE_OK)
        return false;
    keys_take(memory_rights);
    bool done = segue_step(&plan, regs, state, NULL) == SEGUE_OK;
    keys_open();
    if (!done)
        return false;
    regs->fs_base = kept;
    write_registers(frame, regs);
    count(&counters->emulated, 1);
    return true;
}

static bool serve_segment(const struct thread *thread, ucontext_t *frame, struct segue_fault *fault)
{
    struct segue_insn insn;
    struct segue_regs regs;
    struct segue_xstate state;
    read_registers(frame, &regs);
    read_state(frame, &state);
    if (fault->direction == SEGUE_FETCH || !decode(regs.rip, &insn))
        return false;
    if (goes_through_fs(&insn)) {
        count(&counters->faults, 1);
        bool is_time = settings.rewriting == REWRITE_EAGERLY ||
                       (settings.rewriting == REWRITE_WHEN_MANY && module_has_many_faults(regs.rip));
        if (is_time && !thread->borrows_memory) {
            uint8_t byte = 0;
            module_rewrite(regs.rip);
            if (memory_read_freely(&byte, regs.rip + insn.segment_prefix, 1) && byte != 0x64)
                return true;
        }
    }
    switch (segue_segment_serve(&insn, &regs, &state, fault)) {
    case SEGUE_SEGMENT_RETRY:
        if (goes_through_fs(&insn)) {
            count(&counters->sites_lazy, 1);
            report_event("site at %x rewritten", regs.rip);
        }
        return true;
    case SEGUE_SEGMENT_DO:
        return do_access(frame, &insn, &regs, &state, fault);
    default:
        return false;
    }
}

void fault_serve(struct thread *thread, ucontext_t *frame, const siginfo_t *info)
{
    struct segue_fault fault;
    memory_open();
    read_fault(frame, &fault);
    if (serve_segment(thread, frame, &fault))
        return;
    count(&counters->own_faults, 1);
    siginfo_t told = *info;
    if (fault.address_known)
        told.si_addr = (void *)(uintptr_t)fault.address;
    deliver(thread, frame, &told, true);
}

bool fault_begin(void)
{
    struct segue_segment_options options = {.rewrite = {SEGUE_SEGMENT_FS, SEGUE_SEGMENT_GS}};
    return segue_segment_enable(&options) == SEGUE_OK && segue_replay_prepare() == SEGUE_OK;
}
