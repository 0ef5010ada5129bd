/* keyed.c: protection-key rights while an instruction is stepped.
 *
 * SOURCES: pkeys(7) (a handler's rights, SEGV_PKUERR, pages that may be executed only); Linux arch/x86/mm/fault.c
 * (bad_area_access_error: the key counts for pages without any access, too). */

#include <segue/emulate.h>

#include "keyed.h"

#include "ctx/state/keys.h"
#include "platform/frame/frame.h"

uint32_t keyed_begin(void)
{
    return keys_now();
}

__attribute__((hot)) void keyed_end(uint32_t begun)
{
    if (keys_now() != begun)
        keys_set(begun);
}

__attribute__((hot)) const char *keyed_refusal(const struct segue_xstate *xstate, uint32_t begun)
{
    if (!keys_in_use() || keys_allow(keys_of(xstate), begun))
        return NULL;
    return "the thread's protection keys forbid the memory that the handler uses";
}

__attribute__((hot)) uint32_t keyed_take_rights(const struct segue_xstate *xstate)
{
    uint32_t present = keys_now(), of_thread = keys_of(xstate);
    if (of_thread != present)
        keys_set(keys_either(of_thread, present));
    return present;
}

uint32_t keyed_take_rights_of(const void *context)
{
    struct segue_xstate xstate = {.area = NULL};
    if (keys_in_use())
        frame_get_any_xstate(context, &xstate);
    return keyed_take_rights(&xstate);
}

void keyed_give_rights_back(uint32_t before)
{
    if (keys_now() != before)
        keys_set(before);
}

__attribute__((hot)) size_t keyed_peek(void *to, uint64_t address, size_t size)
{
    size_t done = segue_peek(to, address, size);
    if (done == size || !keys_in_use())
        return done;
    uint32_t present = keys_now();
    keys_set(0);
    done = segue_peek(to, address, size);
    keys_set(present);
    return done;
}
