/* detour_linux_x86_64.c: the site, its padding, and the two pieces of code behind them.
 *
 *      site      jmp padding                   in place of syscall; two bytes
 *      padding   jmp made                      in place of instructions that do nothing
 *      bridge    jmp *made                     between those two, where they are more than 2 GiB apart
 *      made      lea -number(%rax), %ecx       exempt. RCX and R11 are the only registers that SYSCALL does not keep,
 *                jecxz 1f                      and no flag may change
 *                jmp trapped
 *             1: syscall
 *                mov $behind the site, %rcx    as SYSCALL leaves it
 *                jmp *%rcx
 *      trapped   syscall                       not exempt
 *
 * SOURCES: Documentation/admin-guide/syscall-user-dispatch.rst (the exempt range is compared with the address behind
 * the instruction); Intel SDM volume 2, SYSCALL, LEA, JECXZ; docs/run.md. */
#include "detour.h"

#include <linux/seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <x86intrin.h>

#include "decode/x86/page.h"
#include "exempt.h"
#include "patch/poke/poke.h"
#include "patch/scan/detour.h"
#include "platform/linux/calls/sites.h"
#include "platform/memory/executable.h"
#include "tools/run/host/lock.h"
#include "tools/run/host/memory.h"
#include "tools/run/host/report.h"
#include "tools/run/image/maps.h"
#include "tools/run/image/module.h"
#include "tools/run/options/settings.h"
#include "tools/run/signals/registers.h"
#include "tools/run/syscalls/call_linux_x86_64.h"

#define DETOURS 1024
#define MADE_BYTES (DETOURS * MADE_SIZE)
#define TRAPPED_BYTES (DETOURS * TRAPPED_SIZE)
#define BRIDGE_PAGES 8u
#define SITES 4096
#define PROBES 8
#define BRIDGE_DISTANCE 0x60000000u
#define BRIDGE_SPREAD 0x10000000u
#define TRIES 16

/* The parts of the memory: the return path (exempt.h) and the pieces. */
#define MADE_OFFSET PAGE
#define TRAPPED_OFFSET (MADE_OFFSET + MADE_BYTES)
#define BRIDGES_OFFSET (TRAPPED_OFFSET + TRAPPED_BYTES)
#define MEMORY_SIZE (BRIDGES_OFFSET + BRIDGE_PAGES * PAGE)
_Static_assert(MADE_BYTES % PAGE == 0 && TRAPPED_BYTES % PAGE == 0, "the bridges are on pages of their own");

static const uint8_t call_bytes[SYSCALL_SIZE] = {SYSCALL_BYTES};

/* detour_x86_64.S */
extern const char run_made[], run_made_number[], run_made_distance[], run_made_call[], run_made_behind[],
    run_made_site[], run_made_end[], run_trapped[], run_trapped_end[], run_bridge[], run_bridge_target[],
    run_bridge_end[];

struct detour {
    struct detour_place place;
    uint64_t bridge;
    struct detour_bytes bytes;
};

/* What is known of a system call that was trapped. */
struct site {
    uint32_t met;
    /* One more than the number of its detour. */
    uint16_t detour;
    bool given_up;
};

/* A page of bridges: a view of the memory's page of the same number. */
struct bridges {
    uint64_t start;
    unsigned held;
};

static struct detour detours[DETOURS];
static unsigned detour_count;
static uint64_t site_addresses[SITES];
/* By the place of the address. */
static struct site sites[SITES];
static struct bridges bridges[BRIDGE_PAGES];
/* A bit for each jump between site and piece, by a hash of its address: rules most addresses out quickly. */
static uint64_t jumps[SITES / 64];
static struct executable_memory memory;
static uint64_t made_start, trapped_start;
static bool is_stopped;
/* The memory belongs to the process's parent, which may write to it: to pieces that it has not made before the fork. */
static bool memory_is_parents;

static unsigned hash(uint64_t address)
{
    return (unsigned)(address * 0x9e3779b97f4a7c15u >> 52);
}
_Static_assert(SITES == 1 << (64 - 52), "hash");

static uint64_t made_at(unsigned number)
{
    return made_start + number * MADE_SIZE;
}

static uint64_t trapped_at(unsigned number)
{
    return trapped_start + number * TRAPPED_SIZE;
}

/* ---- preparation ---- */

static bool add_ranges(void);

bool detour_prepare(void)
{
    if (settings.calls_met == 0) {
        exempt_prepare(NULL, 0);
        return true;
    }
    if (executable_memory_create(NULL, MEMORY_SIZE, BRIDGE_PAGES, &memory) != SEGUE_OK)
        return false;
    exempt_prepare(&memory, TRAPPED_OFFSET);
    /* A filter that was inherited. */
    is_stopped = prctl(PR_GET_SECCOMP) != SECCOMP_MODE_DISABLED;
    maps_keep();
    made_start = memory.executable + MADE_OFFSET;
    trapped_start = memory.executable + TRAPPED_OFFSET;
    return add_ranges() && poke_prepare() == SEGUE_OK;
}

bool detour_are_made(void)
{
    return made_start && !is_stopped;
}

void detour_stop(void)
{
    lock_take();
    is_stopped = true;
    lock_release();
}

void detour_in_child(void)
{
    memory_is_parents = made_start != 0;
}

/* ---- making one ---- */

/* What was made before the fork stays where it is. */
static bool own_memory(void)
{
    bool done = !memory_is_parents || executable_memory_own(&memory, MEMORY_SIZE) == SEGUE_OK;
    for (unsigned i = 0; done && memory_is_parents && i < BRIDGE_PAGES && bridges[i].start; i++)
        done = executable_view_renew(&memory, bridges[i].start, BRIDGES_OFFSET + i * PAGE, PAGE) == SEGUE_OK;
    memory_is_parents = memory_is_parents && !done;
    is_stopped = is_stopped || !done;
    return done;
}

/* Maps a page of bridges far behind the code, at a random address: neither programs map what is to be near the code
 * there, nor do heaps grow to it. 0 if no such address is free. */
static uint64_t map_bridges(unsigned number, uint64_t code)
{
    uint64_t start = (code & -(uint64_t)PAGE) + BRIDGE_DISTANCE, view;
    for (unsigned i = 0; i < TRIES; i++) {
        uint64_t at = start + (__rdtsc() * 0x9e3779b97f4a7c15u >> 40) % (BRIDGE_SPREAD / PAGE) * PAGE;
        const struct executable_range range = executable_at(at, PAGE);
        if (executable_view_create(&memory, &range, BRIDGES_OFFSET + number * PAGE, PAGE, &view) == SEGUE_OK)
            return view;
    }
    return 0;
}

/* Room for a bridge within reach of the jump; 0 without any. */
static uint64_t take_bridge(const struct detour_place *from)
{
    unsigned i = 0;
    while (i < BRIDGE_PAGES && bridges[i].start &&
           (bridges[i].held == PAGE / BRIDGE_SIZE || !detour_reaches(from, bridges[i].start)))
        i++;
    if (i == BRIDGE_PAGES)
        return 0;
    if (!bridges[i].start)
        bridges[i].start = map_bridges(i, from->padding.address);
    return bridges[i].start ? bridges[i].start + bridges[i].held++ * BRIDGE_SIZE : 0;
}

/* A piece is a copy of its template. */
static void write_piece(uint64_t offset, const void *piece, const char *start, const char *end)
{
    memcpy((void *)(uintptr_t)(memory.writable + offset), piece, (size_t)(end - start));
}

static void write_bridge(uint64_t at, const void *bridge)
{
    unsigned i = 0;
    while (at - bridges[i].start >= PAGE)
        i++;
    write_piece(BRIDGES_OFFSET + i * PAGE + (at - bridges[i].start), bridge, run_bridge, run_bridge_end);
}

/* Writes the code to which the padding jumps. No thread executes it yet. */
static void write_pieces(unsigned number, const struct detour *detour, uint32_t call_number)
{
    uint8_t made[MADE_SIZE], bridge[BRIDGE_SIZE];
    uint64_t start = made_at(number), behind = detour->place.site + SYSCALL_SIZE;
    uint32_t difference = -call_number;
    int32_t distance = (int32_t)(trapped_at(number) - (start + (uint64_t)(run_made_distance - run_made)));
    memcpy(made, run_made, (size_t)(run_made_end - run_made));
    memcpy(made + (run_made_number - run_made) - sizeof difference, &difference, sizeof difference);
    memcpy(made + (run_made_distance - run_made) - sizeof distance, &distance, sizeof distance);
    memcpy(made + (run_made_site - run_made) - sizeof behind, &behind, sizeof behind);
    memcpy(bridge, run_bridge, (size_t)(run_bridge_end - run_bridge));
    memcpy(bridge + (run_bridge_target - run_bridge), &start, sizeof start);
    write_piece(start - memory.executable, made, run_made, run_made_end);
    write_piece(trapped_at(number) - memory.executable, run_trapped, run_trapped, run_trapped_end);
    if (detour->bridge)
        write_bridge(detour->bridge, bridge);
}

static void note_jump(uint64_t address)
{
    __atomic_fetch_or(&jumps[hash(address) / 64], (uint64_t)1 << hash(address) % 64, __ATOMIC_RELAXED);
}

struct search {
    const struct segue_segment_code *code;
    uint64_t site;
    struct detour_place place;
    bool found;
};

static void find_place(void *context)
{
    struct search *search = context;
    search->found = detour_find(search->code, search->site, &search->place);
}

/* With the lock held. The detour's number is used up only if its jump was written: behind a breakpoint, so that all
 * threads have serialised before it is there. */
static bool make(struct site *site, const struct system_call *call, const struct segue_segment_code *code)
{
    struct search search = {.code = code, .site = call->instruction};
    unsigned number = detour_count;
    if (!memory_try(find_place, &search) || !search.found || !own_memory())
        return false;
    struct detour *detour = &detours[number];
    const struct padding *padding = &detour->place.padding;
    *detour = (struct detour){.place = search.place};
    if (!detour_reaches(&detour->place, made_at(number)))
        detour->bridge = take_bridge(&detour->place);
    uint64_t to = detour->bridge ? detour->bridge : made_at(number);
    if (!detour_reaches(&detour->place, to))
        return false;
    write_pieces(number, detour, (uint32_t)call->number);
    detour_encode(&detour->place, to, &detour->bytes);
    if (poke(padding->address, detour->bytes.jump, padding->size, POKE_KERNEL) != SEGUE_OK)
        return false;
    note_jump(padding->address);
    if (detour->bridge)
        note_jump(detour->bridge);
    __atomic_store_n(&detour_count, number + 1, __ATOMIC_RELEASE);
    if (poke(call->instruction, detour->bytes.site, SYSCALL_SIZE, POKE_KERNEL) != SEGUE_OK)
        return false;
    __atomic_store_n(&site->detour, (uint16_t)(number + 1), __ATOMIC_RELEASE);
    return true;
}

static bool is_plain_call(uint64_t address)
{
    uint8_t bytes[SYSCALL_SIZE];
    return memory_read_freely(bytes, address, sizeof bytes) && memcmp(bytes, call_bytes, sizeof bytes) == 0;
}

static void lead(struct site *site, const struct system_call *call)
{
    struct segue_segment_code code;
    struct module_code kept;
    bool done = false;
    if (detour_count < DETOURS && is_plain_call(call->instruction) &&
        module_take_code(call->instruction, &code, &kept)) {
        done = make(site, call, &code);
        module_give_code(&kept);
    }
    site->given_up = !done;
    if (done)
        count(&counters->sites_calls, 1);
    report_event(done ? "%s at %x is made without a trap from now on" : "%s at %x goes on to be trapped",
                 report_call_name(call->number), call->instruction);
}

/* ---- what was met ---- */

/* Whether another module may be where the site's module was. */
static bool is_stale(const struct site *site, uint64_t address)
{
    return site->detour && is_plain_call(address);
}

void detour_note(const struct thread *thread, const struct system_call *call)
{
    if (!made_start || thread->borrows_memory)
        return;
    const uint64_t address = call->instruction;
    const unsigned place = sites_place(site_addresses, SITES, PROBES, address);
    struct site *site = &sites[place];
    if (place == SITES || __atomic_load_n(&site->given_up, __ATOMIC_RELAXED))
        return;
    bool is_led = __atomic_load_n(&site->detour, __ATOMIC_ACQUIRE);
    if (is_led ? !is_stale(site, address) : __atomic_add_fetch(&site->met, 1, __ATOMIC_RELAXED) < settings.calls_met)
        return;
    lock_take();
    if (is_stale(site, address))
        site->detour = 0;
    if (!is_stopped && !site->detour && !site->given_up)
        lead(site, call);
    lock_release();
}

/* ---- out of one ---- */

/* Puts the thread before the site's call, or behind it. */
static void stand(struct segue_regs *regs, uint64_t site, bool is_behind)
{
    regs->rip = is_behind ? site + SYSCALL_SIZE : site;
}

/* Whether an offset in a piece is at or behind a label of the template. */
static bool has_come_to(uint64_t offset, const char *label)
{
    return offset % MADE_SIZE >= (uint64_t)(label - run_made);
}

static void leave_made(struct segue_regs *regs, uint64_t offset)
{
    const struct detour *detour = &detours[offset / MADE_SIZE];
    stand(regs, detour->place.site, has_come_to(offset, run_made_behind));
    /* At the call, the thread may have been interrupted in it and be about to make it again: then the registers are as
     * the kernel leaves them. */
    if (has_come_to(offset, run_made_call))
        regs->rcx = detour->place.site + SYSCALL_SIZE;
}

static void leave_trapped(struct segue_regs *regs, uint64_t offset)
{
    const struct detour *detour = &detours[offset / TRAPPED_SIZE];
    bool is_behind = offset % TRAPPED_SIZE != 0;
    stand(regs, detour->place.site, is_behind);
    if (is_behind)
        regs->rcx = detour->place.site + SYSCALL_SIZE;
}

static enum code_range_result translate_made(const struct code_range *range, struct segue_regs *regs,
                                             const void **unused)
{
    (void)range;
    (void)unused;
    leave_made(regs, regs->rip - made_start);
    return CODE_RANGE_REGISTERS;
}

static enum code_range_result translate_trapped(const struct code_range *range, struct segue_regs *regs,
                                                const void **unused)
{
    (void)range;
    (void)unused;
    leave_trapped(regs, regs->rip - trapped_start);
    return CODE_RANGE_REGISTERS;
}

/* Adds the code ranges of the two kinds of pieces. */
static bool add_ranges(void)
{
    const char *made = (const char *)(uintptr_t)made_start, *trapped = (const char *)(uintptr_t)trapped_start;
    const struct code_range ranges[] = {{made, made + MADE_BYTES, translate_made},
                                        {trapped, trapped + TRAPPED_BYTES, translate_trapped}};
    return code_range_add(&ranges[0]) && code_range_add(&ranges[1]);
}

/* Whether the detour's jump is still there: another module may have replaced it. */
static bool still_stands(const struct detour *detour)
{
    uint8_t bytes[DETOUR_JUMP_SIZE];
    return memory_read_freely(bytes, detour->place.padding.address, sizeof bytes) &&
           memcmp(bytes, detour->bytes.jump, sizeof bytes) == 0;
}

/* The detour whose jump or bridge is there, or NULL. */
static const struct detour *find_jump(uint64_t instruction)
{
    if (!(__atomic_load_n(&jumps[hash(instruction) / 64], __ATOMIC_RELAXED) >> hash(instruction) % 64 & 1))
        return NULL;
    unsigned held = __atomic_load_n(&detour_count, __ATOMIC_ACQUIRE);
    for (unsigned i = 0; i < held; i++) {
        const struct detour *detour = &detours[i];
        bool is_bridge = detour->bridge && instruction == detour->bridge;
        if (is_bridge || (instruction == detour->place.padding.address && still_stands(detour)))
            return detour;
    }
    return NULL;
}

bool detour_is_step(struct thread *thread, uint64_t instruction)
{
    uint64_t offset = instruction - made_start;
    if (!made_start)
        return false;
    if (offset < MADE_BYTES && has_come_to(offset, run_made_behind))
        thread->stepped_to = detours[offset / MADE_SIZE].place.site + SYSCALL_SIZE;
    return offset < MADE_BYTES + TRAPPED_BYTES || find_jump(instruction);
}

/* The jumps to the pieces, in the program's code and in bridges. */
static enum code_range_result translate_jump(const struct code_range *range, struct segue_regs *regs,
                                             const void **unused)
{
    const struct detour *detour = made_start ? find_jump(regs->rip) : NULL;
    (void)range;
    (void)unused;
    if (!detour)
        return CODE_RANGE_NOT_FOUND;
    stand(regs, detour->place.site, false);
    return CODE_RANGE_REGISTERS;
}

const struct code_range detour_jump_range = {NULL, NULL, translate_jump};
