/* python.c: the distribution's CPython, unchanged, with all its arenas on closed pages: every access to an object of up
 * to 512 bytes is seen. Larger blocks, as the items of a long list, come from malloc and stay open.
 *
 * The interpreter starts, and imports what the program needs, while the arenas are open: a system call that is given a
 * path in closed memory fails with EFAULT. What the program prints is the text that its function work(scale) returns.
 *
 * SOURCES: Python/C API, "Customize Memory Allocators", "Python Initialization Configuration". */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdio.h>
#include <stdlib.h>

#include "examples/console/console.h"
#include "examples/heaps/program.h"
#include "examples/heaps/watched.h"

#define HEAP_SIZE ((size_t)256 << 20)
/* CPython's arenas are at least so large, all of one size. */
#define ARENA_LEAST ((size_t)256 << 10)

/* workload.py, from embed.sh. */
extern const unsigned char workload_py[];
extern const size_t workload_py_size;

static struct {
    size_t top;
    void *free[HEAP_SIZE / ARENA_LEAST];
    size_t free_count;
} arenas;

static const char *path_of_program;
static PyObject *work;

static void *take_arena(void *unused, size_t size)
{
    const struct segue_mapping *mapping = watched_mapping();
    (void)unused;
    if (arenas.free_count)
        return arenas.free[--arenas.free_count];
    if (mapping->size - arenas.top < size)
        return NULL;
    void *arena = (char *)mapping->memory + arenas.top;
    arenas.top += size;
    return arena;
}

static void give_arena(void *unused, void *arena, size_t size)
{
    (void)unused, (void)size;
    arenas.free[arenas.free_count++] = arena;
}

static void start(void)
{
    PyObjectArenaAllocator allocator = {.alloc = take_arena, .free = give_arena};
    PyConfig config;
    PyObject_SetArenaAllocator(&allocator);
    PyConfig_InitIsolatedConfig(&config);
    /* The seed of the hashes is the same in every run of the demo; no file but the standard library's is read. */
    config.use_hash_seed = 1;
    config.hash_seed = 0;
    config.site_import = 0;
    config.write_bytecode = 0;
    PyStatus status = Py_InitializeFromConfig(&config);
    if (PyStatus_Exception(status))
        console_die(1, "CPython does not start: %s", status.err_msg ? status.err_msg : "no reason given");
    PyConfig_Clear(&config);
}

/* The exception as text: only its last line, since a traceback would read files. */
static void describe_exception(char *text, size_t size)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    PyObject *string = value ? PyObject_Str(value) : NULL;
    const char *reason = string ? PyUnicode_AsUTF8(string) : NULL;
    snprintf(text, size, "%s: %s", value ? Py_TYPE(value)->tp_name : "an exception", reason ? reason : "");
    Py_XDECREF(string);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
}

static void begin(const char *path)
{
    struct output source = {.size = 0};
    char reason[256] = "it defines no function work(scale)";
    if (path)
        output_append_file(&source, path);
    else
        output_append(&source, (const char *)workload_py, workload_py_size);
    output_append(&source, "", 1);
    path_of_program = path ? path : "workload.py";
    start();
    PyObject *code = Py_CompileString(source.bytes, path_of_program, Py_file_input);
    PyObject *module = code ? PyImport_ExecCodeModule("workload", code) : NULL;
    work = module ? PyObject_GetAttrString(module, "work") : NULL;
    if (!module)
        describe_exception(reason, sizeof reason);
    if (!work)
        console_die(1, "%s cannot be run: %s", path_of_program, reason);
    PyErr_Clear();
    Py_DECREF(code);
    Py_DECREF(module);
    output_free(&source);
}

static void run(uint64_t scale, program_allocate *unused, struct output *output)
{
    Py_ssize_t size;
    (void)unused;
    PyObject *result = PyObject_CallFunction(work, "K", (unsigned long long)scale);
    const char *text = result ? PyUnicode_AsUTF8AndSize(result, &size) : NULL;
    if (text)
        output_append(output, text, (size_t)size);
    else
        describe_exception(output->error, sizeof output->error);
    Py_XDECREF(result);
}

static size_t used(void)
{
    return arenas.top;
}

static void describe(char *text, size_t size, uint64_t scale)
{
    (void)scale;
    snprintf(text, size, "%s in CPython %.*s", path_of_program, (int)strcspn(Py_GetVersion(), " "), Py_GetVersion());
}

const struct program program = {
    .name = "python",
    .scale_name = "the program's argument",
    .scale_option = "scale",
    .scale = 10,
    .step_scale = 1,
    .quick_scale = 1,
    .scale_max = 10000,
    .heap_size = HEAP_SIZE,
    .operand = "PROGRAM.py",
    .begin = begin,
    .describe = describe,
    .run = run,
    .used = used,
};
