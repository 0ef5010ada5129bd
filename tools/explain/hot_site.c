/* hot_site.c: asks the builder of bodies what it thinks of the instruction, and the windows of jumps what fits. Where
 * in memory there is room for a body is known only at run time: which of the tactics a site takes is decided then.
 *
 * ASSUMPTIONS: code whose file does not fix its address is loaded where there are 2 GiB of addresses on both sides. */
#include "hot_site.h"

#include <inttypes.h>
#include <string.h>

#include "emulate/body/block.h"
#include "patch/hot/pun.h"
#include "tools/support/plural.h"

/* Where code stands that can stand anywhere, and the lowest address of a body. */
#define SOMEWHERE UINT64_C(0x7f0000000000)
#define LOWEST UINT64_C(0x10000)

static const char *const names[HOT_TACTICS] = {"B1", "B2", "T1", "T2"};
static const char *const texts[HOT_TACTICS] = {
    "a jump in place",
    "a jump that ends in bytes of its successor",
    "the same behind prefixes",
    "the same, and its successor becomes a jump, too",
};

/* An instruction at its address, and the bytes from it on. */
struct place {
    uint64_t address;
    const uint8_t *bytes;
    size_t size;
    unsigned length;
    bool is_constant;
};

static size_t read_code(void *context, uint64_t address, uint8_t *bytes, size_t size)
{
    const struct place *place = context;
    if (address - place->address > place->size)
        return 0;
    size_t left = place->size - (size_t)(address - place->address);
    size_t count = left < size ? left : size;
    memcpy(bytes, place->bytes + (address - place->address), count);
    return count;
}

/* Why no body can be made of the instruction; NULL if one can. `must_access`: of an access that faults. */
static const char *why_no_body(struct place *place, bool must_access)
{
    static struct decode_scratch scratch;
    static struct block block;
    struct body_request request = {
        .site = place->address,
        .mode = BODY_LED,
        .read_code = read_code,
        .context = place,
        .most_instructions = 1,
    };
    const char *why = block_read(&scratch, &request, &block);
    if (!why && must_access && !block_is_checked(&block.instructions[0]))
        why = "its accesses are not those of one operand, of 1 to 64 bytes without a segment, a mask or a repetition";
    if (!why) {
        uint8_t led[DISPLACED_BYTES];
        place->length = block.instructions[0].form.length;
        place->is_constant = displaced_in_place(&block.instructions[0].form, 0, led);
    }
    return why;
}

/* The number of targets of the window; 0 and a reason if no body can be there. */
static struct hot_way way_of(const struct pun_window *window)
{
    uint64_t target;
    if (!pun_next(window, LOWEST, &target))
        return (struct hot_way){.refusal = "a body would have to lie where programs have no memory"};
    return (struct hot_way){.places = UINT64_C(1) << pun_freedom(window)};
}

/* A jump in these bytes, with so many prefixes. */
static struct hot_way find_jump(const struct place *place, unsigned prefixes)
{
    struct pun_window window;
    if (pun_changed(place->length, prefixes) + pun_reach(place->length, prefixes) > place->size)
        return (struct hot_way){.refusal = "the bytes behind it are not known"};
    if (!pun_window(place->address, place->bytes, place->length, prefixes, &window))
        return (struct hot_way){.refusal = "it has too few bytes"};
    return way_of(&window);
}

/* The best of the numbers of prefixes. */
static struct hot_way find_prefixed(const struct place *place)
{
    struct hot_way best = {.refusal = "it has too few bytes"};
    for (unsigned prefixes = 1; prefixes <= PUN_PREFIXES && prefixes < place->length; prefixes++) {
        struct hot_way way = find_jump(place, prefixes);
        if (way.places > best.places || (!best.places && way.refusal))
            best = way;
    }
    return best;
}

static struct hot_way find_moved(const struct place *place)
{
    struct pun_window window, second;
    struct place successor = {.address = place->address + place->length,
                              .bytes = place->bytes + place->length,
                              .size = place->size - place->length};
    if (!pun_window_moved(place->address, place->length, &window))
        return (struct hot_way){.refusal = "it has too few bytes"};
    if (successor.size == 0)
        return (struct hot_way){.refusal = "the bytes behind it are not known"};
    if (why_no_body(&successor, false))
        return (struct hot_way){.refusal = "its successor cannot become a jump"};
    if (successor.size < pun_changed(successor.length, 0) + pun_reach(successor.length, 0))
        return (struct hot_way){.refusal = "the bytes behind it are not known"};
    if (!pun_window(successor.address, successor.bytes, successor.length, 0, &second) ||
        !pun_join(place->length, &window, &second))
        return (struct hot_way){.refusal = "the two jumps contradict each other"};
    struct hot_way way = way_of(&second);
    return way.places ? way_of(&window) : way;
}

struct hot_site hot_site_read(const struct instruction *instruction)
{
    const struct code *code = instruction->code;
    struct hot_site site = {.refusal = NULL};
    struct place place = {
        .address = code->address + instruction->offset + (code->address_fixed ? 0 : SOMEWHERE),
        .bytes = code->bytes + instruction->offset,
        .size = code->size - instruction->offset,
    };
    if (code->mode != SEGUE_MODE_64)
        site.refusal = "only 64-bit code becomes hot";
    else if (instruction->plan.insn.memory_count == 0)
        site.refusal = "it accesses no memory";
    else
        site.refusal = why_no_body(&place, true);
    if (site.refusal)
        return site;
    site.is_constant = place.is_constant;
    if (place.length >= PUN_JUMP) {
        site.ways[HOT_B1] = find_jump(&place, 0);
        return site;
    }
    site.ways[HOT_B1].refusal = "it has fewer than five bytes";
    site.ways[HOT_B2] = find_jump(&place, 0);
    site.ways[HOT_T1] = find_prefixed(&place);
    site.ways[HOT_T2] = find_moved(&place);
    return site;
}

void hot_site_print(FILE *out, const struct hot_site *site, int indent)
{
    if (site->refusal) {
        fprintf(out, "%*sgoes on faulting in a hot region: %s\n", indent, "", site->refusal);
        return;
    }
    if (site->is_constant)
        fprintf(
            out,
            "%*scan become a hot site without a jump, where no policy is asked and nothing is counted: its constant "
            "address becomes the alias's\n",
            indent, "");
    for (enum hot_tactic tactic = 0; tactic < HOT_TACTICS; tactic++) {
        const struct hot_way *way = &site->ways[tactic];
        if (way->places)
            fprintf(out, "%*scan become a hot site by %s, %s: %" PRIu64 " place%s for its body\n", indent, "",
                    names[tactic], texts[tactic], way->places, plural(way->places));
        else if (way->refusal)
            fprintf(out, "%*snot by %s: %s\n", indent, "", names[tactic], way->refusal);
    }
}

json_t *hot_site_json(const struct hot_site *site)
{
    json_t *tactics = json_array();
    for (enum hot_tactic tactic = 0; tactic < HOT_TACTICS; tactic++) {
        const struct hot_way *way = &site->ways[tactic];
        if (way->places || way->refusal)
            json_array_append_new(tactics, json_pack("{s:s, s:I, s:s?}", "name", names[tactic], "places",
                                                     (json_int_t)way->places, "refusal", way->refusal));
    }
    return json_pack("{s:s?, s:b, s:o}", "refusal", site->refusal, "constant", (int)site->is_constant, "tactics",
                     tactics);
}
