/* patching.c: a program whose own accesses by fs: become gs: in memory; they are listed, and undone. `segue patch` does
 * the same to its file, which then runs, too. */
#include <asm/prctl.h>
#include <segue/segue.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Where the program begins in memory; the linker's. */
extern const char __executable_start[];

static __thread volatile long counter;

static __attribute__((noinline)) long count(void)
{
    counter += 1;
    return counter;
}

/* Lets gs: reach the thread's storage, too: before main, which may look at its stack guard by gs: in a patched file. */
__attribute__((constructor, no_stack_protector)) static void share_base(void)
{
    static unsigned long base;
    if (syscall(SYS_arch_prctl, ARCH_GET_FS, &base) == 0)
        syscall(SYS_arch_prctl, ARCH_SET_GS, base);
}

static enum segue_status print_patch(void *context, const struct segue_patch *patch)
{
    size_t *listed = context;
    if (patch->kind != SEGUE_PATCH_SEGMENT || patch->undone)
        return SEGUE_OK;
    printf("at %#llx: %02x became %02x\n", (unsigned long long)(patch->address - (uintptr_t)__executable_start),
           patch->old_bytes[0], patch->new_bytes[0]);
    ++*listed;
    return SEGUE_OK;
}

static int report(const char *what, enum segue_status status)
{
    fprintf(stderr, "%s: %s\n", what, segue_status_text(status));
    return 1;
}

int main(void)
{
    const struct segue_segment_options options = {
        .rewrite = {.from = SEGUE_SEGMENT_FS, .to = SEGUE_SEGMENT_GS},
    };
    struct segue_rewrite_counts counts;
    size_t listed = 0, undone = 0;
    printf("%ld: as in the file\n", count());

    enum segue_status status = segue_segment_enable(&options);
    if (status != SEGUE_OK)
        return report("segue_segment_enable", status);
    status = segue_segment_rewrite_module(__executable_start, &counts);
    if (status != SEGUE_OK)
        return report("segue_segment_rewrite_module", status);
    printf("%ld: rewritten in memory\n", count());
    status = segue_patches_list(0, SIZE_MAX, print_patch, &listed);
    if (status != SEGUE_OK)
        return report("segue_patches_list", status);
    printf("listed: %s\n", listed == counts.rewritten ? "all that were rewritten" : "others than were rewritten");

    status = segue_patches_undo_module(__executable_start, &undone);
    if (status != SEGUE_OK)
        return report("segue_patches_undo_module", status);
    printf("undone: %s\n", undone == listed ? "all" : "others");
    /* An access that still were by gs: would fault now. */
    if (undone > 0 && syscall(SYS_arch_prctl, ARCH_SET_GS, 0UL) != 0)
        return report("arch_prctl", SEGUE_SYSTEM);
    printf("%ld: as in the file again\n", count());
    return segue_segment_disable() != SEGUE_OK;
}
