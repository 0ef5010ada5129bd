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
    return piece->host ? native_load(piece, to) : forced_read(piece->address, to, piece->size);
}

static bool store(const struct segue_piece *piece, const void *from)
{
    return piece->host ? native_store(piece, from) : forced_write(piece->address, from, piece->size);
}

/* The kernel tells only by doing it: memory that it reads past the protection it may yet not write (a shared mapping
 * without PROT_WRITE). The byte is about to be overwritten anyway, and forced windows promise no atomicity. */
static bool forced_probe_write(uint64_t address)
{
    char byte;
    return forced_read(address, &byte, 1) && forced_write(address, &byte, 1);
}

/* A piece is shorter than a page, so its two ends tell for all of it. */
static bool writable(const struct segue_piece *piece)
{
    if (piece->host)
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

static char *part_of(const struct segue_plan *plan, const struct segue_piece *piece, const void *bytes)
{
    return (char *)bytes + (piece->address - plan->accesses[piece->access].address);
}

enum segue_status pieces_read(const struct segue_plan *plan, void *bytes, struct segue_fault *fault)
{
    const struct segue_piece *device = NULL;
    for (uint32_t i = 0; i < plan->piece_count; i++) {
        const struct segue_piece *piece = &plan->pieces[i];
        if (is_device(piece))
            device = piece;
        else if (!load(piece, part_of(plan, piece, bytes)))
            return failed(piece, SEGUE_READ, fault);
    }
    if (device && device->window->read(device->window->context, device->address, part_of(plan, device, bytes),
                                       device->size) != SEGUE_OK)
        return SEGUE_UNSUPPORTED;
    return SEGUE_OK;
}

static enum segue_status write_parts(const struct segue_plan *plan, const void *bytes, struct segue_fault *fault)
{
    const struct segue_piece *device = NULL;
    for (uint32_t i = 0; i < plan->piece_count; i++) {
        const struct segue_piece *piece = &plan->pieces[i];
        if (is_device(piece))
            device = piece;
        else if (!writable(piece))
            return failed(piece, SEGUE_WRITE, fault);
    }
    if (device && device->window->write(device->window->context, device->address, part_of(plan, device, bytes),
                                        device->size) != SEGUE_OK)
        return SEGUE_UNSUPPORTED;
    for (uint32_t i = 0; i < plan->piece_count; i++) {
        const struct segue_piece *piece = &plan->pieces[i];
        if (!is_device(piece) && !store(piece, part_of(plan, piece, bytes)))
            return failed(piece, SEGUE_WRITE, fault);
    }
    return SEGUE_OK;
}

/* One native store is all or nothing by itself, and so is one forced store within a page. */
static bool is_indivisible(const struct segue_piece *piece)
{
    return !is_device(piece) && (piece->host || piece->address % PAGE + piece->size <= PAGE);
}

enum segue_status pieces_write(const struct segue_plan *plan, const void *bytes, struct segue_fault *fault)
{
    const struct segue_piece *first = &plan->pieces[0];
    if (plan->piece_count == 1 && is_indivisible(first))
        return store(first, bytes) ? SEGUE_OK : failed(first, SEGUE_WRITE, fault);
    return write_parts(plan, bytes, fault);
}
