/* zydis_image.c: a loader for one shared library whose segments are in this program as they would be in memory. Most
 * programs need no decoder, so its relocation, of 7 pages, is left to the first call.
 *
 * Relocating it twice, on two threads, stores the same values twice.
 *
 * SOURCES: System V ABI for x86-64, 4.4 (relocation types), 5.2 (dynamic section). ASSUMPTIONS: the library needs no
 * more of the C library than `imports` has, and its constructors do nothing that decoding needs. A test of the build
 * calls each function (tests/run/run_options.sh runs a program with an access that needs it). */
#include "zydis_image.h"

#include <Zydis/Zydis.h>
#include <elf.h>
#include <string.h>
#include <sys/syscall.h>

#include "decode/x86/page.h"
#include "tools/run/host/report.h"
#include "tools/run/syscalls/call_linux_x86_64.h"

#define PROT_OF(flags) (((flags)&PF_R ? 1 : 0) | ((flags)&PF_W ? 2 : 0) | ((flags)&PF_X ? 4 : 0))

extern char zydis_image[];
extern void __stack_chk_fail(void);

/* The functions that decoding uses, and their names in the library. */
static struct {
    ZyanStatus (*decode_instruction)(const ZydisDecoder *, ZydisDecoderContext *, const void *, ZyanUSize,
                                     ZydisDecodedInstruction *);
    ZyanStatus (*decode_operands)(const ZydisDecoder *, const ZydisDecoderContext *, const ZydisDecodedInstruction *,
                                  ZydisDecodedOperand *, ZyanU8);
    const char *(*mnemonic_string)(ZydisMnemonic);
    ZydisRegisterClass (*register_class)(ZydisRegister);
    ZyanI8 (*register_id)(ZydisRegister);
    ZydisRegisterWidth (*register_width)(ZydisMachineMode, ZydisRegister);
} functions;

static const struct {
    const char *name;
    void *function;
} exports[] = {
    {"ZydisDecoderDecodeInstruction", &functions.decode_instruction},
    {"ZydisDecoderDecodeOperands", &functions.decode_operands},
    {"ZydisMnemonicGetString", &functions.mnemonic_string},
    {"ZydisRegisterGetClass", &functions.register_class},
    {"ZydisRegisterGetId", &functions.register_id},
    {"ZydisRegisterGetWidth", &functions.register_width},
};

static _Noreturn void fail(void)
{
    report_fatal("an assertion of the decoder's library failed");
}

static const struct {
    const char *name;
    uint64_t address;
} imports[] = {
    {"memset", (uint64_t)(uintptr_t)memset},      {"memcpy", (uint64_t)(uintptr_t)memcpy},
    {"strlen", (uint64_t)(uintptr_t)strlen},      {"__stack_chk_fail", (uint64_t)(uintptr_t)__stack_chk_fail},
    {"__assert_fail", (uint64_t)(uintptr_t)fail},
};

static bool is_ready;

/* ---- relocation ---- */

struct library {
    const Elf64_Sym *symbols;
    const char *names;
    const Elf64_Rela *tables[2];
    uint64_t sizes[2];
};

static uint64_t image_at(uint64_t address)
{
    return (uint64_t)(uintptr_t)zydis_image + address;
}

static const Elf64_Phdr *segments(unsigned *count)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)(const void *)zydis_image;
    *count = header->e_phnum;
    return (const Elf64_Phdr *)image_at(header->e_phoff);
}

static void read_dynamic(struct library *library)
{
    unsigned count;
    const Elf64_Phdr *segment = segments(&count);
    *library = (struct library){0};
    for (unsigned i = 0; i < count; i++) {
        if (segment[i].p_type != PT_DYNAMIC)
            continue;
        for (const Elf64_Dyn *entry = (const Elf64_Dyn *)image_at(segment[i].p_vaddr); entry->d_tag; entry++) {
            uint64_t value = entry->d_un.d_val;
            switch (entry->d_tag) {
            case DT_SYMTAB:
                library->symbols = (const Elf64_Sym *)image_at(value);
                break;
            case DT_STRTAB:
                library->names = (const char *)image_at(value);
                break;
            case DT_RELA:
                library->tables[0] = (const Elf64_Rela *)image_at(value);
                break;
            case DT_RELASZ:
                library->sizes[0] = value;
                break;
            case DT_JMPREL:
                library->tables[1] = (const Elf64_Rela *)image_at(value);
                break;
            case DT_PLTRELSZ:
                library->sizes[1] = value;
                break;
            default:
                break;
            }
        }
    }
}

/* The address of a symbol; 0 for a symbol that decoding does not need. */
static uint64_t resolve(const struct library *library, const Elf64_Sym *symbol)
{
    if (symbol->st_shndx != SHN_UNDEF)
        return image_at(symbol->st_value);
    for (unsigned i = 0; i < sizeof imports / sizeof *imports; i++)
        if (strcmp(library->names + symbol->st_name, imports[i].name) == 0)
            return imports[i].address;
    return ELF64_ST_BIND(symbol->st_info) == STB_WEAK ? 0 : (uint64_t)(uintptr_t)fail;
}

static void relocate(const struct library *library, const Elf64_Rela *entry)
{
    const Elf64_Sym *symbol = &library->symbols[ELF64_R_SYM(entry->r_info)];
    uint64_t value = image_at((uint64_t)entry->r_addend);
    if (ELF64_R_TYPE(entry->r_info) != R_X86_64_RELATIVE)
        value = resolve(library, symbol) + (uint64_t)entry->r_addend;
    memcpy((void *)image_at(entry->r_offset), &value, sizeof value);
}

/* Linkers put the symbols' names right after the table of symbols, which so ends there. */
static bool take_exports(const struct library *library)
{
    unsigned found = 0;
    for (const Elf64_Sym *symbol = library->symbols; (const char *)symbol < library->names; symbol++) {
        for (unsigned i = 0; i < sizeof exports / sizeof *exports; i++) {
            if (strcmp(library->names + symbol->st_name, exports[i].name) != 0)
                continue;
            uint64_t address = resolve(library, symbol);
            memcpy(exports[i].function, &address, sizeof address);
            found++;
        }
    }
    return found == sizeof exports / sizeof *exports;
}

static bool protect_segments(bool may_write)
{
    unsigned count;
    bool done = true;
    const Elf64_Phdr *segment = segments(&count);
    for (unsigned i = 0; i < count; i++) {
        uint64_t start = image_at(segment[i].p_vaddr) & -(uint64_t)PAGE;
        uint64_t end = (image_at(segment[i].p_vaddr + segment[i].p_memsz) + PAGE - 1) & -(uint64_t)PAGE;
        if (segment[i].p_type == PT_LOAD && (segment[i].p_flags & (PF_W | PF_X)) &&
            (may_write ? segment[i].p_flags & PF_W : segment[i].p_flags & PF_X))
            done &= system_call3(SYS_mprotect, (long)start, (long)(end - start), PROT_OF(segment[i].p_flags)) == 0;
    }
    return done;
}

bool zydis_image_prepare(void)
{
    struct library library;
    if (__atomic_load_n(&is_ready, __ATOMIC_ACQUIRE))
        return true;
    read_dynamic(&library);
    if (!protect_segments(true) || !take_exports(&library))
        return false;
    for (unsigned i = 0; i < 2; i++)
        for (uint64_t at = 0; at < library.sizes[i] / sizeof(Elf64_Rela); at++)
            relocate(&library, &library.tables[i][at]);
    if (!protect_segments(false))
        return false;
    __atomic_store_n(&is_ready, true, __ATOMIC_RELEASE);
    return true;
}

/* ---- the functions ---- */

ZyanStatus ZydisDecoderDecodeInstruction(const ZydisDecoder *decoder, ZydisDecoderContext *context, const void *buffer,
                                         ZyanUSize length, ZydisDecodedInstruction *instruction)
{
    if (!zydis_image_prepare())
        return ZYAN_STATUS_FAILED;
    return functions.decode_instruction(decoder, context, buffer, length, instruction);
}

ZyanStatus ZydisDecoderDecodeOperands(const ZydisDecoder *decoder, const ZydisDecoderContext *context,
                                      const ZydisDecodedInstruction *instruction, ZydisDecodedOperand *operands,
                                      ZyanU8 operand_count)
{
    return functions.decode_operands(decoder, context, instruction, operands, operand_count);
}

/* These are called for decoded instructions. */
const char *ZydisMnemonicGetString(ZydisMnemonic mnemonic)
{
    return functions.mnemonic_string(mnemonic);
}

ZydisRegisterClass ZydisRegisterGetClass(ZydisRegister reg)
{
    return functions.register_class(reg);
}

ZyanI8 ZydisRegisterGetId(ZydisRegister reg)
{
    return functions.register_id(reg);
}

ZydisRegisterWidth ZydisRegisterGetWidth(ZydisMachineMode mode, ZydisRegister reg)
{
    return functions.register_width(mode, reg);
}
