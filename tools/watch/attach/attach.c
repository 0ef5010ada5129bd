/* attach.c: see attach.h. */
#include "attach.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "borrow.h"
#include "file.h"
#include "tools/support/message.h"
#include "tools/watch/agent/shared.h"

#define VERB "watch"
#define RTLD_NOW_IN_PROCESS 2

/* ---- what cannot be watched ---- */

/* What /proc/PID/status says. */
struct facts {
    char state;
    int tracer, seccomp, spaces;
    unsigned user, effective;
    uint64_t ignored;
    bool has_shadow_stack;
};

static bool read_facts(pid_t process, struct facts *facts)
{
    char path[64], line[512];
    *facts = (struct facts){.state = '?'};
    snprintf(path, sizeof path, "/proc/%d/status", (int)process);
    FILE *from = fopen(path, "re");
    if (!from)
        return false;
    while (fgets(line, sizeof line, from)) {
        sscanf(line, "State: %c", &facts->state);
        sscanf(line, "TracerPid: %d", &facts->tracer);
        sscanf(line, "Seccomp: %d", &facts->seccomp);
        sscanf(line, "Uid: %u %u", &facts->user, &facts->effective);
        sscanf(line, "SigIgn: %" SCNx64, &facts->ignored);
        if (strncmp(line, "NSpid:", 6) == 0)
            for (const char *at = line; *at; at++)
                facts->spaces += *at == '\t';
        if (strncmp(line, "x86_Thread_features:", 20) == 0)
            facts->has_shadow_stack = strstr(line, "shstk");
    }
    fclose(from);
    return true;
}

static const char *refusal_by_facts(const struct facts *facts)
{
    const unsigned self = geteuid();
    if (facts->state == 'Z' || facts->state == 'X')
        return "it has ended";
    if (facts->state == 'T')
        return "it is stopped; continue it first (SIGCONT)";
    if (facts->tracer)
        return "another process traces it, such as a debugger";
    if (self != 0 && facts->user != facts->effective)
        return "it is setuid: the system lets only root trace it";
    if (self != 0 && facts->effective != self)
        return "it belongs to another user";
    if (facts->seccomp)
        return "it has a seccomp filter, which may end it for the system calls that are needed";
    if (facts->spaces > 1)
        return "it is in a PID namespace of its own, such as a container's; run the command inside";
    if (facts->ignored >> (SIGSEGV - 1) & 1)
        return "it ignores SIGSEGV";
    if (facts->has_shadow_stack)
        return "it has a shadow stack";
    return NULL;
}

/* It is loaded by its path in the process's own root. */
static bool sees_library(pid_t process, const char *library)
{
    char path[4096];
    struct stat own, its;
    int length = snprintf(path, sizeof path, "/proc/%d/root%s", (int)process, library);
    return length > 0 && (size_t)length < sizeof path && stat(library, &own) == 0 && stat(path, &its) == 0 &&
           own.st_dev == its.st_dev && own.st_ino == its.st_ino;
}

static const char *refusal(pid_t process, const char *library)
{
    char path[64], link[16];
    struct facts facts;
    if (process == getpid())
        return "it is this command";
    if (!read_facts(process, &facts))
        return "there is no such process";
    const char *why = refusal_by_facts(&facts);
    if (why)
        return why;
    snprintf(path, sizeof path, "/proc/%d/exe", (int)process);
    if (readlink(path, link, sizeof link) < 0)
        return errno == ENOENT ? "it is a thread of the kernel" : "the system lets no process look at it";
    const enum file_kind kind = file_kind(path);
    if (kind == FILE_FOREIGN)
        return "it is not a program for x86-64";
    if (kind == FILE_STATIC)
        return "it is linked statically: it has no loader that could load a library; start it by segue watch";
    return sees_library(process, library) ? NULL : "it does not see libsegue-watch.so: it has another root";
}

bool attach_check(pid_t process, const char *library)
{
    const char *why = refusal(process, library);
    if (why)
        complain(VERB, "process %d cannot be watched: %s", (int)process, why);
    return !why;
}

/* ---- functions of the process ---- */

/* A version may be behind its name. */
static bool is_name(const char *found, const char *name)
{
    const size_t length = strlen(name);
    return strncmp(found, name, length) == 0 && (found[length] == 0 || found[length] == '@');
}

struct function {
    /* The beginning of the file's name. */
    const char *file, *name;
    uint64_t address;
};

static int look_at_module(Dwfl_Module *module, void **unused, const char *path, Dwarf_Addr start, void *context)
{
    struct function *function = context;
    const char *slash = strrchr(path, '/');
    (void)unused;
    (void)start;
    if (strncmp(slash ? slash + 1 : path, function->file, strlen(function->file)) != 0)
        return DWARF_CB_OK;
    const int count = dwfl_module_getsymtab(module);
    for (int i = 1; i < count; i++) {
        GElf_Sym symbol;
        GElf_Addr address;
        const char *name = dwfl_module_getsym_info(module, i, &symbol, &address, NULL, NULL, NULL);
        if (name && symbol.st_shndx != SHN_UNDEF && GELF_ST_TYPE(symbol.st_info) == STT_FUNC &&
            is_name(name, function->name)) {
            function->address = address;
            return DWARF_CB_ABORT;
        }
    }
    return DWARF_CB_OK;
}

/* 0 if it is not there. */
static uint64_t find_function(const struct code *code, const char *file, const char *name)
{
    struct function function = {file, name, 0};
    dwfl_getmodules(code->dwfl, look_at_module, &function, 0);
    return function.address;
}

/* ---- loading ---- */

static void complain_of_loading(struct borrowed *borrowed, const struct code *code)
{
    char text[256] = "";
    uint64_t at = 0, dlerror = find_function(code, "libc", "dlerror");
    if (dlerror && borrow_call(borrowed, dlerror, NULL, 0, 0, &at) && at)
        borrow_read(borrowed, at, text, sizeof text - 1);
    complain(VERB, "process %d cannot load libsegue-watch.so: %s", (int)code->process, text);
}

/* The descriptor in the process. */
static bool load(struct borrowed *borrowed, struct code *code, const char *library, int *descriptor)
{
    uint64_t handle, result = 0;
    const uint64_t dlopen = find_function(code, "libc", "dlopen");
    if (!dlopen) {
        complain(VERB, "process %d cannot load a library: it has no dlopen", (int)code->process);
        return false;
    }
    if (!borrow_call(borrowed, dlopen, library, 0, RTLD_NOW_IN_PROCESS, &handle))
        return false;
    if (!handle) {
        complain_of_loading(borrowed, code);
        return false;
    }
    const uint64_t begin = code_renew(code) ? find_function(code, "libsegue-watch.so", SHARED_ATTACH) : 0;
    if (!begin) {
        complain(VERB, "process %d has another libsegue-watch.so", (int)code->process);
        return false;
    }
    if (!borrow_call(borrowed, begin, NULL, (uint64_t)getpid(), 0, &result))
        return false;
    *descriptor = (int)result;
    if (*descriptor >= 0)
        return true;
    if (*descriptor == -EBUSY)
        complain(VERB, "process %d is watched already", (int)code->process);
    else
        complain(VERB, "process %d has no memory for the queue: %s", (int)code->process, strerror(-*descriptor));
    return false;
}

/* The thread's errno is kept. */
static bool load_and_keep(struct borrowed *borrowed, struct code *code, const char *library, int *descriptor)
{
    int value;
    uint64_t at = 0;
    const uint64_t location = find_function(code, "libc", "__errno_location");
    const bool is_known =
        location && borrow_call(borrowed, location, NULL, 0, 0, &at) && borrow_read(borrowed, at, &value, sizeof value);
    const bool is_loaded = load(borrowed, code, library, descriptor);
    if (is_known)
        borrow_write(borrowed, at, &value, sizeof value);
    return is_loaded;
}

int attach(struct code *code, const char *library)
{
    static struct borrowed borrowed;
    sigset_t all, before;
    char path[64];
    int in_process = -1, file = -1;
    /* The thread must not be left alone halfway. */
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    if (borrow_begin(&borrowed, code)) {
        const bool is_loaded = load_and_keep(&borrowed, code, library, &in_process);
        borrow_end(&borrowed);
        snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)code->process, in_process);
        file = is_loaded ? open(path, O_RDWR | O_CLOEXEC) : -1;
        if (is_loaded && file < 0)
            complain(VERB, "the memory of process %d cannot be shared: %s", (int)code->process, strerror(errno));
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return file;
}
