/* calls_report.c: see calls_report.h. */
#include "calls_report.h"

#include "platform/report.h"

#define NUMBERS 1024u

struct line {
    char text[160];
    size_t length;
};

static void put(struct line *line, const char *text)
{
    while (*text && line->length < sizeof line->text)
        line->text[line->length++] = *text++;
}

static void put_number(struct line *line, uint64_t number)
{
    char digits[21], *at = digits + sizeof digits - 1;
    *at = 0;
    do
        *--at = (char)('0' + number % 10);
    while (number /= 10);
    put(line, at);
}

void calls_report_refused(const struct system_call *call)
{
    static uint64_t reported[NUMBERS / 64];
    struct line line = {.length = 0};
    uint64_t bit = UINT64_C(1) << call->number % 64;
    if (call->number >= NUMBERS || (__atomic_fetch_or(&reported[call->number / 64], bit, __ATOMIC_RELAXED) & bit))
        return;
    put(&line, "segue: the system call ");
    if (calls_name(call->number))
        put(&line, calls_name(call->number));
    else
        put_number(&line, call->number);
    put(&line, " was given a pointer into a region, and is made as it is: what it accesses there is not known\n");
    platform_report(line.text, line.length);
}
