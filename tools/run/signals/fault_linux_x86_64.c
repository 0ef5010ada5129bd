/* fault_linux_x86_64.c: SOURCES: segue/patch.h; Intel SDM volume 3, 4.7 (error code). */
#include "fault.h"

#include <segue/segment.h>
#include <string.h>

#include "decode/x86/page.h"
#include "decode/x86/traps.h"
#include "deliver.h"
#include "keys.h"
#include "platform/linux/frame/software_bytes.h"
#include "registers.h"
#include "tools/run/detours/code.h"
#include "tools/run/detours/site.h"
#include "tools/run/host/lock.h"
#include "tools/run/host/memory.h"
#include "tools/run/host/report.h"
#include "tools/run/image/module.h"
#include "tools/run/options/settings.h"
#include "tools/run/start/zydis_image.h"

#define FS 0x64
#define GS 0x65
/* Each retry needs another thread that rewrote the site between the fault and the look at it. */
#define RETRIES 64

static struct segue_cache cache;

/* In the order of struct segue_regs. */
static const int order[] = {
    REG_RAX, REG_RBX, REG_RCX, REG_RDX, REG_RSI, REG_RDI, REG_RBP, REG_RSP, REG_R8,
    REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP, REG_EFL,
};

static void read_registers(const ucontext_t *frame, struct segue_regs *regs)
{
    for (unsigned i = 0; i < sizeof order / sizeof *order; i++)
        *segue_register_at(regs, i) = registers_get(frame, order[i]);
    regs->fs_base = 0;
    regs->gs_base = registers_gs_base();
    /* The frame does not hold the other selectors; they have not changed since the fault. */
    uint64_t segments = registers_get(frame, REG_CSGSFS);
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
        registers_set(frame, order[i], segue_register_get(regs, i));
}

static void read_state(const ucontext_t *frame, struct segue_xstate *state)
{
    struct software_bytes software = software_bytes_of(frame->uc_mcontext.fpregs);
    *state = (struct segue_xstate){.area = NULL};
    if (software.magic)
        *state = (struct segue_xstate){
            .area = frame->uc_mcontext.fpregs, .size = software.xstate_size, .features = software.features};
}

static void read_fault(const ucontext_t *frame, struct segue_fault *fault)
{
    uint64_t error = registers_get(frame, REG_ERR);
    *fault = (struct segue_fault){.trap = (uint8_t)registers_get(frame, REG_TRAPNO), .error_code = (uint32_t)error};
    if (fault->trap != TRAP_PAGE_FAULT)
        return;
    fault->address = registers_get(frame, REG_CR2);
    fault->address_known = true;
    fault->direction = error & ERROR_FETCH ? SEGUE_FETCH : error & ERROR_WRITE ? SEGUE_WRITE : SEGUE_READ;
}

/* Reads the instruction's bytes, as many as are readable. */
static size_t read_bytes(uint64_t address, uint8_t bytes[SEGUE_INSN_BYTES])
{
    size_t size = SEGUE_INSN_BYTES, left = PAGE - (address & (PAGE - 1));
    if (memory_read_freely(bytes, address, size))
        return size;
    size = left < size ? left : size;
    return memory_read_freely(bytes, address, size) ? size : 0;
}

/* ---- what needs no decoding ---- */

/* Rewrites the other sites of the page: the page is copied anyway, and each site saves a fault. In code that other
 * threads may be writing, each byte is changed on its own. */
static unsigned rewrite_page(uint64_t address)
{
    static const uint8_t gs = GS;
    uint8_t bytes[PAGE];
    uint64_t page = address & -(uint64_t)PAGE;
    size_t first = address - page, last = first;
    unsigned found = 0;
    if (!memory_read_freely(bytes, page, PAGE) || bytes[first] != FS)
        return 0;
    bool is_whole = code_is_of_file(page);
    bytes[first] = GS;
    for (size_t at = site_next(bytes, 0, PAGE); at < PAGE; at = site_next(bytes, at + 1, PAGE)) {
        bytes[at] = GS;
        first = at < first ? at : first;
        last = at > last ? at : last;
        found += is_whole || code_write(page + at, &gs, 1);
    }
    if (is_whole ? code_write(page + first, bytes + first, last - first + 1) : code_write(address, &gs, 1))
        return found + 1;
    return 0;
}

static bool rewrite_site(const struct thread *thread, uint64_t address)
{
    static const uint8_t gs = GS;
    unsigned rewritten;
    if (settings.rewriting == REWRITE_LAZILY || thread->borrows_memory) {
        rewritten = code_write(address, &gs, 1);
    } else {
        lock_take();
        rewritten = rewrite_page(address);
        lock_release();
    }
    if (!rewritten)
        return false;
    count(&counters->sites_lazy, 1);
    count(&counters->sites_page, rewritten - 1);
    report_event("site at %x rewritten, and %d of its page", address, (int64_t)rewritten - 1);
    return true;
}

/* Serves most accesses, and in the least time. */
static bool serve_plain(const struct thread *thread, const ucontext_t *frame, const struct segue_fault *fault)
{
    uint8_t bytes[SEGUE_INSN_BYTES];
    uint64_t address = registers_get(frame, REG_RIP);
    size_t size = read_bytes(address, bytes);
    if (!site_is_plain(frame, fault, bytes, size))
        return false;
    if (settings.rewriting == REWRITE_EAGERLY ||
        (settings.rewriting == REWRITE_WHEN_MANY && module_has_many_faults(address)))
        return false;
    if (!rewrite_site(thread, address))
        return false;
    count(&counters->faults, 1);
    return true;
}

/* ---- what does ---- */

static bool decode(uint64_t address, struct segue_insn *insn)
{
    uint8_t bytes[SEGUE_INSN_BYTES];
    size_t size = read_bytes(address, bytes);
    return size && segue_decode_cached(&cache, SEGUE_MODE_64, address, bytes, size, insn) == SEGUE_OK;
}

static bool goes_through_fs(const struct segue_insn *insn)
{
    return insn->segment_prefix != SEGUE_NO_PREFIX && insn->bytes[insn->segment_prefix] == 0x64;
}

/* Carries out the access with the right base, without changing code. */
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

/* Whether the instruction may be run again, after fewer than `most` such retries in a row: its bytes may show that a
 * site was rewritten while the processor, or an emulator that translates it, still runs the old ones. */
static bool may_retry(struct thread *thread, uint64_t instruction, const struct segue_fault *fault, unsigned most)
{
    uint64_t address = fault->address_known ? fault->address : 0;
    if (thread->retried_instruction != instruction || thread->retried_address != address)
        thread->retried = 0;
    thread->retried_instruction = instruction;
    thread->retried_address = address;
    if (thread->retried++ < most)
        return true;
    thread->retried = 0;
    return false;
}

/* Carries out the access with the right base, whichever of the two prefixes is there; a fault of that access is the
 * program's. */
static bool do_meant_access(ucontext_t *frame, const struct segue_insn *insn, struct segue_regs *regs,
                            struct segue_xstate *state, struct segue_fault *fault)
{
    if (fault->address_known)
        fault->address += regs->gs_base - regs->fs_base;
    regs->fs_base = regs->gs_base;
    return do_access(frame, insn, regs, state, fault);
}

static bool rewrite_found(const struct thread *thread, const struct segue_site *site, uint64_t instruction)
{
    if (!thread->borrows_memory)
        lock_take();
    bool done = code_write(instruction + site->index, &site->new_byte, 1);
    if (!thread->borrows_memory)
        lock_release();
    if (done)
        count(&counters->sites_lazy, 1);
    if (done)
        report_event("site at %x rewritten", instruction);
    return done;
}

/* Whether the whole module was rewritten because of its many faults, and this site with it. */
static bool rewrite_module_of(const struct thread *thread, const struct segue_insn *insn, uint64_t instruction)
{
    uint8_t byte = FS;
    bool is_time = settings.rewriting == REWRITE_EAGERLY ||
                   (settings.rewriting == REWRITE_WHEN_MANY && module_has_many_faults(instruction));
    if (!is_time || thread->borrows_memory)
        return false;
    module_rewrite(instruction);
    return memory_read_freely(&byte, instruction + insn->segment_prefix, 1) && byte != FS;
}

static bool serve_segment(struct thread *thread, ucontext_t *frame, struct segue_fault *fault)
{
    static const struct segue_segment_options options = {.rewrite = {SEGUE_SEGMENT_FS, SEGUE_SEGMENT_GS}};
    struct segue_insn insn;
    struct segue_regs regs;
    struct segue_xstate state;
    struct segue_site site;
    read_registers(frame, &regs);
    read_state(frame, &state);
    if (fault->direction == SEGUE_FETCH || !fault_prepare() || !decode(regs.rip, &insn))
        return false;
    if (goes_through_fs(&insn)) {
        count(&counters->faults, 1);
        if (rewrite_module_of(thread, &insn, regs.rip))
            return true;
    }
    switch (segue_segment_classify(&insn, &regs, &state, fault, &options, &site)) {
    case SEGUE_SEGMENT_REWRITE:
        if (rewrite_found(thread, &site, regs.rip) && may_retry(thread, regs.rip, fault, RETRIES))
            return true;
        return do_meant_access(frame, &insn, &regs, &state, fault);
    case SEGUE_SEGMENT_RETRY:
        return may_retry(thread, regs.rip, fault, RETRIES) || do_meant_access(frame, &insn, &regs, &state, fault);
    case SEGUE_SEGMENT_RETRY_ONCE:
        return may_retry(thread, regs.rip, fault, 1);
    default:
        return false;
    }
}

void fault_serve(struct thread *thread, ucontext_t *frame, const siginfo_t *info)
{
    struct segue_fault fault;
    memory_open();
    read_fault(frame, &fault);
    if (thread->was_put_back && may_retry(thread, registers_get(frame, REG_RIP), &fault, 1))
        return;
    if (serve_plain(thread, frame, &fault) || serve_segment(thread, frame, &fault))
        return;
    count(&counters->own_faults, 1);
    siginfo_t reported = *info;
    if (fault.address_known)
        reported.si_addr = (void *)(uintptr_t)fault.address;
    deliver(thread, frame, &reported, true);
}

bool fault_prepare(void)
{
    static bool is_prepared;
    if (__atomic_load_n(&is_prepared, __ATOMIC_ACQUIRE))
        return true;
    lock_take();
    /* Without an engine some accesses cannot be carried out; their faults are the program's then. */
    segue_replay_prepare();
    bool done = zydis_image_prepare();
    __atomic_store_n(&is_prepared, done, __ATOMIC_RELEASE);
    lock_release();
    return done;
}
