/* output.h: the files that the command writes. A file stands under its name complete, or as it was before; and where
 * several belong together, all of them do or none. Nothing is left behind by a run that a signal ends. */
#ifndef SEGUE_TOOLS_OUTPUT_H
#define SEGUE_TOOLS_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

/* What a file that has no name yet, or not its own, is called beside the one that it will replace: ".segue-", a number
 * and ".tmp". Only a run that is killed leaves one. */
#define OUTPUT_TEMPORARY_SIZE 40

/* A file being made. */
struct output {
    const char *verb;
    /* What messages call it. */
    const char *path;
    /* The folder that it will stand in, held open, and its name there. */
    int folder;
    char *name;
    /* Open for reading and writing. */
    int file;
    /* Its name for now; empty while it has none. */
    char temporary[OUTPUT_TEMPORARY_SIZE];
    /* The one that it replaced has that name now. */
    bool has_exchanged;
    struct output *next;
};

/* Whether a file may be put under that name: there is a regular file, a link to one, or nothing. Says why not. */
bool output_accepts(const char *verb, const char *path);

/* Whether both names are one file's: to write one would be to overwrite the other. */
bool output_is_same(const char *path, const char *other);

/* Begins a file whose final place is where `path` leads, links included; `path` must outlive it. Prints the reason on
 * failure. */
bool output_begin(struct output *output, const char *verb, const char *path);

/* Begins a file that will stand in that folder; no link is followed, one under that name is replaced. */
bool output_begin_at(struct output *output, const char *verb, int folder, const char *name, const char *path);

/* Gives the file the permissions of a new one, and sees to it that its bytes are on the disk. */
bool output_finish_new(struct output *output);
bool output_put_on_disk(struct output *output);

/* When the name of the last one is on the disk. */
enum output_sync {
    OUTPUT_SYNC_NOW,
    /* The caller sees to it, for many at once. */
    OUTPUT_SYNC_LATER,
};

/* Puts the files in place, in their order, each on the disk before the next; if one cannot be, none is. They are ended
 * either way. NULLs are passed over. Prints the reason on failure. */
bool output_commit(struct output *const *outputs, size_t count, enum output_sync sync);

/* Ends a file that has not been put in place. */
void output_abandon(struct output *output);

/* output_begin, bytes, output_finish_new, output_commit. */
bool output_write(const char *verb, const char *path, const void *bytes, size_t size);

/* All of it, though the kernel takes less at once. False, and errno. */
bool output_put(int file, const void *bytes, size_t size);

/* From here on, a signal that ends the process (INT, TERM, HUP, unless ignored) removes what has a name for now first.
 * Threads that are started later have those signals blocked. */
void output_survive_signals(void);

/* Opens what is closed of the three standard descriptors, so that nothing can be written to or read from it: a file
 * that is opened later would get its number, and messages would go into that. To be called before any file is opened.
 */
void output_claim_descriptors(void);

/* Makes a name for something that stands beside others for a moment. */
void output_make_temporary_name(char name[OUTPUT_TEMPORARY_SIZE]);

#endif
