/* text.c: see text.h; hot_read_code.
 *
 * ASSUMPTIONS: a file's code in a private mapping that cannot be written changes only if the program changes its
 * protection, or maps something else there. */
#include "text.h"

#include <string.h>

#include "decode/x86/page.h"
#include "patch/hot/space/chunks.h"
#include "patch/poke/excluded.h"
#include "platform/clock.h"
#include "platform/code.h"
#include "platform/memory/mappings.h"
#include "platform/memory/memory.h"
#include "platform/memory/readable.h"
#include "platform/process/sole.h"
#include "sites.h"

/* Sites of a batch are close to one another, and in few pieces. */
#define PIECES 16u
#define PIECE 512u
_Static_assert(PAGE % PIECE == 0, "a piece is in one page");

struct range {
    uint64_t start, size;
};

/* No other copy of the library changes code in this process. */
static bool is_sole;
/* The library's module, if it is not the program. */
static struct range own;

/* What was found since the batch began: the mapping that was asked for last; and pieces of code as they were read, one
 * by one in turn. */
static struct mapping known;
static bool is_known;
static uint64_t pieces[PIECES];
static uint8_t bytes_of[PIECES][PIECE];
static unsigned piece_turn;
static poke_peek *quick_peek;

/* --- The library's own code. --- */

struct own_search {
    unsigned modules;
    uint64_t here;
};

static bool look_for_own(const struct platform_module *module, void *context)
{
    struct own_search *search = context;
    if (search->here - module->start < module->end - module->start) {
        /* Linked into the program, the library is no module of its own. */
        if (search->modules)
            own = (struct range){module->start, module->end - module->start};
        return false;
    }
    search->modules++;
    return true;
}

void text_prepare(void)
{
    struct own_search search = {0, (uint64_t)(uintptr_t)&text_prepare};
    is_sole = sole_claim();
    platform_modules_visit(look_for_own, &search);
}

/* --- May it be changed? --- */

static bool overlap(const struct range *range, uint64_t address, uint64_t size)
{
    return range->size && address < range->start + range->size && range->start < address + size;
}

void text_begin(poke_peek *peek)
{
    quick_peek = peek;
    is_known = false;
    memset(pieces, 0, sizeof pieces);
}

static bool find_mapping(uint64_t address)
{
    if (!is_known || address - known.start >= known.end - known.start)
        is_known = mappings_find(address, &known);
    return is_known;
}

const char *text_refusal(uint64_t address, unsigned size, bool any)
{
    if (code_is_excluded(address, size))
        return "the program excluded this code";
    if (!is_sole)
        return "another copy of the library changes code in this process";
    if (overlap(&own, address, size) || chunk_find(address))
        return "it is the library's own code";
    if (any)
        return NULL;
    if (!find_mapping(address) || address + size > known.end)
        return "the system does not show what is mapped there";
    if (!(known.protection & PLATFORM_EXECUTE))
        return "its page cannot be executed";
    if (!known.file || known.is_shared || (known.protection & PLATFORM_WRITE))
        return "its code may be rewritten";
    return NULL;
}

/* --- As the program wrote it. --- */

static uint64_t changes;

__attribute__((hot)) uint64_t hot_changes(void)
{
    return __atomic_load_n(&changes, __ATOMIC_ACQUIRE);
}

void text_changes(void)
{
    __atomic_fetch_add(&changes, 1, __ATOMIC_ACQ_REL);
}

/* How code is read that the bytes at hand lack: all of it, or false. */
typedef bool peek_code(uint64_t address, void *bytes, size_t size);

/* Whether the bytes at the site are its jump, the jump before, or a state between the two. Nothing else is: code that
 * was mapped there later may have some byte in common with each. */
static bool is_changed(const struct hot_site *site, const uint8_t *bytes)
{
    if (memcmp(bytes, site->new_bytes, site->changed) == 0 || memcmp(bytes, site->replaced_bytes, site->changed) == 0)
        return true;
    if (*bytes != TEXT_BREAKPOINT)
        return false;
    for (unsigned i = 1; i < site->changed; i++)
        if (bytes[i] != site->new_bytes[i] && bytes[i] != site->old_bytes[i] && bytes[i] != site->replaced_bytes[i])
            return false;
    return true;
}

/* Other code may begin with the few bytes of a pun that are its own. So a jump is looked at as a whole, with its
 * successor's bytes, unless code changes at the moment. `bytes` are the `size` bytes from the site on, as they are. */
static bool is_other_jump(const struct hot_site *site, const uint8_t *bytes, size_t size, peek_code *peek)
{
    uint8_t whole[PUN_BYTES];
    const size_t length = site->prefixes + PUN_JUMP;
    if (site->is_rewritten || site->changed >= length || hot_changes() % 2 || *bytes == TEXT_BREAKPOINT)
        return false;
    if (size < length && !peek(site->address, whole, length))
        return true;
    return pun_target(site->address, size < length ? whole : bytes, site->prefixes) !=
           body_numbered(site->body)->address;
}

/* Reads the site's jump with its successor's bytes, which is_other_jump needs; or its own bytes alone. Returns how
 * many. */
static size_t read_site(const struct hot_site *site, uint8_t bytes[SEGUE_INSN_BYTES], peek_code *peek)
{
    const size_t length = site->prefixes + PUN_JUMP;
    if (length > site->changed && peek(site->address, bytes, length))
        return length;
    return peek(site->address, bytes, site->changed) ? site->changed : 0;
}

/* Takes the site's change out of the bytes that were read from `address` on. */
__attribute__((hot)) static void take_out(const struct hot_site *site, uint64_t address, uint8_t *bytes, size_t size,
                                          peek_code *peek)
{
    uint8_t whole[SEGUE_INSN_BYTES], state = __atomic_load_n(&site->state, __ATOMIC_ACQUIRE);
    uint64_t at = site->address;
    /* The bytes may have been read before the site was undone. */
    if (state != HOT_MADE && state != HOT_UNDONE)
        return;
    unsigned from = at < address ? (unsigned)(address - at) : 0, to = site->changed;
    if (at + to > address + size)
        to = (unsigned)(address + size - at);
    if (from >= to)
        return;
    bool is_whole = from == 0 && to == site->changed;
    size_t count = is_whole ? (size_t)(address + size - at) : read_site(site, whole, peek);
    if (count == 0)
        return;
    const uint8_t *present = is_whole ? bytes + (at - address) : whole;
    if (is_changed(site, present) && !(state == HOT_MADE && is_other_jump(site, present, count, peek)))
        memcpy(bytes + (at + from - address), site->old_bytes + from, to - from);
}

/* NULL if the piece cannot be read. */
static const uint8_t *read_piece(uint64_t piece)
{
    for (unsigned i = 0; i < PIECES; i++)
        if (pieces[i] == piece)
            return bytes_of[i];
    unsigned at = piece_turn++ % PIECES;
    bool is_read = quick_peek && quick_peek(bytes_of[at], piece, PIECE) == PIECE;
    pieces[at] = is_read || readable_copy(piece, bytes_of[at], PIECE) ? piece : 0;
    return pieces[at] ? bytes_of[at] : NULL;
}

size_t text_peek(uint64_t address, uint8_t *bytes, size_t size)
{
    size_t read = 0;
    while (read < size) {
        uint64_t at = address + read, offset = at % PIECE;
        const uint8_t *piece = read_piece(at - offset);
        size_t some = size - read < PIECE - offset ? size - read : PIECE - offset;
        if (!piece)
            break;
        memcpy(bytes + read, piece + offset, some);
        read += some;
    }
    return read;
}

static bool peek_all(uint64_t address, void *bytes, size_t size)
{
    return text_peek(address, bytes, size) == size;
}

static void see_through(uint64_t address, uint8_t *bytes, size_t size, peek_code *peek)
{
    struct hot_site *found[SITES_IN];
    uint64_t end = address + size;
    for (uint64_t at = site_lowest_change(address); at < end; at += SITES_IN) {
        unsigned count = sites_in(at, end - at < SITES_IN ? end - at : SITES_IN, found);
        for (unsigned i = 0; i < count; i++)
            take_out(found[i], address, bytes, size, peek);
    }
}

void text_see_through(uint64_t address, uint8_t *bytes, size_t size)
{
    see_through(address, bytes, size, peek_all);
}

size_t text_read_code(uint64_t address, uint8_t *bytes, size_t size)
{
    size_t read = text_peek(address, bytes, size);
    text_see_through(address, bytes, read);
    return read;
}

static size_t read_readable(uint64_t address, uint8_t *bytes, size_t size)
{
    size_t first = PAGE - address % PAGE;
    if (readable_copy(address, bytes, size))
        return size;
    return first < size && readable_copy(address, bytes, first) ? first : 0;
}

__attribute__((hot)) void hot_see_through_site(uint64_t address, uint8_t *bytes, size_t size)
{
    const struct hot_site *site = hot_site_find(address);
    if (site)
        take_out(site, address, bytes, size, readable_copy);
}

size_t hot_read_code(uint64_t address, uint8_t *bytes, size_t size)
{
    size_t read = read_readable(address, bytes, size);
    see_through(address, bytes, read, readable_copy);
    return read;
}
