/* later.c: see later.h. Each file has a Dwfl of its own: modules of one that lie over one another would replace one
 * another, with what targets refer to. */
#include "later.h"

#include <fcntl.h>
#include <gelf.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "platform/memory/mappings.h"
#include "tools/support/message.h"
#include "tools/watch/modules/modules.h"

#define VERB "watch"

/* Of another file, at the same address, up to that record. */
static const struct loaded_code *find_rival(const struct code *code, uint64_t address, const struct loaded_code *found)
{
    for (uint32_t i = loaded_count(code->loaded); i-- > 0;) {
        const struct loaded_code *other = &code->loaded->code[i];
        if (__atomic_load_n(&other->is_written, __ATOMIC_ACQUIRE) && address >= other->start && address < other->end &&
            other->number <= code->number && other->file != found->file)
            return other;
    }
    return NULL;
}

uint64_t later_of(const struct code *code, uint64_t address)
{
    const struct loaded_code *found = code->loaded ? loaded_find(code->loaded, address, code->number, code->by) : NULL;
    if (!found)
        return 0;
    const size_t which = (size_t)(found - code->loaded->code);
    if (code->by && code->by != found->process && !code->later[which].other)
        code->later[which].other = find_rival(code, address, found);
    return which + 1;
}

/* What is to be added to the file's addresses. False if nothing of it is loaded from there. */
static bool find_bias(int file, const struct loaded_code *loaded, uint64_t *bias)
{
    elf_version(EV_CURRENT);
    Elf *elf = elf_begin(file, ELF_C_READ, NULL);
    size_t count = 0;
    bool is_found = false;
    if (elf && elf_getphdrnum(elf, &count) != 0)
        count = 0;
    for (size_t i = 0; i < count && !is_found; i++) {
        GElf_Phdr header;
        if (!gelf_getphdr(elf, (int)i, &header) || header.p_type != PT_LOAD || !(header.p_flags & PF_X))
            continue;
        const uint64_t ahead = header.p_offset - loaded->offset;
        is_found = ahead < loaded->end - loaded->start;
        *bias = loaded->start + ahead - header.p_vaddr;
    }
    if (elf)
        elf_end(elf);
    return is_found;
}

/* The file is the one that was mapped. */
static Dwfl *report_file(const struct loaded_code *loaded, int file)
{
    uint64_t bias;
    Dwfl *dwfl = find_bias(file, loaded, &bias) ? dwfl_begin(&modules_callbacks) : NULL;
    if (dwfl && dwfl_report_elf(dwfl, loaded->path, loaded->path, -1, bias, true) &&
        dwfl_report_end(dwfl, NULL, NULL) == 0)
        return dwfl;
    if (dwfl)
        dwfl_end(dwfl);
    return NULL;
}

/* Its process has mapped nothing over it, as far as the list goes. */
static bool is_newest(const struct loaded_list *list, const struct loaded_code *loaded)
{
    for (uint32_t i = loaded_count(list); i-- > (size_t)(loaded - list->code) + 1;)
        if (list->code[i].process == loaded->process && list->code[i].start < loaded->end &&
            loaded->start < list->code[i].end)
            return false;
    return true;
}

/* The file is another one now, or none: from what the process has mapped, if that is still there. */
static Dwfl *report_mapped(const struct loaded_list *list, const struct loaded_code *loaded)
{
    Dwfl *dwfl = is_newest(list, loaded) ? modules_begin((pid_t)loaded->process) : NULL;
    if (!dwfl || is_newest(list, loaded))
        return dwfl;
    dwfl_end(dwfl);
    return NULL;
}

static Dwfl *report(const struct loaded_list *list, const struct loaded_code *loaded)
{
    const int file = open(loaded->path, O_RDONLY | O_CLOEXEC);
    Dwfl *dwfl = file >= 0 && mappings_file_of(file) == loaded->file ? report_file(loaded, file) : NULL;
    if (file >= 0)
        close(file);
    return dwfl ? dwfl : report_mapped(list, loaded);
}

Dwfl_Module *later_module(const struct code *code, uint64_t which, uint64_t address)
{
    struct later *later = &code->later[which - 1];
    if (!later->is_looked_at) {
        later->dwfl = report(code->loaded, &code->loaded->code[which - 1]);
        later->is_looked_at = true;
    }
    return later->dwfl ? dwfl_addrmodule(later->dwfl, address) : NULL;
}

void later_end(struct code *code)
{
    for (size_t i = 0; code->later && i < LOADED_MOST; i++)
        if (code->later[i].dwfl)
            dwfl_end(code->later[i].dwfl);
    free(code->later);
    code->later = NULL;
}

/* ---- what is not certain ---- */

static bool overlap(const struct loaded_code *one, const struct loaded_code *other)
{
    return one->start < other->end && other->start < one->end && one->file != other->file;
}

static const struct loaded_code *find_other(const struct loaded_list *list, uint32_t which)
{
    for (uint32_t i = 0; i < which; i++)
        if (overlap(&list->code[i], &list->code[which]))
            return &list->code[i];
    return NULL;
}

static void say_of_sums(const struct loaded_list *list, const char *program)
{
    const struct loaded_code *other = NULL;
    for (uint32_t i = 0; !other && i < loaded_count(list); i++)
        if ((other = find_other(list, i)) != NULL)
            complain(VERB,
                     "%s has had %s and %s at the same addresses, one after the other: what they have counted or "
                     "allocated is said to be the second one's",
                     program, other->path, list->code[i].path);
}

static void say_of_processes(const struct code *code, const char *program)
{
    for (uint32_t i = 0; i < LOADED_MOST; i++)
        if (code->later[i].other) {
            complain(VERB,
                     "%s and its children have had %s and %s at the same addresses: a child's accesses by one of them "
                     "may be said to be the other one's",
                     program, code->later[i].other->path, code->loaded->code[i].path);
            return;
        }
}

void later_say(const struct code *code, const char *program, bool sums)
{
    const struct loaded_list *list = code->loaded;
    if (sums)
        say_of_sums(list, program);
    say_of_processes(code, program);
    if (list->lost)
        complain(VERB,
                 "%s has mapped code more than %u times, or where that was not seen: instructions of its libraries may "
                 "have wrong names, or none (%" PRIu32 " times)",
                 program, LOADED_MOST, list->lost);
}
