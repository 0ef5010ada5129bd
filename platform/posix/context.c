/* context.c: the part of a context for which POSIX has a type.
 *
 * SOURCES: sigaction(2): the kernel's mask is the first word of the C library's, or half a word (macOS). */
#if defined(_WIN32)
#error "platform/posix/context.c is specific to POSIX"
#endif

#include <segue/posix.h>
#include <string.h>

enum segue_status segue_context_set_mask(struct segue_context *context, const sigset_t *mask)
{
    if (!context || !mask || !(context->flags & SEGUE_CONTEXT_OWN_MASK))
        return SEGUE_INVALID;
    const size_t known = sizeof *mask < sizeof context->mask ? sizeof *mask : sizeof context->mask;
    context->mask = 0;
    memcpy(&context->mask, mask, known);
    return SEGUE_OK;
}
