/* mappings.h: the system's list of this process's mappings, in the order of addresses.
 *
 * Every function is async-signal-safe and thread-safe. The list is read in pieces and other threads may change it
 * meanwhile: a mapping that exists throughout is found. */
#ifndef SEGUE_PLATFORM_MAPPINGS_H
#define SEGUE_PLATFORM_MAPPINGS_H

#include <segue/status.h>

/* What may grow into the free addresses beside it. */
enum mapping_growth {
    MAPPING_KEEPS_ITS_SIZE,
    /* The program break: grows to higher addresses. */
    MAPPING_IS_HEAP,
    /* The first thread's stack: grows to lower addresses. */
    MAPPING_IS_STACK,
};

struct mapping {
    uint64_t start, end;
    /* In its file. */
    uint64_t offset;
    /* Identifies the file; 0 for a mapping without a file. Shared memory may have one. */
    uint64_t file;
    /* enum platform_access (memory.h). */
    int protection;
    /* Other mappings of the file show what is written here. */
    bool is_shared;
    enum mapping_growth growth;
};

/* A list that is being read. */
struct mappings {
    int file;
    char *piece;
    size_t size, at, held;
    /* Room for the name of the mapping that was read last; none if the size is 0. */
    char *name;
    size_t name_size;
};

/* Opens the list; mappings_next reads it by pieces of `size` bytes, at least 1, that `piece` has room for. False if the
 * system does not show the list. */
bool mappings_open(struct mappings *mappings, char *piece, size_t size);
void mappings_close(struct mappings *mappings);

/* As mappings_open, from a descriptor that shows a list from its beginning and stays open: not for mappings_close. */
void mappings_begin(struct mappings *mappings, int file, char *piece, size_t size);

/* The next mapping; false after the last. */
bool mappings_next(struct mappings *mappings, struct mapping *mapping);

/* From now on mappings_find keeps the list open, if the kernel answers questions about one address: that takes 1 us,
 * and to open the list 4. It does not matter if that is not possible. Not async-signal-safe. */
void mappings_keep_open(void);

/* To be called in a child that does not share its parent's memory: closes the parent's list. Does nothing in other
 * processes. */
void mappings_leave_parent(void);

/* Finds the mapping that holds `address`. False if it is not mapped, or if the system does not show the list. */
bool mappings_find(uint64_t address, struct mapping *mapping);

/* The same, and stores the path of the mapping's file as a string, as the system shows it now: another file may be
 * there. An empty one if `size` bytes do not hold it. */
bool mappings_find_named(uint64_t address, struct mapping *mapping, char *name, size_t size);

/* What mappings of a file have as `file`: of a descriptor's file, or of the one at a path now. 0 without one. A file
 * that cannot be mapped for reading may be said to be another one than its mappings have. */
uint64_t mappings_file_of(int descriptor);
uint64_t mappings_file_at(const char *path);

/* The same as stat says it: to be compared with one another, where there is too little stack for more. */
uint64_t mappings_stat_of(int descriptor);
uint64_t mappings_stat_at(const char *path);

#endif
