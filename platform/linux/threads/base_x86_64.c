/* base_x86_64.c: see platform/threads/base.h.
 *
 * SOURCES: arch_prctl(2); Documentation/arch/x86/x86_64/fsgs.rst (AT_HWCAP2 says whether the instructions may be
 * used). */
#if !defined(__linux__) || !defined(__x86_64__)
#error "platform/linux/threads/base_x86_64.c is specific to Linux on x86-64"
#endif

#include "platform/threads/base.h"

#include "platform/linux/abi.h"
#include "platform/linux/call.h"
#include "platform/threads/thread.h"

bool platform_bases_have_instructions(void)
{
    return abi_has_fsgsbase();
}

void platform_bases_read(bool by_instruction, uint64_t *fs, uint64_t *gs)
{
    if (by_instruction) {
        __asm__ volatile("rdfsbase %0\n\trdgsbase %1" : "=r"(*fs), "=r"(*gs));
        return;
    }
    /* By the ABI the thread control block begins with its own address. */
    __asm__ volatile("movq %%fs:0, %0" : "=r"(*fs));
    system_call3(SYS_arch_prctl, ARCH_GET_GS, (long)gs, 0);
}

void platform_bases_write(bool by_instruction, uint64_t fs, uint64_t gs)
{
    if (by_instruction) {
        __asm__ volatile("wrgsbase %0\n\twrfsbase %1" : : "r"(gs), "r"(fs));
        return;
    }
    system_call3(SYS_arch_prctl, ARCH_SET_GS, (long)gs, 0);
    system_call3(SYS_arch_prctl, ARCH_SET_FS, (long)fs, 0);
}

int platform_base_thread_id(void)
{
    return platform_thread_id();
}
