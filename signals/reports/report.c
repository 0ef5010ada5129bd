/* report.c: reports a fault of the handler itself, right before the process dies. One write(2), without the C
 * library. */
#include "report.h"

#include <stddef.h>

#include "platform/report.h"

struct line {
    char text[320];
    size_t length;
};

static void put(struct line *line, const char *text)
{
    while (*text && line->length < sizeof line->text)
        line->text[line->length++] = *text++;
}

static void put_address(struct line *line, uint64_t address)
{
    char digits[19] = "0x";
    for (int i = 0; i < 16; i++)
        digits[2 + i] = "0123456789abcdef"[(address >> (60 - 4 * i)) & 15];
    digits[18] = 0;
    put(line, digits);
}

void report_fault_in_handler(const char *what, struct report_place at, struct report_place serving)
{
    struct line line = {.length = 0};
    put(&line, "segue: ");
    put(&line, what);
    put(&line, ": address ");
    put_address(&line, at.address);
    put(&line, ", instruction ");
    put_address(&line, at.instruction);
    put(&line, "; while serving the fault at address ");
    put_address(&line, serving.address);
    put(&line, ", instruction ");
    put_address(&line, serving.instruction);
    put(&line, "\n");
    platform_report(line.text, line.length);
}
