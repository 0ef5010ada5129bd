/* parts.c: operands that the processor accesses in parts, as a fault reveals.
 *
 * SOURCES: docs/facts.md, for each vendor; Intel SDM volume 1, 8.1.10 (the x87 environment). */
#include "parts.h"

#include "decode/x86/page.h"
#include "decode/x86/vendors.h"

/* The size of FLDENV's and FNSTENV's operand with an operand-size prefix too. */
#define X87_ENVIRONMENT 28u
#define X87_ENVIRONMENT_16 14u
#define X87_ENVIRONMENT_WORDS 7u
/* The bytes of a longer store that the processor may store first. */
#define X87_FIRST_PART 8u

bool parts_of_x87_store(const struct segue_insn *insn)
{
    return insn->class_ == SEGUE_CLASS_X87 && insn->memory[0].direction == SEGUE_WRITE;
}

void parts_store_first(const struct segue_plan *plan, const struct copies *copies)
{
    const struct segue_insn *insn = &plan->insn;
    struct copies first = *copies;
    if (!parts_of_x87_store(insn) || insn->memory[0].size <= X87_FIRST_PART || !vendors_store_x87_in_parts())
        return;
    first.of.size[0] = X87_FIRST_PART;
    pieces_write(plan, &first, NULL);
}

/* Masked stores of elements, except byte stores under a sign-bit mask, and x87 environments whose first word does not
 * cross into the second page. */
static bool is_reported_at_its_end(const struct segue_insn *insn, uint64_t on_first_page)
{
    const struct segue_memory_operand *memory = &insn->memory[0];
    /* MASKMOVQ and MASKMOVDQU. */
    if (memory->masking != SEGUE_MASKING_NONE && memory->masking != SEGUE_MASKING_OPMASK && memory->element == 1)
        return false;
    if (memory->masking != SEGUE_MASKING_NONE)
        return memory->direction == SEGUE_WRITE && memory->size > memory->element;
    bool environment = memory->size == X87_ENVIRONMENT || memory->size == X87_ENVIRONMENT_16;
    return insn->class_ == SEGUE_CLASS_STATE && environment && on_first_page >= memory->size / X87_ENVIRONMENT_WORDS;
}

bool parts_are_probed_from_the_end(const struct segue_plan *plan)
{
    const struct segue_access *last = &plan->accesses[plan->access_count - 1];
    uint64_t first = plan->accesses[0].address, page = (last->address + last->size - 1) / PAGE * PAGE;
    return vendors_report_last_byte() && first < page && is_reported_at_its_end(&plan->insn, page - first);
}
