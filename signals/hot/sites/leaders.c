/* leaders.c: see leaders.h. */
#include "leaders.h"

#include <segue/decode.h>

#include "decode/relocate/displaced.h"
#include "emulate/body/body.h"
#include "patch/hot/hot.h"

/* The most instructions that are decoded for one fault, and in one line. */
#define INSTRUCTIONS_MOST 60u
#define LINE_MOST 40u
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

/* The lines that the instruction leads to. False if the line ends behind it. */
static bool follow(struct leaders *leaders, const struct displaceable *form)
{
    switch ((enum displaced_flow)form->flow) {
    case DISPLACED_FLOW_CONDITIONAL:
    case DISPLACED_FLOW_LOOP:
        add_line(leaders, form->target);
        return true;
    case DISPLACED_FLOW_JUMP:
        add_line(leaders, form->target);
        return false;
    case DISPLACED_FLOW_CALL:
        add_line(leaders, form->target);
        add_line(leaders, form->address + form->length);
        return false;
    case DISPLACED_FLOW_CALL_INDIRECT:
        add_line(leaders, form->address + form->length);
        return false;
    case DISPLACED_FLOW_NEXT:
        return true;
    default:
        return false;
    }
}

/* Searches one line; the first access that bodies check is a site, whose body has the rest. Returns how many
 * instructions were decoded. */
static unsigned search(struct leaders *leaders, struct original *code, uint64_t at, unsigned most)
{
    struct displaceable form;
    bool has_site = false;
    for (unsigned i = 0; i < LINE_MOST && leaders->count < most; i++) {
        uint8_t bytes[SEGUE_INSN_BYTES];
        size_t size = original_read(code, at, bytes, sizeof bytes);
        if (!displaceable_make(&leaders->decode, at, bytes, size, &form))
            return i;
        if (!has_site && body_check_of(&form) == BODY_CHECK_ALWAYS) {
            add_site(leaders, at);
            has_site = true;
        }
        at += form.length;
        if (!follow(leaders, &form))
            return i + 1;
    }
    return LINE_MOST;
}

void leaders_find(struct leaders *leaders, struct original *code, uint64_t site, unsigned most)
{
    unsigned decoded = 0;
    leaders->sites[0] = site;
    leaders->count = 1;
    leaders->lines[0] = site;
    leaders->line_count = 1;
    for (unsigned i = 0; i < leaders->line_count && leaders->count < most && decoded < INSTRUCTIONS_MOST; i++)
        decoded += search(leaders, code, leaders->lines[i], most);
}
