/* window_bytes.c: copies bytes out of windows and into them. */
#include <segue/window.h>

#include "emulate/windows/reach.h"
#include "pieces.h"
#include "platform/memory/forced.h"
#include "platform/reason.h"

/* The most bytes at once: a fragment counts them in 32 bits. */
#define AT_ONCE (UINT64_C(1) << 30)

static enum segue_status check(const struct segue_window *window, uint64_t address, const void *bytes, size_t size)
{
    if (!window || !bytes || address - window->base >= window->size || size > window->size - (address - window->base))
        return SEGUE_INVALID;
    switch (window->kind) {
    case SEGUE_WINDOW_ALIAS:
        return window->alias ? SEGUE_OK : SEGUE_INVALID;
    case SEGUE_WINDOW_EXPOSED:
        return SEGUE_OK;
    case SEGUE_WINDOW_FORCED:
        return reason_give(forced_ready() ? SEGUE_OK : SEGUE_UNSUPPORTED,
                           "the kernel's way past the protection is not ready (segue_forced_prepare)");
    case SEGUE_WINDOW_CALLBACK:
        return reason_give(SEGUE_UNSUPPORTED, "a device has no bytes to be copied");
    }
    return SEGUE_INVALID;
}

static struct plan_piece piece_at(const struct segue_window *window, uint64_t address, uint64_t size)
{
    return (struct plan_piece){.address = address,
                               .host = reach_host(window, address),
                               .window = window,
                               .size = (uint32_t)(size < AT_ONCE ? size : AT_ONCE)};
}

enum segue_status segue_window_read(const struct segue_window *window, uint64_t address, void *to, size_t size)
{
    enum segue_status status = size ? check(window, address, to, size) : window ? SEGUE_OK : SEGUE_INVALID;
    for (size_t done = 0; status == SEGUE_OK && done < size;) {
        const struct plan_piece piece = piece_at(window, address + done, size - done);
        status = piece_fetch(&piece, SEGUE_READ, (char *)to + done, NULL);
        done += piece.size;
    }
    return status;
}

enum segue_status segue_window_write(const struct segue_window *window, uint64_t address, const void *from, size_t size)
{
    enum segue_status status = size ? check(window, address, from, size) : window ? SEGUE_OK : SEGUE_INVALID;
    for (size_t done = 0; status == SEGUE_OK && done < size;) {
        const struct plan_piece piece = piece_at(window, address + done, size - done);
        status = piece_store(&piece, (const char *)from + done, NULL);
        done += piece.size;
    }
    return status;
}
