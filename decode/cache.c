/* cache.c: caches decoded instructions by address, and compares the bytes before it uses a slot.
 *
 * Each slot is a sequence lock. A writer makes the sequence odd, writes, and makes it even again. A reader takes its
 * copy only if the sequence was even and the same before and after. No thread waits: a reader that meets a writer
 * decodes the bytes itself, and a writer that meets another writer skips the slot.
 *
 * SOURCES: H.-J. Boehm, "Can seqlocks get along with programming language memory models?", MSPC 2012. */
#include <segue/decode.h>
#include <string.h>

#include "decode/relocate/relocation.h"
#include "decode/x86/compiler/shared_word.h"
#include "orders.h"
#include "scratch.h"

/* The part of an instruction that is cached: all bytes that have a meaning. */
#define SIZE (offsetof(struct segue_insn, private_) + sizeof(struct insn_orders))
#define WORDS ((SIZE + sizeof(uint64_t) - 1) / sizeof(uint64_t))
/* The copy goes word by word. On a target that aligns the structure to four bytes the last word may be half a word. */
#define SIZE_OF_WORD(i) ((i) + 1 < WORDS ? sizeof(uint64_t) : SIZE - 8 * (WORDS - 1))

/* One slot. */
struct __attribute__((may_alias)) slot {
    shared_word sequence;
    shared_word address;
    shared_word words[WORDS];
};
_Static_assert(sizeof(struct slot) <= sizeof(struct segue_cache_entry), "the public structure has room for it");

/* Code addresses differ in their low bits: neighbours get neighbouring slots, and pages are spread. */
static struct slot *slot_of(struct segue_cache *cache, uint64_t address)
{
    return (struct slot *)(void *)&cache->entries[(address ^ (address >> 12)) % SEGUE_CACHE_ENTRIES];
}

/* Fills `insn`, its unused bytes with zeros, even if it returns false. */
__attribute__((hot)) static bool read_slot(struct slot *slot, uint64_t address, struct segue_insn *insn)
{
    uint64_t before = __atomic_load_n(&slot->sequence, __ATOMIC_ACQUIRE);
    if (before == 0 || (before & 1) || __atomic_load_n(&slot->address, __ATOMIC_RELAXED) != address)
        return false;
#pragma GCC unroll 16
    for (size_t i = 0; i < WORDS; i++) {
        uint64_t word = __atomic_load_n(&slot->words[i], __ATOMIC_RELAXED);
        memcpy((char *)insn + i * sizeof word, &word, SIZE_OF_WORD(i));
    }
    memset((char *)insn + SIZE, 0, sizeof *insn - SIZE);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return __atomic_load_n(&slot->sequence, __ATOMIC_RELAXED) == before;
}

static void write_slot(struct slot *slot, uint64_t address, const struct segue_insn *insn)
{
    uint64_t before = __atomic_load_n(&slot->sequence, __ATOMIC_RELAXED);
    if ((before & 1) ||
        !__atomic_compare_exchange_n(&slot->sequence, &before, before + 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return;
    __atomic_thread_fence(__ATOMIC_RELEASE);
    __atomic_store_n(&slot->address, address, __ATOMIC_RELAXED);
    for (size_t i = 0; i < WORDS; i++) {
        uint64_t word = 0;
        memcpy(&word, (const char *)insn + i * sizeof word, SIZE_OF_WORD(i));
        __atomic_store_n(&slot->words[i], word, __ATOMIC_RELAXED);
    }
    __atomic_store_n(&slot->sequence, before + 2, __ATOMIC_RELEASE);
}

/* Compares over the instruction's own length, eight bytes at a time if both sides have them. */
static bool same_bytes(const struct segue_insn *insn, const void *bytes, size_t size)
{
    if (insn->length > size)
        return false;
    if (size >= 8 && insn->length <= 8) {
        uint64_t left, right;
        memcpy(&left, insn->bytes, sizeof left);
        memcpy(&right, bytes, sizeof right);
        return ((left ^ right) << (64 - 8 * insn->length)) == 0;
    }
    return memcmp(insn->bytes, bytes, insn->length) == 0;
}

static bool find(struct segue_cache *cache, enum segue_mode mode, uint64_t address, const void *bytes, size_t size,
                 struct segue_insn *insn)
{
    return read_slot(slot_of(cache, address), address, insn) && insn->mode == mode && same_bytes(insn, bytes, size);
}

static enum segue_status fill(struct decode_scratch *scratch, struct segue_cache *cache, enum segue_mode mode,
                              uint64_t address, const void *bytes, size_t size, struct segue_insn *insn)
{
    enum segue_status status = decode_in(scratch, mode, bytes, size, insn);
    if (status != SEGUE_OK)
        return status;
    relocation_complete_in(scratch, insn);
    write_slot(slot_of(cache, address), address, insn);
    return SEGUE_OK;
}

__attribute__((hot)) enum segue_status decode_cached_in(struct decode_scratch *scratch, struct segue_cache *cache,
                                                        enum segue_mode mode, uint64_t address, const void *bytes,
                                                        size_t size, struct segue_insn *insn)
{
    return find(cache, mode, address, bytes, size, insn) ? SEGUE_OK
                                                         : fill(scratch, cache, mode, address, bytes, size, insn);
}

/* A separate function, so that a cache hit uses no stack for it. */
static __attribute__((noinline)) enum segue_status miss(struct segue_cache *cache, enum segue_mode mode,
                                                        uint64_t address, const void *bytes, size_t size,
                                                        struct segue_insn *insn)
{
    struct decode_scratch scratch;
    return fill(&scratch, cache, mode, address, bytes, size, insn);
}

enum segue_status segue_decode_cached(struct segue_cache *cache, enum segue_mode mode, uint64_t address,
                                      const void *bytes, size_t size, struct segue_insn *insn)
{
    if (!cache || !bytes || !insn)
        return SEGUE_INVALID;
    return find(cache, mode, address, bytes, size, insn) ? SEGUE_OK : miss(cache, mode, address, bytes, size, insn);
}
