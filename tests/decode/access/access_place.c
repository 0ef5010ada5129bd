/* access_place.c: the arenas, and registers and vector state with which an instruction's operands lie in them. */
#include "access_run.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/differential/states/oracle.h"
#include "tests/support/processor/compat.h"

#define ARCH_GET_FS 0x1003
#define ARENAS_BASE 0x18000000u
/* An edge that 16 bits reach, with room on both sides. */
#define LOW_EDGE 0x8000u
/* A bit offset in the base register itself takes an operand an eighth too far, and an eighth of that the next time. */
#define SETTLE_TRIES 12
/* CF PF AF ZF SF DF OF. */
#define FLAGS_FREE 0xcd5u
#define XSTATE_BV 512
#define COMPONENTS 19
#define MXCSR 24

static uint64_t fs_base;
/* Where the roaming arena is; 0: nowhere. */
static uint64_t roaming;
_Alignas(64) uint8_t image[IMAGE_MAX];
uint8_t before[ARENAS][ARENA_SIZE];

uint8_t *arena(unsigned number)
{
    return (uint8_t *)(uintptr_t)(number == ROAMING ? roaming : ARENAS_BASE + number * ARENA_STRIDE);
}

uint64_t arena_middle(unsigned number)
{
    return (uint64_t)(uintptr_t)arena(number) + ARENA_SIZE / 2;
}

unsigned arena_of(uint64_t address, uint64_t size)
{
    uint64_t offset = address - ARENAS_BASE;
    if (roaming && address - roaming < ARENA_SIZE && address - roaming + size <= ARENA_SIZE)
        return ROAMING;
    bool inside = offset < (uint64_t)REGISTERS * ARENA_STRIDE && offset % ARENA_STRIDE < ARENA_SIZE &&
                  offset % ARENA_STRIDE + size <= ARENA_SIZE;
    return inside ? (unsigned)(offset / ARENA_STRIDE) : ARENAS;
}

bool in_arenas(uint64_t address, uint64_t size)
{
    return arena_of(address, size) != ARENAS;
}

/* Puts the roaming arena around the edge at `edge`. False if there is something else, or nothing can be. */
static bool roam(uint64_t edge)
{
    uint64_t base = edge / PAGE * PAGE - ARENA_SIZE / 2;
    if (base == roaming)
        return true;
    if (roaming)
        munmap((void *)(uintptr_t)roaming, ARENA_SIZE);
    roaming = 0;
    if (base == 0 || base > UINT64_MAX - ARENA_SIZE)
        return false;
    void *mapped = mmap((void *)(uintptr_t)base, ARENA_SIZE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (mapped != (void *)(uintptr_t)base)
        return false;
    roaming = base;
    memset(before[ROAMING], 0, ARENA_SIZE);
    return true;
}

/* Pages whose protection changes are mappings of their own, so that nothing has to be split and joined each time: every
 * second one has a property that its neighbours lack. */
static void keep_apart(uint8_t *pages)
{
    for (unsigned i = 0; i < ARENA_PAGES; i += 2)
        madvise(pages + i * (size_t)PAGE, PAGE, MADV_DONTDUMP);
}

const char *access_prepare(enum segue_mode mode)
{
    for (unsigned i = 0; i < REGISTERS; i++) {
        if (mmap(arena(i), ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
                 0) != arena(i))
            return "the addresses for the arenas are taken";
        keep_apart(arena(i));
    }
    syscall(SYS_arch_prctl, ARCH_GET_FS, &fs_base);
    /* The stack pointer is an operand like any other when a signal comes. */
    static uint8_t stack[65536];
    if (sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL) != 0)
        return "there can be no alternate stack";
    const char *why = oracle_prepare(SLOT_BASE, SLOTS);
    return why || mode == SEGUE_MODE_64 ? why : compat_prepare();
}

enum segue_status run_list(struct run *run)
{
    return segue_accesses(run->insn, &run->regs, &run->xstate, run->accesses, SEGUE_ACCESSES_MOST, &run->count);
}

/* ---- the state before ------------------------------------------------------------------------------------------ */

/* Vectors at random, and every exception of x87 and SSE masked. */
static void random_image(struct random *random)
{
    static const uint8_t control[] = {0x7f, 0x03};
    static const uint8_t mxcsr[] = {0x80, 0x1f, 0, 0};
    oracle_image_random(random, image);
    memcpy(image, control, sizeof control);
    /* Exception flags and the busy bit clear, any top of stack; all registers empty, valid or both. */
    image[2] = 0;
    image[3] &= 0x38;
    memcpy(image + MXCSR, mxcsr, sizeof mxcsr);
}

/* Indices for gathers that stay in the arena. */
static void tame_indices(const struct segue_memory_operand *memory, struct random *random)
{
    static const struct {
        unsigned component, first, size;
    } parts[] = {{1, 0, 16}, {2, 16, 16}, {6, 32, 32}};
    uint8_t vector[64];
    const unsigned number = memory->index;
    for (unsigned lane = 0; lane < 64u / memory->index_size; lane++) {
        int64_t index = (int64_t)random_below(random, 2000) - 1000;
        memcpy(vector + lane * memory->index_size, &index, memory->index_size);
    }
    size_t count;
    const struct oracle_component *components = oracle_components(&count);
    uint64_t in_use;
    memcpy(&in_use, image + XSTATE_BV, sizeof in_use);
    in_use |= oracle_features() & 0xe6;
    memcpy(image + XSTATE_BV, &in_use, sizeof in_use);
    if (number < 16)
        memcpy(image + 160 + number * 16, vector, 16);
    for (size_t i = 0; i < count; i++) {
        if (number < 16 && strcmp(components[i].name, "ymm_hi128") == 0)
            memcpy(image + components[i].offset + number * 16, vector + parts[1].first, parts[1].size);
        if (number < 16 && strcmp(components[i].name, "zmm_hi256") == 0)
            memcpy(image + components[i].offset + number * 32, vector + parts[2].first, parts[2].size);
        if (number >= 16 && strcmp(components[i].name, "hi16_zmm") == 0)
            memcpy(image + components[i].offset + (number - 16) * 64, vector, 64);
    }
}

/* Registers that are no base get values that keep the address near. */
static void tame_registers(struct run *run)
{
    for (size_t i = 0; i < run->insn->memory_count; i++) {
        const struct segue_memory_operand *memory = &run->insn->memory[i];
        bool plain_index = memory->scale && memory->addressing != SEGUE_ADDRESSING_VECTOR;
        if (plain_index && memory->index != memory->base && memory->index != SEGUE_REGISTER_NONE)
            *segue_register_at(&run->regs, memory->index) = random_below(run->random, 64);
        if (memory->addressing == SEGUE_ADDRESSING_VECTOR)
            tame_indices(memory, run->random);
        if (memory->addressing == SEGUE_ADDRESSING_BIT_OFFSET && memory->mask != memory->base)
            *segue_register_at(&run->regs, memory->mask) =
                (uint64_t)((int64_t)random_below(run->random, 160000) - 80000);
        if (memory->addressing == SEGUE_ADDRESSING_STATE) {
            /* Protection keys and tiles among them: what is loaded of those is their initial state, or nothing. */
            run->regs.rax = random_below(run->random, 1u << COMPONENTS);
            run->regs.rdx = 0;
        }
    }
    if (run->insn->flags & SEGUE_INSN_REPEATED)
        run->regs.rcx = random_below(run->random, 40);
}

void run_random_state(struct run *run)
{
    random_image(run->random);
    run->regs.rflags = (random_next(run->random) & FLAGS_FREE) | FLAGS_SET;
    for (unsigned i = 0; i < REGISTERS; i++)
        *segue_register_at(&run->regs, i) = arena_middle(i) + 64 * random_below(run->random, 16);
    run->regs.fs_base = fs_base;
    run->regs.gs_base = random_below(run->random, 3) * PAGE;
    run->xstate = (struct segue_xstate){
        .area = image, .size = (uint32_t)oracle_image_size(), .features = oracle_features() & 0xe7};
    run->regs.rip = oracle_slot_address(run->slot, run->insn->length);
    tame_registers(run);
}

/* The register that moves an operand, and how far it does; REGISTERS if none does. */
static unsigned mover_of(const struct segue_memory_operand *memory, int64_t *factor)
{
    bool has_index = memory->scale && memory->addressing != SEGUE_ADDRESSING_VECTOR;
    *factor = has_index && memory->index == memory->base ? 1 + memory->scale : 1;
    if (memory->base < REGISTERS)
        return memory->base;
    *factor = memory->scale;
    return memory->base == SEGUE_REGISTER_NONE && has_index ? memory->index : REGISTERS;
}

/* Moves the instruction so that an operand relative to it has its byte `inside` at the edge of a page. */
static void move_slot(struct run *run, uint64_t address, uint64_t inside)
{
    uint64_t end = run->regs.rip;
    for (size_t slot = 0; slot < SLOTS; slot++) {
        run->regs.rip = oracle_slot_address(slot, run->insn->length);
        run->slot = slot;
        if ((address + run->regs.rip - end + inside) % PAGE == 0)
            return;
    }
}

/* Where an operand can be put. */
enum reach {
    REACH_ARENAS,
    /* With 32 bits of address, all that FS leads to lies close above its base, which is the host's. */
    REACH_ABOVE_FS,
    /* With 16, all lies below 64 KiB. */
    REACH_LOW,
};

static enum reach reach_of(const struct segue_insn *insn, const struct segue_memory_operand *memory)
{
    bool on_stack = memory->addressing == SEGUE_ADDRESSING_STACK || memory->addressing == SEGUE_ADDRESSING_ENTER ||
                    memory->addressing == SEGUE_ADDRESSING_POP_ALL ||
                    memory->addressing == SEGUE_ADDRESSING_INTERRUPT_RETURN;
    if (on_stack || insn->address_size == 8)
        return REACH_ARENAS;
    if (insn->address_size == 2)
        return REACH_LOW;
    return memory->segment == SEGUE_SEGMENT_FS ? REACH_ABOVE_FS : REACH_ARENAS;
}

bool run_place(struct run *run, size_t number, uint64_t inside)
{
    const struct segue_access *access = &run->accesses[number];
    const struct segue_memory_operand *memory = &run->insn->memory[access->operand];
    int64_t factor;
    unsigned mover = mover_of(memory, &factor);
    if (mover < REGISTERS) {
        enum reach reach = reach_of(run->insn, memory);
        int64_t distance = (int64_t)(arena_middle(mover) - inside - access->address);
        if (reach == REACH_LOW)
            distance = (int64_t)(LOW_EDGE - inside - access->address);
        else if (reach == REACH_ABOVE_FS)
            distance = -(int64_t)((access->address + inside) % PAGE);
        *segue_register_at(&run->regs, mover) += (uint64_t)(distance / factor);
        if (run_list(run) != SEGUE_OK || number >= run->count)
            return false;
        return reach == REACH_ARENAS || roam(access->address + inside);
    }
    if (memory->base == SEGUE_RIP) {
        move_slot(run, access->address, inside);
        if (run_list(run) != SEGUE_OK || number >= run->count)
            return false;
    }
    return roam(access->address + inside);
}

bool run_in_arenas(const struct run *run)
{
    for (size_t i = 0; i < run->count; i++)
        if (!in_arenas(run->accesses[i].address, run->accesses[i].size))
            return false;
    return true;
}

bool run_settle(struct run *run)
{
    for (unsigned tries = 0; tries < SETTLE_TRIES && run_list(run) == SEGUE_OK; tries++) {
        if (run_in_arenas(run))
            return true;
        for (size_t i = 0; i < run->count; i++)
            if (!in_arenas(run->accesses[i].address, run->accesses[i].size) && !run_place(run, i, 0))
                return false;
    }
    return false;
}
