/* modules.c: see modules.h.
 *
 * SOURCES: proc(5) (maps, auxv); elfutils libdwfl/linux-proc-maps.c (a module is what lines of one file in a row cover;
 * the name of the vDSO's). */
#include "modules.h"

#include <elf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *no_debuginfo_path;

const Dwfl_Callbacks modules_callbacks = {
    .find_elf = dwfl_linux_proc_find_elf,
    .find_debuginfo = dwfl_standard_find_debuginfo,
    .debuginfo_path = &no_debuginfo_path,
};

struct line {
    char *text;
    uint64_t start, end, offset, inode;
    char device[16];
    bool is_left_out;
};

struct lines {
    struct line *all;
    size_t count;
};

static FILE *open_of(pid_t process, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)process, name);
    return fopen(path, "re");
}

static void give(struct lines *lines)
{
    for (size_t i = 0; i < lines->count; i++)
        free(lines->all[i].text);
    free(lines->all);
}

static bool add(struct lines *lines, const char *text)
{
    struct line line = {.text = strdup(text)};
    struct line *all = reallocarray(lines->all, lines->count + 1, sizeof *all);
    if (all)
        lines->all = all;
    if (!all || !line.text ||
        sscanf(text, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64 " %15s %" SCNu64, &line.start, &line.end, &line.offset,
               line.device, &line.inode) != 5) {
        free(line.text);
        return false;
    }
    all[lines->count++] = line;
    return true;
}

static bool read_lines(struct lines *lines, pid_t process)
{
    char *text = NULL;
    size_t size = 0;
    FILE *maps = open_of(process, "maps");
    bool is_read = maps;
    while (is_read && getline(&text, &size, maps) > 0)
        is_read = add(lines, text);
    free(text);
    if (maps)
        fclose(maps);
    return is_read;
}

static bool is_continued(const struct line *line, const struct line *later)
{
    return line->inode && line->inode == later->inode && line->start - line->offset == later->start - later->offset &&
           strcmp(line->device, later->device) == 0;
}

/* What lies between two parts of one file. */
static void leave_out(struct lines *lines)
{
    size_t last;
    for (size_t i = 0; i < lines->count; i = last + 1) {
        last = i;
        for (size_t j = i + 1; j < lines->count && lines->all[j].start == lines->all[j - 1].end; j++)
            if (is_continued(&lines->all[i], &lines->all[j]))
                last = j;
        for (size_t j = i + 1; j < last; j++)
            lines->all[j].is_left_out = !is_continued(&lines->all[i], &lines->all[j]);
    }
}

static bool report_files(Dwfl *dwfl, const struct lines *lines)
{
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    for (size_t i = 0; to && i < lines->count; i++)
        if (!lines->all[i].is_left_out)
            fputs(lines->all[i].text, to);
    bool is_reported = to && fclose(to) == 0 && size;
    FILE *from = is_reported ? fmemopen(text, size, "r") : NULL;
    is_reported = from && dwfl_linux_proc_maps_report(dwfl, from) == 0;
    if (from)
        fclose(from);
    free(text);
    return is_reported;
}

/* A process need not have one. */
static bool report_vdso(Dwfl *dwfl, const struct lines *lines, pid_t process)
{
    Elf64_auxv_t entry;
    uint64_t start = 0;
    char name[32];
    FILE *vector = open_of(process, "auxv");
    while (vector && !start && fread(&entry, sizeof entry, 1, vector) == 1 && entry.a_type != AT_NULL)
        start = entry.a_type == AT_SYSINFO_EHDR ? entry.a_un.a_val : 0;
    if (vector)
        fclose(vector);
    snprintf(name, sizeof name, "[vdso: %d]", (int)process);
    for (size_t i = 0; start && i < lines->count; i++)
        if (lines->all[i].start == start)
            return dwfl_report_module(dwfl, name, start, lines->all[i].end);
    return true;
}

bool modules_report(Dwfl *dwfl, pid_t process)
{
    struct lines lines = {NULL, 0};
    bool is_reported = read_lines(&lines, process);
    if (is_reported) {
        leave_out(&lines);
        is_reported = report_files(dwfl, &lines) && report_vdso(dwfl, &lines, process);
    }
    give(&lines);
    return is_reported;
}

Dwfl *modules_begin(pid_t process)
{
    Dwfl *dwfl = dwfl_begin(&modules_callbacks);
    if (dwfl && modules_report(dwfl, process) && dwfl_report_end(dwfl, NULL, NULL) == 0)
        return dwfl;
    if (dwfl)
        dwfl_end(dwfl);
    return NULL;
}
