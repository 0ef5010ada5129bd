/* code.h: the process's code: making threads fetch it anew, and the modules that contain it. */
#ifndef SEGUE_PLATFORM_CODE_H
#define SEGUE_PLATFORM_CODE_H

#include <segue/status.h>

#include "decode/x86/processor.h"

/* ---- threads that run code while it changes ---- */

/* Must be called before platform_serialise; false if the system does not support it. Not async-signal-safe;
 * thread-safe. */
bool platform_serialise_prepare(void);

/* Every thread of the process has executed a serialising instruction between the call and the return. False if the
 * system cannot do that, or platform_serialise_prepare was not called. Async-signal-safe, thread-safe. */
bool platform_serialise(void);

/* Returns to its caller by an instruction that serialises. */
void platform_return_here(void);

/* The calling thread fetches the following instructions again. IRET would look for its addresses on a shadow stack,
 * too, where they are not. Async-signal-safe, thread-safe. */
static inline void platform_serialise_self(void)
{
    if (shadow_stack_in_force())
        processor_serialise();
    else
        platform_return_here();
}

/* ---- modules ---- */

/* A loaded program or library, valid during the call that shows it. */
struct platform_module {
    /* The range of the module. */
    uint64_t start, end;
    /* The table of its functions, in the format of .eh_frame_hdr (patch/scan/unwind.h); NULL if it has none. */
    const uint8_t *unwind;
    size_t unwind_size;
    /* The system's own description. */
    const void *native;
};

/* Calls `visit` for each module, until it returns false; returns false then. Not async-signal-safe; thread-safe. */
bool platform_modules_visit(bool (*visit)(const struct platform_module *module, void *context), void *context);

/* The module's segment of that number, from 0 on, among those that can be read and executed; only the part that the
 * file holds. False if there are no more. */
bool platform_module_code(const struct platform_module *module, unsigned number, uint64_t *address, size_t *size);

/* The file of the module that holds `address`, and the closest symbol before it; NULL for each that is not known. The
 * strings stay valid while the module is loaded. Not async-signal-safe; thread-safe. */
struct platform_symbol {
    const char *object, *symbol;
};
struct platform_symbol platform_symbol_at(const void *address);

/* The global symbol of that name in the program or one of its libraries; NULL if not found. Not async-signal-safe. */
void *platform_symbol_find(const char *name);

#endif
