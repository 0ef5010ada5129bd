/* injection.c: what is spoiled on purpose in a batch (see injection.h). */
#include "injection.h"

#include <ctype.h>
#include <sys/mman.h>

static const char *const injection_names[INJECTIONS] = {
    [INJECT_NOTHING] = "nothing",
    [INJECT_REGISTER_UPPER_HALF] = "upper-half",
    [INJECT_REGISTER_HIGH_BYTE] = "high-byte",
    [INJECT_FLAG] = "flag",
    [INJECT_MEMORY_NEAR] = "memory-near",
    [INJECT_MEMORY_FAR] = "memory-far",
    [INJECT_X87] = "x87",
    [INJECT_XMM] = "xmm",
    [INJECT_LAST_XSAVE_BYTE] = "last-xsave-byte",
    [INJECT_GS_BASE] = "gs-base",
    [INJECT_NO_FAULT] = "no-fault",
    [INJECT_SIGNAL_ADDRESS] = "signal-address",
    [INJECT_PLAN] = "plan",
};

const char *injection_name(enum injection injection)
{
    return injection_names[injection];
}

bool injection_shows(const struct areas *areas, const struct test_case *test)
{
    const struct segue_access *access = &test->accesses[0];
    return access->address % AREA_PAGE < AREA_PAGE - 8 && isupper(areas_page(areas, access->address));
}

void inject_before(enum injection injection, struct test_case *test)
{
    struct segue_access *access = &test->accesses[0];
    if (injection == INJECT_NO_FAULT)
        mprotect((void *)(uintptr_t)(access->address / AREA_PAGE * AREA_PAGE), AREA_PAGE, PROT_READ | PROT_WRITE);
    if (injection == INJECT_PLAN)
        access->size *= 2;
}

static void flip_memory(const struct areas *areas, uint64_t address)
{
    uint8_t byte;
    areas_peek(areas, address, &byte, 1);
    byte ^= 1;
    areas_poke(areas, address, &byte, 1);
}

void inject_after(enum injection injection, const struct areas *areas, const struct test_case *test,
                  struct outcome *outcome)
{
    size_t count;
    const struct oracle_component *last = oracle_components(&count);
    uint8_t *image = outcome->output.image;
    last += count - 1;
    switch (injection) {
    case INJECT_REGISTER_UPPER_HALF:
        outcome->output.registers.general[SEGUE_R13] ^= (uint64_t)1 << 32;
        break;
    case INJECT_REGISTER_HIGH_BYTE:
        outcome->output.registers.general[SEGUE_RBX] ^= 0x100;
        break;
    case INJECT_FLAG:
        outcome->output.registers.rflags ^= 0x800;
        break;
    case INJECT_MEMORY_NEAR:
        outcome->window[OUTCOME_WINDOW_BEFORE + 8] ^= 0x80;
        break;
    case INJECT_MEMORY_FAR:
        flip_memory(areas, areas->area[0].base + (test->accesses[0].address + 1024) % AREA_PAGE);
        break;
    case INJECT_X87:
        image[0] ^= 1;
        break;
    case INJECT_XMM:
        image[415] ^= 1;
        break;
    case INJECT_LAST_XSAVE_BYTE:
        image[last->offset + last->size - 1] ^= 1;
        break;
    case INJECT_GS_BASE:
        outcome->output.gs_base++;
        break;
    case INJECT_SIGNAL_ADDRESS:
        outcome->output.signal.address++;
        break;
    default:
        break;
    }
}
