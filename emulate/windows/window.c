/* window.c: computes where the bytes of a window can be reached. */
#include <segue/window.h>

void *segue_window_at(const struct segue_window *window, uint64_t address, size_t size)
{
    if (!window || address - window->base >= window->size || size > window->size - (address - window->base))
        return NULL;
    switch (window->kind) {
    case SEGUE_WINDOW_ALIAS:
        return (char *)window->alias + (address - window->base);
    case SEGUE_WINDOW_EXPOSED:
        return (void *)(uintptr_t)address;
    case SEGUE_WINDOW_CALLBACK:
    case SEGUE_WINDOW_FORCED:
        break;
    }
    return NULL;
}
