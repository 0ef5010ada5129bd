/* decode.h: decodes instructions, and lists the memory accesses that an instruction will make with
 * given registers.
 *
 * All functions here are pure: they do not allocate or lock, and access no memory except their
 * arguments. They are therefore async-signal-safe and thread-safe.
 *
 * SOURCES: Intel SDM volume 2, chapter 2 (instruction format); AMD APM volume 3, chapter 1; Zydis
 * 4.0. */
#ifndef SEGUE_DECODE_H
#define SEGUE_DECODE_H

#include <segue/regs.h>

SEGUE_BEGIN

/* The maximum length of an instruction in bytes. */
#define SEGUE_INSN_BYTES 15
/* The value of `segment_prefix` if the instruction has no such prefix. */
#define SEGUE_NO_PREFIX 0xff
/* The maximum number of memory operands of an instruction, including implicit ones. */
#define SEGUE_MEMORY_OPERANDS 2
/* The maximum number of accesses of an instruction. The longest list is that of ENTER at nesting
 * level 31, with 63. */
#define SEGUE_ACCESSES_MOST 64

/* The processor mode in which the bytes are decoded. */
enum segue_mode {
    SEGUE_MODE_64,
    SEGUE_MODE_32,
};

/* The kind of work that an instruction does; the engines choose by it. docs/decode.md lists the
 * classes. */
enum segue_class {
    /* Not a mnemonic number. */
    SEGUE_CLASS_UNKNOWN,
    /* Moves between general registers and memory, without arithmetic. */
    SEGUE_CLASS_MOVE,
    /* Integer arithmetic that only reads, or only writes, its memory operand. */
    SEGUE_CLASS_ALU,
    /* Integer arithmetic that reads its memory operand and writes it back. */
    SEGUE_CLASS_RMW,
    /* The same as one locked operation. */
    SEGUE_CLASS_LOCK,
    /* MOVS, STOS, LODS, CMPS, SCAS, INS, OUTS. */
    SEGUE_CLASS_STRING,
    /* PUSH, POP, ENTER, LEAVE and similar. */
    SEGUE_CLASS_STACK,
    /* Every instruction that can change the instruction pointer within a program, including calls
     * and returns. */
    SEGUE_CLASS_BRANCH,
    /* Moves between vector registers and memory, with at most a conversion or a broadcast. */
    SEGUE_CLASS_SIMD_MOVE,
    /* Arithmetic on vector registers. */
    SEGUE_CLASS_SIMD_COMPUTE,
    SEGUE_CLASS_GATHER,
    SEGUE_CLASS_SCATTER,
    /* Mask-register instructions, and moves that select bytes by a vector mask: MASKMOV, compress,
     * expand. */
    SEGUE_CLASS_MASK,
    /* BT, BTC, BTR and BTS, whose memory operand is a bit string. */
    SEGUE_CLASS_BIT,
    SEGUE_CLASS_X87,
    /* Instructions that save, load or reset x87, vector, tile or bounds state. */
    SEGUE_CLASS_STATE,
    /* Instructions on segment registers and their bases. */
    SEGUE_CLASS_SEGMENT,
    /* Privileged and system instructions, and those that query the processor. */
    SEGUE_CLASS_SYSTEM,
    /* Instructions without a visible effect: hints, prefetches, fences. */
    SEGUE_CLASS_NONE,
    /* The number of classes. */
    SEGUE_CLASS_COUNT,
};

/* How a memory operand's address is formed. */
enum segue_addressing {
    /* segment:[base + index * scale + displacement], truncated to the address size. */
    SEGUE_ADDRESSING_PLAIN,
    /* The same, but the address has the stack's width, whatever the address size. */
    SEGUE_ADDRESSING_STACK,
    /* One element at base; with a repeat prefix, as many elements as the count register says. */
    SEGUE_ADDRESSING_STRING,
    /* XLAT: base plus the lowest byte of index. */
    SEGUE_ADDRESSING_TABLE,
    /* As plain, then rounded down to a multiple of the size. */
    SEGUE_ADDRESSING_CACHE_LINE,
    /* As plain, then advanced by the bit offset in the register `mask`, in whole operands. */
    SEGUE_ADDRESSING_BIT_OFFSET,
    /* As plain, but index is a vector register: one access for each lane. */
    SEGUE_ADDRESSING_VECTOR,
    /* As plain, with as many elements as the mask has bits set. */
    SEGUE_ADDRESSING_COMPRESSED,
    /* POPA: eight elements of the stack, of which the one for the stack pointer may not be read. */
    SEGUE_ADDRESSING_POP_ALL,
    /* IRET: as stack, but a task switch if the flags say that tasks are nested. `lanes` is 1 where
     * all words are read as one, else their number: the processor reads them one by one, and of
     * selectors only two bytes. */
    SEGUE_ADDRESSING_INTERRUPT_RETURN,
    /* ENTER: `lanes` is the nesting level, `displacement` the number of bytes allocated. */
    SEGUE_ADDRESSING_ENTER,
    /* As plain; a state area whose layout the processor defines. `lanes` is enum
     * segue_state_area. */
    SEGUE_ADDRESSING_STATE,
};

/* The instructions of SEGUE_ADDRESSING_STATE. */
enum segue_state_area {
    SEGUE_STATE_XSAVE,
    SEGUE_STATE_XSAVEOPT,
    SEGUE_STATE_XSAVEC,
    SEGUE_STATE_XRSTOR,
};

/* What selects the elements of a memory operand that are accessed. */
enum segue_masking {
    SEGUE_MASKING_NONE,
    /* The bits of an opmask register. */
    SEGUE_MASKING_OPMASK,
    /* The highest bit of each element of a vector register, or of an MMX register. */
    SEGUE_MASKING_SIGN_BITS,
    SEGUE_MASKING_MMX_SIGN_BITS,
};

/* Properties of an access; a bit set. */
enum segue_access_flags {
    /* One atomic operation: locked, or a direct store of 64 bytes. */
    SEGUE_ACCESS_ATOMIC = 1,
    /* A mask selects the elements; the access has only elements that the mask selects. */
    SEGUE_ACCESS_MASKED = 2,
    /* A repeat prefix: the access covers all iterations, `size / element` of them. */
    SEGUE_ACCESS_REPEATED = 4,
    /* The elements are accessed from the highest address to the lowest. */
    SEGUE_ACCESS_DOWN = 8,
    /* REPE, REPNE: the data may end the instruction before the last element. */
    SEGUE_ACCESS_UNTIL = 16,
    /* The architecture leaves it to the processor, or to hidden state, whether this access
     * happens. */
    SEGUE_ACCESS_OPTIONAL = 32,
    /* A probe: it can fault as an access does, but moves no data. */
    SEGUE_ACCESS_PROBE = 64,
};

/* One memory operand as the instruction encodes it: a formula that gives accesses once the
 * registers are known. */
struct segue_memory_operand {
    /* enum segue_segment: the effective segment, after overrides and defaults. */
    uint8_t segment;
    /* enum segue_register: general register, SEGUE_RIP or SEGUE_REGISTER_NONE. */
    uint8_t base;
    /* enum segue_register; with SEGUE_ADDRESSING_VECTOR, the number of the vector register. */
    uint8_t index;
    /* The factor of the index: 1, 2, 4 or 8; 0 without an index. */
    uint8_t scale;
    /* enum segue_direction bits. */
    uint8_t direction;
    /* enum segue_addressing. */
    uint8_t addressing;
    /* Bytes of all elements together; 0 with SEGUE_ADDRESSING_STATE. */
    uint16_t size;
    /* Bytes of one element. */
    uint8_t element;
    /* The required alignment of the address in bytes; 0 if no alignment is required. */
    uint8_t alignment;
    /* enum segue_masking, and the number of the mask's register. */
    uint8_t masking;
    uint8_t mask;
    /* The number of mask bits that count: bits i, i + elements, i + 2 * elements, ... belong to
     * element i. */
    uint8_t lanes;
    /* With SEGUE_ADDRESSING_VECTOR: bytes of one index. */
    uint8_t index_size;
    /* enum segue_access_flags. */
    uint8_t flags;
    /* The enum segue_access_flags of an additional access by which the processor checks, or may
     * check, that the whole masked operand is accessible, whatever the mask; 0 if the operand has
     * no such access. */
    uint8_t probe;
    /* Sign-extended; a compressed displacement of EVEX is already scaled. */
    int64_t displacement;
};

/* Properties of an instruction; a bit set. */
enum segue_insn_flags {
    /* A LOCK prefix, or an XCHG with memory: the access is one locked operation. */
    SEGUE_INSN_LOCKED = 1,
    /* A REP, REPE or REPNE prefix that takes effect. */
    SEGUE_INSN_REPEATED = 2,
    /* The repeated instruction compares, so the data may end it. */
    SEGUE_INSN_CONDITIONAL = 4,
};

/* Why an instruction has no exact access list. */
enum segue_unlisted {
    SEGUE_UNLISTED_NONE,
    /* From the instruction alone: */
    SEGUE_UNLISTED_SHADOW_STACK,
    SEGUE_UNLISTED_TILES,
    SEGUE_UNLISTED_BOUNDS,
    SEGUE_UNLISTED_PADLOCK,
    SEGUE_UNLISTED_PROFILING,
    SEGUE_UNLISTED_SYSTEM,
    SEGUE_UNLISTED_STATE_LAYOUT,
    /* From the instruction and the registers: */
    SEGUE_UNLISTED_XSTATE,
    SEGUE_UNLISTED_WRAPS,
    SEGUE_UNLISTED_NESTED_TASK,
    /* The number of reasons. */
    SEGUE_UNLISTED_COUNT,
};

/* One decoded instruction. It contains no address: the same bytes have the same meaning
 * everywhere. */
struct segue_insn {
    uint8_t bytes[SEGUE_INSN_BYTES];
    /* The instruction's length: how many of `bytes` are used. */
    uint8_t length;
    /* The mnemonic's number, which is the library's own and never changes; 0 for an instruction
     * whose mnemonic has no number yet. segue_mnemonic_name gives its name. */
    uint16_t mnemonic;
    /* enum segue_mode. */
    uint8_t mode;
    /* Size of an effective address in bytes: 8, 4 or 2. */
    uint8_t address_size;
    /* enum segue_insn_flags. */
    uint8_t flags;
    /* The index in `bytes` of the effective segment prefix; SEGUE_NO_PREFIX if the instruction has
     * no such prefix. In 64-bit mode only FS and GS prefixes have an effect: the other four are
     * null prefixes and cancel nothing. An operand's `segment` says whether the operand uses it. */
    uint8_t segment_prefix;
    /* enum segue_class. */
    uint8_t class_;
    /* enum segue_unlisted: why segue_accesses cannot list this instruction, whatever the
     * registers. */
    uint8_t unlisted;
    /* How many entries of `memory` are operands that the instruction reads or writes, in the order
     * of access. */
    uint8_t memory_count;
    struct segue_memory_operand memory[SEGUE_MEMORY_OPERANDS];
    /* For the engines. */
    uint64_t private_[11];
};

/* One memory access. */
struct segue_access {
    /* Linear address of the lowest byte, including the segment base. */
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
    /* The vector lane of the first element if a mask or an index vector selects the elements;
     * otherwise 0. */
    uint8_t lane;
    /* The required alignment in bytes of the operand's address, `address - lane * element`: the
     * processor raises #GP if it is violated. 0 if no alignment is required. */
    uint8_t alignment;
    /* The operand's index in `insn->memory`. */
    uint8_t operand;
};

/* Decodes the instruction at `bytes`, of which `size` bytes may be read. Returns SEGUE_OK;
 * SEGUE_TRUNCATED if the instruction is longer than `size`; SEGUE_UNDEFINED if the bytes are not an
 * instruction; SEGUE_INVALID for a NULL pointer or an unknown mode. `insn` is written only with
 * SEGUE_OK. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_decode(enum segue_mode mode, const void *bytes, size_t size,
                                         struct segue_insn *insn);

/* Lists the accesses that the instruction will make with these registers, in the order of
 * execution.
 *
 * The list has the accesses that the program requests. It omits the processor's own accesses to
 * page tables, descriptor tables, the task-state segment, stacks of other privilege levels and
 * shadow stacks. It assumes that far calls and returns stay in their privilege level, and that
 * segments other than FS and GS begin at 0.
 *
 * Elements that are adjacent in memory and in time are one access with `size / element` elements. A
 * string instruction with a repeat prefix has one access for each operand, from its first element
 * to its last (two if it wraps around in 32 bits), as if no interrupt stopped it and, with
 * SEGUE_ACCESS_UNTIL, as if the data did not end it. In 64 bits the access ends at the end of the
 * address space. CMPS and MOVS with a repeat prefix alternate between their two accesses. A mask
 * gives one access for each run of selected lanes, and none for the others. A gather or scatter has
 * one access for each lane.
 *
 * `xstate` is needed if a mask or a vector of indices selects the accesses; otherwise it may be
 * NULL. The function stores the number of accesses in `count`, and as many as fit in the `capacity`
 * entries of `accesses`. Returns SEGUE_OK; SEGUE_TOO_SMALL if they did not fit; SEGUE_UNSUPPORTED
 * if the instruction has no exact list (segue_accesses_unlisted gives the reason); SEGUE_INVALID
 * for a NULL pointer. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_accesses(const struct segue_insn *insn,
                                           const struct segue_regs *regs,
                                           const struct segue_xstate *xstate,
                                           struct segue_access *accesses, size_t capacity,
                                           size_t *count);

/* The reason why segue_accesses returns SEGUE_UNSUPPORTED for these arguments; SEGUE_UNLISTED_NONE
 * if it does not. MT-Safe, AS-Safe. */
SEGUE_API enum segue_unlisted segue_accesses_unlisted(const struct segue_insn *insn,
                                                      const struct segue_regs *regs,
                                                      const struct segue_xstate *xstate);

/* The reason as a clause, "it moves ..."; a static string. MT-Safe, AS-Safe. */
SEGUE_API const char *segue_unlisted_text(enum segue_unlisted why);

/* The class's name, for example "simd-move"; "?" for an unknown number. The string is static.
 * MT-Safe, AS-Safe. */
SEGUE_API const char *segue_class_name(enum segue_class number);

/* The class of the mnemonic's plain form. One form of an instruction may belong to another class;
 * `insn->class_` has that. Returns SEGUE_CLASS_UNKNOWN for an unknown number. MT-Safe, AS-Safe. */
SEGUE_API enum segue_class segue_mnemonic_class(unsigned mnemonic);

/* The mnemonic in lower case, for example "mov"; "?" for an unknown number. The string is static.
 * MT-Safe, AS-Safe. */
SEGUE_API const char *segue_mnemonic_name(unsigned mnemonic);

/* The number of a mnemonic given in lower case; 0 if the name is unknown. MT-Safe, AS-Safe. */
SEGUE_API unsigned segue_mnemonic_find(const char *name);

/* The number of mnemonic numbers: each is below this. MT-Safe, AS-Safe. */
SEGUE_API unsigned segue_mnemonic_count(void);

/* The number of instructions that a cache holds. */
#define SEGUE_CACHE_ENTRIES 1024

/* One slot of a cache. */
struct SEGUE_ALIGNED(64) segue_cache_entry {
    uint64_t private_[24];
};

/* A cache of decoded instructions: of fixed size, lock-free, shared by any number of threads. All
 * zero bytes are an empty cache; it needs no initialisation and no release. */
struct segue_cache {
    struct segue_cache_entry entries[SEGUE_CACHE_ENTRIES];
};

/* As segue_decode, through a cache. `address` is the address of the bytes. The cache compares the
 * bytes before it uses an entry, so changed code is never mistaken for what was there before. A
 * cached instruction has its operand relocation already. Returns as segue_decode; `insn` is
 * unspecified with any status but SEGUE_OK. Never waits for another thread. MT-Safe, AS-Safe. */
SEGUE_API enum segue_status segue_decode_cached(struct segue_cache *cache, enum segue_mode mode,
                                                uint64_t address, const void *bytes, size_t size,
                                                struct segue_insn *insn);

SEGUE_END

#endif
