/* block.c: reads the original instructions of a body (see block.h). */
#include "block.h"

#include <string.h>

#include "decode/relocate/displaceable_cache.h"
#include "decode/relocate/flow.h"
#include "decode/relocate/length.h"

#define LARGEST_ACCESS 64
/* The quickest outline looks at more bytes than an instruction has. */
#define OUTLINE_BYTES 24u
#define OPCODE_POPF 0x9d

/* POPF may set the trap flag, whose trap comes behind the next instruction. */
static bool is_popf(const struct displaceable *form)
{
    return !form->modrm && form->bytes[form->opcode] == OPCODE_POPF;
}

/* A store through FS or GS may begin a restartable sequence of the thread's, in which the system looks at RIP. */
static bool is_thread_store(const struct displaceable *form)
{
    return form->operand != DISPLACED_OPERAND_NONE && form->memory.segment >= SEGUE_SEGMENT_FS &&
           (form->memory.direction & SEGUE_WRITE);
}

static bool can_be_checked(const struct displaceable *form)
{
    unsigned size = form->memory.size;
    return form->operand != DISPLACED_OPERAND_NONE && (form->is_plain || form->is_masked) && size <= LARGEST_ACCESS &&
           (size & (size - 1)) == 0 && !(form->memory.base == SEGUE_RSP && form->effects.uses_stack);
}

/* Other accesses are checked only where one has faulted: they address the stack, or one constant place. */
static bool is_usually_checked(const struct displaceable *form)
{
    const struct segue_memory_operand *memory = &form->memory;
    if (memory->base == SEGUE_RSP || memory->base == SEGUE_RIP)
        return false;
    return memory->base != SEGUE_REGISTER_NONE || memory->index != SEGUE_REGISTER_NONE;
}

enum body_check body_check_of(const struct displaceable *form)
{
    if (!can_be_checked(form))
        return BODY_CHECK_NEVER;
    return is_usually_checked(form) ? BODY_CHECK_ALWAYS : BODY_CHECK_IF_ASKED;
}

static bool wants_check(const struct body_request *request, const struct displaceable *form)
{
    /* A call needs the check's frame. */
    if (request->is_moved && form->flow != DISPLACED_FLOW_CALL_INDIRECT)
        return false;
    enum body_check check = body_check_of(form);
    return check == BODY_CHECK_ALWAYS ||
           (check == BODY_CHECK_IF_ASKED &&
            (form->address == request->site ||
             (request->is_checked && request->is_checked(request->context, form->address))));
}

/* The kind. False, and `why`, if the block ends before the instruction. */
static bool classify(const struct body_request *request, struct block_instruction *instruction, const char **why)
{
    const struct displaceable *form = &instruction->form;
    bool is_checked = wants_check(request, form);
    switch ((enum displaced_flow)form->flow) {
    case DISPLACED_FLOW_NEXT:
        instruction->kind = is_checked ? BLOCK_CHECKED : BLOCK_PLAIN;
        break;
    case DISPLACED_FLOW_CONDITIONAL:
        instruction->kind = BLOCK_CONDITIONAL;
        break;
    case DISPLACED_FLOW_JUMP:
        instruction->kind = BLOCK_JUMP;
        break;
    case DISPLACED_FLOW_JUMP_INDIRECT:
        instruction->kind = is_checked ? BLOCK_CHECKED_JUMP : BLOCK_LAST;
        break;
    case DISPLACED_FLOW_RETURN:
        instruction->kind = BLOCK_LAST;
        break;
    case DISPLACED_FLOW_CALL_INDIRECT:
        instruction->kind = BLOCK_CHECKED_CALL;
        *why = request->shadow_stack ? "it is a call, and the processor checks return addresses"
                                     : "it is a call, whose return address would be the copy's";
        return is_checked && !request->shadow_stack && form->memory.base != SEGUE_RSP;
    default:
        *why = "it must run at its own address";
        return false;
    }
    if (form->is_recorded)
        *why = "it leaves its own address in the x87 state";
    else if (is_thread_store(form))
        *why = "it stores through FS or GS, which may begin a restartable sequence";
    else if (is_popf(form))
        *why = "it loads the trap flag";
    else
        return true;
    return false;
}

static bool is_end(const struct block_instruction *instruction)
{
    return instruction->kind >= BLOCK_JUMP;
}

static bool decode_form(struct decode_scratch *decode, const struct body_request *request, uint64_t address,
                        const uint8_t *bytes, size_t size, struct displaceable *form)
{
    return request->cache ? displaceable_find(request->cache, decode, address, bytes, size, form)
                          : displaceable_make(decode, address, bytes, size, form);
}

static void note_needs(struct block_instruction *instruction)
{
    const struct effects *effects = &instruction->form.effects;
    instruction->needs_flags =
        effects->flags_read != 0 || (effects->flags_written != 0 && !effects_overwrite_flags(effects));
    instruction->needs_stack = effects->uses_stack || is_end(instruction);
    instruction->needs_carry = instruction->needs_flags && !instruction->needs_stack &&
                               (effects->flags_written | FLAG_CARRY) == FLAGS_ARITHMETIC &&
                               (effects->flags_read & ~FLAG_CARRY) == 0;
}

const char *block_read(struct decode_scratch *decode, const struct body_request *request, struct block *block)
{
    const char *why = NULL;
    unsigned records = 0;
    uint64_t end = request->site;
    block->count = 0;
    memset(block->targets, 0, sizeof block->targets);
    memset(block->ends, 0, sizeof block->ends);
    block->way_count = 0;
    while (block->count < request->most_instructions && block->count < BODY_INSTRUCTIONS) {
        struct block_instruction *instruction = &block->instructions[block->count];
        uint8_t bytes[SEGUE_INSN_BYTES];
        size_t size = request->read_code(request->context, end, bytes, sizeof bytes);
        why = "its bytes are no instruction";
        if (!decode_form(decode, request, end, bytes, size, &instruction->form) ||
            !classify(request, instruction, &why))
            break;
        why = "there is no room for its record";
        if (block_is_checked(instruction) && request->mode != BODY_LED && records++ == request->most_records)
            break;
        note_needs(instruction);
        block->count++;
        end += instruction->form.length;
        if (is_end(instruction))
            break;
    }
    return block->count ? NULL : why;
}

/* The table of a body has addresses by their distance. */
static bool is_near(const struct body_request *request, uint64_t address)
{
    int64_t distance = (int64_t)(address - request->site);
    return distance == (int32_t)distance;
}

/* Whether it is a branch that ends a way, if that is seen without decoding it. */
static bool leads_elsewhere(uint64_t address, const uint8_t *bytes, size_t size)
{
    struct outline outline;
    enum displaced_flow flow;
    uint64_t target;
    return length_outline(bytes, size, &outline) && !length_may_access(bytes, &outline) &&
           flow_outline(address, bytes, &outline, &flow, &target) && flow != DISPLACED_FLOW_NEXT &&
           flow != DISPLACED_FLOW_JUMP;
}

/* The next instruction of a way. False if it ends there: `is_site`, or elsewhere. */
static bool read_way(struct decode_scratch *decode, const struct body_request *request, uint64_t address,
                     struct block_instruction *instruction, bool *is_site)
{
    const char *why;
    uint8_t bytes[OUTLINE_BYTES];
    struct displaceable *form = &instruction->form;
    size_t size = request->read_code(request->context, address, bytes, sizeof bytes);
    *is_site = false;
    if (!is_near(request, address) || leads_elsewhere(address, bytes, size) ||
        !decode_form(decode, request, address, bytes, size, form))
        return false;
    *is_site = wants_check(request, form);
    if (*is_site || !classify(request, instruction, &why))
        return false;
    note_needs(instruction);
    return instruction->kind == BLOCK_JUMP || (instruction->kind == BLOCK_PLAIN && !instruction->needs_stack);
}

void block_follow(struct decode_scratch *decode, const struct body_request *request, struct block *block,
                  uint64_t address, struct block_exit *exit)
{
    unsigned count = block->way_count, most = count + BLOCK_WAY < BLOCK_WAYS ? count + BLOCK_WAY : BLOCK_WAYS - 1;
    bool is_site = false;
    *exit = (struct block_exit){.kind = BLOCK_EXIT_ELSEWHERE, .first = (uint8_t)count};
    if (count == BLOCK_WAYS)
        return;
    for (unsigned jumps = 0; jumps < BLOCK_WAY;) {
        struct block_instruction *instruction = &block->ways[count];
        if (!read_way(decode, request, address, instruction, &is_site) || count == most)
            break;
        bool is_jump = instruction->kind == BLOCK_JUMP;
        address = is_jump ? instruction->form.target : address + instruction->form.length;
        jumps += is_jump;
        count += !is_jump;
    }
    if (!is_site)
        return;
    exit->kind = BLOCK_EXIT_TO_SITE;
    exit->count = (uint8_t)(count - exit->first);
    exit->site = address;
    block->way_count = count + 1;
}

void block_choose_scratch(struct block *block)
{
    /* Those that compilers use least come first. RAX is for the flags, RSP for the frame. */
    static const uint8_t candidates[] = {SEGUE_R11, SEGUE_R10, SEGUE_R9,  SEGUE_R8,  SEGUE_RDI, SEGUE_RSI, SEGUE_RDX,
                                         SEGUE_RCX, SEGUE_R15, SEGUE_R14, SEGUE_R13, SEGUE_R12, SEGUE_RBX, SEGUE_RBP};
    uint8_t uses_of[16] = {0};
    for (unsigned k = 0; k < block->count; k++) {
        const struct effects *effects = &block->instructions[k].form.effects;
        for (unsigned used = effects->reads | effects->writes; used; used &= used - 1)
            uses_of[__builtin_ctz(used)]++;
    }
    unsigned fewest = ~0u;
    for (size_t i = 0; i < sizeof candidates; i++) {
        unsigned uses = uses_of[candidates[i]];
        if (uses < fewest) {
            fewest = uses;
            block->scratch_register = candidates[i];
        }
    }
}
