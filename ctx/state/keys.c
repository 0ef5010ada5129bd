/* keys.c: the rights are in PKRU, two bits for each key.
 *
 * SOURCES: Intel SDM volume 3, 4.6.2 (access disable forbids reads and writes, write disable forbids writes; neither
 * forbids an instruction fetch), volume 1, 13.6 (the component's initial state is 0). */
#include "keys.h"

#include <string.h>

#include "decode/x86/processor.h"
#include "platform/frame/frame.h"

#define ACCESS_DISABLE 0x55555555u

/* The component's offset in an area; read once. */
#define UNKNOWN 0u
#define NOWHERE 1u
static uint32_t place;

static uint32_t ask(void)
{
    struct xsave_component component;
    /* The kernel below the system may use them where the system does not. */
    bool is_used = processor_uses_keys() && (frame_components() & COMPONENT_PKRU);
    return is_used && xsave_find(STATE_PKRU, &component) ? component.offset : NOWHERE;
}

static uint32_t get_place(void)
{
    uint32_t known = __atomic_load_n(&place, __ATOMIC_RELAXED);
    if (known == UNKNOWN) {
        known = ask();
        __atomic_store_n(&place, known, __ATOMIC_RELAXED);
    }
    return known;
}

__attribute__((hot)) bool keys_in_use(void)
{
    return get_place() != NOWHERE;
}

__attribute__((hot)) uint32_t keys_now(void)
{
    return keys_in_use() ? processor_get_rights() : 0;
}

void keys_set(uint32_t rights)
{
    processor_set_rights(rights);
}

uint32_t keys_of(const struct segue_xstate *image)
{
    const char *area = image->area;
    uint64_t present;
    uint32_t rights, offset = get_place();
    if (offset == NOWHERE || !area || !(image->features & COMPONENT_PKRU))
        return 0;
    memcpy(&present, area + XSAVE_XSTATE_BV, sizeof present);
    if (!(present & COMPONENT_PKRU))
        return 0;
    memcpy(&rights, area + offset, sizeof rights);
    return rights;
}

/* A key that may not be accessed may not be written. */
static uint32_t closed(uint32_t rights)
{
    return rights | (rights & ACCESS_DISABLE) << 1;
}

bool keys_allow(uint32_t rights, uint32_t others)
{
    return !(closed(rights) & ~closed(others));
}

uint32_t keys_either(uint32_t rights, uint32_t others)
{
    return closed(rights) & closed(others);
}
