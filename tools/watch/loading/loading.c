/* loading.c: see loading.h.
 *
 * The loader is shown a program header, a dynamic section and an auxiliary vector that are made here. Its environment
 * is made here, too: the program's own does not concern it, and stays where the kernel has put it.
 *
 * SOURCES: System V ABI for x86-64, 3.4.1 (initial stack); glibc elf/rtld.c (the program's header is found by AT_PHDR,
 * its bias by PT_PHDR; a dynamic section needs DT_STRTAB and DT_SYMTAB alone). */
#include "loading.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "decode/x86/page.h"
#include "loader.h"
#include "remote.h"
#include "tools/watch/agent/shared.h"
#include "tools/watch/agent/static_program.h"

#define PARTS 64
#define TEXTS 4u
#define TEXT_SIZE 4200u
#define WORD sizeof(uint64_t)

/* In the process. */
struct scene {
    struct static_program program;
    Elf64_Sym symbol;
    char names[8];
    Elf64_Dyn dynamic[4];
    Elf64_Phdr header[PARTS + 3];
    char texts[TEXTS][TEXT_SIZE], loader[PAGE];
};

struct loading {
    struct remote remote;
    struct loader loader;
    /* Of the scene in the process; and here. */
    uint64_t at;
    struct scene scene;
    /* The auxiliary vector: where it is, and a copy. */
    uint64_t vector;
    size_t vector_count;
    Elf64_auxv_t copy[64];
};

static uint64_t in_process(const struct loading *loading, const void *place)
{
    return loading->at + (uint64_t)((const char *)place - (const char *)&loading->scene);
}

/* ---- what the kernel has made ---- */

/* Behind the arguments and the environment. */
static bool find_vector(struct loading *loading)
{
    uint64_t at = loading->remote.regs.rsp + WORD, word;
    for (unsigned ends = 0; ends < 2; at += WORD) {
        if (!remote_read(&loading->remote, at, &word, sizeof word))
            return false;
        ends += word == 0;
    }
    loading->vector = at;
    while (loading->vector_count < sizeof loading->copy / sizeof *loading->copy) {
        Elf64_auxv_t *entry = &loading->copy[loading->vector_count++];
        if (!remote_read(&loading->remote, at, entry, sizeof *entry))
            return false;
        at += sizeof *entry;
        if (entry->a_type == AT_NULL)
            return true;
    }
    return false;
}

static Elf64_auxv_t *find(struct loading *loading, uint64_t type)
{
    for (size_t i = 0; i < loading->vector_count; i++)
        if (loading->copy[i].a_type == type)
            return &loading->copy[i];
    return NULL;
}

static bool describe_program(struct loading *loading)
{
    struct static_program *program = &loading->scene.program;
    const Elf64_auxv_t *header = find(loading, AT_PHDR), *count = find(loading, AT_PHNUM);
    const Elf64_auxv_t *entry = find(loading, AT_ENTRY);
    if (!header || !count || !entry || !find(loading, AT_BASE) || count->a_un.a_val > PARTS)
        return false;
    *program = (struct static_program){
        .entry = entry->a_un.a_val,
        .stack = loading->remote.regs.rsp,
        .header = header->a_un.a_val,
        .header_count = count->a_un.a_val,
        .header_value = loading->vector + (uint64_t)((const char *)&header->a_un.a_val - (const char *)loading->copy),
    };
    return remote_read(&loading->remote, program->header, loading->scene.header,
                       program->header_count * sizeof *loading->scene.header);
}

/* The entry of its file is what its bias is added to; the file is the one that was executed. */
static bool find_bias(struct loading *loading)
{
    char path[32];
    Elf64_Ehdr header;
    snprintf(path, sizeof path, "/proc/%d/exe", (int)loading->remote.process);
    FILE *from = fopen(path, "re");
    const bool is_read = from && fread(&header, sizeof header, 1, from) == 1;
    if (from)
        fclose(from);
    loading->scene.program.bias = loading->scene.program.entry - (is_read ? header.e_entry : 0);
    return is_read;
}

/* ---- what the loader is shown ---- */

/* The program's parts as they lie in memory, and a template of the same size without initial values. */
static void make_header(struct loading *loading)
{
    struct scene *scene = &loading->scene;
    const uint64_t bias = scene->program.bias;
    unsigned held = 0;
    for (uint64_t i = 0; i < scene->program.header_count; i++) {
        Elf64_Phdr part = scene->header[i];
        if (part.p_type == PT_TLS)
            part = (Elf64_Phdr){
                .p_type = PT_TLS,
                .p_flags = PF_R,
                .p_memsz = static_round(static_values(part.p_memsz, part.p_align), static_alignment(part.p_align)),
                .p_align = static_alignment(part.p_align)};
        else if (part.p_type != PT_LOAD && part.p_type != PT_GNU_STACK && part.p_type != PT_GNU_EH_FRAME)
            continue;
        scene->header[held++] = part;
    }
    scene->header[held++] = (Elf64_Phdr){
        .p_type = PT_DYNAMIC, .p_flags = PF_R | PF_W, .p_vaddr = in_process(loading, scene->dynamic) - bias};
    scene->header[held++] = (Elf64_Phdr){.p_type = PT_INTERP,
                                         .p_flags = PF_R,
                                         .p_vaddr = in_process(loading, scene->loader) - bias,
                                         .p_filesz = strlen(scene->loader) + 1,
                                         .p_memsz = strlen(scene->loader) + 1};
    memmove(scene->header + 1, scene->header, held * sizeof *scene->header);
    scene->header[0] =
        (Elf64_Phdr){.p_type = PT_PHDR, .p_flags = PF_R, .p_vaddr = in_process(loading, scene->header) - bias};
    find(loading, AT_PHDR)->a_un.a_val = in_process(loading, scene->header);
    find(loading, AT_PHNUM)->a_un.a_val = held + 1;
    find(loading, AT_BASE)->a_un.a_val = loading->loader.base;
}

static void make_dynamic(struct loading *loading)
{
    struct scene *scene = &loading->scene;
    const uint64_t bias = scene->program.bias;
    scene->dynamic[0] = (Elf64_Dyn){DT_STRTAB, {in_process(loading, scene->names) - bias}};
    scene->dynamic[1] = (Elf64_Dyn){DT_SYMTAB, {in_process(loading, &scene->symbol) - bias}};
    scene->dynamic[2] = (Elf64_Dyn){DT_DEBUG, {0}};
}

/* The kernel's restartable sequences are the program's to use. */
static bool make_texts(struct loading *loading, const char *agent, int descriptor)
{
    char(*text)[TEXT_SIZE] = loading->scene.texts;
    snprintf(text[1], TEXT_SIZE, "%s=%d", SHARED_DESCRIPTOR, descriptor);
    snprintf(text[2], TEXT_SIZE, "%s=%llx", SHARED_STATIC, (unsigned long long)loading->at);
    snprintf(text[3], TEXT_SIZE, "GLIBC_TUNABLES=glibc.pthread.rseq=0");
    return (size_t)snprintf(text[0], TEXT_SIZE, "LD_PRELOAD=%s", agent) < TEXT_SIZE;
}

/* One argument, the environment, and the auxiliary vector, below the program's stack. */
static bool make_stack(struct loading *loading, uint64_t *stack)
{
    uint64_t words[8 + TEXTS + 2 * sizeof loading->copy / sizeof *loading->copy], held = 0;
    words[held++] = 1;
    if (!remote_read(&loading->remote, loading->remote.regs.rsp + WORD, &words[held++], WORD))
        return false;
    words[held++] = 0;
    for (unsigned i = 0; i < TEXTS; i++)
        words[held++] = in_process(loading, loading->scene.texts[i]);
    words[held++] = 0;
    memcpy(words + held, loading->copy, loading->vector_count * sizeof *loading->copy);
    held += loading->vector_count * 2;
    *stack = (loading->remote.regs.rsp - held * WORD) & -UINT64_C(16);
    return remote_write(&loading->remote, *stack, words, held * WORD);
}

static const char *load(struct loading *loading, const char *agent, int descriptor)
{
    uint64_t stack;
    const char *path = loader_path();
    const uint64_t mapping[REMOTE_ARGUMENTS] = {
        0, sizeof loading->scene, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, UINT64_MAX, 0};
    if (!path || strlen(path) >= PAGE)
        return "this command has no loader itself";
    if (!find_vector(loading) || !describe_program(loading) || !find_bias(loading))
        return "what the kernel has loaded is not understood";
    const long at = remote_call(&loading->remote, SYS_mmap, mapping);
    if (at <= 0)
        return "it has no memory for a loader";
    loading->at = (uint64_t)at;
    strcpy(loading->scene.loader, path);
    const uint64_t remote_path = in_process(loading, loading->scene.loader);
    if (!remote_write(&loading->remote, remote_path, path, strlen(path) + 1))
        return "its memory cannot be written";
    const char *why = loader_map(&loading->remote, path, remote_path, &loading->loader);
    if (why)
        return why;
    make_header(loading);
    make_dynamic(loading);
    if (!make_texts(loading, agent, descriptor))
        return "the path of libsegue-watch.so is too long";
    if (!make_stack(loading, &stack) ||
        !remote_write(&loading->remote, loading->at, &loading->scene, sizeof loading->scene) ||
        !remote_end(&loading->remote, loading->loader.entry, stack))
        return "its memory cannot be written";
    return NULL;
}

const char *loading_begin(pid_t process, const char *agent, int descriptor)
{
    struct loading *loading = calloc(1, sizeof *loading);
    if (!loading)
        return "there is no memory";
    const char *why = remote_begin(&loading->remote, process) ? load(loading, agent, descriptor) : "it has ended";
    free(loading);
    return why;
}
