/* detours.c: see detours.h. No hot site may read the bytes that change (patch/hot).
 *
 * ASSUMPTIONS: the first module that the system lists is the program. */
#include "detours.h"

#include <signal.h>

#include "decode/x86/page.h"
#include "emulate/windows/guard.h"
#include "patch/hot/hot.h"
#include "patch/poke/excluded.h"
#include "patch/poke/poke.h"
#include "patch/scan/detour.h"
#include "patch/scan/functions.h"
#include "platform/code.h"
#include "platform/threads/thread.h"
#include "signals/handler/signal_entry.h"
#include "signals/hot/begin.h"
#include "signals/threads/thread.h"

#define SEGMENTS 8u
/* The calls of a site before it gets a detour; and the stack that making one needs. */
#define CALLS_MET 8u
#define ROOM 16384u

static const uint8_t call_bytes[SYSCALL_SIZE] = {SYSCALL_BYTES};

static struct segue_segment_code segments[SEGMENTS];
static unsigned segment_count;
/* By the site's gate: its calls so far; CALLS_MET: it has a detour, or gets none. */
static uint8_t met[CALL_GATES];
static bool are_ready;

/* ---- the modules ---- */

static bool keep_module(const struct platform_module *module, void *of_library)
{
    static bool has_program;
    const uint64_t library = (uint64_t)(uintptr_t)of_library;
    bool is_program = !has_program;
    size_t count = 0;
    has_program = true;
    if (!is_program && library - module->start >= module->end - module->start)
        return true;
    struct segue_extent *functions = functions_of(module, &count);
    for (unsigned i = 0; functions && segment_count < SEGMENTS &&
                         functions_segment(module, i, functions, count, &segments[segment_count]);
         i++)
        segment_count++;
    return true;
}

void detours_prepare(void)
{
    if (segment_count || hot_begin() != SEGUE_OK || poke_prepare() != SEGUE_OK)
        return;
    platform_modules_visit(keep_module, platform_symbol_find("read"));
    __atomic_store_n(&are_ready, true, __ATOMIC_RELEASE);
}

void detours_end(void)
{
    __atomic_store_n(&are_ready, false, __ATOMIC_RELAXED);
}

static const struct segue_segment_code *segment_of(uint64_t site)
{
    for (unsigned i = 0; i < segment_count; i++)
        if (site - segments[i].address < segments[i].size)
            return &segments[i];
    return NULL;
}

/* ---- making one ---- */

struct detour {
    const struct segue_segment_code *code;
    uint64_t site, to;
};

/* The bytes are the program's to execute, and no one else's to change. */
static bool is_free(uint64_t address, uint64_t size)
{
    return !code_is_excluded(address, size) && !hot_reads(address, size);
}

/* The program may have closed pages of its code; so has the library, in a child, if it is a part of the program. */
static bool is_readable(const struct segue_segment_code *code)
{
    char byte;
    for (size_t at = 0; at < code->size; at += PAGE)
        if (guard_copy(&byte, code->bytes + at, 1) != 0)
            return false;
    return true;
}

/* Or an instruction that stands in for it. */
static bool is_call(const uint8_t *bytes)
{
    return bytes[0] == call_bytes[0] && (bytes[1] == call_bytes[1] || bytes[1] == CALLS_STAND_IN);
}

/* By whole pages, if that is possible: a thread that ends blocks all signals, and a breakpoint would kill it. */
static void make(void *context)
{
    const struct detour *detour = context;
    struct detour_place place;
    struct detour_bytes bytes;
    if (!is_readable(detour->code) || !is_call((const uint8_t *)(uintptr_t)detour->site) ||
        !detour_find(detour->code, detour->site, &place) || !detour_reaches(&place, detour->to) ||
        !is_free(detour->site, SYSCALL_SIZE) || !is_free(place.padding.address, place.padding.size))
        return;
    detour_encode(&place, detour->to, &bytes);
    if (poke(place.padding.address, bytes.jump, place.padding.size, POKE_KERNEL | POKE_PAGES) == SEGUE_OK)
        (void)poke(detour->site, bytes.site, sizeof bytes.site, POKE_KERNEL | POKE_PAGES);
}

void detours_note(const struct system_call *call, size_t room)
{
    if (!__atomic_load_n(&are_ready, __ATOMIC_ACQUIRE) || room < ROOM || calls_is_own(call))
        return;
    unsigned gate = calls_gate(call);
    struct detour detour = {segment_of(call->instruction), call->instruction, 0};
    if (gate == CALL_GATES || !detour.code || __atomic_load_n(&met[gate], __ATOMIC_RELAXED) >= CALLS_MET ||
        __atomic_add_fetch(&met[gate], 1, __ATOMIC_RELAXED) != CALLS_MET)
        return;
    detour.to = calls_detour(gate);
    /* What it takes may fault, and be guarded; a child of posix_spawn has another handler. */
    if (!platform_handler_is(SIGSEGV, (const void *)(uintptr_t)signal_entry) || !hot_alone(make, &detour))
        __atomic_store_n(&met[gate], 0, __ATOMIC_RELAXED);
}
