/* hot.c: see hot.h.
 *
 * A site becomes hot in the handler of its fault, in place of a step; its body then makes the access. Beside each body
 * that patch/hot numbers, this file keeps what emulate/body needs to translate a place in it, and the slot of the
 * region that it serves. A body that misses (its slot is closed for good, or the instruction has met a region or an
 * address that it does not check) faults in it, and is then built anew. */
#include "hot.h"

#include <segue/emulate.h>
#include <segue/hot.h>
#include <stddef.h>
#include <string.h>

#include "begin.h"
#include "constants.h"
#include "ctx/guest/gate.h"
#include "ctx/state/control.h"
#include "decode/relocate/displaceable_cache.h"
#include "patch/hot/hot.h"
#include "patch/hot/space/rooms.h"
#include "patch/hot/text.h"
#include "patch/segment/service.h"
#include "platform/code.h"
#include "platform/lacks.h"
#include "platform/memory/memory.h"
#include "platform/process/once.h"
#include "platform/reason.h"
#include "platform/threads/thread.h"
#include "platform/threads/wait.h"
#include "signals/fault/keyed.h"
#include "signals/hot/ask/ask.h"
#include "signals/hot/ask/quick.h"
#include "signals/hot/kept/counters.h"
#include "signals/hot/kept/kept.h"
#include "signals/hot/kept/links.h"
#include "signals/hot/kept/records.h"
#include "signals/hot/reclaim/reclaim.h"
#include "signals/hot/sites/leaders.h"
#include "signals/hot/unwind/unwind.h"
#include "slots.h"

/* The parts of the address space in which bodies lie. */
#define PARTS 32u
/* The room that nine of ten bodies need: of a successor that moves for a jump, whose size is not estimated. Another try
 * takes longer than to trim a room. */
#define USUAL_ROOM 640u
/* The room that an instruction needs which only moves. */
#define MOVED_ROOM 48u
/* The most doublings of the misses after which a body is built anew. */
#define DOUBLINGS_MOST 16u

/* The addresses that bodies call. */
static struct words {
    uint64_t thunks[BODY_THUNK_COUNT], quick[QUICK_KINDS][BODY_QUICK_COUNT];
} words;
static bool has_vector_thunks;
static struct body_scratch *scratch;
/* For the thread that makes sites hot: the body that is being built, the code that it is built from, and the sites. */
static struct body built;
static struct original code;
static struct leaders leaders;
static uint32_t making;
/* Bodies that are in use may count in the threads' own counters. */
static bool count_by_thread;
/* Hot sites are in use, which need the breakpoints of code changes; how the installed handler takes SIGTRAP. */
static bool wants_trap;
static bool (*take_trap)(void), (*has_trap)(void);

/* ---- bodies that are not used any more ---- */

/* No thread has executed it. */
static void drop(void *context, uint64_t site, uint64_t cookie)
{
    struct kept *of_body = (struct kept *)(uintptr_t)cookie;
    (void)context;
    (void)site;
    links_give_back(of_body);
    records_give_back(of_body->records, of_body->record_count);
    kept_give_back(of_body);
}

/* No thread is in it, or comes back to it. */
static void take_apart(void *context, const struct hot_body *body)
{
    struct kept *of_body = kept_of(body);
    (void)context;
    links_give_back(of_body);
    records_add_up(of_body->records, of_body->first_record, of_body->record_count);
    records_give_back(of_body->records, of_body->record_count);
    kept_give_back(of_body);
}

/* ---- preparation ---- */

static bool map_all(void)
{
    scratch = platform_map_apart(body_scratch_size());
    leaders.cache = platform_map_apart(sizeof *leaders.cache);
    if (!kept_prepare() || !scratch || !leaders.cache || !records_prepare() || !links_prepare())
        return false;
    /* It is soon full: here its pages take less time than one by one. */
    memset(leaders.cache, 0, sizeof *leaders.cache);
    return true;
}

/* The limits in force; and what is asked of sites that become hot from now on. */
static struct segue_hot_options options = {.threshold = 1};

static enum segue_status prepare(void)
{
    const struct hot_limits limits = {
        .most_sites = options.most_sites,
        .most_memory = options.most_memory,
        .most_mappings = options.most_mappings,
        .flags = options.flags & SEGUE_HOT_JIT ? HOT_ANY_CODE : 0,
    };
    return hot_prepare(&limits);
}

enum segue_status segue_hot_configure(const struct segue_hot_options *wanted)
{
    struct segue_hot_options given = {0};
    if (wanted)
        given = *wanted;
    if (!RESERVED_IS_ZERO(&given))
        return reason_give(SEGUE_INVALID, "options.reserved is not zero: was the struct initialised?");
    if (given.flags & ~(uint32_t)(SEGUE_HOT_NOT_EAGER | SEGUE_HOT_JIT))
        return reason_give(SEGUE_INVALID, "options.flags has a bit that enum segue_hot_flags does not define");
    if (kept_is_prepared() && given.most_sites != options.most_sites)
        return reason_give(SEGUE_BUSY, "options.most_sites cannot change: there are hot regions, or have been");
    if (!given.threshold)
        given.threshold = 1;
    options.most_sites = given.most_sites;
    options.most_memory = given.most_memory;
    options.most_mappings = given.most_mappings;
    /* Handlers read these. */
    __atomic_store_n(&options.flags, given.flags, __ATOMIC_RELAXED);
    __atomic_store_n(&options.threshold, given.threshold, __ATOMIC_RELAXED);
    return kept_is_prepared() ? prepare() : SEGUE_OK;
}

enum segue_status hot_check(void)
{
    if (!body_is_possible())
        return reason_give(SEGUE_UNSUPPORTED, "hot sites need " PLATFORM_LACKS);
    if (!platform_serialise_prepare())
        return reason_give(SEGUE_UNSUPPORTED, "the system cannot make all threads fetch changed code anew");
    return segue_replay_prepare() == SEGUE_OK
               ? SEGUE_OK
               : reason_give(SEGUE_UNSUPPORTED, "the system lets no memory become executable");
}

/* Guests run with bases of their own: what counts by FS must not be there for them. A body is built under the lock that
 * undoing takes, so none is built later. Another thread that changes code is a fault's handler, and soon done. */
static bool stop_counters(void)
{
    enum segue_status status;
    counters_stop();
    if (!__atomic_load_n(&count_by_thread, __ATOMIC_SEQ_CST))
        return true;
    uint64_t before = platform_asynchronous_hold();
    while ((status = hot_undo(0, UINT64_MAX, NULL, NULL)) == SEGUE_BUSY)
        wait_a_moment();
    if (status == SEGUE_OK)
        __atomic_store_n(&count_by_thread, false, __ATOMIC_SEQ_CST);
    platform_signals_release(before);
    return status == SEGUE_OK;
}

enum segue_status hot_begin(void)
{
    static struct once mapped;
    enum segue_status status = hot_check();
    if (status != SEGUE_OK)
        return status;
    if (prepare() != SEGUE_OK || !once(&mapped, map_all) || !segment_lock_prepare() || ask_prepare() != SEGUE_OK)
        return reason_give(SEGUE_NO_MEMORY, NULL);
    body_thunks_fill(words.thunks, &has_vector_thunks);
    quick_prepare(words.thunks[BODY_THUNK_ASK], words.quick);
    hot_set_counter(records_count);
    if (guest_follow(stop_counters))
        counters_stop();
    reclaim_begin(take_apart);
    unwind_begin(offsetof(struct kept, table));
    wants_trap = true;
    return !take_trap || take_trap() ? SEGUE_OK : SEGUE_SYSTEM;
}

bool hot_wants_trap(void)
{
    return wants_trap;
}

void hot_follow_install(bool (*take)(void), bool (*has)(void))
{
    __atomic_store_n(&has_trap, has, __ATOMIC_RELEASE);
    __atomic_store_n(&take_trap, take, __ATOMIC_RELEASE);
}

/* ---- bodies ---- */

/* What one batch is built for. */
struct order {
    struct hot_slot *slot;
    /* The sites that are asked for; others are their successors, which make room for a jump. */
    const uint64_t *sites;
    unsigned count;
    /* An instruction that faulted in a body, or 0: it is checked even if such instructions usually are not. */
    uint64_t checked;
    uint32_t remakes;
    /* Bodies look for other regions. */
    bool is_looked_up;
    /* No other batch has it. */
    uint64_t number;
};

static enum body_thunk thunk_of(const struct hot_slot *slot)
{
    bool regs = slot->mode_flags & SEGUE_REGION_HOT_REGS;
    if (slot->mode_flags & SEGUE_REGION_HOT_GENERAL)
        return regs ? BODY_THUNK_ASK_REGS : BODY_THUNK_ASK;
    return regs ? BODY_THUNK_ASK_REGS_VECTORS : BODY_THUNK_ASK_VECTORS;
}

/* No code changes while bodies are built; it may have changed since the leaders were found. */
static size_t read_code(void *context, uint64_t address, uint8_t *bytes, size_t size)
{
    static uint64_t changes;
    (void)context;
    if (changes != hot_changes())
        code.size = 0;
    changes = hot_changes();
    return original_read(&code, address, bytes, size);
}

static bool is_asked_for(const struct order *order, uint64_t site)
{
    for (unsigned i = 0; i < order->count; i++)
        if (order->sites[i] == site)
            return true;
    return false;
}

/* Whether the instruction only makes room for its predecessor's jump: no fault has asked for a body there, now or
 * before. Of these few are ever executed where they are moved to. So such a body is the instruction alone, without a
 * check: if it faults there, the body is built anew. */
static bool is_moved(const struct order *order, uint64_t site)
{
    const struct hot_site *known = hot_site_find(site);
    bool was_asked_for =
        known && __atomic_load_n(&known->state, __ATOMIC_RELAXED) == HOT_MADE && !known->for_predecessor;
    return !was_asked_for && !is_asked_for(order, site);
}

static bool is_checked(void *context, uint64_t address)
{
    const struct order *order = context;
    const struct hot_site *site = hot_site_find(address);
    return order->checked == address || (site && __atomic_load_n(&site->faults, __ATOMIC_RELAXED));
}

/* The words within reach of a body. */
static const struct words *words_near(uint64_t at)
{
    static struct words *near[PARTS];
    const char *refusal;
    void *data;
    size_t part = 0;
    for (; part < PARTS && near[part]; part++)
        if (rooms_reach(near[part], at))
            return near[part];
    if (part == PARTS || rooms_take_data(at, sizeof words, &data, &refusal) != SEGUE_OK)
        return NULL;
    near[part] = data;
    return memcpy(near[part], &words, sizeof words);
}

/* Keeps what translation needs; NULL if there is no room left. */
static struct kept *keep(const struct order *order, const struct body_request *request)
{
    struct kept *of_body = kept_take(built.table_size);
    if (!of_body)
        return NULL;
    of_body->slot = order->slot;
    of_body->records = request->records;
    of_body->first_record = request->counters;
    of_body->record_count = built.record_count;
    of_body->remakes = order->remakes;
    of_body->table_size = built.table_size;
    memcpy(of_body->table, built.table, built.table_size);
    return of_body;
}

/* What a body is built from, except for what is near it. */
static struct body_request request_for(struct order *order, uint64_t site)
{
    struct hot_slot *slot = order->slot;
    return (struct body_request){
        .site = site,
        .distance = slot->distance,
        .mode = slot->mode,
        .ask = thunk_of(slot),
        .sample = slot->sample,
        .watched = slot->watched,
        .lookup = order->is_looked_up,
        .shadow_stack = control_has_shadow_stack(),
        .most_records = BODY_INSTRUCTIONS,
        .slot = slot,
        .read_code = read_code,
        .is_checked = is_checked,
        .context = order,
        .cache = leaders.cache,
        .version = order->number,
        .most_instructions = BODY_INSTRUCTIONS,
        .most_bytes = HOT_BODY_BYTES,
    };
}

static uint32_t estimate(void *context, uint64_t site)
{
    const struct body_request request = request_for(context, site);
    return body_estimate(scratch, &request);
}

static enum segue_status build(void *context, uint64_t site, uint64_t at, uint8_t *to, size_t room,
                               struct hot_built *result)
{
    struct order *order = context;
    struct hot_slot *slot = order->slot;
    struct body_request request = request_for(order, site);
    if (is_moved(order, site)) {
        request.is_moved = true;
        request.most_instructions = 1;
    }
    request.descriptor = hot_slot_descriptor(slot, at);
    request.records = records_take(at);
    if (slot->mode == BODY_COUNT && counters_at()) {
        __atomic_store_n(&count_by_thread, true, __ATOMIC_SEQ_CST);
        /* Whoever stops it sees the former, or is seen here. */
        request.counters_at = counters_at();
    }
    request.counters = records_number();
    request.most_links = links_take(at, request.link_words);
    const struct words *near = words_near(at);
    request.thunks = near ? near->thunks : NULL;
    request.quick = near && ask_may_be_quick() ? near->quick[slot->kind] : NULL;
    unwind_update();
    result->refusal = "this processor cannot save the vector registers for its hot policy";
    if (slot->mode == BODY_POLICY && !(slot->mode_flags & SEGUE_REGION_HOT_GENERAL) && !has_vector_thunks)
        return SEGUE_UNSUPPORTED;
    result->refusal = "there is no memory for data near its body";
    if (!request.descriptor || !request.records || !request.thunks)
        return SEGUE_UNSUPPORTED;
    enum segue_status status = body_build(scratch, &request, at, to, room, &built);
    result->size = built.size;
    result->refusal = built.refusal;
    if (status != SEGUE_OK)
        return status == SEGUE_TOO_SMALL ? SEGUE_NO_MEMORY : status;
    result->refusal = "its access is not one that a body can check";
    if (!built.checks_site && is_asked_for(order, site))
        return SEGUE_UNSUPPORTED;
    result->refusal = "there is no memory to keep what its body is";
    struct kept *of_body = keep(order, &request);
    if (!of_body)
        return SEGUE_UNSUPPORTED;
    records_use(built.record_count);
    links_use(of_body, at, &built);
    /* The accesses of an instruction are counted at its site, whether it ever becomes hot itself or not. */
    for (uint32_t i = 0; i < built.record_count; i++)
        site_claim(request.records[i].site);
    result->cookie = (uint64_t)(uintptr_t)of_body;
    return SEGUE_OK;
}

/* Only the site that faulted: it is known to access the region. */
static bool rewrite(void *context, uint64_t site, const uint8_t *bytes, unsigned length, uint8_t *rewritten,
                    uint64_t *cookie)
{
    const struct order *order = context;
    return site == order->sites[0] &&
           constants_rewrite(order->slot, leaders.cache, site, bytes, length, rewritten, cookie);
}

/* ---- making sites hot ---- */

/* Whether the site should become hot now. */
static bool is_due(const struct hot_site *site)
{
    uint8_t state = __atomic_load_n(&site->state, __ATOMIC_ACQUIRE);
    uint64_t threshold = __atomic_load_n(&options.threshold, __ATOMIC_RELAXED);
    uint64_t faults = __atomic_load_n(&site->faults, __ATOMIC_RELAXED);
    /* What could not be had before is asked for again after twice as many faults, or when room has become free. */
    bool is_put_off = site->refusal && (faults & (faults - 1)) != 0 && site->frees == hot_frees();
    return state != HOT_REFUSED && !is_put_off && faults >= threshold;
}

static bool is_trap_ours(void)
{
    bool (*has)(void) = __atomic_load_n(&has_trap, __ATOMIC_ACQUIRE);
    return has && has();
}

/* Whether sites may become hot on this thread now. In code of a guest they may not: its FS is not the host's. */
static bool is_possible(size_t room)
{
    return kept_is_prepared() && room >= HOT_STACK && __atomic_load_n(&take_trap, __ATOMIC_ACQUIRE) &&
           !segment_in_force() && !guest_is_interrupted();
}

/* Makes the sites that were found hot. True if the first one is now. */
static bool make_all(struct order *order, bool anew)
{
    const bool leads = order->slot->mode == BODY_LED || order->slot->watched;
    const struct hot_builder builder = {.build = build,
                                        .dropped = drop,
                                        .rewrite = leads && !anew ? rewrite : NULL,
                                        .context = order,
                                        .usual_room = USUAL_ROOM,
                                        .moved_room = MOVED_ROOM,
                                        .estimate = estimate,
                                        .peek = keyed_peek};
    static uint64_t orders;
    struct hot_request requests[LEADERS_MOST];
    order->number = ++orders;
    order->is_looked_up = hot_slots_are_looked_up(order->slot);
    order->sites = leaders.sites;
    order->count = leaders.count;
    for (unsigned i = 0; i < leaders.count; i++)
        requests[i] = (struct hot_request){.address = leaders.sites[i], .status = SEGUE_BUSY};
    return (!anew || hot_undo(leaders.sites[0], 1, &builder, NULL) == SEGUE_OK) &&
           hot_make(requests, leaders.count, &builder) == SEGUE_OK && requests[0].status == SEGUE_OK;
}

/* Whether a body can check the instruction's access, if it is asked to. For the thread that makes sites hot. */
static bool can_be_checked(uint64_t site)
{
    static struct decode_scratch decode;
    struct displaceable form;
    uint8_t bytes[SEGUE_INSN_BYTES];
    size_t size = hot_read_code(site, bytes, sizeof bytes);
    return displaceable_make(&decode, site, bytes, size, &form) && body_check_of(&form) != BODY_CHECK_NEVER;
}

/* The site, and others. Code that changed meanwhile may have been taken for other instructions: then only the site. */
static void find_leaders(uint64_t site, unsigned most)
{
    uint64_t before = hot_changes();
    code.size = 0;
    leaders_find(&leaders, &code, site, before % 2 ? 1 : most);
    if (hot_changes() != before)
        leaders.count = 1;
}

/* Without waiting: where another thread makes sites hot, the fault is served. Signals are blocked, but not those of
 * faults and of breakpoints: the decoder uses the C library, in which another thread may undo sites at the moment, and
 * a breakpoint ends a thread that blocks SIGTRAP. */
static bool make(uint64_t site, struct order *order, bool anew)
{
    uint64_t mask = platform_mask_block(~SIGNALS_SYNCHRONOUS);
    bool done = false;
    if (__atomic_exchange_n(&making, 1, __ATOMIC_ACQUIRE) == 0) {
        if (is_trap_ours() && (!order->checked || can_be_checked(order->checked))) {
            find_leaders(site, anew || (__atomic_load_n(&options.flags, __ATOMIC_RELAXED) & SEGUE_HOT_NOT_EAGER)
                                   ? 1
                                   : LEADERS_MOST);
            done = make_all(order, anew);
        }
        __atomic_store_n(&making, 0, __ATOMIC_RELEASE);
    }
    platform_signals_release(mask);
    return done;
}

/* The thread that made sites hot while another one forked is not in the child. The forking thread makes none. */
void hot_in_child(void)
{
    __atomic_store_n(&making, 0, __ATOMIC_RELEASE);
    reclaim_in_child();
    counters_in_child();
}

/* Whether to build a body with a check for this region and this instruction. At once, if the present body's region is
 * gone; else each time after twice as many misses, since the site may meet several regions in turn. */
static bool is_to_remake(struct hot_origin origin, const struct hot_slot *slot)
{
    struct kept *of_body = kept_of(origin.body);
    if (of_body->slot == slot && origin.is_checked)
        return false;
    uint32_t misses = __atomic_add_fetch(&of_body->misses, 1, __ATOMIC_RELAXED);
    unsigned doublings = of_body->remakes < DOUBLINGS_MOST ? of_body->remakes : DOUBLINGS_MOST;
    return !of_body->slot->is_taken || misses >> doublings;
}

bool hot_consider(const struct region *region, uint64_t site, struct hot_origin origin, size_t room)
{
    struct order order = {.slot = region->hot.slot};
    if (!order.slot || !is_possible(room))
        return false;
    if (order.slot->mode == BODY_POLICY)
        ask_attach();
    struct hot_site *counted = hot_site_count(site);
    if (!__atomic_load_n(&order.slot->is_open, __ATOMIC_ACQUIRE))
        return false;
    if (!origin.body)
        return counted && is_due(counted) && make(site, &order, false);
    if (!is_to_remake(origin, order.slot))
        return false;
    order.checked = site;
    order.remakes = kept_of(origin.body)->remakes + 1;
    return make(origin.body->site, &order, true);
}
