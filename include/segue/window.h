/* window.h: where the bytes of a protected range can be reached. */
#ifndef SEGUE_WINDOW_H
#define SEGUE_WINDOW_H

#include <segue/status.h>

SEGUE_BEGIN

/* How the bytes of a protected range can be reached. */
enum segue_window_kind {
    /* Through a second mapping of the same memory: atomic where the instruction is, and open to no
     * one else. */
    SEGUE_WINDOW_ALIAS,
    /* At their own address: the embedder has made them accessible for now. */
    SEGUE_WINDOW_EXPOSED,
    /* Through two functions: a device. Each access is one call. */
    SEGUE_WINDOW_CALLBACK,
    /* Through the kernel, past the protection, for private memory that has no second mapping.
     * Slower; not atomic: another thread may see an access half done, and a plan that goes through
     * it says so. */
    SEGUE_WINDOW_FORCED,
};

/* A device's side of one load or store of `size` bytes at `address`, the address that the program
 * used: `bytes` is to be filled, or holds what was stored, lowest address first. Returns SEGUE_OK,
 * or anything else to refuse: then the instruction has not happened. Called in the context of
 * segue_step's caller. */
typedef enum segue_status segue_device_read(void *context, uint64_t address, void *bytes, size_t size);
typedef enum segue_status segue_device_write(void *context, uint64_t address, const void *bytes, size_t size);

/* Where the bytes of one range of addresses can be reached. */
struct segue_window {
    /* First address of the range, and its length in bytes. */
    uint64_t base;
    uint64_t size;
    enum segue_window_kind kind;
    /* SEGUE_WINDOW_ALIAS: where the byte at `base` can be reached. */
    void *alias;
    /* SEGUE_WINDOW_CALLBACK: the device, and what its functions are given. A NULL function refuses
     * that direction. */
    segue_device_read *read;
    segue_device_write *write;
    void *context;
    uint64_t reserved[2];
};

/* A window with all of its parts, and without a cast. MT-Safe, AS-Safe. */
SEGUE_INLINE struct segue_window segue_window_alias(const volatile void *base, size_t size, void *alias)
{
    struct segue_window made = {(uint64_t)(uintptr_t)base, size, SEGUE_WINDOW_ALIAS, alias, 0, 0, 0, {0, 0}};
    return made;
}
SEGUE_INLINE struct segue_window segue_window_exposed(const volatile void *base, size_t size)
{
    struct segue_window made = {(uint64_t)(uintptr_t)base, size, SEGUE_WINDOW_EXPOSED, 0, 0, 0, 0, {0, 0}};
    return made;
}
SEGUE_INLINE struct segue_window segue_window_forced(const volatile void *base, size_t size)
{
    struct segue_window made = {(uint64_t)(uintptr_t)base, size, SEGUE_WINDOW_FORCED, 0, 0, 0, 0, {0, 0}};
    return made;
}
SEGUE_INLINE struct segue_window segue_window_device(const volatile void *base, size_t size, segue_device_read *read,
                                                     segue_device_write *write, void *context)
{
    struct segue_window made = {
        (uint64_t)(uintptr_t)base, size, SEGUE_WINDOW_CALLBACK, 0, read, write, context, {0, 0}};
    return made;
}

/* The pointer by which the `size` bytes at `address` can be reached now: in an alias or exposed
 * window. NULL in the other kinds, for a NULL window, and when a byte lies outside it. MT-Safe,
 * AS-Safe. */
SEGUE_API void *segue_window_at(const struct segue_window *window, uint64_t address, size_t size);

SEGUE_END

#endif
