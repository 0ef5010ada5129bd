/* live.c: see live.h.
 *
 * SOURCES: ECMA-48, CPL (cursor preceding line), ED (erase in page), SGR; https://no-color.org. */
#include "live.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define INTERVAL UINT64_C(500000000)
#define BOLD "\033[1m"
#define PLAIN "\033[0m"

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static bool is_same(int one, int other)
{
    struct stat first, second;
    return other >= 0 && fstat(one, &first) == 0 && fstat(other, &second) == 0 && first.st_rdev == second.st_rdev &&
           S_ISCHR(second.st_mode);
}

struct live live_begin(FILE *to, int others)
{
    const char *terminal = getenv("TERM"), *refusal = getenv("NO_COLOR");
    const int file = fileno(to);
    const bool moves = terminal && *terminal && strcmp(terminal, "dumb") != 0;
    return (struct live){
        .to = to,
        .is_on = isatty(file) && moves && !is_same(file, others),
        .has_colours = !refusal || !*refusal,
        .last = now(),
    };
}

bool live_is_due(const struct live *live)
{
    return live->is_on && now() - live->last >= INTERVAL;
}

static struct winsize size_of(const struct live *live)
{
    struct winsize size = {.ws_row = 0};
    if (ioctl(fileno(live->to), TIOCGWINSZ, &size) != 0 || size.ws_row < 2 || size.ws_col < 2)
        size = (struct winsize){.ws_row = 24, .ws_col = 80};
    return size;
}

unsigned live_room(const struct live *live)
{
    return size_of(live).ws_row - 1u;
}

static void wipe(struct live *live)
{
    if (live->drawn)
        fprintf(live->to, "\033[%uF\033[J", live->drawn);
    live->drawn = 0;
}

/* As much of a line as stands in one of the terminal's, without the rest of a character. */
static size_t fitting(const char *line, size_t length, unsigned columns)
{
    size_t at = 0;
    for (unsigned used = 0; at < length; at++)
        if (((unsigned char)line[at] & 0xc0) != 0x80 && used++ == columns - 1)
            break;
    return at;
}

void live_draw(struct live *live, const char *text)
{
    const struct winsize size = size_of(live);
    wipe(live);
    while (*text && live->drawn < size.ws_row - 1u) {
        const size_t length = strcspn(text, "\n"), shown = fitting(text, length, size.ws_col);
        const bool is_bold = live->drawn == 0 && live->has_colours;
        fprintf(live->to, "%s%.*s%s\n", is_bold ? BOLD : "", (int)shown, text, is_bold ? PLAIN : "");
        text += length + (text[length] == '\n');
        live->drawn++;
    }
    fflush(live->to);
    live->last = now();
}

void live_end(struct live *live)
{
    wipe(live);
}
