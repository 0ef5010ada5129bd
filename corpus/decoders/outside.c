/* outside.c: a decoder from outside: a shell command that reads rows and writes answers. */
#include "outside.h"

#include <stdlib.h>
#include <string.h>

#include "text.h"

/* Longer than any decoder's answer to a row. */
#define LINE_LONGEST 4096
/* How much of a line that is wrong an error shows. */
#define SHOWN 60

/* A row a line, each the hexadecimal digits of its slot. */
static char *to_lines(const struct corpus_rows *rows, const uint32_t *numbers, size_t count, size_t *size)
{
    static const char digits[] = "0123456789abcdef";
    char *lines = malloc(count * (2 * CORPUS_SLOT_BYTES + 1) + 1), *end = lines;
    for (size_t i = 0; lines && i < count; i++) {
        uint8_t slot[CORPUS_SLOT_BYTES];
        corpus_slot_fill(slot, &rows->rows[numbers[i]]);
        for (size_t j = 0; j < sizeof slot; j++) {
            *end++ = digits[slot[j] >> 4];
            *end++ = digits[slot[j] & 15];
        }
        *end++ = '\n';
    }
    *size = (size_t)(end - lines);
    return lines;
}

bool corpus_outside_run(struct corpus_outside *outside, const char *name, const char *command,
                        const struct corpus_rows *rows, const uint32_t *numbers, size_t count, unsigned patience,
                        struct corpus_error *error)
{
    /* A decoder may start slowly, or answer only after it has read all rows. */
    const struct corpus_limits limits = {patience ? patience : 30 + (double)count / 100, count, count * LINE_LONGEST};
    char *arguments[] = {"sh", "-c", (char *)command, NULL};
    size_t size;
    char *lines = to_lines(rows, numbers, count, &size);
    bool ok = lines ? corpus_process_start(&outside->process, arguments, lines, size, limits, error)
                    : corpus_error_memory(error);
    free(lines);
    if (!ok)
        return false;
    outside->name = name;
    outside->process.name = name;
    ok = corpus_process_wait(&outside->process, error);
    outside->at = outside->process.text;
    return ok;
}

/* Reads "ok LENGTH TEXT", "ok LENGTH", "refused" or "skip". */
static bool read_line(const char *line, size_t size, struct corpus_answer *answer)
{
    char *text;
    answer->text_length = 0;
    answer->length_only = false;
    answer->status = CORPUS_REFUSED;
    if (size == 7 && memcmp(line, "refused", 7) == 0)
        return true;
    answer->status = CORPUS_NOT_ASKED;
    if (size == 4 && memcmp(line, "skip", 4) == 0)
        return true;
    if (size < 4 || memcmp(line, "ok ", 3) != 0)
        return false;
    unsigned long length = strtoul(line + 3, &text, 10);
    if (text == line + 3 || length == 0 || length > CORPUS_SLOT_BYTES || (*text != ' ' && text != line + size))
        return false;
    answer->status = CORPUS_ACCEPTED;
    answer->length_only = text == line + size;
    if (!answer->length_only)
        corpus_text_read(text + 1, size - (size_t)(text + 1 - line), 0, answer);
    answer->length = (uint8_t)length;
    return true;
}

bool corpus_outside_next(struct corpus_outside *outside, struct corpus_answer *answer, struct corpus_error *error)
{
    const char *line = outside->at, *end = outside->process.text + outside->process.text_size;
    const char *newline = line ? memchr(line, '\n', (size_t)(end - line)) : NULL;
    if (!newline)
        return corpus_error_set(error, "the decoder '", outside->name, "' gave too few lines");
    outside->at = newline + 1;
    if (read_line(line, (size_t)(newline - line), answer))
        return true;
    corpus_error_set(error, "the decoder '", outside->name,
                     "' gave a line that is not 'ok LENGTH TEXT', 'ok LENGTH', 'refused' or 'skip'");
    return corpus_error_quote(error, line, newline - line < SHOWN ? (size_t)(newline - line) : SHOWN);
}

void corpus_outside_end(struct corpus_outside *outside)
{
    corpus_process_end(&outside->process);
    *outside = (struct corpus_outside){0};
}
