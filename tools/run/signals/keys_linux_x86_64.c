/* keys_linux_x86_64.c: SOURCES: pkeys(7); Intel SDM volume 3, 4.6.2 (PKRU), volume 1, 13.5.7 (its place in the XSAVE
 * area), CPUID leaf 0DH; Linux arch/x86/kernel/fpu/core.c (fpu__clear_user_states). */
#include "keys.h"

#include <cpuid.h>
#include <string.h>

#define COMPONENT 9
#define PRESENT_COMPONENTS 512
#define SOFTWARE_BYTES 464
#define FIRST_MAGIC 0x46505853u
#define SOFTWARE_FEATURES 472
#define KEY_0 3u

static bool is_known, is_present, is_used;
static uint32_t initial, offset;

static uint32_t read_rights(void)
{
    uint32_t rights, zero;
    __asm__ volatile("rdpkru" : "=a"(rights), "=d"(zero) : "c"(0));
    return rights;
}

/* What is asked of the processor takes microseconds in a virtual machine; the kernel's frame tells. */
void keys_learn(const ucontext_t *frame)
{
    const char *state = (const char *)frame->uc_mcontext.fpregs;
    uint32_t magic = 0;
    uint64_t features = 0;
    if (is_known)
        return;
    is_known = true;
    if (state)
        memcpy(&magic, state + SOFTWARE_BYTES, sizeof magic);
    if (magic != FIRST_MAGIC)
        return;
    memcpy(&features, state + SOFTWARE_FEATURES, sizeof features);
    is_present = features >> COMPONENT & 1;
    if (is_present)
        initial = read_rights();
}

static uint32_t place(void)
{
    uint32_t size, features, more, at = __atomic_load_n(&offset, __ATOMIC_RELAXED);
    if (at)
        return at;
    __cpuid_count(0xd, COMPONENT, size, at, features, more);
    __atomic_store_n(&offset, at, __ATOMIC_RELAXED);
    return at;
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
    memcpy(&rights, state + place(), sizeof rights);
    return components >> COMPONENT & 1 ? rights & ~KEY_0 : 0;
}

void keys_note_use(void)
{
    __atomic_store_n(&is_used, is_present, __ATOMIC_RELAXED);
}

void keys_keep(char *state)
{
    uint64_t components;
    memcpy(&components, state + PRESENT_COMPONENTS, sizeof components);
    components &= is_present ? 1u << COMPONENT : 0;
    memcpy(state + PRESENT_COMPONENTS, &components, sizeof components);
}

void keys_begin(char *state)
{
    uint64_t components;
    if (!is_present)
        return;
    memcpy(&components, state + PRESENT_COMPONENTS, sizeof components);
    components |= 1u << COMPONENT;
    memcpy(state + PRESENT_COMPONENTS, &components, sizeof components);
    memcpy(state + place(), &initial, sizeof initial);
}
