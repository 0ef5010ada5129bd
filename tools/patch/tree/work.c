/* work.c: patches one file, or takes its changes back.
 *
 * The file is copied first, and the copy is scanned, to which no other program can write. The result, and before it the
 * list, are on the disk before either gets its name. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/patch/list/changes.h"
#include "tools/support/message.h"
#include "tools/support/output/output_attributes.h"
#include "tools/support/progress.h"
#include "work.h"

#define VERB "patch"

bool patch_place_begin(const struct patch_place *place, struct output *output)
{
    if (place->folder < 0)
        return output_begin(output, VERB, place->path);
    return output_begin_at(output, VERB, place->folder, place->name, place->path);
}

/* The files being written; one that is not begun has no path. */
struct writing {
    const struct patch_work *work;
    struct output output, list;
};

static void abandon(struct writing *writing)
{
    if (writing->output.path)
        output_abandon(&writing->output);
    if (writing->list.path)
        output_abandon(&writing->list);
}

/* Whether the file could be one that can be patched. False also if it cannot be read: that is reported later. */
static bool may_be_object(const struct patch_file *file)
{
    char magic[8] = {0};
    ssize_t size = pread(file->file, magic, sizeof magic, 0);
    return size > 0 && (memcmp(magic, "\177ELF", 4) == 0 || memcmp(magic, "!<arch>\n", 8) == 0 ||
                        memcmp(magic, "!<thin>\n", 8) == 0);
}

/* Copies the file, or only reads it, for its checksum. */
static bool copy(struct writing *writing, uint64_t *checksum)
{
    const struct patch_work *work = writing->work;
    struct patch_file_use use = {.to = -1};
    if (work->output.path) {
        if (!patch_place_begin(&work->output, &writing->output))
            return false;
        use.to = writing->output.file;
        use.to_path = work->output.path;
    } else if (!work->list.path && !work->options->json) {
        return true;
    }
    /* Only the list has the checksum. */
    return patch_file_read_through(work->file, &use, work->list.path || work->options->json ? checksum : NULL);
}

/* Puts the copy in place as it is. */
static bool finish_copy(struct writing *writing)
{
    const struct patch_work *work = writing->work;
    if (!work->output.path)
        return true;
    if (output_copy_attributes(VERB, work->output.path, work->file->file, &work->file->status, writing->output.file,
                               OUTPUT_BYTES_SAME))
        return output_commit((struct output *[]){&writing->output}, 1, OUTPUT_SYNC_LATER);
    abandon(writing);
    return false;
}

/* --- The list. --- */

/* The file that is at the list's path now. */
enum standing_list {
    /* No file that is needed. */
    STANDING_NONE,
    /* The list of an earlier run on the same file, which --revert needs: it must not be lost. */
    STANDING_WAY_BACK,
};

static enum standing_list look_at_standing_list(const struct patch_work *work)
{
    const struct patch_place *place = &work->list;
    bool is_at = place->folder >= 0;
    struct changes changes;
    if (changes_read(&changes, is_at ? place->folder : AT_FDCWD, is_at ? place->name : place->path,
                     O_NONBLOCK | (is_at ? O_NOFOLLOW : 0), place->path, CHANGES_QUIET) != CHANGES_READ)
        return STANDING_NONE;
    bool is_way_back = changes_are_in(&changes, work->file);
    changes_free(&changes);
    return is_way_back ? STANDING_WAY_BACK : STANDING_NONE;
}

static bool write_list(struct writing *writing, const struct patch_list *list)
{
    const struct patch_place *place = &writing->work->list;
    if (!place->path)
        return true;
    if (look_at_standing_list(writing->work) == STANDING_WAY_BACK) {
        bool is_needed = list->counts.accesses + list->counts.bases > 0;
        complain(VERB,
                 is_needed ? "%s is the way back from an earlier run on %s, and would be lost; give another --list, or "
                             "take that run back first (--revert)"
                           : "%s is kept: it is the way back from an earlier run on %s, and nothing is changed now",
                 place->path, writing->work->file->path);
        return !is_needed;
    }
    if (!patch_place_begin(place, &writing->list))
        return false;
    int copy = fcntl(writing->list.file, F_DUPFD_CLOEXEC, 3);
    FILE *to = copy >= 0 ? fdopen(copy, "w") : NULL;
    progress_turn_to("writing the list");
    bool done = to && list_write_json(to, list, writing->work->file->path, LIST_LINES);
    int error = errno;
    if (to)
        done = fclose(to) == 0 && done;
    else if (copy >= 0)
        close(copy);
    if (done)
        return output_finish_new(&writing->list);
    complain(VERB, "cannot write %s: %s", place->path, strerror(error));
    return false;
}

/* --- The file. --- */

static bool change_site(void *context, const struct file_site *site)
{
    const struct output *output = context;
    if (!list_changes(site))
        return true;
    return pwrite(output->file, &site->site.new_byte, 1, (off_t)(site->offset + site->site.index)) == 1;
}

static bool write_file(struct writing *writing, const struct patch_list *list)
{
    const struct patch_work *work = writing->work;
    bool is_changed = list->counts.accesses + list->counts.bases > 0;
    if (!work->output.path)
        return true;
    progress_turn_to("writing");
    if (!sites_each(&list->sites, change_site, &writing->output)) {
        complain(VERB, "cannot write %s: %s", work->output.path, strerror(errno));
        return false;
    }
    return output_copy_attributes(VERB, work->output.path, work->file->file, &work->file->status, writing->output.file,
                                  is_changed ? OUTPUT_BYTES_CHANGED : OUTPUT_BYTES_SAME) &&
           (work->rest == PATCH_COPY_OTHERS || output_put_on_disk(&writing->output));
}

static enum patch_outcome finish(struct writing *writing, struct patch_list *list)
{
    const struct patch_work *work = writing->work;
    if (write_list(writing, list) && write_file(writing, list) && patch_file_is_unchanged(work->file) &&
        (!work->tell || work->tell(work, list))) {
        struct output *const both[] = {writing->list.path ? &writing->list : NULL,
                                       writing->output.path ? &writing->output : NULL};
        size_t count = both[1] ? 2 : both[0] ? 1 : 0;
        if (output_commit(both, count, work->rest == PATCH_COPY_OTHERS ? OUTPUT_SYNC_LATER : OUTPUT_SYNC_NOW))
            return PATCH_DONE;
    } else {
        abandon(writing);
    }
    list_free(list);
    return PATCH_FAILED;
}

enum patch_outcome patch_file_to(const struct patch_work *work, struct patch_list *list)
{
    struct writing writing = {.work = work};
    enum list_outcome made = LIST_OTHER;
    uint64_t checksum = 0;
    bool may_be = may_be_object(work->file);
    if (!may_be && work->rest == PATCH_LEAVE_OTHERS)
        return PATCH_OTHER;
    if (!copy(&writing, &checksum)) {
        abandon(&writing);
        return PATCH_FAILED;
    }
    progress_turn_to("looking for accesses");
    if (may_be)
        made = list_make(list, work->file->path, writing.output.path ? writing.output.file : work->file->file,
                         work->file->size, work->options->rewrite);
    if (made == LIST_MADE) {
        list->checksum = checksum;
        return finish(&writing, list);
    }
    if (made == LIST_FAILED || work->rest == PATCH_LEAVE_OTHERS)
        abandon(&writing);
    else if (!finish_copy(&writing))
        return PATCH_FAILED;
    return made == LIST_OTHER ? PATCH_OTHER : made == LIST_REFUSED ? PATCH_REFUSED : PATCH_FAILED;
}

bool patch_copy(struct patch_file *file, const struct patch_place *output)
{
    struct output made;
    struct patch_file_use use = {.to_path = output->path};
    if (!output->path)
        return true;
    if (!patch_place_begin(output, &made))
        return false;
    use.to = made.file;
    if (patch_file_read_through(file, &use, NULL) &&
        output_copy_attributes(VERB, output->path, file->file, &file->status, made.file, OUTPUT_BYTES_SAME))
        return output_commit((struct output *[]){&made}, 1, OUTPUT_SYNC_LATER);
    output_abandon(&made);
    return false;
}

bool patch_take_back(struct patch_file *file, const struct changes *changes, const struct patch_place *output)
{
    struct output made;
    if (!output->path)
        return changes_take_back(changes, file, -1, NULL);
    if (!patch_place_begin(output, &made))
        return false;
    if (changes_take_back(changes, file, made.file, output->path) &&
        output_copy_attributes(VERB, output->path, file->file, &file->status, made.file,
                               changes->count ? OUTPUT_BYTES_CHANGED : OUTPUT_BYTES_SAME) &&
        output_put_on_disk(&made))
        return output_commit((struct output *[]){&made}, 1, OUTPUT_SYNC_NOW);
    output_abandon(&made);
    return false;
}
