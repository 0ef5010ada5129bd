/* unwinder_libunwind.c: nongnu libunwind's (see unwinder.h). */
#define UNW_LOCAL_ONLY
#include <libunwind.h>

#include <stdlib.h>
#include <string.h>

#include "signals/hot/unwind/rules.h"
#include "unwinder.h"

const bool unwinder_is_exact = true;

/* In the format that is searched for .eh_frame; libunwind may also read the entry behind the last one. */
static struct known {
    unw_dyn_info_t info;
    int32_t table[4];
} known[2];
static unsigned known_count;

void unwinder_begin(const uint8_t *section, uint32_t size, uint64_t start, uint64_t length)
{
    struct known *this = &known[known_count++];
    (void)size;
    this->table[0] = INT32_MIN;
    this->table[1] = (int32_t)rules_description(section);
    this->info = (unw_dyn_info_t){.start_ip = start, .end_ip = start + length, .format = UNW_INFO_FORMAT_REMOTE_TABLE};
    this->info.u.rti = (unw_dyn_remote_table_info_t){
        .segbase = (uint64_t)(uintptr_t)section, .table_len = 1, .table_data = (uint64_t)(uintptr_t)this->table};
    _U_dyn_register(&this->info);
}

static void take(unw_cursor_t *cursor, struct segue_regs *regs)
{
    static const uint8_t numbers[] = {SEGUE_RAX, SEGUE_RDX, SEGUE_RCX, SEGUE_RBX,
                                      SEGUE_RSI, SEGUE_RDI, SEGUE_RBP, SEGUE_RSP};
    memset(regs, 0, sizeof *regs);
    for (int i = 0; i <= UNW_X86_64_RIP; i++) {
        unw_word_t value = 0;
        unw_get_reg(cursor, i, &value);
        *segue_register_at(regs, i < 8 ? numbers[i] : (unsigned)i) = value;
    }
}

bool unwinder_find(uint64_t start, uint64_t size, struct segue_regs *regs)
{
    unw_context_t context;
    unw_cursor_t cursor;
    unw_getcontext(&context);
    unw_init_local(&cursor, &context);
    for (unw_word_t ip = 0; unw_step(&cursor) > 0;) {
        bool is_body = ip - start < size;
        unw_get_reg(&cursor, UNW_REG_IP, &ip);
        if (is_body) {
            take(&cursor, regs);
            return true;
        }
    }
    return false;
}
