/* decode.h: bytes become an instruction; an instruction and registers become the memory accesses it will make.
 *
 * Everything here is pure: no call allocates, locks, or touches memory but its arguments, so all of it is
 * async-signal-safe and thread-safe.
 *
 * SOURCES: Intel SDM volume 2, chapter 2 (instruction format); AMD APM volume 3, chapter 1; Zydis 4.0. */
#ifndef SEGUE_DECODE_H
#define SEGUE_DECODE_H

#include <segue/regs.h>

SEGUE_BEGIN

/* The most bytes that an instruction can have. */
#define SEGUE_INSN_BYTES 15
/* No index of a prefix. */
#define SEGUE_NO_PREFIX 0xff
/* The most memory operands that an instruction can have, implicit ones counted. */
#define SEGUE_MEMORY_OPERANDS 4

/* The processor's mode that bytes are to be read in. */
enum segue_mode {
    SEGUE_MODE_64,
    SEGUE_MODE_32,
};

/* A segment register, numbered as instructions encode it. */
enum segue_segment {
    SEGUE_SEGMENT_ES,
    SEGUE_SEGMENT_CS,
    SEGUE_SEGMENT_SS,
    SEGUE_SEGMENT_DS,
    SEGUE_SEGMENT_FS,
    SEGUE_SEGMENT_GS,
};

/* What an access does to memory; a bit set. */
enum segue_direction {
    SEGUE_READ = 1,
    SEGUE_WRITE = 2,
    /* The processor wanted the instruction itself. Only in faults, never in an access list. */
    SEGUE_FETCH = 4,
};

/* How a memory operand's address comes about. */
enum segue_addressing {
    /* segment:[base + index * scale + displacement] */
    SEGUE_ADDRESSING_PLAIN,
    /* As plain, but index names a vector register: one access a lane. */
    SEGUE_ADDRESSING_VECTOR,
};

/* One memory operand as the instruction encodes it. */
struct segue_memory_operand {
    /* enum segue_segment: the segment in effect, overrides and defaults applied. */
    uint8_t segment;
    /* enum segue_register: general register, SEGUE_RIP or SEGUE_REGISTER_NONE. */
    uint8_t base;
    /* enum segue_register; with SEGUE_ADDRESSING_VECTOR, the number of the vector register. */
    uint8_t index;
    /* What the index is multiplied by: 1, 2, 4 or 8; 0 without an index. */
    uint8_t scale;
    /* enum segue_direction bits. */
    uint8_t direction;
    /* enum segue_addressing. */
    uint8_t addressing;
    /* Bytes. */
    uint16_t size;
    /* Sign-extended; EVEX's compressed displacements are already multiplied out. */
    int64_t displacement;
};

/* What a plain move does; the move engine's orders. */
enum segue_move_kind {
    /* The instruction is no plain move. */
    SEGUE_MOVE_NONE,
    /* Register from memory, zero- or sign-extended where the register is wider. */
    SEGUE_MOVE_LOAD,
    SEGUE_MOVE_LOAD_SIGNED,
    /* Memory from register. */
    SEGUE_MOVE_STORE,
    /* Memory from immediate. */
    SEGUE_MOVE_STORE_IMMEDIATE,
};

/* A plain move: MOV with a memory operand, MOVZX, MOVSX, MOVSXD. */
struct segue_move {
    /* enum segue_move_kind. */
    uint8_t kind;
    /* enum segue_register: the general register on the other side. */
    uint8_t reg;
    /* Bytes of that register that take part: 1, 2, 4 or 8. */
    uint8_t reg_size;
    /* 8 when the register is AH, BH, CH or DH: where its bits begin; else 0. */
    uint8_t reg_shift;
    /* For SEGUE_MOVE_STORE_IMMEDIATE: the value, sign-extended to 64 bits. */
    int64_t immediate;
};

/* Facts about an instruction; a bit set. */
enum segue_insn_flags {
    /* A LOCK prefix, or an XCHG with memory: the access is one locked operation. */
    SEGUE_INSN_LOCKED = 1,
    /* A REP, REPE or REPNE prefix that repeats: the accesses given are those of the first element. */
    SEGUE_INSN_REPEATED = 2,
};

/* One decoded instruction. It holds no address: the same bytes mean the same everywhere. */
struct segue_insn {
    uint8_t bytes[SEGUE_INSN_BYTES];
    /* How many of `bytes` are the instruction. */
    uint8_t length;
    /* The mnemonic by its Zydis number; segue_mnemonic_name tells it in letters. */
    uint16_t mnemonic;
    /* enum segue_mode. */
    uint8_t mode;
    /* Bytes of an effective address: 8, 4 or 2. */
    uint8_t address_size;
    /* enum segue_insn_flags. */
    uint8_t flags;
    /* Where in `bytes` the prefix stands that names the segment in effect; SEGUE_NO_PREFIX if there is none. In 64-bit
     * mode only FS and GS prefixes name one: the other four are null there and cancel nothing. Whether an operand goes
     * by it, the operand's own `segment` tells. */
    uint8_t segment_prefix;
    /* How many of `memory` are operands that are read or written, in the order in which they are. */
    uint8_t memory_count;
    struct segue_move move;
    struct segue_memory_operand memory[SEGUE_MEMORY_OPERANDS];
};

/* One access to memory. */
struct segue_access {
    /* Linear address of the first byte, segment base included. */
    uint64_t address;
    /* Bytes. */
    uint64_t size;
    /* enum segue_direction bits. */
    uint8_t direction;
    /* enum segue_segment. */
    uint8_t segment;
    /* Which lane, where an instruction makes one access a lane; else 0. */
    uint8_t lane;
};

/* Decodes the instruction that starts at `bytes`, of which `size` may be read.
 * Returns SEGUE_OK; SEGUE_TRUNCATED when the instruction is longer than `size`; SEGUE_UNDEFINED when the bytes are no
 * instruction; SEGUE_INVALID for a NULL pointer or an unknown mode. `insn` is written only with SEGUE_OK.
 * Async-signal-safe, thread-safe. */
SEGUE_API enum segue_status segue_decode(enum segue_mode mode, const void *bytes, size_t size, struct segue_insn *insn);

/* Lists the accesses that the instruction will make with these registers, in the order in which it makes them.
 * `xstate` is needed only where `insn` addresses memory through vector registers; it may be NULL.
 * Stores how many there are in `count`, and as many as fit in the `capacity` entries of `accesses`.
 * Returns SEGUE_OK; SEGUE_TOO_SMALL when they did not fit; SEGUE_UNSUPPORTED when the list cannot be told
 * exactly; SEGUE_INVALID for a NULL pointer. Async-signal-safe, thread-safe. */
SEGUE_API enum segue_status segue_accesses(const struct segue_insn *insn, const struct segue_regs *regs,
                                           const struct segue_xstate *xstate, struct segue_access *accesses,
                                           size_t capacity, size_t *count);

/* The mnemonic in lower case, "mov"; "?" for a number that is none. Async-signal-safe, thread-safe. */
SEGUE_API const char *segue_mnemonic_name(unsigned mnemonic);

/* How many mnemonic numbers there are: each is below this. Async-signal-safe, thread-safe. */
SEGUE_API unsigned segue_mnemonic_count(void);

/* How many instructions a cache remembers. */
#define SEGUE_CACHE_ENTRIES 1024

/* One place of a cache; its fields are private. */
struct segue_cache_entry {
    uint64_t sequence;
    uint64_t address;
    uint64_t words[sizeof(struct segue_insn) / 8];
};

/* A cache of decoded instructions: fixed in size, lock-free, shared by any number of threads.
 * All zero bytes are an empty cache; it needs no initialisation and holds nothing to release. */
struct segue_cache {
    struct segue_cache_entry entries[SEGUE_CACHE_ENTRIES];
};

/* As segue_decode, by way of the cache. `address` is where the bytes stand; a remembered instruction is used only if
 * its bytes are those at hand, so code that changes is never mistaken. Returns as segue_decode does; other than
 * with SEGUE_OK, what `insn` holds is unspecified. Async-signal-safe, thread-safe; never waits for another thread. */
SEGUE_API enum segue_status segue_decode_cached(struct segue_cache *cache, enum segue_mode mode, uint64_t address,
                                                const void *bytes, size_t size, struct segue_insn *insn);

SEGUE_END

#endif
