/* pieces.c: an access carried out piece by piece, all of it or nothing.
 *
 * Order is what makes it all or nothing. What only looks comes first: native and forced pieces are read, or proved
 * writable. A device, of which a plan has one at most, comes next, since it may refuse. What cannot fail any more comes
 * last. An access that is one native piece is one native load or store, as atomic as the program's own: window and
 * memory begin on page boundaries, so the two have the same alignment. */
#include "pieces.h"

#include "../decode/system/forced.h"
#include "guard.h"

/* The smallest page there is: protection is the same within it. */
#define PAGE 4096u

static bool is_device(const struct segue_piece *piece)
{
    return piece->window && piece->window->kind == SEGUE_WINDOW_CALLBACK;
}

static bool native_load(const struct segue_piece *piece, void *to)
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

static bool native_store(const struct segue_piece *piece, const void *from)
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

static bool load(const struct segue_piece *piece, void *to)
{
    return piece_is_native(piece) ? native_load(piece, to) : forced_read(piece->address, to, piece->size);
}

static bool store(const struct segue_piece *piece, const void *from)
{
    return piece_is_native(piece) ? native_store(piece, from) : forced_write(piece->address, from, piece->size);
}

/* The kernel tells only by doing it: memory that it reads past the protection it may yet not write (a shared mapping
 * without PROT_WRITE). The byte is about to be overwritten anyway, and forced windows promise no atomicity. */
static bool forced_probe_write(uint64_t address)
{
    char byte;
    return forced_read(address, &byte, 1) && forced_write(address, &byte, 1);
}

static bool readable(const struct segue_piece *piece)
{
    char byte;
    if (piece_is_native(piece))
        return guard_load_1(piece->host, &byte) == 0 && guard_load_1((char *)piece->host + piece->size - 1, &byte) == 0;
    return forced_read(piece->address, &byte, 1) && forced_read(piece->address + piece->size - 1, &byte, 1);
}

/* A piece that is copied is shorter than a page, so its two ends tell for all of it. */
static bool writable(const struct segue_piece *piece)
{
    if (piece_is_native(piece))
        return guard_probe_write(piece->host) == 0 && guard_probe_write((char *)piece->host + piece->size - 1) == 0;
    return forced_probe_write(piece->address) && forced_probe_write(piece->address + piece->size - 1);
}

static enum segue_status failed(const struct segue_piece *piece, uint8_t direction, struct segue_fault *fault)
{
    if (fault)
        *fault =
            (struct segue_fault){.address = piece->address, .direction = direction, .address_known = true, .trap = 14};
    return SEGUE_FAULT;
}

/* Whether the piece is of an operand that is copied, and is accessed in that direction, if only to see whether it can
 * be. */
static bool is_wanted(const struct segue_plan *plan, const struct copies *copies, const struct segue_piece *piece,
                      uint8_t direction)
{
    const struct segue_access *access = &plan->accesses[piece->access];
    return copies->bytes[access->operand] && (access->direction & direction);
}

static bool is_probe(const struct segue_plan *plan, const struct segue_piece *piece)
{
    return plan->accesses[piece->access].flags & SEGUE_ACCESS_PROBE;
}

/* The piece's place in its operand's copy; NULL if it has none, or no bytes go that way. */
static uint8_t *part_of(const struct segue_plan *plan, const struct copies *copies, const struct segue_piece *piece,
                        uint8_t direction)
{
    const struct segue_access *access = &plan->accesses[piece->access];
    if (!is_wanted(plan, copies, piece, direction) || is_probe(plan, piece))
        return NULL;
    return copies->bytes[access->operand] + (piece->address - copies->address[access->operand]);
}

static enum segue_status check_writable(const struct segue_plan *plan, const struct copies *copies,
                                        struct segue_fault *fault)
{
    for (uint32_t i = 0; i < plan->piece_count; i++) {
        const struct segue_piece *piece = &plan->pieces[i];
        if (is_wanted(plan, copies, piece, SEGUE_WRITE) && !is_device(piece) && !writable(piece))
            return failed(piece, SEGUE_WRITE, fault);
    }
    return SEGUE_OK;
}

static enum segue_status read_device(const struct segue_plan *plan, const struct copies *copies,
                                     const struct segue_piece *device)
{
    const struct segue_window *window = device->window;
    uint8_t *part = part_of(plan, copies, device, SEGUE_READ);
    return window->read(window->context, device->address, part, device->size) == SEGUE_OK ? SEGUE_OK
                                                                                          : SEGUE_UNSUPPORTED;
}

enum segue_status pieces_read(const struct segue_plan *plan, const struct copies *copies, struct segue_fault *fault)
{
    const struct segue_piece *device = NULL;
    for (uint32_t i = 0; i < plan->piece_count; i++) {
        const struct segue_piece *piece = &plan->pieces[i];
        uint8_t *part = part_of(plan, copies, piece, SEGUE_READ);
        if (!part)
            continue;
        if (is_device(piece))
            device = piece;
        /* What is read to be written faults as a write. */
        else if (part_of(plan, copies, piece, SEGUE_WRITE) && !writable(piece))
            return failed(piece, SEGUE_WRITE, fault);
        else if (!load(piece, part))
            return failed(piece, SEGUE_READ, fault);
    }
    enum segue_status status = check_writable(plan, copies, fault);
    return status == SEGUE_OK && device ? read_device(plan, copies, device) : status;
}

/* The device first, since it may refuse. */
static enum segue_status write_device(const struct segue_plan *plan, const struct copies *copies)
{
    for (uint32_t i = 0; i < plan->piece_count; i++) {
        const struct segue_piece *piece = &plan->pieces[i];
        const uint8_t *part = part_of(plan, copies, piece, SEGUE_WRITE);
        if (part && is_device(piece) &&
            piece->window->write(piece->window->context, piece->address, part, piece->size) != SEGUE_OK)
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
    for (uint32_t i = 0; i < plan->piece_count && status == SEGUE_OK; i++) {
        const struct segue_piece *piece = &plan->pieces[i];
        const uint8_t *part = part_of(plan, copies, piece, SEGUE_WRITE);
        if (part && !is_device(piece) && !store(piece, part))
            status = failed(piece, SEGUE_WRITE, fault);
    }
    return status;
}

/* One native store is all or nothing by itself, and so is one forced store within a page. */
static bool is_indivisible(const struct segue_piece *piece)
{
    return !is_device(piece) && (piece_is_native(piece) || piece->address % PAGE + piece->size <= PAGE);
}

enum segue_status pieces_write(const struct segue_plan *plan, const struct copies *copies, struct segue_fault *fault)
{
    const struct segue_piece *first = &plan->pieces[0];
    if (plan->piece_count > 1 || !is_indivisible(first) || is_probe(plan, first))
        return write_parts(plan, copies, fault);
    const uint8_t *part = part_of(plan, copies, first, SEGUE_WRITE);
    return !part || store(first, part) ? SEGUE_OK : failed(first, SEGUE_WRITE, fault);
}

/* One byte of a piece. */
static struct segue_piece byte_of_piece(const struct segue_piece *whole, uint32_t offset)
{
    struct segue_piece byte = *whole;
    byte.address += offset;
    byte.host = piece_is_native(whole) ? (void *)((uintptr_t)whole->host + offset) : NULL;
    byte.size = 1;
    return byte;
}

static bool is_reachable(const struct segue_plan *plan, const struct segue_piece *piece)
{
    uint8_t direction = plan->accesses[piece->access].direction;
    return is_device(piece) || ((direction & SEGUE_WRITE) ? writable(piece) : readable(piece));
}

enum segue_status pieces_look_at_end(const struct segue_plan *plan, struct segue_fault *fault)
{
    const struct segue_piece *last = &plan->pieces[plan->piece_count - 1];
    struct segue_piece first = byte_of_piece(&plan->pieces[0], 0), end = byte_of_piece(last, last->size - 1);
    if (!is_reachable(plan, &first) || is_reachable(plan, &end))
        return SEGUE_OK;
    return failed(&end, plan->accesses[end.access].direction, fault);
}

/* A piece of one page or less of `whole`, from `offset` on. */
static struct segue_piece page_of_piece(const struct segue_piece *whole, uint32_t offset)
{
    struct segue_piece part = *whole;
    uint32_t left = whole->size - offset;
    part.address += offset;
    part.host = piece_is_native(whole) ? (void *)((uintptr_t)whole->host + offset) : NULL;
    part.size = PAGE - (uint32_t)(part.address % PAGE);
    part.size = part.size < left ? part.size : left;
    return part;
}

/* Tells the first page of the piece that cannot be reached; false if all can. */
static bool find_in_piece(const struct segue_piece *piece, uint8_t direction, struct segue_fault *fault)
{
    for (uint32_t offset = 0; offset < piece->size;) {
        struct segue_piece part = page_of_piece(piece, offset);
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

void pieces_find_fault(const struct segue_plan *plan, struct segue_fault *fault)
{
    if (!fault)
        return;
    *fault = (struct segue_fault){0};
    for (uint32_t i = 0; i < plan->piece_count; i++)
        if (!is_device(&plan->pieces[i]) &&
            find_in_piece(&plan->pieces[i], plan->accesses[plan->pieces[i].access].direction, fault))
            return;
}
