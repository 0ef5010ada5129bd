/* repeat.c: strings with a repeat prefix. A step carries out the elements in the first windows; the thread executes the
 * instruction again for the rest, as after an interrupt. So neither the count nor the number of windows under the
 * operands is limited.
 *
 * SOURCES: Intel SDM volume 1, 7.3.9.2 (a repeated string stops between elements for interrupts and exceptions, and
 * continues there). */
#include "repeat.h"

#include "decode/accesses/accesses.h"
#include "decode/x86/flags.h"
#include "decode/x86/page.h"
#include "emulate/accesses/pieces.h"
#include "emulate/details.h"

/* A fragment counts its bytes in 32 bits. A multiple of every element size. */
#define BYTES_MOST UINT64_C(0xfffffff8)
/* The spans examined for one operand: an element of eight bytes may lie in as many. */
#define SPANS_MOST 8u
_Static_assert(PLAN_BYTES(SEGUE_MEMORY_OPERANDS, SEGUE_MEMORY_OPERANDS *SPANS_MOST) <= sizeof(struct segue_plan),
               "a plan has room for all of them");

/* One operand of the instruction, in the order in which its bytes are reached. */
struct way {
    uint32_t access;
    uint64_t element;
    /* The lowest address of the first element. */
    uint64_t start;
    bool down;
};

static struct way way_of(const struct segue_plan *plan, unsigned operand)
{
    struct way way = {.access = 0};
    while (plan->accesses[way.access].operand != operand)
        way.access++;
    const struct segue_access *access = &plan->accesses[way.access];
    way.element = access->element;
    way.down = repeat_is_down(access);
    way.start = way.down ? access->address + access->size - access->element : access->address;
    return way;
}

static uint64_t byte_of(const struct way *way, uint64_t number)
{
    return way->down ? way->start + way->element - 1 - number : way->start + number;
}

/* The fragment that begins at byte `number` of the operand and extends over at most `limit` bytes of it. */
static struct plan_piece piece_from(const struct way *way, uint64_t number, uint64_t limit, struct reach *reach)
{
    struct span span;
    uint64_t at = byte_of(way, number), end = byte_of(way, limit - 1);
    reach->span_at(reach, at, way->down ? end : at, way->down ? at : end, &span);
    uint64_t lowest = way->down ? span.first : at, highest = way->down ? at : span.last;
    return (struct plan_piece){
        .address = lowest,
        .host = reach_host(span.window, lowest),
        .window = span.window,
        .size = (uint32_t)(highest - lowest + 1),
        .access = way->access,
    };
}

/* Merges both into one fragment if they are contiguous where they are reached. */
static bool join(const struct way *way, struct plan_piece *last, const struct plan_piece *piece)
{
    const struct plan_piece *lower = way->down ? piece : last, *upper = way->down ? last : piece;
    bool natively = piece_is_native(last) && piece_is_native(piece);
    if (natively ? (uintptr_t)lower->host + lower->size != (uintptr_t)upper->host
                 : !last->window || !piece->window || last->window->kind != SEGUE_WINDOW_FORCED ||
                       piece->window->kind != SEGUE_WINDOW_FORCED)
        return false;
    last->address = lower->address;
    last->host = lower->host;
    last->size += piece->size;
    return true;
}

/* How far a walk goes. */
enum extent {
    /* As far as memory is contiguous where it is reached. */
    ONE_PIECE,
    /* Over windows' edges, but not into a second device, whose refusal would come after the first device has been
     * accessed. */
    SOME_PIECES,
};

/* Appends fragments of the operand, at most `limit` bytes. Returns how many bytes they hold. */
static uint64_t walk(struct segue_plan *plan, const struct way *way, uint64_t limit, enum extent extent,
                     struct reach *reach)
{
    uint32_t first = details_of(plan)->piece_count;
    uint64_t done = 0;
    for (unsigned i = 0; i < SPANS_MOST && done < limit; i++) {
        struct plan_piece piece = piece_from(way, done, limit, reach);
        bool joined = details_of(plan)->piece_count > first &&
                      join(way, &details_of(plan)->pieces[details_of(plan)->piece_count - 1], &piece);
        if (!joined && done && extent == ONE_PIECE)
            break;
        if (!joined && done >= way->element && piece_is_device(&piece) && pieces_devices(plan))
            break;
        if (!joined)
            details_of(plan)->pieces[details_of(plan)->piece_count++] = piece;
        done += piece.size;
    }
    return done;
}

void repeat_trim(struct segue_plan *plan, uint64_t elements)
{
    uint32_t kept = 0;
    uint64_t left = 0;
    for (uint32_t i = 0; i < details_of(plan)->piece_count; i++) {
        struct plan_piece piece = details_of(plan)->pieces[i];
        const struct segue_access *access = &plan->accesses[piece.access];
        if (i == 0 || piece.access != details_of(plan)->pieces[kept - 1].access)
            left = elements * access->element;
        if (left == 0)
            continue;
        if (piece.size > left && repeat_is_down(access)) {
            piece.address += piece.size - left;
            if (piece_is_native(&piece))
                piece.host = (void *)((uintptr_t)piece.host + (uintptr_t)(piece.size - left));
        }
        if (piece.size > left)
            piece.size = (uint32_t)left;
        left -= piece.size;
        details_of(plan)->pieces[kept++] = piece;
    }
    details_of(plan)->piece_count = kept;
    details_of(plan)->elements = elements;
}

/* Makes fragments for at most `most` elements. Returns how many elements lie in them; 0 if the first does not. */
static uint64_t cut_elements(struct segue_plan *plan, uint64_t most, enum extent extent, struct reach *reach)
{
    details_of(plan)->piece_count = 0;
    for (unsigned i = 0; i < plan->insn.memory_count; i++) {
        struct way way = way_of(plan, i);
        uint32_t first = details_of(plan)->piece_count;
        uint64_t held = walk(plan, &way, most * way.element, extent, reach) / way.element;
        if (extent == ONE_PIECE && !piece_is_native(&details_of(plan)->pieces[first]))
            return 0;
        most = most < held ? most : held;
    }
    return most;
}

const char *repeat_cut(struct segue_plan *plan, struct reach *reach)
{
    uint64_t most = UINT64_MAX;
    for (unsigned i = 0; i < plan->insn.memory_count; i++) {
        struct way way = way_of(plan, i);
        uint64_t size = plan->accesses[way.access].size;
        size = (size < BYTES_MOST ? size : BYTES_MOST) / way.element;
        most = most < size ? most : size;
    }
    /* With the trap flag set, the processor traps after each element. */
    if (plan->flags & SEGUE_PLAN_TRAPS)
        most = 1;
    uint64_t elements = cut_elements(plan, most, ONE_PIECE, reach);
    if (elements) {
        repeat_trim(plan, elements);
        return NULL;
    }
    plan->flags |= SEGUE_PLAN_COPIED | SEGUE_PLAN_NOT_ATOMIC;
    /* A step copies at most a page's worth of an operand: protection is the same within a page. */
    uint64_t in_page = PAGE / plan->accesses[0].element;
    elements = cut_elements(plan, most < in_page ? most : in_page, SOME_PIECES, reach);
    repeat_trim(plan, elements);
    if (elements > 1 && pieces_devices(plan) > 1)
        repeat_trim(plan, 1);
    return pieces_devices(plan) > 1 ? "it accesses callback windows more than once" : NULL;
}

/* The fragment that holds the whole element of the operand at `address`; NULL if the element is cut. */
static const struct plan_piece *piece_of_element(const struct segue_plan *plan, unsigned operand, uint64_t address)
{
    for (uint32_t i = 0; i < details_of(plan)->piece_count; i++) {
        const struct plan_piece *piece = &details_of(plan)->pieces[i];
        uint64_t offset = address - piece->address;
        if (plan->accesses[piece->access].operand == operand && offset < piece->size &&
            piece->size - offset >= plan->insn.memory[operand].element)
            return piece;
    }
    return NULL;
}

static uint64_t least(uint64_t left, uint64_t right)
{
    return left < right ? left : right;
}

/* The number of elements in `size` bytes from the one at `offset` on, in the string's direction. */
static uint64_t elements_from(uint64_t offset, uint64_t size, uint64_t element, bool down)
{
    return down ? offset / element + 1 : (size - offset) / element;
}

/* Copies must not hide that the operands overlap: elements that MOVS stores are then loaded again. */
static uint64_t elements_apart(const uint64_t *start, uint64_t element)
{
    uint64_t apart = start[0] < start[1] ? start[1] - start[0] : start[0] - start[1];
    return apart == 0 ? UINT64_MAX : apart < element ? 1 : apart / element;
}

void repeat_choose(const struct segue_plan *plan, const struct segue_regs *regs, uint64_t left, struct repeat_run *run)
{
    unsigned operands = plan->insn.memory_count;
    uint64_t start[SEGUE_MEMORY_OPERANDS], natively = left, copied = left;
    bool down = regs->rflags & FLAG_DIRECTION;
    for (unsigned i = 0; i < operands; i++) {
        uint64_t element = plan->insn.memory[i].element;
        start[i] = (uintptr_t)accesses_operand(&plan->insn, regs, i);
        const struct plan_piece *piece = piece_of_element(plan, i, start[i]);
        if (!piece || start[i] % PAGE + element > PAGE) {
            copied = 1;
        } else {
            copied = least(copied, REPEAT_COPY_MOST / element);
            copied = least(copied, elements_from(start[i] - piece->address, piece->size, element, down));
            copied = piece_is_device(piece) ? 1 : least(copied, elements_from(start[i] % PAGE, PAGE, element, down));
        }
        if (!piece || !piece_is_native(piece)) {
            natively = 0;
            continue;
        }
        natively = least(natively, elements_from(start[i] - piece->address, piece->size, element, down));
        run->distance[i] = (uint64_t)(uintptr_t)piece->host - piece->address;
    }
    if (operands == 2)
        copied = least(copied, elements_apart(start, plan->insn.memory[0].element));
    run->on_copies = natively == 0;
    run->elements = natively ? natively : copied;
}
