/* state.c: a thread's extended state, in the two parts of FreeBSD's frame. See loader.h. */
#define _GNU_SOURCE
#include "frames.h"

#include <cpuid.h>
#include <string.h>

#define SOFTWARE 464u
#define HEADER_END 576u
/* The enabled components, and where they end. */
uint64_t state_components;
uint32_t state_area_size;

static uint8_t *area_of(const ucontext_t *native)
{
    uint8_t *area = (uint8_t *)native->uc_mcontext.fpregs;
    /* On i386 Linux has an image of FSAVE before it. */
    return area ? area + (sizeof(void *) == 4 ? 112 : 0) : NULL;
}

/* What x87 and SSE have initially, where they do not count as in use: zero, except x87's control word. */
static void fill_legacy(uint8_t *area, uint64_t in_use)
{
    if (!(in_use & 1)) {
        memset(area, 0, 24);
        memset(area + 32, 0, 128);
        memcpy(area, (uint16_t[]){0x37f}, 2);
    }
    if (!(in_use & 2))
        memset(area + 160, 0, 256);
}

/* All state_components count as in use, with their initial values. */
static void fill_initial(uint8_t *area)
{
    uint64_t in_use;
    uint32_t size, offset, c, d;
    memcpy(&in_use, area + LEGACY, 8);
    fill_legacy(area, in_use);
    for (unsigned i = 2; i < 63; i++) {
        if (!(state_components >> i & 1) || in_use >> i & 1)
            continue;
        __cpuid_count(0xd, i, size, offset, c, d);
        memset(area + offset, 0, size);
    }
    memcpy(area + LEGACY, &state_components, 8);
    memset(area + SOFTWARE, 0, LEGACY - SOFTWARE);
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i])
            return false;
    return true;
}

/* As of a thread that has not used the unit. PKRU is not the unit's: Linux gives each thread one that is not 0. */
static bool is_initial(const uint8_t *area)
{
    uint32_t size, offset, c, d;
    uint16_t control;
    uint32_t mxcsr;
    memcpy(&control, area, 2);
    memcpy(&mxcsr, area + 24, 4);
    if (control != 0x37f || mxcsr != 0x1f80 || !is_zero(area + 2, 4) || !is_zero(area + 32, 128 + 256))
        return false;
    for (unsigned i = 2; i < 63; i++) {
        if (!(state_components >> i & 1) || i == 9)
            continue;
        __cpuid_count(0xd, i, size, offset, c, d);
        if (!is_zero(area + offset, size))
            return false;
    }
    return true;
}

void state_get(const ucontext_t *native, struct f_machine *machine, uint8_t *rest)
{
    uint8_t copy[state_area_size];
    memcpy(copy, area_of(native), state_area_size);
    fill_initial(copy);
    memcpy(machine->legacy, copy, LEGACY);
    memcpy(rest, copy + LEGACY, state_area_size - LEGACY);
    machine->format = FORMAT_XMM;
    machine->owned = is_initial(copy) ? OWNED_NONE : OWNED_FPU;
    machine->flags |= HAS_STATE;
    machine->state = (long)rest;
    machine->state_size = (long)(state_area_size - LEGACY);
}

void state_set(ucontext_t *native, const struct f_machine *machine)
{
    uint8_t *area = area_of(native);
    uint64_t in_use = 0;
    if (machine->format != FORMAT_XMM)
        fail("sigreturn refuses the format %#lx", machine->format);
    if (machine->owned == OWNED_NONE) {
        memcpy(area + LEGACY, &in_use, 8);
        return;
    }
    if (machine->owned != OWNED_FPU && machine->owned != OWNED_PCB)
        fail("sigreturn refuses the owner %#lx", machine->owned);
    memcpy(area, machine->legacy, SOFTWARE);
    in_use = 3;
    if (machine->flags & HAS_STATE) {
        const uint8_t *rest = (const void *)machine->state;
        if ((unsigned long)machine->state_size > state_area_size - LEGACY || machine->state_size < 64)
            fail("sigreturn refuses %ld bytes of state", machine->state_size);
        memcpy(&in_use, rest, 8);
        if (in_use & ~state_components)
            fail("sigreturn refuses the state_components %#llx", (unsigned long long)in_use);
        memcpy(area + HEADER_END, rest + 64, (size_t)machine->state_size - 64);
    }
#if defined(__i386__)
    /* Linux would ignore MXCSR where SSE does not count as in use. */
    fill_legacy(area, in_use);
    in_use |= 3;
#endif
    memcpy(area + LEGACY, &in_use, 8);
#if defined(__i386__)
    /* Linux takes x87's registers from the image of FSAVE: it is made to hold them. */
    void loader_fsave(uint8_t * image, const uint8_t *fxsave);
    loader_fsave(area - 112, area);
#endif
}

#if defined(__i386__)
/* By the processor: it loads the one and stores the other. */
void loader_fsave(uint8_t *image, const uint8_t *fxsave)
{
    uint8_t own[512] __attribute__((aligned(16))), wanted[512] __attribute__((aligned(16)));
    memcpy(wanted, fxsave, 512);
    __asm__ volatile("fxsave %0" : "=m"(own));
    memcpy(wanted + 24, own + 24, 4);
    __asm__ volatile("fxrstor %0\n\tfnsave %1\n\tfxrstor %2" : : "m"(wanted), "m"(*image), "m"(own) : "memory");
}
#endif
