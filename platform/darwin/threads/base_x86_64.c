/* base_x86_64.c: see platform/threads/base.h. The base of GS that is read is the thread's own: with another in force,
 * no C code runs here.
 *
 * SOURCES: platform/darwin/asm_calls_x86_64.h. */
#if !defined(__APPLE__) || !defined(__x86_64__)
#error "platform/darwin/threads/base_x86_64.c is specific to macOS on x86-64"
#endif

#include "platform/threads/base.h"

#include "platform/darwin/asm_calls_x86_64.h"
#include "slots.h"

static uint64_t call(uint64_t number, uint64_t argument)
{
    __asm__ volatile("syscall" : "+a"(number), "+D"(argument) : : "rcx", "r11", "rsi", "rdx", "memory", "cc");
    return number;
}

bool platform_bases_have_instructions(void)
{
    return false;
}

void platform_bases_read(bool by_instruction, uint64_t *fs, uint64_t *gs)
{
    (void)by_instruction;
    *fs = 0;
    *gs = slots_gs_base();
}

void platform_bases_write(bool by_instruction, uint64_t fs, uint64_t gs)
{
    (void)by_instruction;
    (void)fs;
    call(CALL_SET_GS_BASE, gs);
}

int platform_base_thread_id(void)
{
    return (int)call(CALL_THREAD_SELFID, 0);
}
