/* unwinder_libgcc.c: libgcc's (see unwinder.h); and LLVM's libunwind, which has the same functions, but registers
 * descriptions one by one. */
#include <string.h>
#include <unwind.h>

#include "signals/hot/unwind/rules.h"
#include "unwinder.h"

#if defined(WITH_LLVM)
const bool unwinder_is_exact = false;
#else
const bool unwinder_is_exact = true;
#endif

extern void __register_frame(const void *section);

void unwinder_begin(const uint8_t *section, uint32_t size, uint64_t start, uint64_t length)
{
    (void)size;
    (void)start;
    (void)length;
#if defined(WITH_LLVM)
    __register_frame(section + rules_description(section));
#else
    __register_frame(section);
#endif
}

struct search {
    uint64_t start, size;
    struct segue_regs *regs;
    bool is_next, is_found;
};

static _Unwind_Reason_Code visit(struct _Unwind_Context *context, void *of)
{
    static const uint8_t numbers[] = {SEGUE_RAX, SEGUE_RDX, SEGUE_RCX, SEGUE_RBX,
                                      SEGUE_RSI, SEGUE_RDI, SEGUE_RBP, SEGUE_RSP};
    struct search *search = of;
    int before = 0;
    uint64_t ip = _Unwind_GetIPInfo(context, &before);
    if (search->is_next) {
        struct segue_regs *regs = search->regs;
        memset(regs, 0, sizeof *regs);
        for (int i = 0; i < 16; i++)
            if (i != 7)
                *segue_register_at(regs, i < 8 ? numbers[i] : (unsigned)i) = _Unwind_GetGR(context, i);
        regs->rsp = _Unwind_GetCFA(context);
        regs->rip = ip;
        search->is_found = before || !unwinder_is_exact;
        return _URC_NORMAL_STOP;
    }
    search->is_next = ip - search->start < search->size;
    return _URC_NO_REASON;
}

bool unwinder_find(uint64_t start, uint64_t size, struct segue_regs *regs)
{
    struct search search = {.start = start, .size = size, .regs = regs};
    _Unwind_Backtrace(visit, &search);
    return search.is_found;
}
