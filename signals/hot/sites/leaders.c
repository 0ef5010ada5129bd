/* leaders.c: see leaders.h. */
#include "leaders.h"

#include <segue/decode.h>

#include "decode/relocate/displaceable_cache.h"
#include "decode/relocate/flow.h"
#include "emulate/body/body.h"
#include "patch/hot/hot.h"

/* The most instructions that are read for one fault, and in one line. */
#define INSTRUCTIONS_MOST 60u
#define LINE_MOST 40u
/* The quickest outline looks at more bytes than an instruction has. */
#define OUTLINE_BYTES 24u
#define LINES (sizeof((struct leaders *)0)->lines / sizeof(uint64_t))

static void add_line(struct leaders *leaders, uint64_t address)
{
    for (unsigned i = 0; i < leaders->line_count; i++)
        if (leaders->lines[i] == address)
            return;
    if (leaders->line_count < LINES)
        leaders->lines[leaders->line_count++] = address;
}

static void add_site(struct leaders *leaders, uint64_t address)
{
    const struct hot_site *site = hot_site_find(address);
    for (unsigned i = 0; i < leaders->count; i++)
        if (leaders->sites[i] == address)
            return;
    if (!site || (site->state != HOT_MADE && site->state != HOT_REFUSED))
        leaders->sites[leaders->count++] = address;
}

/* One instruction of a line. */
struct line_step {
    uint64_t address, target;
    unsigned length;
    /* enum displaced_flow. */
    uint8_t flow;
    bool is_checked;
};

/* The lines that the instruction leads to. False if the line ends behind it. */
static bool follow(struct leaders *leaders, const struct line_step *step)
{
    switch ((enum displaced_flow)step->flow) {
    case DISPLACED_FLOW_JUMP:
        add_line(leaders, step->target);
        return false;
    case DISPLACED_FLOW_CALL:
        add_line(leaders, step->target);
        add_line(leaders, step->address + step->length);
        return false;
    case DISPLACED_FLOW_CALL_INDIRECT:
        add_line(leaders, step->address + step->length);
        return false;
    case DISPLACED_FLOW_NEXT:
    case DISPLACED_FLOW_CONDITIONAL:
    case DISPLACED_FLOW_LOOP:
        return true;
    default:
        return false;
    }
}

/* Most instructions are not decoded whole. */
static bool read_step(struct leaders *leaders, const uint8_t *bytes, size_t size, bool has_site, struct line_step *step)
{
    struct outline outline;
    enum displaced_flow flow;
    step->length = length_outline(bytes, size, &outline);
    step->is_checked = false;
    if (step->length && (has_site || !length_may_access(bytes, &outline)) &&
        flow_outline(step->address, bytes, &outline, &flow, &step->target)) {
        step->flow = (uint8_t)flow;
        return true;
    }
    struct displaceable form;
    if (!displaceable_find(leaders->cache, &leaders->decode, step->address, bytes, size, &form))
        return false;
    step->length = form.length;
    step->flow = form.flow;
    step->target = form.target;
    step->is_checked = body_check_of(&form) == BODY_CHECK_ALWAYS;
    return true;
}

/* Searches one line; the first access that bodies check is a site, whose body has the rest. Returns how many
 * instructions were read. */
static unsigned search(struct leaders *leaders, struct original *code, uint64_t at, unsigned most)
{
    bool has_site = false;
    struct line_step step = {.address = at};
    for (unsigned i = 0; i < LINE_MOST && leaders->count < most; i++) {
        uint8_t bytes[OUTLINE_BYTES];
        size_t size = original_read(code, step.address, bytes, sizeof bytes);
        if (!read_step(leaders, bytes, size, has_site, &step))
            return i;
        if (!has_site && step.is_checked) {
            add_site(leaders, step.address);
            has_site = true;
        }
        if (!follow(leaders, &step))
            return i + 1;
        step.address += step.length;
    }
    return LINE_MOST;
}

void leaders_find(struct leaders *leaders, struct original *code, uint64_t site, unsigned most)
{
    unsigned read = 0;
    leaders->sites[0] = site;
    leaders->count = 1;
    leaders->lines[0] = site;
    leaders->line_count = 1;
    for (unsigned i = 0; i < leaders->line_count && leaders->count < most && read < INSTRUCTIONS_MOST; i++)
        read += search(leaders, code, leaders->lines[i], most);
}
