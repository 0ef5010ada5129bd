/* code.c: see platform/code.h.
 *
 * SOURCES: membarrier(2) SYNC_CORE; dl_iterate_phdr(3); dladdr(3), dlsym(3). */
#if !defined(__linux__)
#error "platform/linux/code.c is specific to Linux"
#endif

#include "platform/code.h"

#include <dlfcn.h>
#include <link.h>
#include <linux/membarrier.h>

#include "call.h"

bool platform_serialise_prepare(void)
{
    return system_call3(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0) == 0;
}

bool platform_serialise(void)
{
    return system_call3(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0) == 0;
}

/* ---- modules ---- */

struct visit {
    bool (*visit)(const struct platform_module *module, void *context);
    void *context;
};

static struct platform_module describe(const struct dl_phdr_info *info)
{
    struct platform_module module = {.start = UINT64_MAX, .native = info};
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uint64_t start = info->dlpi_addr + segment->p_vaddr, end = start + segment->p_memsz;
        if (segment->p_type == PT_GNU_EH_FRAME && !module.unwind) {
            module.unwind = (const uint8_t *)(uintptr_t)start;
            module.unwind_size = segment->p_memsz;
        }
        if (segment->p_type != PT_LOAD)
            continue;
        module.start = start < module.start ? start : module.start;
        module.end = end > module.end ? end : module.end;
    }
    return module;
}

static int visit_module(struct dl_phdr_info *info, size_t size, void *context)
{
    const struct visit *visit = context;
    struct platform_module module = describe(info);
    (void)size;
    return !visit->visit(&module, visit->context);
}

bool platform_modules_visit(bool (*visit)(const struct platform_module *module, void *context), void *context)
{
    struct visit whole = {visit, context};
    return dl_iterate_phdr(visit_module, &whole) == 0;
}

bool platform_module_code(const struct platform_module *module, unsigned number, uint64_t *address, size_t *size)
{
    const struct dl_phdr_info *info = module->native;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X) || !(segment->p_flags & PF_R) || number-- > 0)
            continue;
        *address = info->dlpi_addr + segment->p_vaddr;
        *size = segment->p_filesz;
        return true;
    }
    return false;
}

struct platform_symbol platform_symbol_at(const void *address)
{
    Dl_info found;
    if (!dladdr(address, &found))
        return (struct platform_symbol){NULL, NULL};
    return (struct platform_symbol){found.dli_fname, found.dli_sname};
}

void *platform_symbol_find(const char *name)
{
    return dlsym(RTLD_DEFAULT, name);
}
