/* sqlite_heap.c: SQLite with its whole heap on closed pages. A script creates, fills, indexes, joins and aggregates an
 * in-memory database, first on SQLite's own memory, then on memory of which every access is stepped; what it answers is
 * compared byte for byte.
 *
 *      sqlite_heap [--quick] [--rows N] */
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "console.h"
#include "protected_heap.h"

#define DEFAULT_ROWS 10000u
#define QUICK_ROWS 200u
#define ROWS_MOST 1000000u
#define HEAP_SIZE ((size_t)1 << 30)
/* What stands before each block: its size. Blocks stay aligned to sixteen bytes. */
#define HEADER 16u

static const char script[] =
    "CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, kind INTEGER, weight REAL);"
    "CREATE TABLE kind(id INTEGER PRIMARY KEY, title TEXT);"
    "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 15)"
    " INSERT INTO kind SELECT i, printf('kind %%02d', i) FROM n;"
    "BEGIN;"
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %llu)"
    " INSERT INTO item SELECT i, 'n' || (i * 7919 %% 10007), i * 31 %% 16, i / 8.0 FROM n;"
    "COMMIT;"
    "CREATE INDEX item_kind ON item(kind);"
    "SELECT kind.title, count(*), max(item.id) FROM kind JOIN item ON item.kind = kind.id"
    " GROUP BY kind.id ORDER BY kind.title;"
    "SELECT count(*), avg(weight) FROM item WHERE kind = 5;"
    "UPDATE item SET weight = weight * 2 WHERE kind = 3 AND id < 1000;"
    "SELECT id, name, weight FROM item WHERE kind = 3 AND id < 1000 ORDER BY name DESC LIMIT 20;"
    "SELECT count(*) FROM item;";

static void *heap_malloc(int size)
{
    char *block = heap_allocate(NULL, NULL, 0, (size_t)size + HEADER);
    if (!block)
        return NULL;
    *(size_t *)(void *)block = (size_t)size;
    return block + HEADER;
}

static size_t held(void *memory)
{
    return *(size_t *)(void *)((char *)memory - HEADER);
}

static void heap_free(void *memory)
{
    if (memory)
        heap_allocate(NULL, (char *)memory - HEADER, held(memory) + HEADER, 0);
}

static void *heap_realloc(void *memory, int size)
{
    char *block = heap_allocate(NULL, (char *)memory - HEADER, held(memory) + HEADER, (size_t)size + HEADER);
    if (!block)
        return NULL;
    *(size_t *)(void *)block = (size_t)size;
    return block + HEADER;
}

static int heap_size(void *memory)
{
    return memory ? (int)held(memory) : 0;
}

static int heap_roundup(int size)
{
    return (size + 15) / 16 * 16;
}

static int heap_init(void *unused)
{
    (void)unused;
    return SQLITE_OK;
}

static void heap_shutdown(void *unused)
{
    (void)unused;
}

/* What the script answered. */
struct answer {
    char *text;
    size_t size;
    FILE *stream;
};

static int write_row(void *answer, int count, char **values, char **names)
{
    FILE *out = ((struct answer *)answer)->stream;
    char copy[256];
    (void)names;
    /* By way of the program's own memory, since what stdio hands to the system must be open. */
    for (int i = 0; i < count; i++) {
        snprintf(copy, sizeof copy, "%s", values[i] ? values[i] : "NULL");
        fprintf(out, "%s%c", copy, i + 1 < count ? '|' : '\n');
    }
    return 0;
}

static double run_script(unsigned long long rows, struct answer *answer)
{
    struct timespec start, end;
    char text[sizeof script + 32], *error = NULL;
    sqlite3 *database;
    snprintf(text, sizeof text, script, rows);
    answer->stream = open_memstream(&answer->text, &answer->size);
    if (!answer->stream || sqlite3_initialize() != SQLITE_OK || sqlite3_open(":memory:", &database) != SQLITE_OK)
        console_die(1, "cannot open a database in memory");
    clock_gettime(CLOCK_MONOTONIC, &start);
    if (sqlite3_exec(database, text, write_row, answer, &error) != SQLITE_OK)
        console_die(1, "the script fails: %s", error);
    clock_gettime(CLOCK_MONOTONIC, &end);
    sqlite3_close(database);
    sqlite3_shutdown();
    fclose(answer->stream);
    return (double)(end.tv_sec - start.tv_sec) + 1e-9 * (double)(end.tv_nsec - start.tv_nsec);
}

static void write_progress(char *line, size_t size)
{
    snprintf(line, size, "sqlite on closed pages: %s accesses stepped",
             console_grouped(heap_read_tally().stepped).text);
}

static double run_on_closed_pages(unsigned long long rows, struct answer *answer)
{
    static const sqlite3_mem_methods methods = {heap_malloc,  heap_free, heap_realloc,  heap_size,
                                                heap_roundup, heap_init, heap_shutdown, NULL};
    enum segue_status status = segue_install(NULL);
    if (status == SEGUE_OK)
        status = heap_create(HEAP_SIZE, 1);
    if (status != SEGUE_OK)
        console_die(1, "cannot protect a heap: %s", segue_status_text(status));
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK)
        console_die(1, "SQLite does not take another heap");
    console_live_start(write_progress);
    double seconds = run_script(rows, answer);
    console_live_stop();
    return seconds;
}

static int judge(const struct answer *plain, const struct answer *closed, const struct heap_tally *tally)
{
    bool equal = plain->size == closed->size && memcmp(plain->text, closed->text, plain->size) == 0;
    if (!equal)
        printf("  FAILED: the answers differ\n");
    else if (tally->faults == 0 || tally->stepped != tally->faults)
        printf("  FAILED: not every access was stepped\n");
    else
        printf("  the answers are the same, byte for byte: %s bytes\n", console_grouped(plain->size).text);
    return equal && tally->faults && tally->stepped == tally->faults ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* How many rows the arguments ask for. */
static unsigned long long read_arguments(char **argument)
{
    unsigned long long rows = DEFAULT_ROWS;
    for (; *argument; argument++) {
        if (strcmp(*argument, "--quick") == 0) {
            rows = QUICK_ROWS;
        } else if (strcmp(*argument, "--rows") == 0) {
            rows = console_read_number(*argument, argument[1], 1, ROWS_MOST);
            argument++;
        } else if (strcmp(*argument, "--help") == 0) {
            printf("usage: %s [--quick] [--rows N]\n"
                   "  --quick    %u rows in place of %u\n"
                   "  --rows N   so many, 1 to %u\n",
                   program_invocation_short_name, QUICK_ROWS, DEFAULT_ROWS, ROWS_MOST);
            exit(console_end(EXIT_SUCCESS));
        } else {
            console_die(2, "'%s' is no option; --help lists them", *argument);
        }
    }
    return rows;
}

int main(int count, char **arguments)
{
    (void)count;
    struct answer plain = {0}, closed = {0};
    unsigned long long rows = read_arguments(arguments + 1);
    double before = run_script(rows, &plain);
    double after = run_on_closed_pages(rows, &closed);
    struct heap_tally tally = heap_read_tally();
    printf("sqlite heap: SQLite %s, a table of %s rows in memory, with its whole heap on closed pages\n",
           sqlite3_libversion(), console_grouped(rows).text);
    printf("  %-34s %14s\n", "faults", console_grouped(tally.faults).text);
    printf("  %-34s %14s  %7.2f %%\n", "stepped, the page stayed closed", console_grouped(tally.stepped).text,
           tally.faults ? 100.0 * (double)tally.stepped / (double)tally.faults : 0.0);
    printf("  %-34s %14s\n", "pages of heap", console_grouped(heap_pages_used()).text);
    printf("  %-34s %12.3f s\n", "time without protection", before);
    printf("  %-34s %12.3f s\n", "time with protection", after);
    return console_end(judge(&plain, &closed, &tally));
}
