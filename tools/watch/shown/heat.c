/* heat.c: see heat.h. The targets lie one above the other, as they were named. How long the program will run is not
 * known before: when the columns are used up, each becomes half of one, which counts for twice as long. */
#include "heat.h"

#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/support/message.h"
#include "tools/support/output/output.h"

#define VERB "watch"
#define COLUMNS 512u
#define ROWS 256u
/* At the beginning, in nanoseconds. */
#define COLUMN_TIME 1000

extern char **environ;

struct heat {
    struct output output;
    int64_t column_time;
    unsigned used;
    uint64_t count;
    uint32_t cells[ROWS][COLUMNS];
};

/* So that its absence is said before the program runs. */
static bool has_gnuplot(void)
{
    const char *path = getenv("PATH");
    char file[4096];
    for (const char *at = path ? path : "/usr/bin:/bin"; *at;) {
        int length = (int)strcspn(at, ":");
        snprintf(file, sizeof file, "%.*s/gnuplot", length, at);
        if (access(file, X_OK) == 0)
            return true;
        at += length + (at[length] == ':');
    }
    return false;
}

struct heat *heat_begin(const char *path)
{
    if (!has_gnuplot()) {
        complain(VERB, "--heat draws by gnuplot, which is not installed; install gnuplot-nox");
        return NULL;
    }
    struct heat *heat = calloc(1, sizeof *heat);
    if (!heat)
        abort();
    heat->column_time = COLUMN_TIME;
    if (output_accepts(VERB, path) && output_begin(&heat->output, VERB, path))
        return heat;
    free(heat);
    return NULL;
}

/* ---- counting ---- */

static uint64_t bytes_of(const struct target *targets, size_t count)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += targets[i].size;
    return bytes;
}

static unsigned rows_of(uint64_t bytes)
{
    return bytes < ROWS ? (unsigned)bytes : ROWS;
}

static unsigned row_at(uint64_t at, uint64_t bytes)
{
    return (unsigned)((double)at * rows_of(bytes) / (double)bytes);
}

static void double_times(struct heat *heat)
{
    for (unsigned row = 0; row < ROWS; row++) {
        uint32_t *cells = heat->cells[row];
        for (unsigned i = 0; i < COLUMNS / 2; i++)
            cells[i] = cells[2 * i] + cells[2 * i + 1];
        memset(cells + COLUMNS / 2, 0, COLUMNS / 2 * sizeof *cells);
    }
    heat->column_time *= 2;
    heat->used = (heat->used + 1) / 2;
}

void heat_note(struct heat *heat, const struct target *targets, size_t count, size_t number, uint64_t offset,
               uint64_t size, int64_t time)
{
    const uint64_t bytes = bytes_of(targets, count), at = bytes_of(targets, number) + offset;
    time = time < 0 ? 0 : time;
    while (time / heat->column_time >= COLUMNS)
        double_times(heat);
    const unsigned column = (unsigned)(time / heat->column_time);
    heat->used = column >= heat->used ? column + 1 : heat->used;
    heat->count++;
    const unsigned last = row_at(at + (size ? size - 1 : 0), bytes);
    for (unsigned row = row_at(at, bytes); row <= last && row < ROWS; row++)
        heat->cells[row][column]++;
}

/* ---- drawing ---- */

static uint32_t greatest(const struct heat *heat)
{
    uint32_t most = 0;
    for (unsigned row = 0; row < ROWS; row++)
        for (unsigned column = 0; column < heat->used; column++)
            most = heat->cells[row][column] > most ? heat->cells[row][column] : most;
    return most;
}

/* In gnuplot's single quotes only these stand for something. */
static void write_quoted(FILE *to, const char *name)
{
    fputc('\'', to);
    for (; *name; name++)
        if (*name == '\'')
            fputs("''", to);
        else
            fputc((unsigned char)*name < ' ' ? '?' : *name, to);
    fputc('\'', to);
}

static void write_names(FILE *to, const struct target *targets, size_t count)
{
    /* Of many, so many that they can be read. */
    const size_t each = (count + 39) / 40;
    uint64_t at = 0;
    fputs("set ytics (", to);
    for (size_t i = 0; i < count; at += targets[i++].size)
        if (i % each == 0) {
            fputs(i ? ", " : "", to);
            write_quoted(to, targets[i].name);
            fprintf(to, " %llu", (unsigned long long)at);
        }
    fputs(")\n", to);
}

static void write_script(const struct heat *heat, const struct target *targets, size_t count, FILE *to)
{
    const uint64_t bytes = bytes_of(targets, count);
    const unsigned rows = rows_of(bytes), columns = heat->used > 1 ? heat->used : 2;
    const double height = (double)bytes / rows, width = (double)heat->column_time / 1e9;
    const uint32_t most = greatest(heat);
    fprintf(to, "set terminal pngcairo noenhanced size 1200,800\n"
                "set xlabel 'seconds since the first access'\nset cblabel 'accesses'\nunset key\n"
                "set tics out nomirror\nset palette defined (0 '#ffe9a8', 1 '#f08a24', 2 '#b01030', 3 '#30003c')\n");
    fprintf(to, "set title '%llu accesses'\n", (unsigned long long)heat->count);
    if (count > 1)
        write_names(to, targets, count);
    else {
        fputs("set ylabel ", to);
        write_quoted(to, targets->name);
        fputs("\nset format y '+%.0f'\n", to);
    }
    fprintf(to, most > 1 ? "set logscale cb\nset cbrange [1:%u]\n" : "set cbrange [0:1]\n", most);
    fprintf(to, "set xrange [0:%.9g]\nset yrange [0:%llu]\n$map << END\n", width * columns, (unsigned long long)bytes);
    for (unsigned row = 0; row < rows; row++) {
        for (unsigned column = 0; column < columns; column++)
            fprintf(to, column ? " %u" : "%u", heat->cells[row][column]);
        fputc('\n', to);
    }
    if (rows == 1)
        for (unsigned column = 0; column < columns; column++)
            fprintf(to, column + 1 < columns ? "0 " : "0\n");
    fprintf(to, "END\nplot $map matrix using (($1+0.5)*%.9g):(($2+0.5)*%.9g):($3>0?$3:NaN) with image pixels\n", width,
            height);
}

/* The script is its input, the file its output. */
static bool run_gnuplot(FILE *script, int file)
{
    static char name[] = "gnuplot";
    char *arguments[] = {name, NULL};
    posix_spawn_file_actions_t actions;
    pid_t child;
    int status = -1, failed;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fileno(script), 0);
    posix_spawn_file_actions_adddup2(&actions, file, 1);
    failed = posix_spawnp(&child, name, &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed)
        complain(VERB, "gnuplot cannot be run: %s", strerror(failed));
    else if (waitpid(child, &status, 0) != child || status != 0)
        complain(VERB, "gnuplot has failed, as it says: no map is drawn");
    return !failed && status == 0;
}

bool heat_draw(struct heat *heat, const struct target *targets, size_t count)
{
    FILE *script = tmpfile();
    struct output *output = &heat->output;
    bool is_drawn = script != NULL;
    if (script)
        write_script(heat, targets, count, script);
    if (!script || fflush(script) != 0 || fseek(script, 0, SEEK_SET) != 0) {
        complain(VERB, "a file for gnuplot cannot be written: %s", strerror(errno));
        is_drawn = false;
    }
    is_drawn = is_drawn && run_gnuplot(script, heat->output.file) && output_finish_new(output);
    if (script)
        fclose(script);
    if (!is_drawn)
        output_abandon(output);
    return is_drawn && output_commit(&output, 1, OUTPUT_SYNC_LATER);
}

void heat_abandon(struct heat *heat)
{
    output_abandon(&heat->output);
}

void heat_end(struct heat *heat)
{
    free(heat);
}
