/* window.h: where the bytes of a protected range can be accessed. */
#ifndef SEGUE_WINDOW_H
#define SEGUE_WINDOW_H

#include <segue/status.h>

SEGUE_BEGIN

/* How the bytes of a protected range can be accessed. */
enum segue_window_kind {
    /* Through a second mapping of the same memory: atomic if the instruction is, and the protection
     * stays in force for all other code. */
    SEGUE_WINDOW_ALIAS,
    /* At their own address: the embedder has made them accessible for now. */
    SEGUE_WINDOW_EXPOSED,
    /* Through two functions: a device. Each access is one call. */
    SEGUE_WINDOW_CALLBACK,
    /* Through the kernel, past the protection: for private memory that has no second mapping.
     * Slower, and not atomic: another thread may see an access half done, and a plan through such a
     * window has SEGUE_PLAN_NOT_ATOMIC. */
    SEGUE_WINDOW_FORCED,
};

/* A device's function for one load or store of `size` bytes. `address` is the address that the
 * program used. A read fills `bytes`; a write finds the stored value there, lowest address first.
 * Returns SEGUE_OK, or any other status to refuse: then the instruction has no effect. segue_step
 * calls it on its caller's thread. */
typedef enum segue_status segue_device_read(void *context, uint64_t address, void *bytes,
                                            size_t size);
typedef enum segue_status segue_device_write(void *context, uint64_t address, const void *bytes,
                                             size_t size);

/* Where the bytes of one range of addresses can be accessed. */
struct segue_window {
    /* The range: its first address, and its length in bytes. */
    uint64_t base;
    uint64_t size;
    enum segue_window_kind kind;
    /* SEGUE_WINDOW_ALIAS: the address in the second mapping of the byte at `base`. */
    void *alias;
    /* SEGUE_WINDOW_CALLBACK: the device's functions, and their first argument. A NULL function
     * refuses accesses of its direction. */
    segue_device_read *read;
    segue_device_write *write;
    void *context;
    uint64_t reserved[2];
};

/* Make a window of each kind, with all of its fields. MT-Safe, AS-Safe. */
SEGUE_INLINE struct segue_window segue_window_alias(const volatile void *base, size_t size,
                                                    void *alias)
{
    struct segue_window made = {
        (uint64_t)(uintptr_t)base, size, SEGUE_WINDOW_ALIAS, alias, 0, 0, 0, {0, 0}};
    return made;
}
SEGUE_INLINE struct segue_window segue_window_exposed(const volatile void *base, size_t size)
{
    struct segue_window made = {
        (uint64_t)(uintptr_t)base, size, SEGUE_WINDOW_EXPOSED, 0, 0, 0, 0, {0, 0}};
    return made;
}
SEGUE_INLINE struct segue_window segue_window_forced(const volatile void *base, size_t size)
{
    struct segue_window made = {
        (uint64_t)(uintptr_t)base, size, SEGUE_WINDOW_FORCED, 0, 0, 0, 0, {0, 0}};
    return made;
}
SEGUE_INLINE struct segue_window segue_window_device(const volatile void *base, size_t size,
                                                     segue_device_read *read,
                                                     segue_device_write *write, void *context)
{
    struct segue_window made = {
        (uint64_t)(uintptr_t)base, size, SEGUE_WINDOW_CALLBACK, 0, read, write, context, {0, 0}};
    return made;
}

/* The pointer at which the `size` bytes at `address` can be accessed now, through an alias or
 * exposed window. NULL for the other kinds, for a NULL window, and if a byte is outside the window.
 * MT-Safe, AS-Safe. */
SEGUE_API void *segue_window_at(const struct segue_window *window, uint64_t address, size_t size);

/* Copy `size` bytes at `address` out of a window and into it, past the protection. One access makes
 * 1, 2, 4 or 8 bytes of an alias or exposed window, atomically if they are aligned. Returns
 * SEGUE_OK; SEGUE_FAULT: a byte cannot be accessed, and those before it may have been copied;
 * SEGUE_UNSUPPORTED: a device's window, or a forced one without segue_forced_prepare; SEGUE_INVALID
 * for a NULL pointer, and if a byte is outside the window. Need the handler that segue_step needs,
 * if memory may be inaccessible. MT-Safe, AS-Safe. */
SEGUE_CHECK SEGUE_API enum segue_status segue_window_read(const struct segue_window *window,
                                                          uint64_t address, void *to, size_t size);
SEGUE_CHECK SEGUE_API enum segue_status segue_window_write(const struct segue_window *window,
                                                           uint64_t address, const void *from,
                                                           size_t size);

SEGUE_END

#endif
