/* none.c: refuses guests, which need 64-bit code and signals. */
#include "gate.h"

#include "platform/lacks.h"
#include "platform/reason.h"

enum segue_status segue_guest_new(struct segue_guest *guest, const struct segue_guest_options *options)
{
    (void)options;
    if (guest)
        *guest = (struct segue_guest){.trap_num = 0};
    return reason_give(SEGUE_UNSUPPORTED, "guests need " PLATFORM_LACKS);
}

enum segue_status segue_guest_enter(struct segue_guest *guest)
{
    (void)guest;
    return SEGUE_INVALID;
}

enum segue_status segue_guest_stop(struct segue_guest *guest, int signal)
{
    (void)guest;
    (void)signal;
    return SEGUE_INVALID;
}

enum segue_status segue_guest_free(struct segue_guest *guest)
{
    (void)guest;
    return SEGUE_INVALID;
}

enum segue_status segue_guest_catch(struct segue_frame *frame)
{
    return frame && frame->native[0] ? SEGUE_NOT_FOUND : SEGUE_INVALID;
}

enum segue_status guest_catch(struct native_frame native)
{
    (void)native;
    return SEGUE_NOT_FOUND;
}

void guest_bases(const void *ucontext, uint64_t *fs_base, uint64_t *gs_base)
{
    (void)ucontext;
    (void)fs_base;
    (void)gs_base;
}

bool guest_follow(bool (*begin)(void))
{
    (void)begin;
    return false;
}

bool guest_is_interrupted(void)
{
    return false;
}

platform_handler *guest_handlers[GUEST_SIGNALS];

/* A handler that may interrupt a guest is called at once. */
void guest_signal_entry(int number, void *info, void *ucontext)
{
    guest_handlers[number](number, info, ucontext);
}

void guest_serve(int number, void *info, void *ucontext, void (*handler)(int, void *, void *))
{
    handler(number, info, ucontext);
}

void guest_note_restorer(uint64_t address)
{
    (void)address;
}

void guest_goes_on(struct gate *gate, const void *ucontext)
{
    (void)gate;
    (void)ucontext;
}

struct gate *guest_running(void)
{
    return NULL;
}

const struct code_range guest_page_range = CODE_RANGE_NOT_THERE;
const struct code_range guest_call_range = CODE_RANGE_NOT_THERE;
const struct code_range guest_handler_range = CODE_RANGE_NOT_THERE;
const struct code_range guest_entry_range = CODE_RANGE_NOT_THERE;
