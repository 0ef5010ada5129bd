/* probe.c: a library that uses Segue inside a runtime that knows nothing of it. When it is loaded, by LD_PRELOAD or by
 * dlopen, it installs the handler and makes a closed page. probe_touch stores to the page and loads from it, on the
 * calling thread and on a new one, and appends one line to the file $PROBE_REPORT:
 *   stepped                      all accesses were stepped
 *   refused SIGNAL OBJECT        another handler has been installed over the library's: the page was not touched
 * With PROBE_INSIST it touches the page all the same: for a runtime that forwards to the handlers that it found. */
#include <fcntl.h>
#include <pthread.h>
#include <segue/segue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A call from Lua (lua_CFunction), ctypes, Fiddle, a C#, Go or Lisp program; from Java; from Node.js. */
int probe_touch(const void *unused);
void Java_Main_touch(const void *environment, const void *class);
void *napi_register_module_v1(const void *environment, void *exports);

#define PAGE 4096u

static volatile unsigned *page;
static volatile unsigned *alias;
static volatile unsigned asked;

static enum segue_verdict step(void *context, const struct segue_event *event)
{
    (void)context;
    (void)event;
    __atomic_fetch_add(&asked, 1, __ATOMIC_RELAXED);
    return SEGUE_STEP;
}

/* Exits with a status that no program has. */
static void fail(const char *what)
{
    fprintf(stderr, "probe: %s\n", what);
    _exit(99);
}

static void report(const char *line)
{
    const char *path = getenv("PROBE_REPORT");
    int file = open(path ? path : "/dev/null", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || write(file, line, strlen(line)) != (ssize_t)strlen(line))
        fail("cannot write the report");
    close(file);
}

/* Each call has a word of its own. */
static void *touch(void *unused)
{
    static unsigned calls;
    unsigned word = __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED) % (PAGE / sizeof *page);
    for (unsigned i = 0; i < 100; i++) {
        unsigned before = asked, value = alias[word];
        page[word] = value + 3;
        if (alias[word] != value + 3 || page[word] != value + 3)
            fail("a wrong value");
        if (asked - before < 2)
            fail("not asked");
    }
    return unused;
}

int probe_touch(const void *unused)
{
    (void)unused;
    struct segue_owner owner;
    if (segue_install_check(&owner) != SEGUE_OK && !getenv("PROBE_INSIST")) {
        const char *object = owner.object ? owner.object : "unknown", *slash = strrchr(object, '/');
        char line[256];
        snprintf(line, sizeof line, "refused %s %s\n", owner.signal == 11 ? "SIGSEGV" : sigabbrev_np(owner.signal),
                 slash ? slash + 1 : object);
        report(line);
        return 0;
    }
    pthread_t thread;
    touch(NULL);
    if (pthread_create(&thread, NULL, touch, NULL) || pthread_join(thread, NULL))
        fail("no thread");
    report("stepped\n");
    return 0;
}

void Java_Main_touch(const void *environment, const void *class)
{
    (void)class;
    probe_touch(environment);
}

/* Node.js calls this for each process.dlopen. */
void *napi_register_module_v1(const void *environment, void *exports)
{
    probe_touch(environment);
    return exports;
}

/* Preloaded it is in each process of a script, also in a shell's: so it touches nothing itself. */
__attribute__((constructor)) static void begin(void)
{
    static struct segue_mapping mapping;
    if (segue_install(NULL) != SEGUE_OK || segue_mapping_create(NULL, PAGE, &mapping) != SEGUE_OK)
        fail("cannot install");
    page = mapping.memory;
    alias = mapping.alias;
    struct segue_region region = {.window = segue_mapping_window(&mapping), .policy = step};
    if (segue_region_add(&region) != SEGUE_OK || segue_mapping_protect(&mapping, 0, mapping.size, 0) != SEGUE_OK)
        fail("cannot protect");
}
