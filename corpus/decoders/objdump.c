/* objdump.c: objdump as a decoder: one process for many rows. */
#include "objdump.h"

#include <stdio.h>
#include <string.h>

/* Seconds that objdump may take before it writes anything. */
#define PATIENCE 60

bool corpus_objdump_run(struct corpus_objdump *objdump, const char *command, const uint8_t *bytes, size_t size,
                        struct corpus_error *error)
{
    char *arguments[] = {
        (char *)command,      "-D", "-z", "-b", "binary", "-m", "i386:x86-64", "-M", "intel", "--no-show-raw-insn",
        CORPUS_PROCESS_INPUT, NULL};
    /* At most a line for each byte, and a few more. */
    const struct corpus_limits limits = {PATIENCE + (double)size / 1000, size + 100, 400 * size + 65536};
    if (!corpus_process_start(&objdump->process, arguments, bytes, size, limits, error))
        return false;
    objdump->size = size;
    bool ok = corpus_process_wait(&objdump->process, error);
    objdump->at = objdump->process.text;
    if (!ok)
        corpus_process_end(&objdump->process);
    return ok;
}

/* "  1f:\ttext": the address and where the text begins; NULL for a line of another kind. */
static const char *line_start(const char *at, const char *end, uint64_t *address)
{
    uint64_t value = 0;
    while (at < end && *at == ' ')
        at++;
    const char *first = at;
    for (; at < end; at++) {
        unsigned c = (unsigned char)*at;
        if (c - '0' < 10)
            value = value * 16 + (c - '0');
        else if (c - 'a' < 6)
            value = value * 16 + (c - 'a') + 10;
        else
            break;
    }
    if (at == first || end - at < 2 || at[0] != ':' || at[1] != '\t')
        return NULL;
    *address = value;
    return at + 2;
}

/* Finds the next line with an address, from `at`. */
static const char *find_line(const char *at, const char *end, uint64_t *address, const char **line_end)
{
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        *line_end = newline ? newline : end;
        const char *text = line_start(at, *line_end, address);
        if (text)
            return text;
        at = *line_end + 1;
    }
    return NULL;
}

bool corpus_objdump_next(struct corpus_objdump *objdump, struct corpus_objdump_line *line)
{
    const char *end = objdump->process.text + objdump->process.text_size, *line_end, *next_end;
    uint64_t next;
    line->text = find_line(objdump->at, end, &line->address, &line_end);
    if (!line->text)
        return false;
    line->text_length = (size_t)(line_end - line->text);
    objdump->at = line_end < end ? line_end + 1 : end;
    if (!line_start(objdump->at, end, &next) && !find_line(objdump->at, end, &next, &next_end))
        next = objdump->size;
    line->length = next - line->address;
    return true;
}

void corpus_objdump_end(struct corpus_objdump *objdump)
{
    corpus_process_end(&objdump->process);
}

bool corpus_objdump_version(const char *command, char *text, size_t size, struct corpus_error *error)
{
    char *arguments[] = {(char *)command, "--version", NULL};
    struct corpus_process process;
    const struct corpus_limits limits = {PATIENCE, 1000, 65536};
    if (!corpus_process_start(&process, arguments, "", 0, limits, error))
        return false;
    bool ok = corpus_process_wait(&process, error);
    if (ok && !process.text)
        ok = corpus_error_set(error, NULL, command, " says nothing of its version");
    if (ok) {
        const char *newline = memchr(process.text, '\n', process.text_size);
        size_t length = newline ? (size_t)(newline - process.text) : process.text_size;
        snprintf(text, size, "%.*s", (int)length, process.text);
    }
    corpus_process_end(&process);
    return ok;
}
