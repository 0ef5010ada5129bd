/* access_expect.c: what an access list says of a run in which pages are closed, and in what vendors' processors differ.
 *
 * SOURCES: Intel SDM volume 3, 6.9 (priorities: #GP for alignment before page faults). */
#include "access_run.h"

#include <sys/mman.h>

#include "decode/x86/processor.h"

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

void run_expect(const struct run *run, const struct closed *closed, size_t closed_count,
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
