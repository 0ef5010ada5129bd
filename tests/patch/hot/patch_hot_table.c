/* patch_hot_table.c: hot sites in the list of all patches (<segue/patch.h>), and where other code has taken a site's
 * place. */
#include "hot_code.h"

#include <segue/segment.h>
#include <string.h>
#include <sys/mman.h>

#include "decode/x86/page.h"
#include "patch/poke/excluded.h"
#include "patch/poke/poke.h"

/* --- Other code in the same place. --- */

static void code_that_is_no_longer_ours_is_left_and_forgotten(void)
{
    unsigned tactics[5];
    const char *refusal;
    size_t undone;
    prepare(7, NULL);
    make_all();
    /* The first half is unmapped and mapped anew, as by dlclose and dlopen, without a word to us. */
    EXPECT(mmap(code, CODE_BYTES / 2, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, code_file, 0) == code);
    EXPECT(make_one(sites[30], &refusal) != SEGUE_BUSY);
    EXPECT(hot_undo((uint64_t)(uintptr_t)code, CODE_BYTES / 2, NULL, &undone) == SEGUE_OK && undone < 8);
    EXPECT(memcmp(code, original, CODE_BYTES / 2) == 0);
    expect_all(tactics);
    make_all();
    expect_all(tactics);
    /* The same, announced. */
    EXPECT(mmap(code, CODE_BYTES / 2, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, code_file, 0) == code);
    EXPECT(hot_forget((uint64_t)(uintptr_t)code, CODE_BYTES / 2) == SEGUE_OK);
    EXPECT(memcmp(code, original, CODE_BYTES / 2) == 0);
    EXPECT(hot_site_find(sites[30])->state == HOT_FORGOTTEN && !hot_body_of(sites[30]));
    expect_all(tactics);
    make_all();
    expect_all(tactics);
    /* One byte of a jump is no longer ours: it stays. */
    const struct hot_site *site = NULL;
    for (unsigned i = 40; !site; i++)
        if (hot_body_of(sites[i]))
            site = hot_site_find(sites[i]);
    uint8_t other = (uint8_t)(site->new_bytes[1] ^ 0x10);
    EXPECT(poke_byte(site->address + 1, other, POKE_ANY) == SEGUE_OK);
    EXPECT(hot_undo(site->address, 1, NULL, &undone) == SEGUE_OK && undone == 0);
    EXPECT(site->state == HOT_FORGOTTEN && ((const uint8_t *)(uintptr_t)site->address)[1] == other);
}

/* A pun of two bytes: a jump that begins with the same bytes, and leads elsewhere, is other code. */
static void code_with_the_bytes_of_a_short_pun_is_left_and_forgotten(void)
{
    const struct hot_site *site = NULL;
    size_t undone;
    uint8_t bytes[8];
    prepare(7, NULL);
    make_all();
    for (unsigned i = 0; i < site_count && !site; i++) {
        const struct hot_site *hot = hot_body_of(sites[i]) ? hot_site_find(sites[i]) : NULL;
        if (hot && hot->changed == 2 && hot->prefixes == 0)
            site = hot;
    }
    EXPECT(site);
    uint8_t *last = (uint8_t *)(uintptr_t)site->address + 3, other = (uint8_t)(*last ^ 0x10);
    EXPECT(poke_byte((uint64_t)(uintptr_t)last, other, POKE_ANY) == SEGUE_OK);
    EXPECT(hot_read_code(site->address, bytes, sizeof bytes) == sizeof bytes);
    EXPECT(memcmp(bytes, site->new_bytes, 2) == 0);
    EXPECT(hot_undo(site->address, 1, NULL, &undone) == SEGUE_OK && undone == 0);
    EXPECT(site->state == HOT_FORGOTTEN);
    EXPECT(memcmp((const void *)(uintptr_t)site->address, site->new_bytes, 2) == 0 && *last == other);
}

/* --- The public table. --- */

struct listed {
    uint64_t last;
    unsigned hot, undone, refused;
};

static enum segue_status list_patch(void *context, const struct segue_patch *patch)
{
    struct listed *listed = context;
    EXPECT(patch->address > listed->last && patch->changed == patch->address);
    listed->last = patch->address;
    const uint8_t *before = original + (patch->address - (uint64_t)(uintptr_t)code);
    if (patch->kind == SEGUE_PATCH_HOT) {
        EXPECT(patch->tactic != SEGUE_TACTIC_NONE && patch->length > 0 && patch->time > 0);
        EXPECT(memcmp(patch->old_bytes, before, patch->length) == 0);
        const uint8_t *now = patch->undone ? patch->old_bytes : patch->new_bytes;
        EXPECT(memcmp(now, (const void *)(uintptr_t)patch->address, patch->length) == 0);
        listed->hot += !patch->undone;
        listed->undone += patch->undone;
    } else {
        EXPECT(patch->kind == SEGUE_PATCH_NONE && patch->length == 0);
        listed->refused += patch->reason != NULL;
    }
    return SEGUE_OK;
}

static void public_table_lists_undoes_and_excludes_sites(void)
{
    struct listed listed = {0}, after = {0};
    unsigned tactics[5];
    size_t count;
    uint64_t start = (uint64_t)(uintptr_t)code;
    EXPECT(segue_patches_exclude(start, 0) == SEGUE_INVALID);
    prepare(13, NULL);
    start = (uint64_t)(uintptr_t)code;
    make_all();
    expect_all(tactics);
    EXPECT(segue_patches_list(0, UINT64_MAX, list_patch, &listed) == SEGUE_OK);
    EXPECT(listed.hot == tactics[1] + tactics[2] + tactics[3] + tactics[4] && listed.refused > 10);
    EXPECT(segue_patches_undo(start, CODE_BYTES / 2, &count) == SEGUE_OK && count > 100);
    EXPECT(memcmp(code, original, CODE_BYTES / 2) == 0);
    EXPECT(segue_patches_list(0, UINT64_MAX, list_patch, &after) == SEGUE_OK);
    EXPECT(after.hot + count == listed.hot && after.undone >= count);
    /* What is excluded is undone, and stays so. */
    EXPECT(segue_patches_exclude(start + CODE_BYTES / 2, CODE_BYTES / 2) == SEGUE_OK);
    EXPECT(memcmp(code, original, CODE_BYTES) == 0);
    make_all();
    EXPECT(memcmp(code + CODE_BYTES / 2, original + CODE_BYTES / 2, CODE_BYTES / 2) == 0);
    EXPECT(memcmp(code, original, CODE_BYTES / 2) != 0);
    expect_all(tactics);
    /* One range more than there may be is refused, and undoes nothing. */
    for (unsigned i = 1; i < EXCLUDED_MOST; i++)
        EXPECT(segue_patches_exclude(i, 1) == SEGUE_OK);
    EXPECT(segue_patches_exclude(start, CODE_BYTES) == SEGUE_NO_MEMORY && segue_reason());
    EXPECT(memcmp(code, original, CODE_BYTES / 2) != 0);
    EXPECT(segue_patches_forget(0, UINT64_MAX) == SEGUE_OK);
    EXPECT(segue_patches_undo(0, UINT64_MAX, &count) == SEGUE_OK && count == 0);
}

/* A segment's prefix is not changed there either. */
static void excluded_code_keeps_its_segment_prefixes(void)
{
    static const uint8_t bytes[] = {0x65, 0x48, 0x8b, 0x04, 0x25, 0x10, 0, 0, 0, 0xc3};
    const struct segue_segment_options options = {.rewrite = {SEGUE_SEGMENT_GS, SEGUE_SEGMENT_FS}};
    struct segue_rewrite_counts counts;
    uint8_t *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(page, bytes, sizeof bytes);
    memcpy(page + 64, bytes, sizeof bytes);
    EXPECT(mprotect(page, PAGE, PROT_READ | PROT_EXEC) == 0);
    EXPECT(segue_segment_enable(&options) == SEGUE_OK);
    EXPECT(segue_patches_exclude((uint64_t)(uintptr_t)page, sizeof bytes) == SEGUE_OK);
    struct segue_segment_code here = {page, sizeof bytes, (uint64_t)(uintptr_t)page, NULL, 0, {0}};
    EXPECT(segue_segment_rewrite(&here, NULL, &counts) == SEGUE_UNSUPPORTED && counts.failed == 1);
    EXPECT(memcmp(page, bytes, sizeof bytes) == 0);
    here = (struct segue_segment_code){page + 64, sizeof bytes, (uint64_t)(uintptr_t)page + 64, NULL, 0, {0}};
    EXPECT(segue_segment_rewrite(&here, NULL, &counts) == SEGUE_OK && counts.rewritten == 1 && page[64] == 0x64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_CHILD(code_that_is_no_longer_ours_is_left_and_forgotten),
        IN_CHILD(code_with_the_bytes_of_a_short_pun_is_left_and_forgotten),
        IN_CHILD(public_table_lists_undoes_and_excludes_sites),
        IN_CHILD(excluded_code_keeps_its_segment_prefixes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
