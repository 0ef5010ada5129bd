/* code.c: see code.h.
 *
 * The bytes of an instruction are read from its file: in memory they may be a jump to a hot site's body. */
#include "code.h"

#include <Zydis/Zydis.h>
#include <libgen.h>
#include <segue/decode.h>
#include <stdlib.h>
#include <string.h>

#include "later.h"
#include "tools/watch/modules/modules.h"
#include "tools/watch/symbols/demangled.h"

/* Those of a program have fewer. */
#define ADDRESS_BITS 48

bool code_begin(struct code *code, pid_t process)
{
    /* No question goes out to the network. */
    unsetenv("DEBUGINFOD_URLS");
    *code = (struct code){.dwfl = modules_begin(process), .process = process};
    return code->dwfl != NULL;
}

static bool renew(Dwfl *dwfl, pid_t process)
{
    dwfl_report_begin_add(dwfl);
    return modules_report(dwfl, process) && dwfl_report_end(dwfl, NULL, NULL) == 0;
}

bool code_renew(struct code *code)
{
    return renew(code->dwfl, code->process) && (!code->frames || renew(code->frames, code->process));
}

void code_follow(struct code *code, const struct loaded_list *loaded)
{
    code->later = calloc(LOADED_MOST, sizeof *code->later);
    if (!code->later)
        abort();
    code->loaded = loaded;
}

uint64_t code_key(const struct code *code, uint64_t address)
{
    return address | later_of(code, address) << ADDRESS_BITS;
}

static Dwfl_Module *module_of(const struct code *code, uint64_t address)
{
    const uint64_t later = later_of(code, address);
    return later ? later_module(code, later, address) : dwfl_addrmodule(code->dwfl, address);
}

bool code_renew_for(struct code *code, uint64_t address)
{
    return !later_of(code, address) && code_renew(code);
}

void code_end(struct code *code)
{
    later_end(code);
    if (code->dwfl)
        dwfl_end(code->dwfl);
    if (code->frames)
        dwfl_end(code->frames);
    code->dwfl = code->frames = NULL;
}

static char *text_of(const char *format, const char *text, uint64_t number)
{
    char *made;
    if (asprintf(&made, format, text, (unsigned long long)number) < 0)
        abort();
    return made;
}

/* `behind`: the text is about so many bytes behind the address, in the same function. */
static void find_function(Dwfl_Module *module, uint64_t address, uint64_t behind, struct place *place)
{
    GElf_Off offset = 0;
    GElf_Sym symbol;
    const char *name = dwfl_module_addrinfo(module, address, &offset, &symbol, NULL, NULL, NULL);
    const char *path = dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
    offset += behind;
    if (name) {
        char *shown = demangled(name);
        place->function = shown ? shown : strdup(name);
        place->where = text_of(offset ? "%s+%#llx" : "%s", place->function, offset);
        return;
    }
    GElf_Addr start = 0;
    dwfl_module_info(module, NULL, &start, NULL, NULL, NULL, NULL, NULL);
    const char *slash = path ? strrchr(path, '/') : NULL;
    place->where = text_of("%s+%#llx", slash ? slash + 1 : path ? path : "?", address + behind - start);
}

/* Clang writes no index of addresses (.debug_aranges), and libdwfl looks nowhere else. */
static const char *source_of(Dwfl_Module *module, uint64_t address, int *number)
{
    Dwfl_Line *known = dwfl_module_getsrc(module, address);
    if (known)
        return dwfl_lineinfo(known, NULL, number, NULL, NULL, NULL);
    Dwarf_Addr bias;
    Dwarf_Die *unit = NULL;
    while ((unit = dwfl_module_nextcu(module, unit, &bias)) != NULL) {
        Dwarf_Line *line = dwarf_haspc(unit, address - bias) > 0 ? dwarf_getsrc_die(unit, address - bias) : NULL;
        if (line && dwarf_lineno(line, number) == 0)
            return dwarf_linesrc(line, NULL, NULL);
    }
    return NULL;
}

static void find_line(Dwfl_Module *module, uint64_t address, struct place *place)
{
    int number = 0;
    const char *path = source_of(module, address, &number);
    if (!path)
        return;
    const char *slash = strrchr(path, '/');
    char *function = place->where;
    place->file = strdup(path);
    place->line = number;
    if (asprintf(&place->where, "%s (%s:%d)", function, slash ? slash + 1 : path, number) < 0)
        abort();
    free(function);
}

/* From the module's file. Returns how many bytes there are. */
static size_t read_bytes(Dwfl_Module *module, uint64_t address, uint8_t *bytes, size_t size)
{
    GElf_Addr bias, at = address;
    Elf *elf = dwfl_module_getelf(module, &bias);
    Elf_Scn *section = elf ? dwfl_module_address_section(module, &at, &bias) : NULL;
    Elf_Data *data = section ? elf_rawdata(section, NULL) : NULL;
    if (!data || !data->d_buf || at >= data->d_size)
        return 0;
    size_t left = data->d_size - at;
    memcpy(bytes, (const char *)data->d_buf + at, left < size ? left : size);
    return left < size ? left : size;
}

static char *assembly(Dwfl_Module *module, uint64_t address)
{
    uint8_t bytes[SEGUE_INSN_BYTES];
    char text[256];
    ZydisDecoder decoder;
    ZydisFormatter formatter;
    ZydisDecodedInstruction decoded;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    size_t size = read_bytes(module, address, bytes, sizeof bytes);
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
    ZydisFormatterSetProperty(&formatter, ZYDIS_FORMATTER_PROP_HEX_UPPERCASE, ZYAN_FALSE);
    ZydisFormatterSetProperty(&formatter, ZYDIS_FORMATTER_PROP_FORCE_RELATIVE_RIPREL, ZYAN_TRUE);
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, size, &decoded, operands)) ||
        !ZYAN_SUCCESS(ZydisFormatterFormatInstruction(&formatter, &decoded, operands, decoded.operand_count_visible,
                                                      text, sizeof text, address, NULL)))
        return strdup("?");
    return strdup(text);
}

bool code_is_own(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    return strcmp(name, "libsegue-watch.so") == 0 || strcmp(name, "libsegue-sigchain.so") == 0 ||
           strcmp(name, "libsegue-heap.so") == 0;
}

bool code_describe(const struct code *code, uint64_t address, struct place *place)
{
    Dwfl_Module *module = module_of(code, address);
    *place = (struct place){.where = NULL};
    if (!module)
        return false;
    const char *path = dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
    place->is_own = path && code_is_own(path);
    find_function(module, address, 0, place);
    find_line(module, address, place);
    place->instruction = assembly(module, address);
    return true;
}

char *code_describe_return(const struct code *code, uint64_t address)
{
    /* The call itself may be a function's last instruction. */
    const uint64_t call = address - 1;
    Dwfl_Module *module = module_of(code, call);
    struct place place = {.where = NULL};
    if (!module)
        return NULL;
    find_function(module, call, 1, &place);
    find_line(module, call, &place);
    free(place.function);
    free(place.file);
    return place.where;
}
