/* lua_heap.c: the Lua interpreter of the distribution, unchanged, runs a program with its whole heap on closed pages:
 * every access that it makes to a Lua object faults, and is stepped, or has its page opened for a while. What the
 * program prints must be what it prints without any of this.
 *
 * The program's output is taken from print and io.write, and copied: memory on closed pages cannot be given to a system
 * call. For the same reason the libraries that hand a program's strings to the system (io, package, most of os) are
 * left out. */
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "console.h"
#include "protected_heap.h"

#define HEAP_SIZE ((size_t)256 << 20)
#define PATIENCE 1u
#define REFUSALS_SHOWN 8
#define SCALE 2
#define QUICK_SCALE 1

/* workload.lua, from embed.sh. */
extern const unsigned char workload_lua[];
extern const size_t workload_lua_size;

/* What is to be run. */
struct program {
    /* As Lua wants it: with a sign in front for the kind of name. */
    char *name;
    char *text;
    size_t size;
    /* Its one argument: how much it shall do. */
    lua_Integer scale;
};

/* What a run printed, and why it ended early, if it did. */
struct output {
    char *bytes;
    size_t size, capacity;
    char error[512];
};

struct arguments {
    const char *path;
    unsigned patience;
    lua_Integer scale;
    bool shows_output;
};

/* ---- Lua's side. */

static void append(struct output *output, const char *bytes, size_t size)
{
    if (size == 0)
        return;
    if (output->capacity - output->size < size) {
        size_t capacity = 2 * (output->size + size);
        char *longer = realloc(output->bytes, capacity);
        if (!longer)
            console_die(1, "no memory for the program's output");
        output->bytes = longer;
        output->capacity = capacity;
    }
    memcpy(output->bytes + output->size, bytes, size);
    output->size += size;
}

static int print(lua_State *lua)
{
    struct output *output = lua_touserdata(lua, lua_upvalueindex(1));
    for (int i = 1, count = lua_gettop(lua); i <= count; i++) {
        size_t size;
        const char *bytes = luaL_tolstring(lua, i, &size);
        append(output, "\t", i > 1);
        append(output, bytes, size);
        lua_pop(lua, 1);
    }
    append(output, "\n", 1);
    return 0;
}

static int write_strings(lua_State *lua)
{
    struct output *output = lua_touserdata(lua, lua_upvalueindex(1));
    for (int i = 1, count = lua_gettop(lua); i <= count; i++) {
        size_t size;
        const char *bytes = luaL_checklstring(lua, i, &size);
        append(output, bytes, size);
    }
    return 0;
}

/* Takes the named functions out of the table on the top of the stack. */
static void remove_functions(lua_State *lua, const char *const *names)
{
    for (; *names; names++) {
        lua_pushnil(lua);
        lua_setfield(lua, -2, *names);
    }
}

static void open_libraries(lua_State *lua, struct output *output)
{
    static const luaL_Reg libraries[] = {
        {LUA_GNAME, luaopen_base},       {LUA_TABLIBNAME, luaopen_table}, {LUA_STRLIBNAME, luaopen_string},
        {LUA_MATHLIBNAME, luaopen_math}, {LUA_UTF8LIBNAME, luaopen_utf8}, {LUA_COLIBNAME, luaopen_coroutine},
        {LUA_DBLIBNAME, luaopen_debug},  {LUA_OSLIBNAME, luaopen_os},
    };
    static const char *const files[] = {"dofile", "loadfile", NULL};
    static const char *const system[] = {"execute", "exit", "remove", "rename", "setlocale", "tmpname", NULL};
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
        luaL_requiref(lua, libraries[i].name, libraries[i].func, 1);
        lua_pop(lua, 1);
    }
    lua_getglobal(lua, LUA_OSLIBNAME);
    remove_functions(lua, system);
    lua_pushglobaltable(lua);
    remove_functions(lua, files);
    lua_pushlightuserdata(lua, output);
    lua_pushcclosure(lua, print, 1);
    lua_setfield(lua, -2, "print");
    lua_newtable(lua);
    lua_pushlightuserdata(lua, output);
    lua_pushcclosure(lua, write_strings, 1);
    lua_setfield(lua, -2, "write");
    lua_setfield(lua, -2, "io");
    lua_settop(lua, 0);
}

static int add_traceback(lua_State *lua)
{
    luaL_traceback(lua, lua, luaL_tolstring(lua, 1, NULL), 1);
    return 1;
}

/* Under lua_pcall, so that an error of any of it is an error of the program. */
static int run_protected_call(lua_State *lua)
{
    const struct program *program = lua_touserdata(lua, 1);
    struct output *output = lua_touserdata(lua, 2);
    open_libraries(lua, output);
    if (luaL_loadbufferx(lua, program->text ? program->text : "", program->size, program->name, "t") != LUA_OK)
        return lua_error(lua);
    lua_pushinteger(lua, program->scale);
    lua_call(lua, 1, 0);
    return 0;
}

/* Runs the program from an empty heap to a closed one. */
static void run(const struct program *program, lua_Alloc allocate, struct output *output)
{
    lua_State *lua = lua_newstate(allocate, NULL);
    if (!lua)
        console_die(1, "Lua could not make its first state: the heap is too small");
    lua_pushcfunction(lua, add_traceback);
    lua_pushcfunction(lua, run_protected_call);
    lua_pushlightuserdata(lua, (void *)(uintptr_t)program);
    lua_pushlightuserdata(lua, output);
    if (lua_pcall(lua, 2, 0, 1) != LUA_OK)
        snprintf(output->error, sizeof output->error, "%s", lua_tostring(lua, -1));
    lua_close(lua);
}

static void *allocate_plainly(void *unused, void *block, size_t old_size, size_t new_size)
{
    (void)unused;
    (void)old_size;
    if (new_size)
        return realloc(block, new_size);
    free(block);
    return NULL;
}

/* ---- The program. */

static double seconds_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0.0;
}

static void write_live_line(char *line, size_t size)
{
    struct heap_tally tally = heap_read_tally();
    snprintf(line, size, "%s faults  %s stepped (%.1f %%)  %s pages opened  %s closed",
             console_grouped(tally.faults).text, console_grouped(tally.stepped).text,
             percent(tally.stepped, tally.faults), console_grouped(tally.pages_opened).text,
             console_grouped(tally.pages_closed).text);
}

static void print_count(const char *label, uint64_t number)
{
    printf("  %-34s %14s\n", label, console_grouped(number).text);
}

static void print_share(const char *label, uint64_t number, uint64_t whole)
{
    printf("  %-34s %14s %8.2f %%\n", label, console_grouped(number).text, percent(number, whole));
}

static void print_refusals(uint64_t opened)
{
    struct segue_refusal refusals[REFUSALS_SHOWN];
    size_t count = 0;
    segue_refusals_read(refusals, REFUSALS_SHOWN, &count);
    if (count)
        printf("  instructions that could not be stepped, the most frequent of %zu kinds\n", count);
    for (size_t i = 0; i < count && i < REFUSALS_SHOWN; i++) {
        char label[64];
        snprintf(label, sizeof label, "  %s", segue_mnemonic_name(refusals[i].mnemonic));
        print_share(label, refusals[i].count, opened);
    }
}

static void print_summary(const struct program *program, const struct arguments *arguments,
                          const struct heap_tally *tally, const double seconds[2])
{
    double mean = tally->faults ? (double)tally->pages_open_sum / (double)tally->faults : 0.0;
    printf("lua heap: %s in %s with its whole heap on closed pages\n", program->name + 1, LUA_RELEASE);
    print_count("faults", tally->faults);
    print_share("stepped, the page stayed closed", tally->stepped, tally->faults);
    print_share("opened: it could not be stepped", tally->opened, tally->faults);
    print_count("pages of heap", heap_pages_used());
    print_count("pages opened", tally->pages_opened);
    print_count("pages closed again", tally->pages_closed);
    print_count("  faults from opening to closing", arguments->patience);
    printf("  %-34s %14.2f\n", "pages open at a time, on average", mean);
    print_refusals(tally->opened);
    printf("  %-34s %12.3f s\n", "time without protection", seconds[0]);
    printf("  %-34s %12.3f s\n", "time with protection", seconds[1]);
}

/* Where two outputs part. */
static size_t first_difference(const struct output *a, const struct output *b)
{
    size_t at = 0;
    while (at < a->size && at < b->size && a->bytes[at] == b->bytes[at])
        at++;
    return at;
}

/* Prints the verdict; returns whether all is as it should be. */
static bool judge(const struct output *plain, const struct output *closed, const struct heap_tally *tally)
{
    bool equal = plain->size == closed->size && first_difference(plain, closed) == plain->size;
    if (equal && !tally->faults)
        printf("  FAILED: nothing faulted, so nothing was shown\n");
    else if (!equal)
        printf("  FAILED: the outputs differ, first at byte %zu of %zu and %zu\n", first_difference(plain, closed),
               plain->size, closed->size);
    else if (tally->stepped * 2 < tally->faults)
        printf("  FAILED: less than half of the faults were stepped\n");
    else
        printf("  the output is the same, byte for byte: %s bytes\n", console_grouped(plain->size).text);
    return equal && tally->faults && tally->stepped * 2 >= tally->faults;
}

static void read_file(const char *path, struct program *program)
{
    struct output text = {.size = 0};
    char piece[4096];
    size_t size;
    FILE *file = fopen(path, "r");
    if (!file)
        console_die(1, "cannot open %s: %m", path);
    while ((size = fread(piece, 1, sizeof piece, file)) > 0)
        append(&text, piece, size);
    if (ferror(file))
        console_die(1, "cannot read %s: %m", path);
    fclose(file);
    program->text = text.bytes;
    program->size = text.size;
    if (asprintf(&program->name, "@%s", path) < 0)
        console_die(1, "no memory for a name");
}

/* What is run if no file is named. */
static void copy_workload(struct program *program)
{
    struct output text = {.size = 0};
    append(&text, (const char *)workload_lua, workload_lua_size);
    program->text = text.bytes;
    program->size = text.size;
    program->name = strdup("=workload.lua");
    if (!program->name)
        console_die(1, "no memory for a name");
}

static void read_arguments(char **argument, struct arguments *arguments)
{
    for (; *argument; argument++) {
        if (strcmp(*argument, "--quick") == 0) {
            arguments->scale = QUICK_SCALE;
        } else if (strcmp(*argument, "--output") == 0) {
            arguments->shows_output = true;
        } else if (strcmp(*argument, "--help") == 0) {
            printf("usage: %s [--quick] [--output] [--patience N] [PROGRAM.lua]\n"
                   "  --quick       the program's argument, how much it shall do, is %d in place of %d\n"
                   "  --output      shows what the program printed on closed pages\n"
                   "  --patience N  an opened page is closed at the latest N faults after, 1 to %u (%u)\n"
                   "  PROGRAM.lua   in place of the workload that is built in; what it prints must not depend\n"
                   "                on time, on addresses, or on the order of pairs\n",
                   program_invocation_short_name, QUICK_SCALE, SCALE, HEAP_PATIENCE_MAX, PATIENCE);
            exit(0);
        } else if (strcmp(*argument, "--patience") == 0) {
            arguments->patience = (unsigned)console_read_number(*argument, argument[1], 1, HEAP_PATIENCE_MAX);
            argument++;
        } else if (**argument == '-') {
            console_die(2, "'%s' is no option; --help lists them", *argument);
        } else if (arguments->path) {
            console_die(2, "one program at a time: '%s' or '%s'", arguments->path, *argument);
        } else {
            arguments->path = *argument;
        }
    }
}

static void check(enum segue_status status, const char *what)
{
    if (status != SEGUE_OK)
        console_die(1, "%s: %s", what, segue_status_text(status));
}

int main(int count, char **argument)
{
    struct arguments arguments = {.patience = PATIENCE, .scale = SCALE};
    struct output plain = {.size = 0}, closed = {.size = 0};
    double seconds[2];
    (void)count;
    read_arguments(argument + 1, &arguments);
    struct program program = {.scale = arguments.scale};
    if (arguments.path)
        read_file(arguments.path, &program);
    else
        copy_workload(&program);

    seconds[0] = -seconds_now();
    run(&program, allocate_plainly, &plain);
    seconds[0] += seconds_now();
    if (plain.error[0])
        console_die(1, "the program fails without any protection: %s", plain.error);

    check(segue_install(NULL), "the handler cannot be installed");
    check(heap_create(HEAP_SIZE, arguments.patience), "the heap cannot be made");
    console_live_start(write_live_line);
    seconds[1] = -seconds_now();
    run(&program, heap_allocate, &closed);
    seconds[1] += seconds_now();
    console_live_stop();
    struct heap_tally tally = heap_read_tally();
    if (closed.error[0])
        console_die(1, "the program fails with its heap on closed pages: %s", closed.error);

    if (arguments.shows_output)
        fwrite(closed.bytes, 1, closed.size, stdout);
    print_summary(&program, &arguments, &tally, seconds);
    bool good = judge(&plain, &closed, &tally);
    heap_destroy();
    check(segue_uninstall(NULL), "the handler cannot be taken out");
    free(program.name);
    free(program.text);
    free(plain.bytes);
    free(closed.bytes);
    return console_end(!good);
}
