/* keys_linux_x86_64.c: SOURCES: pkeys(7); Intel SDM volume 3, 4.6.2 (PKRU), volume 1, 13.5.7 (its place in the XSAVE
 * area), CPUID leaf 7 (OSPKE) and leaf 0DH; Linux arch/x86/kernel/fpu/core.c (fpu__clear_user_states). */
#include "keys.h"

#include <cpuid.h>
#include <string.h>

#define COMPONENT 9
#define PRESENT_COMPONENTS 512
#define HAS_KEYS (1u << 4)
#define KEY_0 3u

static bool is_present, is_used;
static uint32_t initial, offset;

static uint32_t read_rights(void)
{
    uint32_t rights, zero;
    __asm__ volatile("rdpkru" : "=a"(rights), "=d"(zero) : "c"(0));
    return rights;
}

void keys_prepare(void)
{
    uint32_t a, b, c, d;
    is_present = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & HAS_KEYS);
    if (!is_present)
        return;
    __cpuid_count(0xd, COMPONENT, a, offset, c, d);
    initial = read_rights();
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
    memcpy(&components, state + PRESENT_COMPONENTS, sizeof components);
    memcpy(&rights, state + offset, sizeof rights);
    return components >> COMPONENT & 1 ? rights & ~KEY_0 : 0;
}

void keys_note_use(void)
{
    __atomic_store_n(&is_used, is_present, __ATOMIC_RELAXED);
}

void keys_begin(char *state)
{
    uint64_t components;
    if (!is_present)
        return;
    memcpy(&components, state + PRESENT_COMPONENTS, sizeof components);
    components |= 1u << COMPONENT;
    memcpy(state + PRESENT_COMPONENTS, &components, sizeof components);
    memcpy(state + offset, &initial, sizeof initial);
}
