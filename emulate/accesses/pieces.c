/* pieces.c: carries out an access fragment by fragment, all of it or nothing.
 *
 * The order makes it all or nothing. Steps without effect come first: native and forced fragments are read, or proved
 * writable. A device comes next, since it may refuse; a plan has at most one. Steps that cannot fail any more come
 * last. An access that is one native fragment is one native load or store, as atomic as the program's own: window and
 * memory begin on page boundaries, so both have the same alignment. */
#include "pieces.h"

#include "decode/x86/page.h"
#include "decode/x86/traps.h"
#include "emulate/details.h"
#include "emulate/windows/guard.h"
#include "platform/memory/forced.h"

void pieces_part(const struct segue_plan *plan, uint32_t number, uint64_t *address, uint64_t *size)
{
    const struct segue_access *access = &plan->accesses[number];
    uint64_t most = details_of(plan)->elements * access->element;
    *address = access->address;
    *size = access->size;
    if (!(access->flags & SEGUE_ACCESS_REPEATED) || details_of(plan)->elements == 0 || most >= access->size)
        return;
    if (access->flags & SEGUE_ACCESS_DOWN)
        *address += access->size - most;
    *size = most;
}

__attribute__((hot)) unsigned pieces_devices(const struct segue_plan *plan)
{
    unsigned count = 0;
    for (uint32_t i = 0; i < details_of(plan)->piece_count; i++)
        count += piece_is_device(&details_of(plan)->pieces[i]);
    return count;
}

bool pieces_are_atomic(const struct segue_plan *plan)
{
    if (plan->insn.flags & SEGUE_INSN_LOCKED)
        return true;
    for (uint32_t i = 0; i < plan->access_count; i++)
        if (plan->accesses[i].flags & SEGUE_ACCESS_ATOMIC)
            return true;
    return false;
}

static bool native_load(const struct plan_piece *piece, void *to)
{
    switch (piece->size) {
    case 1:
        return guard_load_1(piece->host, to) == 0;
    case 2:
        return guard_load_2(piece->host, to) == 0;
    case 4:
        return guard_load_4(piece->host, to) == 0;
    case 8:
        return guard_load_8(piece->host, to) == 0;
    default:
        return guard_copy(to, piece->host, piece->size) == 0;
    }
}

static bool native_store(const struct plan_piece *piece, const void *from)
{
    switch (piece->size) {
    case 1:
        return guard_store_1(piece->host, from) == 0;
    case 2:
        return guard_store_2(piece->host, from) == 0;
    case 4:
        return guard_store_4(piece->host, from) == 0;
    case 8:
        return guard_store_8(piece->host, from) == 0;
    default:
        return guard_copy(piece->host, from, piece->size) == 0;
    }
}

static bool load(const struct plan_piece *piece, void *to)
{
    return piece_is_native(piece) ? native_load(piece, to) : forced_read(piece->address, to, piece->size);
}

static bool store(const struct plan_piece *piece, const void *from)
{
    return piece_is_native(piece) ? native_store(piece, from) : forced_write(piece->address, from, piece->size);
}

/* Writability can only be tested by writing: a forced read can succeed where a forced write fails (a read-only shared
 * mapping). The byte is about to be overwritten anyway, and forced windows promise no atomicity. */
static bool forced_probe_write(uint64_t address)
{
    char byte;
    return forced_read(address, &byte, 1) && forced_write(address, &byte, 1);
}

/* The offset of the second page in a fragment, which is shorter than a page here; 0 if it lies in one page. A processor
 * reports this address for an access that extends into a missing page. */
static uint32_t second_page(const struct plan_piece *piece)
{
    uint32_t left = PAGE - (uint32_t)(piece->address % PAGE);
    return left < piece->size ? left : 0;
}

static bool byte_is_readable(const struct plan_piece *piece, uint32_t offset)
{
    char byte;
    return piece_is_native(piece) ? guard_load_1((char *)piece->host + offset, &byte) == 0
                                  : forced_read(piece->address + offset, &byte, 1);
}

static bool byte_is_writable(const struct plan_piece *piece, uint32_t offset)
{
    return piece_is_native(piece) ? guard_probe_write((char *)piece->host + offset) == 0
                                  : forced_probe_write(piece->address + offset);
}

static bool readable(const struct plan_piece *piece)
{
    uint32_t second = second_page(piece);
    return byte_is_readable(piece, 0) && (!second || byte_is_readable(piece, second));
}

static bool writable(const struct plan_piece *piece)
{
    uint32_t second = second_page(piece);
    return byte_is_writable(piece, 0) && (!second || byte_is_writable(piece, second));
}

static enum segue_status failed(const struct plan_piece *piece, uint8_t direction, struct segue_fault *fault)
{
    if (fault)
        *fault = (struct segue_fault){
            .address = piece->address, .direction = direction, .address_known = true, .trap = TRAP_PAGE_FAULT};
    return SEGUE_FAULT;
}

static bool is_probe(const struct segue_plan *plan, const struct plan_piece *piece)
{
    return plan->accesses[piece->access].flags & SEGUE_ACCESS_PROBE;
}

/* The part of the fragment within `size` bytes from `address` on: the fragment itself, or `part`; NULL if there is no
 * overlap. It compares last bytes, since an operand may end at the end of the address space. A whole fragment is not
 * copied: its fields were stored just before, one by one, and a copy would stall on store forwarding. */
static const struct plan_piece *cut(const struct plan_piece *piece, uint64_t address, uint64_t size,
                                    struct plan_piece *part)
{
    uint64_t last = address + size - 1, piece_last = piece->address + piece->size - 1;
    if (size == 0 || piece->address > last || piece_last < address)
        return NULL;
    if (piece->address >= address && piece_last <= last)
        return piece;
    uint64_t skipped = address > piece->address ? address - piece->address : 0;
    *part = *piece;
    part->address += skipped;
    if (piece_is_native(piece))
        part->host = (void *)((uintptr_t)piece->host + (uintptr_t)skipped);
    part->size = (uint32_t)((piece_last < last ? piece_last : last) - part->address + 1);
    return part;
}

/* The part of a fragment that lies in its operand's copy; NULL if there is no overlap, or if the access neither has
 * that direction nor probes for it. */
static const struct plan_piece *wanted_part(const struct segue_plan *plan, const struct copies *copies,
                                            const struct plan_piece *piece, uint8_t direction, struct plan_piece *part)
{
    const struct segue_access *access = &plan->accesses[piece->access];
    if (!copies->bytes[access->operand] || !(access->direction & direction) ||
        (copies->only && copies->only != piece->access + 1))
        return NULL;
    return cut(piece, copies->of.address[access->operand], copies->of.size[access->operand], part);
}

/* The part's location in its operand's copy. */
static uint8_t *place_in(const struct segue_plan *plan, const struct copies *copies, const struct plan_piece *part)
{
    unsigned operand = plan->accesses[part->access].operand;
    return copies->bytes[operand] + (part->address - copies->of.address[operand]);
}

enum segue_status piece_fetch(const struct plan_piece *piece, uint8_t direction, void *to, struct segue_fault *fault)
{
    if ((direction & SEGUE_WRITE) && !writable(piece))
        return failed(piece, SEGUE_WRITE, fault);
    return load(piece, to) ? SEGUE_OK : failed(piece, SEGUE_READ, fault);
}

enum segue_status piece_store(const struct plan_piece *piece, const void *from, struct segue_fault *fault)
{
    return store(piece, from) ? SEGUE_OK : failed(piece, SEGUE_WRITE, fault);
}

enum segue_status piece_exchange(const struct plan_piece *piece, const void *from, const void *to,
                                 struct segue_fault *fault)
{
    uint64_t outcome;
    if (!piece_is_native(piece))
        return SEGUE_UNSUPPORTED;
    switch (piece->size) {
    case 1:
        outcome = guard_exchange_1(piece->host, from, to);
        break;
    case 2:
        outcome = guard_exchange_2(piece->host, from, to);
        break;
    case 4:
        outcome = guard_exchange_4(piece->host, from, to);
        break;
    case 8:
        outcome = guard_exchange_8(piece->host, from, to);
        break;
    case 16:
        outcome = guard_exchange_16(piece->host, from, to);
        break;
    default:
        return SEGUE_UNSUPPORTED;
    }
    if (outcome == GUARD_OTHER)
        return SEGUE_BUSY;
    return outcome == 0 ? SEGUE_OK : failed(piece, SEGUE_WRITE, fault);
}

__attribute__((hot)) static enum segue_status check_writable(const struct segue_plan *plan, const struct copies *copies,
                                                             struct segue_fault *fault)
{
    for (uint32_t i = 0; i < details_of(plan)->piece_count; i++) {
        struct plan_piece room;
        const struct plan_piece *part = wanted_part(plan, copies, &details_of(plan)->pieces[i], SEGUE_WRITE, &room);
        if (part && !piece_is_device(part) && !writable(part))
            return failed(part, SEGUE_WRITE, fault);
    }
    return SEGUE_OK;
}

static enum segue_status read_device(const struct segue_plan *plan, const struct copies *copies,
                                     const struct plan_piece *device)
{
    const struct segue_window *window = device->window;
    return window->read(window->context, device->address, place_in(plan, copies, device), device->size) == SEGUE_OK
               ? SEGUE_OK
               : SEGUE_UNSUPPORTED;
}

__attribute__((hot)) enum segue_status pieces_read(const struct segue_plan *plan, const struct copies *copies,
                                                   struct segue_fault *fault)
{
    struct plan_piece room, device_room;
    const struct plan_piece *device = NULL;
    for (uint32_t i = 0; i < details_of(plan)->piece_count; i++) {
        const struct plan_piece *piece = &details_of(plan)->pieces[i];
        bool asked_last = piece_is_device(piece);
        const struct plan_piece *part = wanted_part(plan, copies, piece, SEGUE_READ, asked_last ? &device_room : &room);
        if (!part || is_probe(plan, part))
            continue;
        if (asked_last)
            device = part;
        /* A read-modify-write faults as a write. */
        else if ((plan->accesses[part->access].direction & SEGUE_WRITE) && !writable(part))
            return failed(part, SEGUE_WRITE, fault);
        else if (!load(part, place_in(plan, copies, part)))
            return failed(part, SEGUE_READ, fault);
    }
    enum segue_status status = check_writable(plan, copies, fault);
    return status == SEGUE_OK && device ? read_device(plan, copies, device) : status;
}

/* The device comes first, since it may refuse. */
static enum segue_status write_device(const struct segue_plan *plan, const struct copies *copies)
{
    for (uint32_t i = 0; i < details_of(plan)->piece_count; i++) {
        struct plan_piece room;
        if (!piece_is_device(&details_of(plan)->pieces[i]) || is_probe(plan, &details_of(plan)->pieces[i]))
            continue;
        const struct plan_piece *part = wanted_part(plan, copies, &details_of(plan)->pieces[i], SEGUE_WRITE, &room);
        if (part && part->window->write(part->window->context, part->address, place_in(plan, copies, part),
                                        part->size) != SEGUE_OK)
            return SEGUE_UNSUPPORTED;
    }
    return SEGUE_OK;
}

static enum segue_status write_parts(const struct segue_plan *plan, const struct copies *copies,
                                     struct segue_fault *fault)
{
    enum segue_status status = check_writable(plan, copies, fault);
    if (status == SEGUE_OK)
        status = write_device(plan, copies);
    for (uint32_t i = 0; i < details_of(plan)->piece_count && status == SEGUE_OK; i++) {
        struct plan_piece room;
        const struct plan_piece *part = wanted_part(plan, copies, &details_of(plan)->pieces[i], SEGUE_WRITE, &room);
        if (part && !piece_is_device(part) && !is_probe(plan, part) && !store(part, place_in(plan, copies, part)))
            status = failed(part, SEGUE_WRITE, fault);
    }
    return status;
}

/* One native store is all or nothing by itself, and so is one forced store within a page. */
static bool is_indivisible(const struct plan_piece *piece)
{
    return piece_is_native(piece) || piece->address % PAGE + piece->size <= PAGE;
}

__attribute__((hot)) enum segue_status pieces_write(const struct segue_plan *plan, const struct copies *copies,
                                                    struct segue_fault *fault)
{
    struct plan_piece room;
    if (details_of(plan)->piece_count > 1 || is_probe(plan, &details_of(plan)->pieces[0]) ||
        piece_is_device(&details_of(plan)->pieces[0]))
        return write_parts(plan, copies, fault);
    const struct plan_piece *first = wanted_part(plan, copies, &details_of(plan)->pieces[0], SEGUE_WRITE, &room);
    if (!first)
        return SEGUE_OK;
    if (!is_indivisible(first))
        return write_parts(plan, copies, fault);
    return store(first, place_in(plan, copies, first)) ? SEGUE_OK : failed(first, SEGUE_WRITE, fault);
}

static bool is_reachable(const struct segue_plan *plan, const struct plan_piece *piece, uint32_t offset)
{
    if (piece_is_device(piece))
        return true;
    return plan->accesses[piece->access].direction & SEGUE_WRITE ? byte_is_writable(piece, offset)
                                                                 : byte_is_readable(piece, offset);
}

enum segue_status pieces_probe_end(const struct segue_plan *plan, struct segue_fault *fault)
{
    const struct plan_piece *last = &details_of(plan)->pieces[details_of(plan)->piece_count - 1];
    if (!is_reachable(plan, &details_of(plan)->pieces[0], 0) || is_reachable(plan, last, last->size - 1))
        return SEGUE_OK;
    if (fault)
        *fault = (struct segue_fault){.address = last->address + last->size - 1,
                                      .direction = plan->accesses[last->access].direction,
                                      .address_known = true,
                                      .trap = TRAP_PAGE_FAULT};
    return SEGUE_FAULT;
}

/* The fragment of at most one page from `offset` of `whole`. */
static struct plan_piece page_of_piece(const struct plan_piece *whole, uint32_t offset)
{
    struct plan_piece part = *whole;
    uint32_t left = whole->size - offset;
    part.address += offset;
    part.host = piece_is_native(whole) ? (void *)((uintptr_t)whole->host + offset) : NULL;
    part.size = PAGE - (uint32_t)(part.address % PAGE);
    part.size = part.size < left ? part.size : left;
    return part;
}

/* Reports the first page of the fragment that cannot be reached; false if all can. */
static bool find_in_piece(const struct plan_piece *piece, uint8_t direction, struct segue_fault *fault)
{
    for (uint32_t offset = 0; offset < piece->size;) {
        struct plan_piece part = page_of_piece(piece, offset);
        offset += part.size;
        if ((direction & SEGUE_READ) && !readable(&part))
            failed(&part, SEGUE_READ, fault);
        else if ((direction & SEGUE_WRITE) && !writable(&part))
            failed(&part, SEGUE_WRITE, fault);
        else
            continue;
        return true;
    }
    return false;
}

void pieces_find_fault(const struct segue_plan *plan, const struct extents *extents, struct segue_fault *fault)
{
    if (!fault)
        return;
    *fault = (struct segue_fault){0};
    for (uint32_t i = 0; i < details_of(plan)->piece_count; i++) {
        struct plan_piece room;
        const struct plan_piece *part = &details_of(plan)->pieces[i];
        const struct segue_access *access = &plan->accesses[part->access];
        if (extents)
            part = cut(part, extents->address[access->operand], extents->size[access->operand], &room);
        if (part && !piece_is_device(part) && find_in_piece(part, access->direction, fault))
            return;
    }
}
