/* heat_map.c [FILE.png]: where in a heap are the accesses, and when? A list is built in a heap, searched again and
 * again, sorted, and searched once more. Each access by an instruction is an event; a row of the map is 64 bytes of the
 * heap, a column a part of the time. Without a file the map is printed; else gnuplot draws it. */
#include <pthread.h>
#include <segue/segue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS 32
#define COLUMNS 64
#define LINE 64
#define HEAP (ROWS * LINE)

static char heap[HEAP] __attribute__((aligned(LINE)));
static size_t used;

static uint64_t *places;
static size_t place_count, place_room;
static volatile int is_over;

struct cell {
    struct cell *next;
    long key;
};

/* ---- the program --------------------------------------------------------------------------------------------- */

static void *allocate(size_t size)
{
    void *block = heap + used;
    used += size;
    return block;
}

/* Its keys are in no order, and each new cell comes first. */
static struct cell *build(void)
{
    struct cell *first = NULL;
    for (long i = 0; i < HEAP / (long)sizeof(struct cell); i++) {
        struct cell *cell = allocate(sizeof *cell);
        cell->key = i * 37 % (HEAP / (long)sizeof *cell);
        cell->next = first;
        first = cell;
    }
    return first;
}

__attribute__((noinline)) static int has(const struct cell *cell, long key)
{
    while (cell && cell->key != key)
        cell = cell->next;
    return cell != NULL;
}

/* By merging: no cell moves. */
static struct cell *sort(struct cell *list, int count)
{
    struct cell *half = list, *sorted = NULL, **end = &sorted;
    if (count < 2)
        return list;
    for (int i = 1; i < count / 2; i++)
        half = half->next;
    struct cell *other = half->next;
    half->next = NULL;
    list = sort(list, count / 2);
    other = sort(other, count - count / 2);
    while (list || other) {
        struct cell **from = !other || (list && list->key <= other->key) ? &list : &other;
        *end = *from;
        end = &(*from)->next;
        *from = *end;
    }
    return sorted;
}

static void run(void)
{
    struct cell *list = build();
    long found = 0;
    for (long key = 0; key < 20; key++)
        found += has(list, key);
    list = sort(list, HEAP / (int)sizeof *list);
    for (long key = 0; key < 20; key++)
        found += has(list, key);
    printf("%ld found\n", found);
}

/* ---- the map ------------------------------------------------------------------------------------------------- */

static void note(uint64_t address)
{
    if (place_count == place_room) {
        place_room = 2 * place_room + 1024;
        places = realloc(places, place_room * sizeof *places);
        if (!places)
            abort();
    }
    places[place_count++] = address - (uint64_t)heap;
}

static void *read_events(void *unused)
{
    static struct segue_watch_record records[256];
    size_t count;
    for (;;) {
        int was_over = is_over;
        if (segue_watch_read(records, 256, 1000000, &count, NULL) == SEGUE_OK)
            for (size_t i = 0; i < count; i++)
                note(records[i].address);
        else if (was_over)
            return unused;
    }
}

static void count(unsigned cells[ROWS][COLUMNS])
{
    memset(cells, 0, ROWS * sizeof *cells);
    for (size_t i = 0; i < place_count; i++)
        cells[places[i] / LINE][i * COLUMNS / place_count]++;
}

static unsigned lines_accessed(unsigned cells[ROWS][COLUMNS])
{
    unsigned lines = 0;
    for (int row = 0; row < ROWS; row++) {
        unsigned accesses = 0;
        for (int column = 0; column < COLUMNS; column++)
            accesses += cells[row][column];
        lines += accesses != 0;
    }
    return lines;
}

static void print_map(unsigned cells[ROWS][COLUMNS])
{
    static const char shades[] = " .:-=+*#%@";
    for (int row = 0; row < ROWS; row++) {
        for (int column = 0; column < COLUMNS; column++) {
            unsigned shade = (cells[row][column] + 1) / 2;
            putchar(shades[shade < 9 ? shade : 9]);
        }
        putchar('\n');
    }
}

/* gnuplot reads a script: a pipe is enough. */
static int draw_map(unsigned cells[ROWS][COLUMNS], const char *file)
{
    FILE *to = popen("gnuplot", "w");
    if (!to)
        return 1;
    fprintf(to,
            "set terminal pngcairo size 1000,700\nset output '%s'\nunset key\nset xlabel 'time'\n"
            "set ylabel 'heap, lines of %d bytes'\nset cblabel 'accesses'\nset yrange [-0.5:%d.5]\n"
            "set xrange [-0.5:%d.5]\nplot '-' matrix with image\n",
            file, LINE, ROWS - 1, COLUMNS - 1);
    for (int row = 0; row < ROWS; row++)
        for (int column = 0; column < COLUMNS; column++)
            fprintf(to, column + 1 < COLUMNS ? "%u " : "%u\n", cells[row][column]);
    fputs("e\n", to);
    return pclose(to);
}

int main(int argument_count, char **arguments)
{
    static unsigned cells[ROWS][COLUMNS];
    const struct segue_watch watch = {
        .address = heap, .size = HEAP, .flags = SEGUE_WATCH_READ | SEGUE_WATCH_WRITE | SEGUE_WATCH_WAIT};
    pthread_t reader;
    uint64_t id;
    if (segue_install(NULL) || segue_suspend_install(NULL) || segue_watch_add(&watch, 1, &id))
        return fprintf(stderr, "%s\n", segue_reason()), 1;
    if (pthread_create(&reader, NULL, read_events, NULL) != 0)
        return 1;
    run();
    is_over = 1;
    pthread_join(reader, NULL);
    if (segue_watch_remove(id) != SEGUE_OK)
        return 1;
    count(cells);
    printf("%u of %d lines of the heap were accessed\n", lines_accessed(cells), ROWS);
    if (argument_count < 2)
        print_map(cells);
    else if (draw_map(cells, arguments[1]) != 0)
        return fprintf(stderr, "gnuplot has not drawn %s: is it installed?\n", arguments[1]), 1;
    return 0;
}
