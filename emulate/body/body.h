/* body.h: the bodies of hot sites. A body is the code of a site, copied near it, with an inline bounds check before
 * each memory access; an access inside the hot region is redirected to the region's alias by their distance.
 *
 * Every register and flag is exact at each boundary of the original instructions: translation rolls a thread back from
 * any place in a body to such a boundary. It therefore may resume there, and nothing is left to do. One word of memory
 * is early: a call through memory stores its return address, in the red zone, before it reads where it leads.
 *
 *      site:   jmp body                    body:   check of the 1st access, out of line if it is outside
 *              ...                                 1st instruction, its operand at the alias
 *                                                  copies of what follows, each access checked
 *                                                  jmp back, or a link to another body
 *                                          behind it, out of line:
 *                                                  the accesses outside the region, as the program wrote them
 *                                                  exits of conditional jumps; entries for links
 *                                                  plain entries, for a thread whose stack has no room for the frame
 *
 * Every function here is async-signal-safe and thread-safe, unless it says otherwise.
 *
 * SOURCES: Zhao, Rabbah, Amarasinghe, Rudolph, Wong, "How to do a million watchpoints" (CC 2008); Bruening, "Efficient,
 * Transparent, and Comprehensive Runtime Code Manipulation" (2004), 4.5 (eflags by LAHF and SETO), 8.2 (translation).
 * ASSUMPTIONS: AND, OR, XOR and TEST clear AF, which the manuals leave undefined (a test); LAHF exists in 64-bit mode.
 */
#ifndef SEGUE_EMULATE_BODY_H
#define SEGUE_EMULATE_BODY_H

#include <segue/decode.h>

#include "decode/x86/compiler/shared_word.h"
#include "emulate/body/layout.h"
#include "platform/lacks.h"

/* What happens at an access inside the region, before it. */
enum body_mode {
    BODY_LED,
    /* The access's record is incremented. */
    BODY_COUNT,
    /* `body_ask` is called. */
    BODY_POLICY,
};

/* The region as bodies read it, RIP-relative: an access of 1 << n bytes at EA is wholly inside if EA - base <
 * limits[n]. All limits 0: no access is inside. */
struct body_descriptor {
    shared_word base;
    shared_word limits[7];
};

/* One checked access. Bodies increment `count`, RIP-relative and atomically, unless each thread has a counter of its
 * own for it. */
struct body_record {
    /* The instruction's original address. */
    uint64_t site;
    shared_word count;
    /* The request's. */
    void *slot;
    uint32_t size;
    /* enum segue_direction. */
    uint8_t direction;
    /* If a mask selects elements: how many of its bits count, and the bytes of one element; else 0. Of `size / element`
     * elements, bit i, i + elements, i + 2 * elements ... select element i. */
    uint8_t lanes, element;
    /* Accesses are counted by each thread, in body_counters. */
    bool by_thread;
    /* How many of those counted were not made here after all (body_request.sample): the policy gave another answer. */
    shared_word left;
};

/* The calling thread's counters, 8 bytes each: their address plus BODY_COUNTERS_BIAS. An increment is one instruction,
 * so a thread's handlers see it done or not. 0: the thread has none. Then an increment faults at an address at which no
 * program has memory, and nothing has been counted. */
extern __thread uint64_t body_counters __attribute__((tls_model("initial-exec"), visibility("hidden")));
#define BODY_COUNTERS_BIAS (UINT64_C(1) << 31)
/* The most counters of a thread. */
#define BODY_COUNTERS_MOST (UINT32_C(1) << 20)

/* Whether a fault at that address is an increment by a thread without counters. */
static inline bool body_lacks_counters(uint64_t address)
{
    return address + BODY_COUNTERS_BIAS < BODY_COUNTERS_MOST * sizeof(uint64_t) && !body_counters;
}

/* The routines that bodies call through words near them. */
enum body_thunk {
    /* Calls `body_ask` and preserves the general registers; the vector, x87 and mask registers too; or shows it the
     * application's registers. */
    BODY_THUNK_ASK,
    BODY_THUNK_ASK_VECTORS,
    BODY_THUNK_ASK_REGS,
    BODY_THUNK_ASK_REGS_VECTORS,
    /* Finds another region's alias in `body_regions`. */
    BODY_THUNK_LOOKUP,
    BODY_THUNK_COUNT,
};

/* The words of struct body_request's `quick`. */
#define BODY_QUICK_COUNT 16u

/* Stores the addresses of the thunks; `vectors` is false if the system or the processor lacks what those that save
 * vector state need: then only the others are stored. Not async-signal-safe at its first call. */
void body_thunks_fill(uint64_t words[BODY_THUNK_COUNT], bool *vectors);

/* What `body_ask` receives. It is on the thread's stack. */
struct body_call {
    const struct body_record *record;
    /* The address of the access. */
    uint64_t address;
    /* The application's registers at the instruction, exact; but rip and the segment registers are 0, and may be filled
     * in. The others must stay as they are: the thunk loads some of them from here. NULL unless the thunk shows them.
     */
    struct segue_regs *regs;
    /* To be set by `body_ask`, to a word and to its value before the question: if the word has another value when the
     * answer is there, the thunk asks again. From that comparison to the access a thread is always rolled back, and
     * then asks again too. */
    const uint64_t *watch;
    uint64_t watched;
    /* If record->lanes is not 0: the mask, in so many low bits. Those above them mean nothing. */
    uint64_t mask;
    /* Of the scratch register: for the thunk. */
    uint32_t number;
    /* The access is outside the body's region. To be answered by 0, `alias` must be set to where another region's alias
     * has it. */
    uint32_t missed;
    uint64_t alias;
};

/* Called by the policy thunks on the thread's own stack. 0 (SEGUE_STEP): the access is made at the alias; else as the
 * program wrote it, and faults. To be set before the first body that asks. The thunks use one calling convention on
 * every system. */
#ifdef __x86_64__
#define BODY_ASK_ABI __attribute__((sysv_abi))
#else
#define BODY_ASK_ABI
#endif
typedef int BODY_ASK_ABI body_ask_function(struct body_call *call);
extern body_ask_function *body_ask;

/* All regions to which an access may be redirected without a question, sorted by base. A lookup that meets an odd
 * sequence, or one that changes, finds nothing: then the access faults. */
struct body_region {
    uint64_t base, size;
    /* Alias minus base. */
    uint64_t distance;
    uint64_t reserved;
};

struct body_regions {
    uint32_t sequence;
    uint32_t count;
    struct body_region regions[BODY_REGIONS_MOST];
};
extern struct body_regions body_regions;

/* Whether there are bodies. */
static inline bool body_is_possible(void)
{
    return PLATFORM_IS_WHOLE;
}

/* The number of instructions that a body may have. */
#define BODY_INSTRUCTIONS 40

/* The number of links that a body may have. */
#define BODY_LINKS_MOST 16u

/* Where a body can be entered by links: with its frame open, RAX and the scratch register in their slots, and the flags
 * live; or where its accesses save them, in AX or in their slot. */
enum body_entry {
    BODY_ENTRY_LIVE,
    BODY_ENTRY_SAVED,
    BODY_ENTRIES,
};

/* A link: a jump through a word, in place of the return to the program at that address. */
struct body_link {
    uint64_t target;
    /* Where in the body the thread goes back to the program: what the word leads to at first. Or to that entry of a
     * body of the site at the target, if its `linkage` is the same. */
    uint32_t local;
    /* enum body_entry. */
    uint8_t entry;
};

struct displaceable_cache;

struct body_request {
    /* The first instruction's original address. It is checked in any case. */
    uint64_t site;
    /* Within 2 GiB of the body, as all that it reads: the descriptor, the records, the words of the thunks. */
    const struct body_descriptor *descriptor;
    /* Alias minus memory. */
    int64_t distance;
    enum body_mode mode;
    enum body_thunk ask;
    /* With BODY_POLICY and without `lookup`: not 0, but a power of two up to 2^31, if the policy is asked about each
     * access of a record that completes so many. Then all of them are counted. */
    uint32_t sample;
    /* With BODY_POLICY and without `sample`: not 0, but the distance from the region to bytes of which each belongs to
     * one of the region's addresses. The policy is asked about an access of 1 << n bytes only if bit n is set in the
     * byte of its address. */
    int64_t watched;
    /* On a miss, the other regions are looked up in `body_regions`, and the access is counted; or, with BODY_POLICY,
     * `body_ask` is asked with `missed`. */
    bool lookup;
    /* Return addresses are checked by the processor: no CALL with a memory operand is copied. */
    bool shadow_stack;
    /* Unless the mode is BODY_LED: the records that the body may use. The builder fills in those that it uses, in the
     * order of the accesses, with a count of 0 and this slot. */
    struct body_record *records;
    uint32_t most_records;
    void *slot;
    /* With BODY_COUNT: a thread's counters of the records are those from `counters` on, which it finds by the word at
     * `counters_at` from the base of FS. 0: bodies count in the records. */
    int32_t counters_at;
    uint32_t counters;
    /* The words that body_thunks_fill has filled; may be NULL if the body calls none. */
    const uint64_t *thunks;
    /* By number of a register: what is called in place of BODY_THUNK_ASK about an access inside that no mask selects,
     * with the record in RAX, by the LEA before the call (BODY_QUICK_CALL), and the address in that register, which may
     * both be changed. It answers by CF as a thunk, or goes on to the thunk, after it has stored both and `missed` in
     * the frame (layout.h). 0: the thunk is called. The words keep their values while there are bodies. May be NULL. */
    const uint64_t *quick;
    /* The words of the links that the body may have. They are the caller's to fill. */
    uint64_t *link_words[BODY_LINKS_MOST];
    uint32_t most_links;
    /* Reads up to `size` bytes of original code, with the library's own changes undone. Returns how many. */
    size_t (*read_code)(void *context, uint64_t address, uint8_t *bytes, size_t size);
    /* Whether an access that is usually not checked (its base is RSP or RBP, or it has no base) faulted, and should
     * be checked. May be NULL. */
    bool (*is_checked)(void *context, uint64_t address);
    void *context;
    /* No access is checked, but that of a CALL. */
    bool is_moved;
    /* Decoded instructions; may be NULL. */
    struct displaceable_cache *cache;
    /* Not 0: the code, and all that is in the request, are the same for the same site and version. */
    uint64_t version;
    /* 1 to BODY_INSTRUCTIONS. */
    unsigned most_instructions;
    /* Of code: a body that would be longer ends at an earlier instruction. */
    uint16_t most_bytes;
};

/* A body, beside its code. */
struct body {
    /* Bytes of code. */
    uint32_t size;
    /* Records used. */
    uint32_t record_count;
    /* The first instruction's access is checked; else it is made as the program wrote it. */
    bool checks_site;
    /* Why not. */
    const char *refusal;
    /* Links used, of the first words; the offsets of the entries, or 0; and what bodies have in common of which one
     * leads to the other. */
    uint32_t link_count;
    struct body_link links[BODY_LINKS_MOST];
    uint16_t entries[BODY_ENTRIES];
    uint8_t linkage;
    /* For translation: to be kept as it is. */
    uint32_t table_size;
    _Alignas(8) uint8_t table[BODY_TABLE_MOST];
};

/* Which accesses are checked. */
enum body_check {
    /* Not an access, or one that no body can check. */
    BODY_CHECK_NEVER,
    /* As request->site, or where request->is_checked says so. */
    BODY_CHECK_IF_ASKED,
    BODY_CHECK_ALWAYS,
};
struct displaceable;
enum body_check body_check_of(const struct displaceable *form);

struct body_scratch;
/* The size of the working memory, aligned to 16 bytes. */
size_t body_scratch_size(void);

/* The size that the body will probably have; 0 if there will be none. Does not need what lies near the body. */
uint32_t body_estimate(struct body_scratch *scratch, const struct body_request *request);

/* Builds a body that is executed at `at`, and writes its code to `code`. The first instruction may be any: but the body
 * of one that must run at its own address is refused. SEGUE_OK; SEGUE_UNSUPPORTED with `body->refusal`; SEGUE_TOO_SMALL
 * if there is not enough room: `body->size` is what it needs. */
enum segue_status body_build(struct body_scratch *scratch, const struct body_request *request, uint64_t at,
                             uint8_t *code, size_t room, struct body *body);

/* Where a thread stands. */
struct body_place {
    /* The number of the instruction in the body; its original address is regs->rip. */
    uint32_t instruction;
    /* The access was counted, or its policy answered SEGUE_STEP, but it has not been made: the thread will count again.
     * `record` is the index of its record among the body's. */
    bool counted;
    uint32_t record;
    /* A copy of the instruction as the program wrote it, for a thread with the application's registers, which then goes
     * on at the next original instruction; or 0. */
    uint64_t plain;
};

/* Rolls a thread back that stands at regs->rip in the body at `at`, with that table. False, and nothing has changed, if
 * rip is not in the body or the thread's stack cannot be read. */
bool body_translate(const void *table, uint64_t at, struct segue_regs *regs, struct body_place *place);

/* If the thread stands in a thunk, replaces its registers by those of the body that called it, behind the call. False
 * if it does not, or its stack cannot be read; or if a policy has returned and its vector state is still there: the
 * thread then counts as one in the policy, and the thunk looks at the watched word afterwards. */
bool body_leave_thunk(struct segue_regs *regs);

#endif
