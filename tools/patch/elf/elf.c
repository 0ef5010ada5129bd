/* elf.c: the objects of a file, and the code of each with its functions. */
#include "elf.h"

#include <ar.h>
#include <stdlib.h>
#include <string.h>

#include "tools/patch/elf/functions/functions.h"
#include "tools/patch/files/budget.h"

bool elf_objects(struct elf_source *source, elf_object_visit *visit, void *context)
{
    static const char thin[] = "!<thin>\n";
    struct elf_object object = {.source = source, .size = source->size};
    char magic[SARMAG] = {0};
    if (!elf_read(&object, 0, magic, source->size < SARMAG ? (size_t)source->size : SARMAG))
        return false;
    if (memcmp(magic, thin, SARMAG) == 0)
        visit(context, &object, "it is a thin archive, which holds no members but names of files; patch those");
    else if (memcmp(magic, ARMAG, SARMAG) == 0)
        elf_visit_members(source, visit, context);
    else if (memcmp(magic, ELFMAG, SELFMAG) == 0)
        elf_visit_object(&object, visit, context);
    else
        return false;
    return true;
}

/* --- Code. --- */

static bool read_functions(const struct elf_object *object, struct functions *functions)
{
    bool done = true;
    for (size_t i = 0; done && i < object->section_count; i++)
        if (object->sections[i].kind == ELF_UNWIND)
            done = functions_from_unwind(object, &object->sections[i], functions);
    functions_sort(functions);
    for (size_t i = 0; done && i < object->section_count; i++)
        if ((object->sections[i].kind == ELF_GO || object->sections[i].kind == ELF_GO_DATA) && !object->is_relocatable)
            done = functions_from_go(object, &object->sections[i], functions);
    return done && functions_from_symbols(object, functions);
}

static enum segue_status visit_section(const struct elf_object *object, const struct elf_section *section,
                                       const struct functions *functions, elf_code_visit *visit, void *context)
{
    uint8_t *owned;
    budget_take(section->size);
    struct elf_code_section found = {
        .code = {.bytes = elf_section_bytes(object, section, &owned), .size = section->size, .address = section->base},
        .file_offset = object->offset + section->offset,
        .address = section->address,
    };
    if (section->is_loaded)
        found.code.functions =
            functions_select(functions, section->base, section->base + section->size, &found.code.function_count);
    enum segue_status status = found.code.bytes ? visit(context, &found) : SEGUE_INVALID;
    free(owned);
    budget_give_back(section->size);
    return status;
}

enum segue_status elf_object_code(const struct elf_object *object, elf_code_visit *visit, void *context)
{
    struct functions functions = {0};
    enum segue_status status = read_functions(object, &functions) ? SEGUE_OK : SEGUE_INVALID;
    for (size_t i = 0; status == SEGUE_OK && i < object->section_count; i++)
        if (object->sections[i].kind == ELF_CODE)
            status = visit_section(object, &object->sections[i], &functions, visit, context);
    functions_free(&functions);
    return status;
}
