/* access_case.c: one instruction's access list held against the processor (see access_case.h).
 *
 * SOURCES: Intel SDM volume 3, 4.7 (error code of page faults: bit 1 is a write). */
#include "access_case.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "access_run.h"
#include "decode/x86/traps.h"
#include "tests/differential/states/oracle.h"
#include "tests/support/processor/compat.h"

#define BLOCK 512u
#define PLACEMENTS 10
/* Ways in which an access can lie at an edge. */
#define INSIDES 5
#define TRAP_UNDEFINED 6

static _Alignas(64) uint8_t image_after[IMAGE_MAX];

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
    run_expect(run, closed, count, &expectation);
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
    run_expect(run, NULL, 0, &expectation);
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
        closed[count++] = (struct closed){arena_middle(i) / PAGE, PROT_NONE};
        closed[count++] = (struct closed){arena_middle(i) / PAGE - 1, PROT_NONE};
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
        run_random_state(&run);
        enum segue_status status = run_list(&run);
        if (status != SEGUE_OK)
            return status == SEGUE_UNSUPPORTED ? ACCESS_REFUSED : different(&run, "no list: status %d", (int)status);
        if (!run_settle(&run))
            continue;
        if (run.count) {
            /* At an edge: just before it, just after it, and across it by one byte or any number. */
            size_t number =
                run.count <= PLACEMENTS / INSIDES ? i / INSIDES % run.count : random_below(random, (uint32_t)run.count);
            uint64_t size = run.accesses[number].size;
            const uint64_t inside[INSIDES] = {0, 1, size - 1, size, random_below(random, (uint32_t)size + 1)};
            if (!run_place(&run, number, inside[i % INSIDES]) || !run_in_arenas(&run))
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
