/* decode.h: bytes become an instruction; an instruction and registers become the memory accesses it
 * will make.
 *
 * Everything here is pure: no call allocates, locks, or touches memory but its arguments, so all of
 * it is async-signal-safe and thread-safe.
 *
 * SOURCES: Intel SDM volume 2, chapter 2 (instruction format); AMD APM volume 3, chapter 1; Zydis
 * 4.0. */
#ifndef SEGUE_DECODE_H
#define SEGUE_DECODE_H

#include <segue/regs.h>

SEGUE_BEGIN

/* The most bytes that an instruction can have. */
#define SEGUE_INSN_BYTES 15
/* No index of a prefix. */
#define SEGUE_NO_PREFIX 0xff
/* The most memory operands that an instruction can have, implicit ones counted. */
#define SEGUE_MEMORY_OPERANDS 2
/* No list has more accesses: the longest is that of ENTER at nesting level 31, with 63. */
#define SEGUE_ACCESSES_MOST 64

/* The processor's mode that bytes are to be read in. */
enum segue_mode {
    SEGUE_MODE_64,
    SEGUE_MODE_32,
};

/* What an instruction is for; who does the work for it goes by this. docs/decode.md lists them all.
 */
enum segue_class {
    /* No number of a mnemonic. */
    SEGUE_CLASS_UNKNOWN,
    /* Between general registers and memory, without arithmetic. */
    SEGUE_CLASS_MOVE,
    /* Integer arithmetic that leaves its memory operand as it is, or only writes it. */
    SEGUE_CLASS_ALU,
    /* Integer arithmetic that reads its memory operand and writes it back. */
    SEGUE_CLASS_RMW,
    /* The same in one locked operation. */
    SEGUE_CLASS_LOCK,
    /* MOVS, STOS, LODS, CMPS, SCAS, INS, OUTS. */
    SEGUE_CLASS_STRING,
    /* PUSH, POP, ENTER, LEAVE and their like. */
    SEGUE_CLASS_STACK,
    /* All that can change the instruction pointer within a program, calls and returns too. */
    SEGUE_CLASS_BRANCH,
    /* Between vector registers and memory, at most converted or broadcast on the way. */
    SEGUE_CLASS_SIMD_MOVE,
    /* Arithmetic on vector registers. */
    SEGUE_CLASS_SIMD_COMPUTE,
    SEGUE_CLASS_GATHER,
    SEGUE_CLASS_SCATTER,
    /* Mask registers, and moves of which a vector mask chooses the bytes: MASKMOV, compress,
     * expand. */
    SEGUE_CLASS_MASK,
    /* BT, BTC, BTR and BTS, whose memory operand is a string of bits. */
    SEGUE_CLASS_BIT,
    SEGUE_CLASS_X87,
    /* Saving, loading and resetting of x87, vector, tile and bounds state. */
    SEGUE_CLASS_STATE,
    /* Segment registers and their bases. */
    SEGUE_CLASS_SEGMENT,
    /* The operating system's instructions, and those that ask the processor about itself. */
    SEGUE_CLASS_SYSTEM,
    /* Instructions that do nothing a program can see: hints, prefetches, fences. */
    SEGUE_CLASS_NONE,
    /* How many there are. */
    SEGUE_CLASS_COUNT,
};

/* How a memory operand's address comes about. */
enum segue_addressing {
    /* segment:[base + index * scale + displacement], truncated to the address size. */
    SEGUE_ADDRESSING_PLAIN,
    /* The same, but the address has the stack's width, whatever the address size. */
    SEGUE_ADDRESSING_STACK,
    /* One element at base; with a repeat prefix as many as the count register says. */
    SEGUE_ADDRESSING_STRING,
    /* XLAT: base plus the lowest byte of index. */
    SEGUE_ADDRESSING_TABLE,
    /* As plain, and then rounded down to the size. */
    SEGUE_ADDRESSING_CACHE_LINE,
    /* As plain, and then moved by a bit offset in the register `mask`: by whole operands. */
    SEGUE_ADDRESSING_BIT_OFFSET,
    /* As plain, but index names a vector register: one access a lane. */
    SEGUE_ADDRESSING_VECTOR,
    /* As plain, and holds as many elements as the mask has bits set. */
    SEGUE_ADDRESSING_COMPRESSED,
    /* POPA: eight elements of the stack, of which the one for the stack pointer may not be read. */
    SEGUE_ADDRESSING_POP_ALL,
    /* IRET: as stack, but a task switch if the flags say that tasks are nested. `lanes` is 1 where
     * all words are read as one, else their number: the processor reads them one by one, and of
     * selectors only two bytes. */
    SEGUE_ADDRESSING_INTERRUPT_RETURN,
    /* ENTER: `lanes` is the nesting level, `displacement` what is allocated. */
    SEGUE_ADDRESSING_ENTER,
    /* As plain; a state area, laid out as the processor says. `lanes` is enum segue_state_area. */
    SEGUE_ADDRESSING_STATE,
};

/* The instructions of SEGUE_ADDRESSING_STATE. */
enum segue_state_area {
    SEGUE_STATE_XSAVE,
    SEGUE_STATE_XSAVEOPT,
    SEGUE_STATE_XSAVEC,
    SEGUE_STATE_XRSTOR,
};

/* What chooses the elements of a memory operand that are accessed. */
enum segue_masking {
    SEGUE_MASKING_NONE,
    /* The bits of an opmask register. */
    SEGUE_MASKING_OPMASK,
    /* The highest bit of each element of a vector register, or of an MMX register. */
    SEGUE_MASKING_SIGN_BITS,
    SEGUE_MASKING_MMX_SIGN_BITS,
};

/* Facts about an access; a bit set. */
enum segue_access_flags {
    /* One indivisible operation: locked, or a direct store of 64 bytes. */
    SEGUE_ACCESS_ATOMIC = 1,
    /* A mask was asked which elements to access; these are the ones that it let through. */
    SEGUE_ACCESS_MASKED = 2,
    /* A repeat prefix: this is the whole of all iterations, `size / element` of them. */
    SEGUE_ACCESS_REPEATED = 4,
    /* The elements are accessed from the highest address to the lowest. */
    SEGUE_ACCESS_DOWN = 8,
    /* REPE, REPNE: the data may end it before the last element. */
    SEGUE_ACCESS_UNTIL = 16,
    /* The architecture leaves it to the processor, or to state that it hides, whether this access
     * happens. */
    SEGUE_ACCESS_OPTIONAL = 32,
    /* It faults as such an access would, and neither reads nor writes. */
    SEGUE_ACCESS_PROBE = 64,
};

/* One memory operand as the instruction encodes it: a formula that registers turn into accesses. */
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
    /* Bytes, all elements together; 0 with SEGUE_ADDRESSING_STATE. */
    uint16_t size;
    /* Bytes of one element. */
    uint8_t element;
    /* What the address must be a multiple of, in bytes; 0 if anything will do. */
    uint8_t alignment;
    /* enum segue_masking, and the number of the mask's register. */
    uint8_t masking;
    uint8_t mask;
    /* How many bits of the mask count: bits i, i + elements, i + 2 * elements, ... belong to
     * element i. */
    uint8_t lanes;
    /* With SEGUE_ADDRESSING_VECTOR: bytes of one index. */
    uint8_t index_size;
    /* enum segue_access_flags. */
    uint8_t flags;
    /* enum segue_access_flags of an access that is made, or may be, to see whether all of a masked
     * operand is there, whatever the mask; 0 if there is none. */
    uint8_t probe;
    /* Sign-extended; EVEX's compressed displacements are already multiplied out. */
    int64_t displacement;
};

/* Facts about an instruction; a bit set. */
enum segue_insn_flags {
    /* A LOCK prefix, or an XCHG with memory: the access is one locked operation. */
    SEGUE_INSN_LOCKED = 1,
    /* A REP, REPE or REPNE prefix that repeats. */
    SEGUE_INSN_REPEATED = 2,
    /* What repeats compares, so that the data may end it. */
    SEGUE_INSN_CONDITIONAL = 4,
};

/* Why a list of accesses cannot be told. */
enum segue_unlisted {
    SEGUE_UNLISTED_NONE,
    /* Known from the instruction alone: */
    SEGUE_UNLISTED_SHADOW_STACK,
    SEGUE_UNLISTED_TILES,
    SEGUE_UNLISTED_BOUNDS,
    SEGUE_UNLISTED_PADLOCK,
    SEGUE_UNLISTED_PROFILING,
    SEGUE_UNLISTED_SYSTEM,
    SEGUE_UNLISTED_STATE_LAYOUT,
    /* Known with the registers only: */
    SEGUE_UNLISTED_XSTATE,
    SEGUE_UNLISTED_WRAPS,
    SEGUE_UNLISTED_NESTED_TASK,
    /* How many there are. */
    SEGUE_UNLISTED_COUNT,
};

/* One decoded instruction. It holds no address: the same bytes mean the same everywhere. */
struct segue_insn {
    uint8_t bytes[SEGUE_INSN_BYTES];
    /* How many of `bytes` are the instruction. */
    uint8_t length;
    /* The mnemonic by the library's own number, which never changes; 0 for one that has none yet.
     * segue_mnemonic_name gives it in letters. */
    uint16_t mnemonic;
    /* enum segue_mode. */
    uint8_t mode;
    /* Bytes of an effective address: 8, 4 or 2. */
    uint8_t address_size;
    /* enum segue_insn_flags. */
    uint8_t flags;
    /* Where in `bytes` the prefix stands that names the segment in effect; SEGUE_NO_PREFIX if there
     * is none. In 64-bit mode only FS and GS prefixes name one: the other four are null there and
     * cancel nothing. Whether an operand goes by it, the operand's own `segment` tells. */
    uint8_t segment_prefix;
    /* enum segue_class. */
    uint8_t class_;
    /* enum segue_unlisted: why segue_accesses cannot list this instruction, whatever the registers. */
    uint8_t unlisted;
    /* How many of `memory` are operands that are read or written, in the order in which they are. */
    uint8_t memory_count;
    struct segue_memory_operand memory[SEGUE_MEMORY_OPERANDS];
    /* What the engines need. */
    uint64_t private_[11];
};

/* One access to memory. */
struct segue_access {
    /* Linear address of the lowest byte, segment base included. */
    uint64_t address;
    /* Bytes, all elements together. */
    uint64_t size;
    /* enum segue_access_flags. */
    uint16_t flags;
    /* Bytes of one element; `size` is a multiple of it. */
    uint8_t element;
    /* enum segue_direction bits. */
    uint8_t direction;
    /* enum segue_segment. */
    uint8_t segment;
    /* The vector lane of the first element, where a mask or an index vector makes the accesses;
     * else 0. */
    uint8_t lane;
    /* What the operand's own address, `address - lane * element`, must be a multiple of, in bytes,
     * lest the processor raise #GP; 0 if anything will do. */
    uint8_t alignment;
    /* The number of the operand in `insn->memory`. */
    uint8_t operand;
};

/* Decodes the instruction that starts at `bytes`, of which `size` may be read. Returns SEGUE_OK;
 * SEGUE_TRUNCATED when the instruction is longer than `size`; SEGUE_UNDEFINED when the bytes are no
 * instruction; SEGUE_INVALID for a NULL pointer or an unknown mode. `insn` is written only with
 * SEGUE_OK. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_decode(enum segue_mode mode, const void *bytes, size_t size, struct segue_insn *insn);

/* Lists the accesses that the instruction will make with these registers, in the order in which it
 * makes them.
 *
 * What is listed is what the program asks for: not the processor's own use of page and descriptor
 * tables, of the task-state segment, of stacks of other privilege levels or of shadow stacks. Far
 * calls and returns are taken to stay in their privilege level, segments other than FS and GS to
 * begin at 0.
 *
 * Elements that follow each other in memory and in time are one access with `size / element`
 * elements: a string instruction with a repeat prefix makes one per operand (two, where it wraps
 * around in 32 bits), from its first element to its last, as if nothing interrupted it and, with
 * SEGUE_ACCESS_UNTIL, as if the data did not end it; in 64 bits it ends at the end of the address
 * space. CMPS and MOVS with a repeat prefix alternate between their two. A mask makes one access of
 * each run of lanes that it lets through, and none of the others. Gathers and scatters make one a
 * lane.
 *
 * `xstate` is needed where a mask or a vector of indices decides; it may be NULL elsewhere. Stores
 * how many there are in `count`, and as many as fit in the `capacity` entries of `accesses`.
 * Returns SEGUE_OK; SEGUE_TOO_SMALL when they did not fit; SEGUE_UNSUPPORTED when the list cannot
 * be told exactly (segue_accesses_unlisted tells why); SEGUE_INVALID for a NULL pointer. MT-Safe,
 * AS-Safe. */
SEGUE_API enum segue_status segue_accesses(const struct segue_insn *insn, const struct segue_regs *regs,
                                           const struct segue_xstate *xstate, struct segue_access *accesses,
                                           size_t capacity, size_t *count);

/* Why segue_accesses answers SEGUE_UNSUPPORTED to these arguments; SEGUE_UNLISTED_NONE if it does
 * not. MT-Safe, AS-Safe. */
SEGUE_API enum segue_unlisted segue_accesses_unlisted(const struct segue_insn *insn, const struct segue_regs *regs,
                                                      const struct segue_xstate *xstate);

/* The reason as a clause, "it moves ..."; a static string. MT-Safe, AS-Safe. */
SEGUE_API const char *segue_unlisted_text(enum segue_unlisted why);

/* The class's name, "simd-move"; "?" for a number that is none. MT-Safe, AS-Safe. */
SEGUE_API const char *segue_class_name(enum segue_class number);

/* The class of the mnemonic's plain form; an instruction's own form may belong to another, and
 * `insn->class_` tells that. SEGUE_CLASS_UNKNOWN for a number that is no mnemonic. MT-Safe,
 * AS-Safe. */
SEGUE_API enum segue_class segue_mnemonic_class(unsigned mnemonic);

/* The mnemonic in lower case, "mov"; "?" for a number that is none. MT-Safe, AS-Safe. */
SEGUE_API const char *segue_mnemonic_name(unsigned mnemonic);

/* The number of a mnemonic in lower case; 0 if there is none of that name. MT-Safe, AS-Safe. */
SEGUE_API unsigned segue_mnemonic_find(const char *name);

/* How many mnemonic numbers there are: each is below this. MT-Safe, AS-Safe. */
SEGUE_API unsigned segue_mnemonic_count(void);

/* How many instructions a cache remembers. */
#define SEGUE_CACHE_ENTRIES 1024

/* One place of a cache. */
struct SEGUE_ALIGNED(64) segue_cache_entry {
    uint64_t private_[24];
};

/* A cache of decoded instructions: fixed in size, lock-free, shared by any number of threads. All
 * zero bytes are an empty cache; it needs no initialisation and holds nothing to release. */
struct segue_cache {
    struct segue_cache_entry entries[SEGUE_CACHE_ENTRIES];
};

/* As segue_decode, by way of the cache. `address` is where the bytes stand; a remembered
 * instruction is used only if its bytes are those at hand, so code that changes is never mistaken.
 * What is remembered has its redirection already. Returns as segue_decode does; other than with
 * SEGUE_OK, what `insn` holds is unspecified. MT-Safe, AS-Safe; never waits for another thread. */
SEGUE_API enum segue_status segue_decode_cached(struct segue_cache *cache, enum segue_mode mode, uint64_t address,
                                                const void *bytes, size_t size, struct segue_insn *insn);

SEGUE_END

#endif
