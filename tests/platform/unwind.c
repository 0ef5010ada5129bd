/* unwind.c: what platform_unwind_prepare changes in a module that finds others by _dl_find_object. That bodies are
 * unwound by it, tests/signals/hot/unwind.cpp shows. */
#include "tests/support/test.h"

#include <link.h>
#include <string.h>
#include <sys/mman.h>

#include "decode/x86/page.h"
#include "platform/memory/mappings.h"
#include "platform/unwind.h"
#include "tests/support/in_child.h"

/* In unwind_imports.c. */
int imported_find(void *address, void *found);
bool has_import(void);

/* The pages of that module that the loader has made read-only: those of its imports. */
static uint8_t *pages;
static size_t pages_size;

static int find_pages(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    (void)context;
    if (!strstr(info->dlpi_name, "unwind_imports"))
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uint64_t start = info->dlpi_addr + segment->p_vaddr, first = start & -(uint64_t)PAGE;
        if (segment->p_type != PT_GNU_RELRO)
            continue;
        pages = (uint8_t *)(uintptr_t)first;
        pages_size = ((start + segment->p_memsz) & -(uint64_t)PAGE) - first;
    }
    return 1;
}

static void prepare_with(int protection)
{
    static uint8_t before[16 * PAGE];
    struct mapping mapping;
    uint64_t found[12];
    dl_iterate_phdr(find_pages, NULL);
    EXPECT(pages_size && pages_size <= sizeof before);
    EXPECT(mprotect(pages, pages_size, protection) == 0);
    memcpy(before, pages, pages_size);
    platform_unwind_prepare();
    EXPECT(memcmp(before, pages, pages_size) != 0);
    for (size_t at = 0; at < pages_size; at += PAGE)
        EXPECT(mappings_find((uint64_t)(uintptr_t)(pages + at), &mapping) && mapping.protection == protection);
    /* Nothing was loaded since. */
    memcpy(before, pages, pages_size);
    platform_unwind_prepare();
    EXPECT(memcmp(before, pages, pages_size) == 0);
    EXPECT(imported_find((void *)(uintptr_t)&platform_unwind_prepare, found) == 0);
}

static void read_only(void)
{
    prepare_with(PROT_READ);
}

/* As a program makes it that replaces imports itself; and before the loader has made it read-only. */
static void writable(void)
{
    prepare_with(PROT_READ | PROT_WRITE);
}

static void imports_are_replaced_and_keep_their_protection(void **state)
{
    (void)state;
    if (!has_import())
        skip_if("this C library has no _dl_find_object");
    in_child(read_only);
    in_child(writable);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(imports_are_replaced_and_keep_their_protection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
