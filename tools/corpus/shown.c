/* shown.c: shows the engine's errors and progress to the user of `segue corpus`. */
#include "shown.h"

#include <stdio.h>

#include "tools/support/message.h"
#include "tools/support/plural.h"

bool corpus_complain(const struct corpus_error *error)
{
    char line[24] = "";
    if (error->line)
        snprintf(line, sizeof line, ":%zu", error->line);
    if (error->has_quote)
        complain("corpus", "%s%s%s%s: '%s'", error->what, error->where, line, error->why, error->quote);
    else
        complain("corpus", "%s%s%s%s", error->what, error->where, line, error->why);
    return false;
}

#define BAR "##############################"
#define BAR_WIDTH ((int)sizeof BAR - 1)

static void show(size_t done, size_t total, bool is_last, const char *unit)
{
    size_t share = total ? done * BAR_WIDTH / total : BAR_WIDTH;
    if (is_last)
        fputc('\n', stderr);
    else
        fprintf(stderr, "\r[%-*.*s] %zu of %zu %s%s", BAR_WIDTH, (int)share, BAR, done, total, unit, plural(total));
}

void corpus_show_rows(size_t done, size_t total, bool is_last)
{
    show(done, total, is_last, "row");
}

void corpus_show_parts(size_t done, size_t total, bool is_last)
{
    show(done, total, is_last, "part");
}

typedef bool read_rows(struct corpus_rows *rows, const char *path, struct corpus_error *error);

static bool read_shown(read_rows *read, struct corpus_rows *rows, const char *path)
{
    struct corpus_error error;
    size_t left_out = rows->left_out;
    bool ok = read(rows, path, &error);
    if (left_out == 0 && rows->left_out)
        complain("corpus", "%s:%zu: %s, which is %d: left out, as others like it", path, rows->left_out_line,
                 corpus_row_too_long, CORPUS_ROW_BYTES);
    return ok || corpus_complain(&error);
}

bool corpus_read_shown(struct corpus_rows *rows, const char *path)
{
    return read_shown(corpus_rows_read, rows, path);
}

bool corpus_take_shown(struct corpus_rows *rows, const char *path)
{
    return read_shown(corpus_rows_take, rows, path);
}
