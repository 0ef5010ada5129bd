/* compat.c: lets the oracle run an instruction of 32-bit mode (see compat.h).
 *
 * SOURCES: Intel SDM volume 2, JMP (far, indirect: a 32-bit offset and a selector) and volume 3, 5.2.1 (which mode a
 * code segment is for); Linux arch/x86/include/asm/segment.h (selectors), modify_ldt(2). */
#include "compat.h"

#include <asm/ldt.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/differential/states/oracle.h"

/* Where 32-bit code finds the way back, out of everybody's way. */
#define EXIT_PAGE 0x13f00000u
#define PAGE 4096u
/* The first entry of the local descriptor table, for the least privilege. */
#define LDT_SELECTOR 7

struct __attribute__((packed)) far_pointer {
    uint32_t offset;
    uint16_t selector;
};

extern struct far_pointer compat_target __attribute__((visibility("hidden")));
struct far_pointer compat_target;
extern const char compat_enter[] __attribute__((visibility("hidden")));
extern const char compat_exit[] __attribute__((visibility("hidden")));
extern const char compat_exit_end[] __attribute__((visibility("hidden")));
extern const char oracle_landing[] __attribute__((visibility("hidden")));

/* Whether there is such a segment, and this privilege may use it. */
static bool has_segment(unsigned selector)
{
    unsigned rights;
    bool valid;
    __asm__("lar %2, %0" : "=r"(rights), "=@ccz"(valid) : "r"(selector));
    return valid;
}

const char *compat_prepare(void)
{
    const struct user_desc all = {.limit = 0xfffff, .seg_32bit = 1, .limit_in_pages = 1, .useable = 1};
    if (!has_segment(COMPAT_CODE) || !has_segment(COMPAT_DATA))
        return "there is no segment for 32-bit code";
    if (syscall(SYS_modify_ldt, 1, &all, sizeof all) != 0)
        return "there can be no segment for GS";
    uint8_t *page = mmap((void *)(uintptr_t)EXIT_PAGE, PAGE, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (page != (void *)(uintptr_t)EXIT_PAGE)
        return "the address for the way out of 32-bit code is taken";
    const struct far_pointer back = {EXIT_PAGE + sizeof(uint64_t), COMPAT_CODE_64};
    const uint64_t landing = (uint64_t)(uintptr_t)oracle_landing;
    size_t size = (size_t)(compat_exit_end - compat_exit);
    memcpy(page, &back, sizeof back);
    memcpy(page + sizeof(uint64_t), compat_exit, size);
    memcpy(page + sizeof(uint64_t) + size, &landing, sizeof landing);
    if (mprotect(page, PAGE, PROT_READ | PROT_EXEC) != 0)
        return "the way out of 32-bit code cannot be made";
    __asm__ volatile("mov %0, %%ds\n\tmov %0, %%es\n\tmov %1, %%gs" : : "r"(COMPAT_DATA), "r"(LDT_SELECTOR));
    return NULL;
}

void compat_slot_write(size_t slot, const void *bytes, size_t length)
{
    static const uint8_t far_jump[] = {0xff, 0x2d};
    static const uint32_t pointer = EXIT_PAGE;
    uint8_t *at = (uint8_t *)(uintptr_t)oracle_slot_address(slot, length);
    memcpy(at, bytes, length);
    memcpy(at + length, far_jump, sizeof far_jump);
    memcpy(at + length + sizeof far_jump, &pointer, sizeof pointer);
}

uint64_t compat_code(uint64_t address)
{
    compat_target = (struct far_pointer){(uint32_t)address, COMPAT_CODE};
    return (uint64_t)(uintptr_t)compat_enter;
}
