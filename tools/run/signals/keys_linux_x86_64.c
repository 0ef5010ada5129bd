/* keys_linux_x86_64.c: SOURCES: pkeys(7); Intel SDM volume 3, 4.6.2 (PKRU); Linux
 * arch/x86/kernel/fpu/core.c (fpu__clear_user_states). */
#include "keys.h"

#include <string.h>

#include "decode/x86/xsave.h"
#include "platform/linux/frame/software_bytes.h"

#define KEY_0 3u

static bool is_known, is_present, is_used;
static uint32_t initial;

static uint32_t read_rights(void)
{
    uint32_t rights, zero;
    __asm__ volatile("rdpkru" : "=a"(rights), "=d"(zero) : "c"(0));
    return rights;
}

/* Reads the kernel's frame instead of CPUID, which takes microseconds in a virtual machine. */
void keys_learn(const ucontext_t *frame)
{
    if (is_known)
        return;
    is_known = true;
    is_present = software_bytes_of(frame->uc_mcontext.fpregs).features & COMPONENT_PKRU;
    if (is_present)
        initial = read_rights();
}

static uint32_t get_offset(void)
{
    struct xsave_component place;
    return xsave_find(STATE_PKRU, &place) ? place.offset : 0;
}

void keys_take(uint32_t rights)
{
    if (is_present)
        __asm__ volatile("wrpkru" : : "a"(rights), "c"(0), "d"(0) : "memory");
}

void keys_open(void)
{
    keys_take(0);
}

uint32_t keys_of(const ucontext_t *frame)
{
    const char *state = (const char *)frame->uc_mcontext.fpregs;
    uint64_t components;
    uint32_t rights;
    if (!__atomic_load_n(&is_used, __ATOMIC_RELAXED) || !state)
        return 0;
    memcpy(&components, state + XSAVE_XSTATE_BV, sizeof components);
    memcpy(&rights, state + get_offset(), sizeof rights);
    return components & COMPONENT_PKRU ? rights & ~KEY_0 : 0;
}

void keys_note_use(void)
{
    __atomic_store_n(&is_used, is_present, __ATOMIC_RELAXED);
}

void keys_keep(char *state)
{
    uint64_t components;
    memcpy(&components, state + XSAVE_XSTATE_BV, sizeof components);
    components &= is_present ? COMPONENT_PKRU : 0;
    memcpy(state + XSAVE_XSTATE_BV, &components, sizeof components);
}

void keys_begin(char *state)
{
    uint64_t components;
    if (!is_present)
        return;
    memcpy(&components, state + XSAVE_XSTATE_BV, sizeof components);
    components |= COMPONENT_PKRU;
    memcpy(state + XSAVE_XSTATE_BV, &components, sizeof components);
    memcpy(state + get_offset(), &initial, sizeof initial);
}
