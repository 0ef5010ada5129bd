/* collector.h: a small garbage collector over the library's public interface: it marks while its mutators run, with a
 * snapshot-at-the-beginning write barrier on hot sites, and moves objects if asked. docs/collector.md explains it.
 *
 * Mutators are ordinary C: they load and store references as they like. The stacks, registers, vector registers and red
 * zones of their threads are scanned conservatively; a table of roots and the references in objects exactly. */
#ifndef COLLECTOR_H
#define COLLECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OBJECT_REFERENCES 3

/* Every object, 64 bytes. */
struct object {
    uint64_t words[5];
    struct object *references[OBJECT_REFERENCES];
};

/* How often something has happened so far. */
struct collector_counts {
    uint64_t cycles, freed, moved, pinned, logged, overflows;
};

/* Makes the heap: `size` bytes, a multiple of 4096 and at most 4 GiB. With `moves` each cycle ends with compaction.
 * Prints what is wrong and returns false if it cannot. */
bool collector_begin(size_t size, bool moves);

/* No mutator is left. */
void collector_end(void);

/* The calling thread is a mutator from now on, with that table of roots, which it alone changes; and no longer. False
 * if there are too many. */
bool collector_attach(struct object **roots, size_t count);
void collector_detach(void);

/* One more table of roots, for all threads, until the end; before the first mutator. */
void collector_add_roots(struct object **roots, size_t count);

/* A new object, all zero; NULL if no cell is free. For mutators. */
struct object *collector_new(void);

/* One cycle, by one thread at a time, and not by a mutator. False if a thread could not be suspended: nothing is freed.
 */
bool collector_collect(void);

void collector_count(struct collector_counts *counts);

#endif
