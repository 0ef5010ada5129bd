/* values.c: see values.h. Memory is read into a copy. The plan is carried out on the copy, where all its fragments are
 * native, and what it wrote is then stored. So the reported values are those that the instruction has used, whatever
 * other threads do meanwhile. A locked instruction is published by one compare-and-exchange of the bytes that it has
 * read, and repeated if they have changed.
 *
 * SOURCES: Intel SDM volume 2, LOCK, CMPXCHG16B (its operand is aligned); volume 3, 9.1.1. */
#include "values.h"

#include <string.h>

#include "details.h"
#include "emulate/accesses/pieces.h"
#include "emulate/elements/repeat.h"
#include "emulate/windows/guard.h"
#include "plan.h"

static bool is_data(const struct segue_access *access)
{
    return !(access->flags & SEGUE_ACCESS_PROBE) && access->size;
}

/* ---- addresses of the copies ----------------------------------------------------------------------------------- */

static uint64_t apart(const struct segue_plan *plan)
{
    uint64_t one, other, size;
    if (plan->insn.memory_count < 2)
        return UINT64_MAX;
    pieces_part(plan, 0, &one, &size);
    pieces_part(plan, 1, &other, &size);
    return one < other ? other - one : one == other ? UINT64_MAX : one - other;
}

/* Of a repeated string only the elements whose values fit are carried out; the thread executes it again for the rest.
 * Copies must not hide that one operand's elements overlap the other's. */
static void cut_string(struct segue_plan *plan)
{
    const struct segue_access *access = &plan->accesses[0];
    uint64_t element = access->element, most = details_of(plan)->elements, distance = apart(plan);
    if (!(access->flags & SEGUE_ACCESS_REPEATED) || most == 0)
        return;
    most = most < VALUES_MOST / element ? most : VALUES_MOST / element;
    if (distance / element < most)
        most = distance / element ? distance / element : 1;
    if (most < details_of(plan)->elements)
        repeat_trim(plan, most);
}

static const struct values_copy *copy_of(const struct values *values, uint32_t access, uint64_t address, uint64_t size)
{
    for (unsigned i = values->is_by_access ? access : 0; i < values->copy_count; i++) {
        const struct values_copy *copy = &values->copies[i];
        if (address - copy->first < copy->size && size <= copy->size - (address - copy->first))
            return copy;
    }
    return NULL;
}

static void *place_in(uint8_t *bytes, const struct values_copy *copy, uint64_t address)
{
    return bytes + copy->at + (address - copy->first);
}

/* Lanes lie anywhere, each at a distance of its own. */
static bool make_copies_of_lanes(struct values *values)
{
    const struct segue_plan *plan = &values->plan;
    for (uint32_t i = 0; i < plan->access_count; i++) {
        const struct segue_access *access = &plan->accesses[i];
        size_t at = 2 * VALUES_ALIGNMENT * i + access->address % VALUES_ALIGNMENT;
        if (access->size > VALUES_ALIGNMENT || 2 * VALUES_ALIGNMENT * (i + 1) > VALUES_ROOM)
            return false;
        values->copies[i] = (struct values_copy){access->address, access->size, at};
    }
    values->copy_count = plan->access_count;
    return plan->access_count > 0;
}

/* All accesses of an operand share one copy, as they share one distance when the instruction runs natively; operands
 * that overlap share one too. */
static bool make_copies(struct values *values)
{
    const struct segue_plan *plan = &values->plan;
    struct values_copy *copies = values->copies;
    values->copy_count = 0;
    values->is_by_access = plan->insn.memory[0].addressing == SEGUE_ADDRESSING_VECTOR;
    if (values->is_by_access)
        return make_copies_of_lanes(values);
    for (unsigned operand = 0; operand < SEGUE_MEMORY_OPERANDS; operand++) {
        uint64_t first = UINT64_MAX, last = 0, start, size;
        for (uint32_t i = 0; i < plan->access_count; i++) {
            pieces_part(plan, i, &start, &size);
            if (plan->accesses[i].operand != operand || !is_data(&plan->accesses[i]) || size == 0)
                continue;
            first = first < start ? first : start;
            last = last > start + size - 1 ? last : start + size - 1;
        }
        if (first > last)
            continue;
        if (values->copy_count == 1 && first <= copies[0].first + copies[0].size - 1 && last >= copies[0].first) {
            uint64_t end = copies[0].first + copies[0].size - 1;
            copies[0].first = first < copies[0].first ? first : copies[0].first;
            copies[0].size = (last > end ? last : end) - copies[0].first + 1;
        } else
            copies[values->copy_count++] = (struct values_copy){.first = first, .size = last - first + 1};
    }
    for (unsigned i = 0; i < values->copy_count; i++) {
        if (copies[i].size > VALUES_MOST)
            return false;
        copies[i].at = i * (VALUES_MOST + VALUES_ALIGNMENT) + copies[i].first % VALUES_ALIGNMENT;
    }
    return values->copy_count > 0;
}

/* ---- devices -------------------------------------------------------------------------------------------------- */

static enum segue_status read_and_note(void *context, uint64_t address, void *bytes, size_t size)
{
    struct values_device *device = context;
    if (!device->window->read)
        return SEGUE_UNSUPPORTED;
    enum segue_status status = device->window->read(device->window->context, address, bytes, size);
    if (status != SEGUE_OK || size > VALUES_MOST)
        return status;
    device->has_read = true;
    device->address = address;
    memcpy(device->read, bytes, size);
    return SEGUE_OK;
}

static enum segue_status write_and_note(void *context, uint64_t address, const void *bytes, size_t size)
{
    struct values_device *device = context;
    if (!device->window->write)
        return SEGUE_UNSUPPORTED;
    enum segue_status status = device->window->write(device->window->context, address, bytes, size);
    if (status != SEGUE_OK || size > VALUES_MOST)
        return status;
    device->has_written = true;
    device->address = address;
    memcpy(device->written, bytes, size);
    return SEGUE_OK;
}

static void note_device(struct values *values, struct plan_piece *piece)
{
    struct values_device *device = &values->device;
    device->window = piece->window;
    device->own = *piece->window;
    if (device->own.read)
        device->own.read = read_and_note;
    if (device->own.write)
        device->own.write = write_and_note;
    device->own.context = device;
    piece->window = &device->own;
}

/* ---- before and after ----------------------------------------------------------------------------------------- */

/* Reads what the accesses read, and probes whether what they write is writable. */
static enum segue_status fetch(struct values *values, const struct segue_plan *plan, struct segue_fault *fault)
{
    for (uint32_t i = 0; i < details_of(plan)->piece_count; i++) {
        const struct plan_piece *piece = &details_of(plan)->pieces[i];
        const struct segue_access *access = &plan->accesses[piece->access];
        if (piece_is_device(piece) || !is_data(access))
            continue;
        const struct values_copy *copy = copy_of(values, piece->access, piece->address, piece->size);
        if (!copy)
            return SEGUE_UNSUPPORTED;
        enum segue_status status =
            piece_fetch(piece, access->direction, place_in(values->before, copy, piece->address), fault);
        if (status != SEGUE_OK)
            return status;
    }
    for (unsigned i = 0; i < values->copy_count; i++)
        memcpy(values->after + values->copies[i].at, values->before + values->copies[i].at, values->copies[i].size);
    return SEGUE_OK;
}

/* Relocates the plan's fragments to the copies. */
static void relocate(struct values *values)
{
    struct segue_plan *plan = &values->plan;
    for (uint32_t i = 0; i < details_of(plan)->piece_count; i++) {
        struct plan_piece *piece = &details_of(plan)->pieces[i];
        if (!is_data(&plan->accesses[piece->access]))
            continue;
        if (piece_is_device(piece)) {
            note_device(values, piece);
            continue;
        }
        piece->host =
            place_in(values->after, copy_of(values, piece->access, piece->address, piece->size), piece->address);
        piece->window = NULL;
    }
}

/* Of a string only what was carried out: the rest is unchanged. */
static bool is_done(const struct values *values, uint32_t number)
{
    return !(values->plan.accesses[number].flags & SEGUE_ACCESS_REPEATED) || values->elements;
}

static enum segue_status publish(struct values *values, const struct segue_plan *plan, struct segue_fault *fault)
{
    for (uint32_t i = 0; i < details_of(plan)->piece_count; i++) {
        const struct plan_piece *piece = &details_of(plan)->pieces[i];
        const struct segue_access *access = &plan->accesses[piece->access];
        if (piece_is_device(piece) || !is_data(access) || !(access->direction & SEGUE_WRITE) ||
            !is_done(values, piece->access))
            continue;
        const struct values_copy *copy = copy_of(values, piece->access, piece->address, piece->size);
        enum segue_status status = piece_store(piece, place_in(values->after, copy, piece->address), fault);
        if (status != SEGUE_OK)
            return status;
    }
    return SEGUE_OK;
}

/* Publishes by one compare-and-exchange; SEGUE_BUSY if other bytes are there by now. */
static enum segue_status exchange(struct values *values, const struct segue_plan *plan, struct segue_fault *fault)
{
    const struct plan_piece *piece = &details_of(plan)->pieces[0];
    const struct values_copy *copy = copy_of(values, piece->access, piece->address, piece->size);
    return piece_exchange(piece, place_in(values->before, copy, piece->address),
                          place_in(values->after, copy, piece->address), fault);
}

static uint64_t count_of(const struct segue_plan *plan, const struct segue_regs *regs)
{
    return plan->insn.address_size == 4 ? (uint32_t)regs->rcx : regs->rcx;
}

/* Carries the plan out on the copies. */
static enum segue_status run(struct values *values, struct step_scratch *scratch, const struct segue_regs *regs,
                             struct segue_xstate *xstate, struct segue_fault *fault)
{
    values->regs = *regs;
    enum segue_status status = step_in(scratch, &values->plan, &values->regs, xstate, fault);
    values->elements = count_of(&values->plan, regs) - count_of(&values->plan, &values->regs);
    return status;
}

static enum segue_status begin_values(struct values *values, const struct segue_plan *plan)
{
    if (plan->engine == SEGUE_ENGINE_NONE || !plan_is_in_place(plan))
        return SEGUE_INVALID;
    plan_copy(&values->plan, plan);
    values->device.window = NULL;
    values->device.has_read = values->device.has_written = false;
    cut_string(&values->plan);
    return make_copies(values) ? SEGUE_OK : SEGUE_UNSUPPORTED;
}

/* The original fragments, of as many elements as the copies hold. */
static enum segue_status on_copies(struct values *values, struct segue_plan *real, struct step_scratch *scratch,
                                   const struct segue_regs *regs, struct segue_xstate *xstate,
                                   struct segue_fault *fault)
{
    enum segue_status status = fetch(values, real, fault);
    if (status != SEGUE_OK)
        return status;
    relocate(values);
    return run(values, scratch, regs, xstate, fault);
}

enum segue_status values_step(struct values *values, struct step_scratch *scratch, const struct segue_plan *plan,
                              struct segue_regs *regs, struct segue_xstate *xstate, struct segue_fault *fault)
{
    enum segue_status status = begin_values(values, plan);
    if (status != SEGUE_OK)
        return status;
    struct segue_plan *real = &values->real;
    bool atomic = pieces_are_atomic(plan);
    plan_copy(real, &values->plan);
    if (atomic && (details_of(real)->piece_count != 1 || piece_is_device(&details_of(real)->pieces[0])))
        return SEGUE_UNSUPPORTED;
    do {
        plan_copy(&values->plan, real);
        status = on_copies(values, real, scratch, regs, xstate, fault);
        if (status == SEGUE_OK)
            status = atomic ? exchange(values, real, fault) : publish(values, real, fault);
    } while (status == SEGUE_BUSY && atomic);
    if (status == SEGUE_OK)
        *regs = values->regs;
    return status;
}

enum segue_status values_preview(struct values *values, struct step_scratch *scratch, const struct segue_plan *plan,
                                 const struct segue_regs *regs, struct segue_xstate *xstate)
{
    enum segue_status status = begin_values(values, plan);
    if (status != SEGUE_OK)
        return status;
    if (pieces_devices(&values->plan))
        return SEGUE_UNSUPPORTED;
    plan_copy(&values->real, &values->plan);
    return on_copies(values, &values->real, scratch, regs, xstate, NULL);
}

/* ---- reporting ------------------------------------------------------------------------------------------------ */

static bool is_of_device(const struct values *values, uint64_t address)
{
    const struct values_device *device = &values->device;
    return device->window && address - device->window->base < device->window->size;
}

static void visit_device(const struct values_device *device, struct segue_value *value, segue_value_visit *visit,
                         void *context)
{
    value->before = device->has_read ? device->read : NULL;
    value->after = device->has_written ? device->written : value->before;
    if (device->has_read || device->has_written)
        visit(context, value);
}

void values_visit(const struct values *values, segue_value_visit *visit, void *context)
{
    const struct segue_plan *plan = &values->plan;
    for (uint32_t i = 0; i < plan->access_count; i++) {
        const struct segue_access *access = &plan->accesses[i];
        uint64_t address, size;
        pieces_part(plan, i, &address, &size);
        if (!is_data(access) || size == 0 || !is_done(values, i))
            continue;
        struct segue_value value = {.address = address, .size = (uint32_t)size, .direction = access->direction};
        if (is_of_device(values, address)) {
            visit_device(&values->device, &value, visit, context);
            continue;
        }
        const struct values_copy *copy = copy_of(values, i, address, size);
        value.before = values->before + copy->at + (address - copy->first);
        value.after =
            access->direction & SEGUE_WRITE ? values->after + copy->at + (address - copy->first) : value.before;
        visit(context, &value);
    }
}

/* <segue/emulate.h> documents how much stack the two need. */
_Static_assert(sizeof(struct values) + sizeof(struct step_scratch) <= 38 * 1024, "with what is called: 40 KiB");

enum segue_status segue_step_values(const struct segue_plan *plan, struct segue_regs *regs, struct segue_xstate *xstate,
                                    struct segue_fault *fault, segue_value_visit *visit, void *context)
{
    struct values values;
    struct step_scratch scratch;
    if (!plan || !regs)
        return SEGUE_INVALID;
    if (!visit)
        return segue_step(plan, regs, xstate, fault);
    scratch.holder = STEP_NO_HOLDER;
    enum segue_status status = values_step(&values, &scratch, plan, regs, xstate, fault);
    if (status == SEGUE_OK)
        values_visit(&values, visit, context);
    return status;
}

enum segue_status segue_step_preview(const struct segue_plan *plan, const struct segue_regs *regs,
                                     const struct segue_xstate *xstate, segue_value_visit *visit, void *context)
{
    _Alignas(VALUES_ALIGNMENT) uint8_t area[VALUES_MOST];
    struct segue_xstate copy = {.area = NULL};
    struct values values;
    struct step_scratch scratch;
    if (!plan || !regs || !visit)
        return SEGUE_INVALID;
    if (xstate && xstate->area) {
        if (xstate->size > sizeof area)
            return SEGUE_UNSUPPORTED;
        copy = *xstate;
        copy.area = memcpy(area, xstate->area, xstate->size);
    }
    scratch.holder = STEP_NO_HOLDER;
    enum segue_status status = values_preview(&values, &scratch, plan, regs, &copy);
    if (status == SEGUE_OK)
        values_visit(&values, visit, context);
    return status;
}
