/* lua.c: the Lua interpreter of the distribution, unchanged, runs a program with its whole heap on closed pages: every
 * access that it makes to a Lua object is seen. What the program prints must be what it prints without any of this.
 *
 * The program's output is taken from print and io.write, and copied: memory on closed pages cannot be given to a system
 * call. For the same reason the libraries that hand a program's strings to the system (io, package, most of os) are
 * left out. */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "examples/console/console.h"
#include "examples/heaps/program.h"

/* workload.lua, from embed.sh. */
extern const unsigned char workload_lua[];
extern const size_t workload_lua_size;

/* The program that is run. */
static struct {
    /* As Lua wants it: with a sign in front for the kind of name. */
    char *name;
    struct output text;
} source;

/* Lua mixes the time into the seed of its hashes, and with the seed the number of its accesses changes. While a state
 * is made, the time stands still, so that all runs can be compared. */
static bool time_stands_still;

time_t time(time_t *at)
{
    struct timespec now = {.tv_sec = 0};
    if (!time_stands_still)
        clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (at)
        *at = now.tv_sec;
    return now.tv_sec;
}

static int print(lua_State *lua)
{
    struct output *output = lua_touserdata(lua, lua_upvalueindex(1));
    for (int i = 1, count = lua_gettop(lua); i <= count; i++) {
        size_t size;
        const char *bytes = luaL_tolstring(lua, i, &size);
        output_append(output, "\t", i > 1);
        output_append(output, bytes, size);
        lua_pop(lua, 1);
    }
    output_append(output, "\n", 1);
    return 0;
}

static int write_strings(lua_State *lua)
{
    struct output *output = lua_touserdata(lua, lua_upvalueindex(1));
    for (int i = 1, count = lua_gettop(lua); i <= count; i++) {
        size_t size;
        const char *bytes = luaL_checklstring(lua, i, &size);
        output_append(output, bytes, size);
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
    struct output *output = lua_touserdata(lua, 1);
    lua_Integer scale = *(const lua_Integer *)lua_touserdata(lua, 2);
    open_libraries(lua, output);
    if (luaL_loadbufferx(lua, source.text.bytes ? source.text.bytes : "", source.text.size, source.name, "t") != LUA_OK)
        return lua_error(lua);
    lua_pushinteger(lua, scale);
    lua_call(lua, 1, 0);
    return 0;
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

static void run(uint64_t scale, program_allocate *allocate, struct output *output)
{
    lua_Integer argument = (lua_Integer)scale;
    time_stands_still = true;
    lua_State *lua = lua_newstate(allocate ? allocate : allocate_plainly, NULL);
    time_stands_still = false;
    if (!lua)
        console_die(1, "Lua could not make its first state: the heap is too small");
    lua_pushcfunction(lua, add_traceback);
    lua_pushcfunction(lua, run_protected_call);
    lua_pushlightuserdata(lua, output);
    lua_pushlightuserdata(lua, &argument);
    if (lua_pcall(lua, 2, 0, 1) != LUA_OK)
        snprintf(output->error, sizeof output->error, "%s", lua_tostring(lua, -1));
    lua_close(lua);
}

static void begin(const char *path)
{
    if (path)
        output_append_file(&source.text, path);
    else
        output_append(&source.text, (const char *)workload_lua, workload_lua_size);
    if (asprintf(&source.name, "%s%s", path ? "@" : "=", path ? path : "workload.lua") < 0)
        console_die(1, "no memory for a name");
}

static void describe(char *text, size_t size, uint64_t scale)
{
    (void)scale;
    snprintf(text, size, "%s in %s", source.name + 1, LUA_RELEASE);
}

const struct program program = {
    .name = "lua",
    .scale_name = "the program's argument",
    .scale_option = "scale",
    .scale = 2,
    .step_scale = 2,
    .quick_scale = 1,
    .scale_max = 1000,
    .heap_size = (size_t)256 << 20,
    .operand = "PROGRAM.lua",
    .begin = begin,
    .describe = describe,
    .run = run,
};
