/* library_os.c: A library OS where FS cannot be set: the guest's fs: accesses become gs: at their first fault; a call
 * of its entry is a system call. */
#include <segue/segue.h>
extern void serve_call(struct segue_regs *regs);
int run(uint64_t start, uint64_t stack, uint64_t thread_pointer);

int run(uint64_t start, uint64_t stack, uint64_t thread_pointer)
{
    struct segue_segment_options segment = {.rewrite = {.from = SEGUE_SEGMENT_FS, .to = SEGUE_SEGMENT_GS}};
    struct segue_guest_options options = {.features = 7};
    struct segue_guest guest;
    if (segue_install(NULL) || segue_segment_enable(&segment) || segue_guest_new(&guest, &options))
        return -1;
    guest.general.rip = start;
    guest.general.rsp = stack;
    guest.general.gs_base = thread_pointer;
    do {
        if (segue_guest_enter(&guest) != SEGUE_OK)
            return -1;
        if (guest.trap_num == SEGUE_GUEST_CALLED)
            serve_call(&guest.general);
    } while (guest.trap_num == SEGUE_GUEST_CALLED);
    int trap = (int)guest.trap_num;
    return segue_guest_free(&guest) ? -1 : trap;
}
