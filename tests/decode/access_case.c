/* access_case.c: one instruction's access list held against the processor (see access_case.h).
 *
 * SOURCES: Intel SDM volume 3, 4.7 (error code of page faults: bit 1 is a write), 6.9 (priorities: #GP for alignment
 * before page faults). */
#include "access_case.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "decode/x86/processor.h"
#include "tests/differential/states/oracle.h"
#include "tests/support/compat.h"

#define ARCH_GET_FS 0x1003
#define PAGE 4096u
/* An arena for each general register: its operands are put around the edge in the middle. One more goes where an
 * operand is that no register moves. */
#define REGISTERS 16u
#define ARENAS (REGISTERS + 1)
#define ROAMING REGISTERS
#define ARENA_PAGES 8u
#define ARENA_SIZE (ARENA_PAGES * PAGE)
#define ARENA_STRIDE (2u * ARENA_SIZE)
#define BLOCK 512u
#define ARENAS_BASE 0x18000000u
#define SLOT_BASE 0x14000000u
/* At least as many as a page has bytes: since their size is odd, there is one for each place in a page that an operand
 * relative to the instruction pointer can have. */
#define SLOTS PAGE
#define IMAGE_MAX 4096u
#define PLACEMENTS 10
/* Ways in which an access can lie at an edge. */
#define INSIDES 5
/* An edge that 16 bits reach, with room on both sides. */
#define LOW_EDGE 0x8000u
/* A bit offset in the base register itself takes an operand an eighth too far, and an eighth of that the next time. */
#define SETTLE_TRIES 12

#define TRAP_UNDEFINED 6
#define TRAP_PAGE_FAULT 14
#define TRAP_GENERAL_PROTECTION 13
#define ERROR_WRITE 2u
/* CF PF AF ZF SF DF OF, and the bit that is always set. */
#define FLAGS_FREE 0xcd5u
#define FLAGS_SET 0x202u

#define XSTATE_BV 512
#define COMPONENTS 19
#define MXCSR 24

static uint64_t fs_base;
static _Alignas(64) uint8_t image[IMAGE_MAX], image_after[IMAGE_MAX];
static uint8_t before[ARENAS][ARENA_SIZE];

struct run {
    const struct segue_insn *insn;
    struct segue_regs regs;
    struct segue_xstate xstate;
    struct segue_access accesses[SEGUE_ACCESSES_MOST];
    size_t count;
    /* Where the instruction stands. */
    size_t slot;
    struct random *random;
    struct access_report *report;
};

/* Where the roaming arena is; 0: nowhere. */
static uint64_t roaming;

static uint8_t *arena(unsigned number)
{
    return (uint8_t *)(uintptr_t)(number == ROAMING ? roaming : ARENAS_BASE + number * ARENA_STRIDE);
}

static uint64_t middle(unsigned number)
{
    return (uint64_t)(uintptr_t)arena(number) + ARENA_SIZE / 2;
}

/* The arena in which all of these bytes lie; ARENAS if there is no such arena. */
static unsigned arena_of(uint64_t address, uint64_t size)
{
    uint64_t offset = address - ARENAS_BASE;
    if (roaming && address - roaming < ARENA_SIZE && address - roaming + size <= ARENA_SIZE)
        return ROAMING;
    bool inside = offset < (uint64_t)REGISTERS * ARENA_STRIDE && offset % ARENA_STRIDE < ARENA_SIZE &&
                  offset % ARENA_STRIDE + size <= ARENA_SIZE;
    return inside ? (unsigned)(offset / ARENA_STRIDE) : ARENAS;
}

static bool in_arenas(uint64_t address, uint64_t size)
{
    return arena_of(address, size) != ARENAS;
}

/* Puts the roaming arena around the edge at `edge`. False if there is something else, or nothing can be. */
static bool roam(uint64_t edge)
{
    uint64_t base = edge / PAGE * PAGE - ARENA_SIZE / 2;
    if (base == roaming)
        return true;
    if (roaming)
        munmap((void *)(uintptr_t)roaming, ARENA_SIZE);
    roaming = 0;
    if (base == 0 || base > UINT64_MAX - ARENA_SIZE)
        return false;
    void *mapped = mmap((void *)(uintptr_t)base, ARENA_SIZE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (mapped != (void *)(uintptr_t)base)
        return false;
    roaming = base;
    memset(before[ROAMING], 0, ARENA_SIZE);
    return true;
}

/* Pages whose protection changes are mappings of their own, so that nothing has to be split and joined each time: every
 * second one has a property that its neighbours lack. */
static void keep_apart(uint8_t *pages)
{
    for (unsigned i = 0; i < ARENA_PAGES; i += 2)
        madvise(pages + i * (size_t)PAGE, PAGE, MADV_DONTDUMP);
}

const char *access_prepare(enum segue_mode mode)
{
    for (unsigned i = 0; i < REGISTERS; i++) {
        if (mmap(arena(i), ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
                 0) != arena(i))
            return "the addresses for the arenas are taken";
        keep_apart(arena(i));
    }
    syscall(SYS_arch_prctl, ARCH_GET_FS, &fs_base);
    /* The stack pointer is an operand like any other when a signal comes. */
    static uint8_t stack[65536];
    if (sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL) != 0)
        return "there can be no alternate stack";
    const char *why = oracle_prepare(SLOT_BASE, SLOTS);
    return why || mode == SEGUE_MODE_64 ? why : compat_prepare();
}

__attribute__((format(printf, 2, 3))) static enum access_result different(struct run *run, const char *format, ...)
{
    char *text = run->report->text, *end = text + sizeof run->report->text;
    va_list arguments;
    for (unsigned i = 0; i < run->insn->length; i++)
        text += sprintf(text, "%02x", run->insn->bytes[i]);
    text += sprintf(text, " %s: ", segue_mnemonic_name(run->insn->mnemonic));
    va_start(arguments, format);
    text += vsnprintf(text, (size_t)(end - text), format, arguments);
    va_end(arguments);
    for (size_t i = 0; i < run->count && i < 4 && end - text > 80; i++)
        text += sprintf(text, " [%zu: %#llx+%llu %u]", i, (unsigned long long)run->accesses[i].address,
                        (unsigned long long)run->accesses[i].size, run->accesses[i].direction);
    return ACCESS_DIFFERENT;
}

static enum segue_status list(struct run *run)
{
    return segue_accesses(run->insn, &run->regs, &run->xstate, run->accesses, SEGUE_ACCESSES_MOST, &run->count);
}

/* ---- the state before ------------------------------------------------------------------------------------------ */

/* Vectors at random, and every exception of x87 and SSE masked. */
static void random_image(struct random *random)
{
    static const uint8_t control[] = {0x7f, 0x03};
    static const uint8_t mxcsr[] = {0x80, 0x1f, 0, 0};
    oracle_image_random(random, image);
    memcpy(image, control, sizeof control);
    /* Exception flags and the busy bit clear, any top of stack; all registers empty, valid or both. */
    image[2] = 0;
    image[3] &= 0x38;
    memcpy(image + MXCSR, mxcsr, sizeof mxcsr);
}

/* Indices for gathers that stay in the arena. */
static void tame_indices(const struct segue_memory_operand *memory, struct random *random)
{
    static const struct {
        unsigned component, first, size;
    } parts[] = {{1, 0, 16}, {2, 16, 16}, {6, 32, 32}};
    uint8_t vector[64];
    const unsigned number = memory->index;
    for (unsigned lane = 0; lane < 64u / memory->index_size; lane++) {
        int64_t index = (int64_t)random_below(random, 2000) - 1000;
        memcpy(vector + lane * memory->index_size, &index, memory->index_size);
    }
    size_t count;
    const struct oracle_component *components = oracle_components(&count);
    uint64_t in_use;
    memcpy(&in_use, image + XSTATE_BV, sizeof in_use);
    in_use |= 0xe6;
    memcpy(image + XSTATE_BV, &in_use, sizeof in_use);
    if (number < 16)
        memcpy(image + 160 + number * 16, vector, 16);
    for (size_t i = 0; i < count; i++) {
        if (number < 16 && strcmp(components[i].name, "ymm_hi128") == 0)
            memcpy(image + components[i].offset + number * 16, vector + parts[1].first, parts[1].size);
        if (number < 16 && strcmp(components[i].name, "zmm_hi256") == 0)
            memcpy(image + components[i].offset + number * 32, vector + parts[2].first, parts[2].size);
        if (number >= 16 && strcmp(components[i].name, "hi16_zmm") == 0)
            memcpy(image + components[i].offset + (number - 16) * 64, vector, 64);
    }
}

/* Registers that are no base get values that keep the address near. */
static void tame_registers(struct run *run)
{
    for (size_t i = 0; i < run->insn->memory_count; i++) {
        const struct segue_memory_operand *memory = &run->insn->memory[i];
        bool plain_index = memory->scale && memory->addressing != SEGUE_ADDRESSING_VECTOR;
        if (plain_index && memory->index != memory->base && memory->index != SEGUE_REGISTER_NONE)
            *segue_register_at(&run->regs, memory->index) = random_below(run->random, 64);
        if (memory->addressing == SEGUE_ADDRESSING_VECTOR)
            tame_indices(memory, run->random);
        if (memory->addressing == SEGUE_ADDRESSING_BIT_OFFSET && memory->mask != memory->base)
            *segue_register_at(&run->regs, memory->mask) =
                (uint64_t)((int64_t)random_below(run->random, 160000) - 80000);
        if (memory->addressing == SEGUE_ADDRESSING_STATE) {
            /* Protection keys and tiles among them: what is loaded of those is their initial state, or nothing. */
            run->regs.rax = random_below(run->random, 1u << COMPONENTS);
            run->regs.rdx = 0;
        }
    }
    if (run->insn->flags & SEGUE_INSN_REPEATED)
        run->regs.rcx = random_below(run->random, 40);
}

static void random_state(struct run *run)
{
    random_image(run->random);
    run->regs.rflags = (random_next(run->random) & FLAGS_FREE) | FLAGS_SET;
    for (unsigned i = 0; i < REGISTERS; i++)
        *segue_register_at(&run->regs, i) = middle(i) + 64 * random_below(run->random, 16);
    run->regs.fs_base = fs_base;
    run->regs.gs_base = random_below(run->random, 3) * PAGE;
    run->xstate = (struct segue_xstate){.area = image, .size = (uint32_t)oracle_image_size(), .features = 0xe7};
    run->regs.rip = oracle_slot_address(run->slot, run->insn->length);
    tame_registers(run);
}

/* The register that moves an operand, and how far it does; REGISTERS if none does. */
static unsigned mover_of(const struct segue_memory_operand *memory, int64_t *factor)
{
    bool has_index = memory->scale && memory->addressing != SEGUE_ADDRESSING_VECTOR;
    *factor = has_index && memory->index == memory->base ? 1 + memory->scale : 1;
    if (memory->base < REGISTERS)
        return memory->base;
    *factor = memory->scale;
    return memory->base == SEGUE_REGISTER_NONE && has_index ? memory->index : REGISTERS;
}

/* Moves the instruction so that an operand relative to it has its byte `inside` at the edge of a page. */
static void move_slot(struct run *run, uint64_t address, uint64_t inside)
{
    uint64_t end = run->regs.rip;
    for (size_t slot = 0; slot < SLOTS; slot++) {
        run->regs.rip = oracle_slot_address(slot, run->insn->length);
        run->slot = slot;
        if ((address + run->regs.rip - end + inside) % PAGE == 0)
            return;
    }
}

/* Where an operand can be put. */
enum reach {
    REACH_ARENAS,
    /* With 32 bits of address, all that FS leads to lies close above its base, which is the host's. */
    REACH_ABOVE_FS,
    /* With 16, all lies below 64 KiB. */
    REACH_LOW,
};

static enum reach reach_of(const struct segue_insn *insn, const struct segue_memory_operand *memory)
{
    bool on_stack = memory->addressing == SEGUE_ADDRESSING_STACK || memory->addressing == SEGUE_ADDRESSING_ENTER ||
                    memory->addressing == SEGUE_ADDRESSING_POP_ALL ||
                    memory->addressing == SEGUE_ADDRESSING_INTERRUPT_RETURN;
    if (on_stack || insn->address_size == 8)
        return REACH_ARENAS;
    if (insn->address_size == 2)
        return REACH_LOW;
    return memory->segment == SEGUE_SEGMENT_FS ? REACH_ABOVE_FS : REACH_ARENAS;
}

/* Moves access `number` so that its byte `inside` stands at the edge in the middle of an arena, or within as many bytes
 * of it as its register is multiplied by; what no register moves gets an arena where it is. */
static bool place(struct run *run, size_t number, uint64_t inside)
{
    const struct segue_access *access = &run->accesses[number];
    const struct segue_memory_operand *memory = &run->insn->memory[access->operand];
    int64_t factor;
    unsigned mover = mover_of(memory, &factor);
    if (mover < REGISTERS) {
        enum reach reach = reach_of(run->insn, memory);
        int64_t distance = (int64_t)(middle(mover) - inside - access->address);
        if (reach == REACH_LOW)
            distance = (int64_t)(LOW_EDGE - inside - access->address);
        else if (reach == REACH_ABOVE_FS)
            distance = -(int64_t)((access->address + inside) % PAGE);
        *segue_register_at(&run->regs, mover) += (uint64_t)(distance / factor);
        if (list(run) != SEGUE_OK || number >= run->count)
            return false;
        return reach == REACH_ARENAS || roam(access->address + inside);
    }
    if (memory->base == SEGUE_RIP) {
        move_slot(run, access->address, inside);
        if (list(run) != SEGUE_OK || number >= run->count)
            return false;
    }
    return roam(access->address + inside);
}

static bool all_in_arenas(const struct run *run)
{
    for (size_t i = 0; i < run->count; i++)
        if (!in_arenas(run->accesses[i].address, run->accesses[i].size))
            return false;
    return true;
}

/* ---- memory ---------------------------------------------------------------------------------------------------- */

static bool is_touched(const struct run *run, unsigned number)
{
    for (size_t i = 0; i < run->count; i++)
        if (arena_of(run->accesses[i].address, run->accesses[i].size) == number)
            return true;
    return false;
}

/* The arenas that are accessed get new contents; the others keep theirs, and are to. */
static void fill(struct run *run, bool zeros)
{
    for (unsigned i = 0; i < ARENAS; i++) {
        if (!is_touched(run, i))
            continue;
        uint8_t *from = arena(i) + ARENA_SIZE / 2 - 2 * PAGE;
        if (zeros)
            memset(from, 0, 4 * (size_t)PAGE);
        else
            random_fill(run->random, from, 4 * (size_t)PAGE);
    }
}

/* The words on the stack that a return reads, or in memory one word or a far pointer: the way back to the slot. */
static void fill_targets(struct run *run)
{
    const uint64_t code = run->insn->mode == SEGUE_MODE_64 ? COMPAT_CODE_64 : COMPAT_CODE;
    const uint64_t values[] = {run->regs.rip + run->insn->length, code, FLAGS_SET, run->regs.rsp + 40, COMPAT_DATA};
    const size_t most = sizeof values / sizeof *values;
    uint64_t start = UINT64_MAX;
    unsigned word = 0;
    for (size_t i = 0; i < run->count; i++) {
        const struct segue_access *access = &run->accesses[i];
        if (!(access->direction & SEGUE_READ))
            continue;
        start = access->address < start ? access->address : start;
        word = access->element > word ? access->element : word;
    }
    bool far = word == 6 || word == 10;
    if (far)
        word -= 2;
    for (size_t i = 0; i < run->count; i++) {
        const struct segue_access *access = &run->accesses[i];
        for (uint64_t at = access->address; at < access->address + access->size; at += word) {
            size_t number = (size_t)((at - start) / word);
            uint64_t left = access->address + access->size - at;
            if ((access->direction & SEGUE_READ) && number < most && word <= 8)
                memcpy((uint8_t *)(uintptr_t)at, &values[number], left < word ? left : word);
        }
    }
}

static bool written(const struct run *run, uint64_t address)
{
    for (size_t i = 0; i < run->count; i++)
        if ((run->accesses[i].direction & SEGUE_WRITE) && !(run->accesses[i].flags & SEGUE_ACCESS_PROBE) &&
            address - run->accesses[i].address < run->accesses[i].size)
            return true;
    return false;
}

static void save(const struct run *run)
{
    for (unsigned i = 0; i < ARENAS; i++)
        if (is_touched(run, i))
            memcpy(before[i], arena(i), ARENA_SIZE);
}

/* After a difference, so that it is not the next instruction's too. */
static void save_all(void)
{
    for (unsigned i = 0; i < ARENAS; i++)
        if (arena(i))
            memcpy(before[i], arena(i), ARENA_SIZE);
}

/* Only a few bytes of an arena change, if any. */
static enum access_result check_block(struct run *run, unsigned number, size_t from, size_t size)
{
    const uint8_t *now = arena(number) + from, *then = before[number] + from;
    if (memcmp(then, now, size) == 0)
        return ACCESS_SAME;
    for (size_t i = 0; i < size; i++)
        if (then[i] != now[i] && !written(run, (uint64_t)(uintptr_t)now + i))
            return different(run, "wrote %p, which is not listed", (const void *)(now + i));
    return ACCESS_SAME;
}

static enum access_result check_arena(struct run *run, unsigned number)
{
    enum access_result result = ACCESS_SAME;
    for (size_t from = 0; arena(number) && from < ARENA_SIZE && result == ACCESS_SAME; from += BLOCK)
        result = check_block(run, number, from, BLOCK);
    return result;
}

static enum access_result check_memory(struct run *run)
{
    enum access_result result = ACCESS_SAME;
    for (unsigned i = 0; i < ARENAS && result == ACCESS_SAME; i++)
        result = check_arena(run, i);
    return result;
}

/* The arenas that were to be accessed; the others are looked at in the end. */
static enum access_result check_touched(struct run *run)
{
    enum access_result result = ACCESS_SAME;
    for (unsigned i = 0; i < ARENAS && result == ACCESS_SAME; i++)
        if (is_touched(run, i))
            result = check_arena(run, i);
    return result;
}

/* ---- one native run -------------------------------------------------------------------------------------------- */

/* A byte range of an access that lies in a closed page. */
struct stop {
    size_t access;
    uint64_t first, end;
    /* The address that the processor reports; 0: any in the range. */
    uint64_t reported;
    bool writes;
};

#define STOPS_MOST 256

/* What the list says of a run in which one page, or two, are closed: it must fault or may, at one of these; it must
 * raise #GP unless it stopped before. */
struct expectation {
    bool must;
    bool misaligned;
    size_t count;
    struct stop stops[STOPS_MOST];
};

/* The protection of one page. */
struct closed {
    uint64_t page;
    int protection;
};

static bool is_closed(const struct closed *closed, size_t count, uint64_t address, bool writes)
{
    for (size_t i = 0; i < count; i++)
        if (address / PAGE == closed[i].page && (writes || closed[i].protection == PROT_NONE))
            return true;
    return false;
}

/* A store of which a mask lets some elements through, all of them at once. */
static bool is_masked_store(const struct run *run, const struct segue_access *access)
{
    const struct segue_memory_operand *memory = &run->insn->memory[access->operand];
    return (access->flags & SEGUE_ACCESS_MASKED) && access->direction == SEGUE_WRITE && !memory->probe &&
           memory->lanes > 1 && memory->addressing != SEGUE_ADDRESSING_VECTOR;
}

/* The lowest byte of an operand that is accessed, and the one behind the highest. */
static void range_of(const struct run *run, unsigned operand, uint64_t *from, uint64_t *end)
{
    *from = UINT64_MAX;
    *end = 0;
    for (size_t i = 0; i < run->count; i++) {
        const struct segue_access *access = &run->accesses[i];
        if (access->operand != operand)
            continue;
        *from = access->address < *from ? access->address : *from;
        *end = access->address + access->size > *end ? access->address + access->size : *end;
    }
}

/* Small accesses report their lowest byte in the page; those that are made of many may report any. Of a masked store
 * that stops at its second page Intel's processors report the last byte, whichever element it belongs to, AMD's the
 * first (docs/facts.md). */
static uint64_t reported(const struct run *run, const struct segue_access *access, uint64_t first)
{
    uint64_t from, end;
    if (is_masked_store(run, access) && !processor_is_amd()) {
        range_of(run, access->operand, &from, &end);
        return from / PAGE < first / PAGE ? end - 1 : first;
    }
    bool any = access->size > 64 || (access->flags & SEGUE_ACCESS_OPTIONAL) || access->size > access->element;
    return any ? 0 : first;
}

/* Adds the parts of a range that lie in closed pages; returns whether there were any. Which of them a processor meets
 * first is its own affair. */
static bool add_stops(const struct run *run, struct expectation *expectation, const struct closed *closed, size_t count,
                      size_t access, uint64_t from, uint64_t end)
{
    bool any = false, writes = run->accesses[access].direction & SEGUE_WRITE;
    for (uint64_t at = from, next; at < end; at = next) {
        next = (at / PAGE + 1) * PAGE;
        if (!is_closed(closed, count, at, writes) || expectation->count == STOPS_MOST)
            continue;
        expectation->stops[expectation->count++] =
            (struct stop){access, at, next < end ? next : end, reported(run, &run->accesses[access], at), writes};
        any = true;
    }
    return any;
}

static bool is_misaligned(const struct segue_access *access)
{
    uint64_t start = access->address - (uint64_t)access->lane * access->element;
    return access->alignment && start % access->alignment;
}

static uint64_t most_iterations(const struct run *run)
{
    uint64_t most = 1;
    for (size_t i = 0; i < run->count; i++) {
        const struct segue_access *access = &run->accesses[i];
        if ((access->flags & SEGUE_ACCESS_REPEATED) && access->size / access->element > most)
            most = access->size / access->element;
    }
    return most;
}

/* REPE CMPSB compares in blocks on AMD's processors, and then begins with either string (docs/facts.md). */
static bool takes_either_first(const struct run *run)
{
    return processor_is_amd() && run->insn->flags & SEGUE_INSN_CONDITIONAL && run->insn->memory_count == 2 &&
           run->insn->memory[0].element == 1;
}

/* In the order of the list; the elements of repeated ones take turns. What is misaligned raises #GP when it is its
 * turn: MOVDIR64B finds its source closed before it looks at where to store. */
static void expect(const struct run *run, const struct closed *closed, size_t closed_count,
                   struct expectation *expectation)
{
    uint64_t rounds = most_iterations(run);
    expectation->must = expectation->misaligned = false;
    expectation->count = 0;
    for (uint64_t round = 0; round < rounds; round++) {
        for (size_t i = 0; i < run->count; i++) {
            const struct segue_access *access = &run->accesses[i];
            uint64_t from = access->address, end = from + access->size;
            bool sure = !(access->flags & SEGUE_ACCESS_OPTIONAL) && !((access->flags & SEGUE_ACCESS_UNTIL) && round);
            if (is_misaligned(access)) {
                expectation->misaligned = true;
                return;
            }
            if (access->flags & SEGUE_ACCESS_REPEATED) {
                if (round * access->element >= access->size)
                    continue;
                from = access->flags & SEGUE_ACCESS_DOWN ? end - (round + 1) * access->element
                                                         : from + round * access->element;
                end = from + access->element;
            } else if (round) {
                continue;
            }
            if (add_stops(run, expectation, closed, closed_count, i, from, end) && sure) {
                expectation->must = true;
                if (!takes_either_first(run))
                    return;
            }
        }
        if (expectation->must)
            return;
    }
}

static void run_natively(struct run *run, struct oracle_output *output)
{
    struct oracle_registers registers;
    memcpy(registers.general, &run->regs, sizeof registers.general);
    registers.rflags = run->regs.rflags;
    struct oracle_input input = {
        .registers = &registers, .gs_base = run->regs.gs_base, .image = image, .code = run->regs.rip};
    if (run->insn->mode == SEGUE_MODE_32)
        input.code = compat_code(run->regs.rip);
    output->image = image_after;
    oracle_run(&input, output);
    run->report->runs++;
}

static void protect(const struct closed *closed, size_t count, bool open)
{
    for (size_t i = 0; i < count; i++)
        mprotect((void *)(uintptr_t)(closed[i].page * PAGE), PAGE,
                 open ? PROT_READ | PROT_WRITE : closed[i].protection);
}

static bool is_at(const struct stop *stop, uint64_t address)
{
    return stop->reported ? address == stop->reported : address >= stop->first && address < stop->end;
}

/* Runs with these pages closed, and compares. */
static enum access_result check_closed(struct run *run, const struct closed *closed, size_t count)
{
    static struct expectation expectation;
    struct oracle_output output;
    expect(run, closed, count, &expectation);
    protect(closed, count, false);
    run_natively(run, &output);
    protect(closed, count, true);
    const struct oracle_signal *signal = &output.signal;
    const char *how = closed[0].protection == PROT_NONE ? "closed" : "read-only";
    unsigned long long page = (unsigned long long)closed[0].page * PAGE, trap = signal->trap;
    if (expectation.misaligned && trap == TRAP_GENERAL_PROTECTION)
        return ACCESS_SAME;
    if (expectation.misaligned && expectation.count == 0)
        return different(run, "misaligned, but trap %llu", trap);
    bool writes = signal->error & ERROR_WRITE;
    if (!signal->number || trap != TRAP_PAGE_FAULT) {
        const struct stop *stop = &expectation.stops[expectation.count ? expectation.count - 1 : 0];
        return !expectation.must && !expectation.misaligned
                   ? ACCESS_SAME
                   : different(run, "no page fault (trap %llu) with page %#llx %s; access %zu should %s %#llx", trap,
                               page, how, stop->access, stop->writes ? "write" : "read",
                               (unsigned long long)stop->first);
    }
    for (size_t i = 0; i < expectation.count; i++)
        if (is_at(&expectation.stops[i], signal->page_fault_address) && expectation.stops[i].writes == writes)
            return ACCESS_SAME;
    return different(run, "a page fault at %#llx, error %#llx, with page %#llx %s%s; %s%#llx was listed",
                     (unsigned long long)signal->page_fault_address, (unsigned long long)signal->error, page, how,
                     count > 1 ? " and another" : "", expectation.count ? "" : "none of ",
                     (unsigned long long)expectation.stops[0].first);
}

/* With all pages open. `*completes`: whether it ran to its end. */
static enum access_result check_open(struct run *run, bool zeros, bool *completes)
{
    static struct expectation expectation;
    struct oracle_output output;
    expect(run, NULL, 0, &expectation);
    /* What POPF takes from memory must not trap. */
    fill(run, zeros || run->insn->class_ == SEGUE_CLASS_STACK);
    if (run->insn->class_ == SEGUE_CLASS_BRANCH)
        fill_targets(run);
    save(run);
    run_natively(run, &output);
    *completes = output.signal.number == 0;
    if (output.signal.number && output.signal.trap == TRAP_UNDEFINED)
        return ACCESS_UNKNOWN;
    if (expectation.misaligned)
        return output.signal.trap == TRAP_GENERAL_PROTECTION
                   ? ACCESS_SAME
                   : different(run, "misaligned, but trap %llu", (unsigned long long)output.signal.trap);
    if (*completes)
        return check_touched(run);
    if (output.signal.trap == TRAP_PAGE_FAULT)
        return different(run, "page fault at %#llx with all pages open",
                         (unsigned long long)output.signal.page_fault_address);
    return ACCESS_SAME;
}

/* ---- one placement --------------------------------------------------------------------------------------------- */

#define PAGES_MOST 64

static void add_page(uint64_t pages[PAGES_MOST], size_t *count, uint64_t address)
{
    if (!in_arenas(address, 1) || *count == PAGES_MOST)
        return;
    for (size_t i = 0; i < *count; i++)
        if (pages[i] == address / PAGE)
            return;
    pages[(*count)++] = address / PAGE;
}

/* The pages in which the accesses lie, and which they touch. */
static size_t pages_around(const struct run *run, uint64_t pages[PAGES_MOST])
{
    size_t count = 0;
    for (size_t i = 0; i < run->count; i++) {
        const struct segue_access *access = &run->accesses[i];
        for (uint64_t at = access->address - 1; at < access->address + access->size; at = (at / PAGE + 1) * PAGE)
            add_page(pages, &count, at);
        add_page(pages, &count, access->address + access->size);
    }
    return count;
}

/* What the other registers lead to closed, all at once. */
static enum access_result check_elsewhere(struct run *run)
{
    struct closed closed[2 * REGISTERS];
    size_t count = 0;
    for (unsigned i = 0; i < REGISTERS; i++) {
        if (is_touched(run, i))
            continue;
        closed[count++] = (struct closed){middle(i) / PAGE, PROT_NONE};
        closed[count++] = (struct closed){middle(i) / PAGE - 1, PROT_NONE};
    }
    return check_closed(run, closed, count);
}

static enum access_result check_placement(struct run *run, unsigned number)
{
    uint64_t pages[PAGES_MOST];
    bool completes;
    enum access_result result = check_open(run, false, &completes);
    if (result == ACCESS_SAME && !completes)
        result = check_open(run, true, &completes);
    if (result != ACCESS_SAME)
        return result;
    if (run->count == 0 || number == 0)
        result = check_elsewhere(run);
    size_t count = pages_around(run, pages);
    for (size_t i = 0; i < count && result == ACCESS_SAME; i++) {
        result = check_closed(run, &(struct closed){pages[i], PROT_NONE}, 1);
        if (result == ACCESS_SAME)
            result = check_closed(run, &(struct closed){pages[i], PROT_READ}, 1);
        /* Two at once show which comes first. */
        for (size_t j = 0; j < i && result == ACCESS_SAME; j++)
            result = check_closed(run, (struct closed[]){{pages[i], PROT_NONE}, {pages[j], PROT_NONE}}, 2);
    }
    if (result == ACCESS_SAME)
        result = check_memory(run);
    save(run);
    return result;
}

/* A jump to an address in memory, of 32 bits at least: that can be the slot's. */
static bool comes_back(const struct segue_insn *insn)
{
    unsigned size = 0, element = 0;
    for (size_t i = 0; i < insn->memory_count && insn->memory[i].direction == SEGUE_READ; i++) {
        size += insn->memory[i].size;
        element = insn->memory[i].element > element ? insn->memory[i].element : element;
    }
    return size >= 6 && element >= 4;
}

/* In 32-bit mode FS leads nowhere here, and what is written to a code segment raises #GP. */
static bool has_segments(const struct segue_insn *insn)
{
    for (size_t i = 0; i < insn->memory_count && insn->mode == SEGUE_MODE_32; i++) {
        const struct segue_memory_operand *memory = &insn->memory[i];
        bool writes_code = memory->segment == SEGUE_SEGMENT_CS && (memory->direction & SEGUE_WRITE);
        if (memory->segment == SEGUE_SEGMENT_FS || writes_code)
            return false;
    }
    return true;
}

/* Loading FS takes the host's thread-local storage away; what the operating system keeps for itself raises #GP, and so
 * does ENQCMD in a process that has not been given a queue; the program cannot come back from a jump to wherever a
 * register points. */
static bool can_run(const struct segue_insn *insn)
{
    static const char *const refused[] = {"insb", "insw", "insd", "outsb", "outsw", "outsd", "enqcmd", "enqcmds"};
    const char *name = segue_mnemonic_name(insn->mnemonic);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (strcmp(name, refused[i]) == 0)
            return false;
    if (!has_segments(insn))
        return false;
    if (insn->class_ == SEGUE_CLASS_SEGMENT && !(insn->memory_count && insn->memory[0].direction == SEGUE_WRITE))
        return false;
    if (insn->class_ == SEGUE_CLASS_BRANCH && !comes_back(insn))
        return false;
    return insn->class_ != SEGUE_CLASS_SYSTEM;
}

/* Each operand of its own moved into the arena of its base. */
static bool settle(struct run *run)
{
    for (unsigned tries = 0; tries < SETTLE_TRIES && list(run) == SEGUE_OK; tries++) {
        if (all_in_arenas(run))
            return true;
        for (size_t i = 0; i < run->count; i++)
            if (!in_arenas(run->accesses[i].address, run->accesses[i].size) && !place(run, i, 0))
                return false;
    }
    return false;
}

static void load(const struct run *run)
{
    oracle_slots_open();
    if (run->insn->mode == SEGUE_MODE_32)
        compat_slot_write(run->slot, run->insn->bytes, run->insn->length);
    else
        oracle_slot_write(run->slot, run->insn->bytes, run->insn->length);
    oracle_slots_close();
}

enum access_result access_check(const struct segue_insn *insn, struct random *random, struct access_report *report)
{
    struct run run = {.insn = insn, .random = random, .report = report};
    enum access_result result = ACCESS_NOT_PLACED, last = ACCESS_NOT_PLACED;
    bool any = false;
    size_t loaded = run.slot;
    if (!can_run(insn))
        return ACCESS_NOT_RUN;
    load(&run);
    for (unsigned i = 0; i < PLACEMENTS; i++) {
        random_state(&run);
        enum segue_status status = list(&run);
        if (status != SEGUE_OK)
            return status == SEGUE_UNSUPPORTED ? ACCESS_REFUSED : different(&run, "no list: status %d", (int)status);
        if (!settle(&run))
            continue;
        if (run.count) {
            /* At an edge: just before it, just after it, and across it by one byte or any number. */
            size_t number =
                run.count <= PLACEMENTS / INSIDES ? i / INSIDES % run.count : random_below(random, (uint32_t)run.count);
            uint64_t size = run.accesses[number].size;
            const uint64_t inside[INSIDES] = {0, 1, size - 1, size, random_below(random, (uint32_t)size + 1)};
            if (!place(&run, number, inside[i % INSIDES]) || !all_in_arenas(&run))
                continue;
        }
        if (run.slot != loaded)
            load(&run);
        loaded = run.slot;
        last = check_placement(&run, i);
        if (last == ACCESS_DIFFERENT)
            save_all();
        if (last == ACCESS_DIFFERENT || last == ACCESS_UNKNOWN)
            return last;
        result = last;
        any |= run.count != 0;
    }
    return result == ACCESS_SAME && !any ? ACCESS_NONE : result;
}
