/* registers.h: the program's registers in a signal frame, by name. */
#ifndef SEGUE_RUN_REGISTERS_H
#define SEGUE_RUN_REGISTERS_H

#include <stdint.h>
#include <ucontext.h>

static inline uint64_t registers_get(const ucontext_t *frame, int number)
{
    return (uint64_t)frame->uc_mcontext.gregs[number];
}

static inline void registers_set(ucontext_t *frame, int number, uint64_t value)
{
    frame->uc_mcontext.gregs[number] = (greg_t)value;
}

/* The six arguments of a system call, in order. */
static const int registers_of_arguments[] = {REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9};

static inline uint64_t registers_argument(const ucontext_t *frame, int number)
{
    return registers_get(frame, registers_of_arguments[number]);
}

static inline void registers_arguments(const ucontext_t *frame, uint64_t arguments[6])
{
    for (int i = 0; i < 6; i++)
        arguments[i] = registers_argument(frame, i);
}

#define CALL_SIZE 2

/* The system call's number: the kernel ignores the rest of the register. */
static inline uint64_t registers_call_number(const ucontext_t *frame)
{
    return (uint32_t)registers_get(frame, REG_RAX);
}

static inline uint64_t registers_gs_base(void)
{
    uint64_t base;
    __asm__ volatile("rdgsbase %0" : "=r"(base));
    return base;
}

static inline void registers_set_gs_base(uint64_t base)
{
    __asm__ volatile("wrgsbase %0" : : "r"(base));
}

#endif
