/* addresses.h: plans whose accesses reach non-canonical addresses, where an engine would raise another exception than
 * the processor. Used inside emulate/ only. */
#ifndef SEGUE_EMULATE_ADDRESSES_H
#define SEGUE_EMULATE_ADDRESSES_H

#include <segue/emulate.h>

/* Whether an access through SS is to a non-canonical address. The processor raises #SS for stack accesses and #GP
 * otherwise; a relocated or copied operand would always raise #GP. */
bool addresses_are_beyond_stack(const struct segue_plan *plan);

/* Whether an effective address is non-canonical before the base of FS or GS is added: processors raise #GP for it even
 * if the sum is canonical (docs/facts.md). */
bool addresses_are_beyond_segment(const struct segue_plan *plan, const struct segue_regs *regs);

/* Whether an access through FS ends beyond a segment that does not cover all addresses: the processor raises #GP, and
 * an engine would reach the memory there. */
bool addresses_are_beyond_limit(const struct segue_plan *plan, const struct segue_regs *regs);

/* Whether an access (of a repeated string, its first element) begins at a canonical address and ends at a non-canonical
 * one: the processor raises #GP for the whole access, which its fragments would not raise. */
bool addresses_end_beyond(const struct segue_plan *plan);

#endif
