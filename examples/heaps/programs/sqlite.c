/* sqlite.c: SQLite with its whole heap on closed pages. A script creates, fills, indexes, joins and aggregates an
 * in-memory database. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "examples/console/console.h"
#include "examples/heaps/program.h"

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

static program_allocate *allocate_block;

static void *heap_malloc(int size)
{
    char *block = allocate_block(NULL, NULL, 0, (size_t)size + HEADER);
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
        allocate_block(NULL, (char *)memory - HEADER, held(memory) + HEADER, 0);
}

static void *heap_realloc(void *memory, int size)
{
    char *block = allocate_block(NULL, (char *)memory - HEADER, held(memory) + HEADER, (size_t)size + HEADER);
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

static int write_row(void *output, int count, char **values, char **names)
{
    (void)names;
    for (int i = 0; i < count; i++) {
        const char *value = values[i] ? values[i] : "NULL";
        output_append(output, value, strlen(value));
        output_append(output, i + 1 < count ? "|" : "\n", 1);
    }
    return 0;
}

/* SQLite takes another heap only while it is shut down. Without a function for it, it takes its own. */
static void set_heap(program_allocate *allocate)
{
    static const sqlite3_mem_methods methods = {heap_malloc,  heap_free, heap_realloc,  heap_size,
                                                heap_roundup, heap_init, heap_shutdown, NULL},
                                     own;
    allocate_block = allocate;
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, allocate ? &methods : &own) != SQLITE_OK ||
        sqlite3_initialize() != SQLITE_OK)
        console_die(1, "SQLite does not take another heap");
}

static void run(uint64_t rows, program_allocate *allocate, struct output *output)
{
    char text[sizeof script + 32], *error = NULL;
    sqlite3 *database;
    snprintf(text, sizeof text, script, (unsigned long long)rows);
    set_heap(allocate);
    if (sqlite3_open(":memory:", &database) != SQLITE_OK)
        console_die(1, "cannot open a database in memory");
    if (sqlite3_exec(database, text, write_row, output, &error) != SQLITE_OK)
        snprintf(output->error, sizeof output->error, "%s", error ? error : "no memory");
    sqlite3_free(error);
    sqlite3_close(database);
    sqlite3_shutdown();
}

static void begin(const char *path)
{
    (void)path;
}

static void describe(char *text, size_t size, uint64_t rows)
{
    snprintf(text, size, "SQLite %s, a table of %s rows in memory", sqlite3_libversion(), console_grouped(rows).text);
}

const struct program program = {
    .name = "sqlite",
    .scale_name = "rows",
    .scale_option = "rows",
    .scale = 10000,
    .step_scale = 300,
    .quick_scale = 200,
    .scale_max = 1000000,
    .heap_size = (size_t)1 << 30,
    .begin = begin,
    .describe = describe,
    .run = run,
};
