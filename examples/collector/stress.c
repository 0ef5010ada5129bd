/* stress.c: mutators that change lists and trees at random while the collector runs, and check every object that they
 * come by: none is lost, none stale, none another.
 *
 *     collector [--move] [THREADS [OPERATIONS [SEED]]] */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector.h"

#define THREADS_MOST 32
#define ROOTS 24
#define LEVELS 6
#define HEAP ((size_t)4 << 20)
#define SEAL UINT64_C(0x5ea1ed0b1ec70000)
/* Objects on the board belong to no thread, and are not changed any more. */
#define BOARD UINT64_C(0x8000000000000000)

/* The object's words: its name, the name sealed, and the names of what it refers to. */
enum { NAME, SEALED, CHILD_NAMES };

static struct mutator {
    pthread_t thread;
    uint64_t number, random, named, operations, checked;
    struct object *roots[ROOTS];
} mutators[THREADS_MOST];

/* Through it threads pass objects to each other. */
static struct object *board;
static volatile bool failed;
static volatile unsigned running;
static uint64_t operations = 200000;

/* Below `limit`. */
static unsigned draw_below(struct mutator *mutator, unsigned limit)
{
    uint64_t mixed = mutator->random += 0x9e3779b97f4a7c15;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
    return (unsigned)((mixed ^ mixed >> 31) % limit);
}

static struct object *check(struct mutator *mutator, struct object *object, uint64_t name)
{
    mutator->checked++;
    if (object->words[SEALED] == (object->words[NAME] ^ SEAL) && (name == 0 || object->words[NAME] == name))
        return object;
    fprintf(stderr, "thread %llu: object %p: name %#llx, sealed %#llx, expected %#llx\n",
            (unsigned long long)mutator->number, (void *)object, (unsigned long long)object->words[NAME],
            (unsigned long long)object->words[SEALED], (unsigned long long)name);
    failed = true;
    return NULL;
}

static struct object *make(struct mutator *mutator, uint64_t kind)
{
    struct object *object = collector_new();
    if (!object) {
        /* Until a cycle has freed some. */
        sched_yield();
        return NULL;
    }
    object->words[NAME] = kind | mutator->number << 40 | ++mutator->named;
    object->words[SEALED] = object->words[NAME] ^ SEAL;
    return object;
}

static void refer(struct object *from, unsigned which, struct object *to)
{
    from->references[which] = NULL;
    from->words[CHILD_NAMES + which % 3] = to ? to->words[NAME] : 0;
    from->references[which] = to;
}

/* The child, checked; NULL without one. */
static struct object *child(struct mutator *mutator, struct object *object, unsigned which)
{
    struct object *found = object->references[which];
    return found ? check(mutator, found, object->words[CHILD_NAMES + which]) : NULL;
}

/* At most that many steps down. */
static struct object *walk_from(struct mutator *mutator, struct object *at, unsigned steps)
{
    for (; at && steps; steps--) {
        struct object *next = child(mutator, at, draw_below(mutator, OBJECT_REFERENCES));
        if (!next)
            break;
        at = next;
    }
    return at;
}

static struct object *walk(struct mutator *mutator)
{
    return walk_from(mutator, mutator->roots[draw_below(mutator, ROOTS)], draw_below(mutator, 8));
}

/* A node at the lowest level of the thread's tree, which its first root refers to. Its children are leaves. */
static struct object *walk_tree(struct mutator *mutator)
{
    return walk_from(mutator, mutator->roots[0], LEVELS);
}

static struct object *make_for_sure(struct mutator *mutator)
{
    struct object *object;
    do
        object = make(mutator, 0);
    while (!object);
    return object;
}

static struct object *make_tree(struct mutator *mutator, unsigned levels)
{
    struct object *object = make_for_sure(mutator);
    for (unsigned i = 0; i < OBJECT_REFERENCES; i++)
        refer(object, i, levels ? make_tree(mutator, levels - 1) : make_for_sure(mutator));
    return object;
}

static unsigned draw_root(struct mutator *mutator)
{
    return 1 + draw_below(mutator, ROOTS - 1);
}

/* A short-lived object on top of others. */
static void grow(struct mutator *mutator)
{
    struct object *object = make(mutator, 0), *below = walk(mutator);
    if (!object)
        return;
    refer(object, draw_below(mutator, OBJECT_REFERENCES), below);
    mutator->roots[draw_root(mutator)] = object;
}

/* Another leaf. */
static void replace(struct mutator *mutator)
{
    struct object *leaf = make(mutator, 0), *at = walk_tree(mutator);
    if (leaf && at)
        refer(at, draw_below(mutator, OBJECT_REFERENCES), leaf);
}

/* Two leaves change their places. In between nothing but this function's variables refers to them: a collector that
 * has not seen the one parent yet, and the other already, finds neither. */
static void hide(struct mutator *mutator)
{
    struct object *from = walk_tree(mutator), *to = walk_tree(mutator);
    if (!from || !to)
        return;
    unsigned one = draw_below(mutator, OBJECT_REFERENCES), other = draw_below(mutator, OBJECT_REFERENCES);
    struct object *hidden = child(mutator, from, one), *second = child(mutator, to, other);
    refer(from, one, NULL);
    refer(to, other, NULL);
    refer(to, other, hidden);
    refer(from, one, second);
}

static void pass_on(struct mutator *mutator)
{
    struct object *mine = make(mutator, BOARD);
    if (!mine)
        return;
    struct object *theirs =
        __atomic_exchange_n(&board->references[draw_below(mutator, OBJECT_REFERENCES)], mine, __ATOMIC_ACQ_REL);
    if (theirs)
        mutator->roots[draw_root(mutator)] = check(mutator, theirs, 0);
}

static void *mutate(void *closure)
{
    struct mutator *mutator = closure;
    if (!collector_attach(mutator->roots, ROOTS))
        exit(2);
    mutator->roots[0] = make_tree(mutator, LEVELS);
    for (uint64_t i = 0; i < operations && !failed; i++) {
        unsigned kind = draw_below(mutator, 16);
        if (kind < 1)
            grow(mutator);
        else if (kind < 3)
            replace(mutator);
        else if (kind < 14)
            hide(mutator);
        else if (kind == 14)
            pass_on(mutator);
        else
            mutator->roots[draw_root(mutator)] = NULL;
        mutator->operations++;
    }
    memset(mutator->roots, 0, sizeof mutator->roots);
    collector_detach();
    __atomic_fetch_sub(&running, 1, __ATOMIC_RELEASE);
    return NULL;
}

static uint64_t argument(int argc, char **argv, int index, uint64_t otherwise)
{
    return argc > index ? strtoull(argv[index], NULL, 0) : otherwise;
}

int main(int argc, char **argv)
{
    struct collector_counts counts;
    uint64_t total = 0, checked = 0;
    bool moves = argc > 1 && strcmp(argv[1], "--move") == 0;
    argc -= moves;
    argv += moves;
    uint64_t threads = argument(argc, argv, 1, 8), seed = argument(argc, argv, 3, 1);
    operations = argument(argc, argv, 2, operations);
    if (threads == 0 || threads > THREADS_MOST || !collector_begin(HEAP, moves))
        return 2;
    board = collector_new();
    board->words[NAME] = BOARD;
    board->words[SEALED] = BOARD ^ SEAL;
    collector_add_roots(&board, 1);
    running = (unsigned)threads;
    for (uint64_t i = 0; i < threads; i++) {
        mutators[i].number = i + 1;
        mutators[i].random = seed * 1000 + i;
        pthread_create(&mutators[i].thread, NULL, mutate, &mutators[i]);
    }
    while (__atomic_load_n(&running, __ATOMIC_ACQUIRE))
        if (!collector_collect()) {
            fprintf(stderr, "a cycle failed\n");
            failed = true;
        }
    for (uint64_t i = 0; i < threads; i++) {
        pthread_join(mutators[i].thread, NULL);
        total += mutators[i].operations;
        checked += mutators[i].checked;
    }
    collector_collect();
    collector_count(&counts);
    printf("%llu operations, %llu objects checked: %s\n", (unsigned long long)total, (unsigned long long)checked,
           failed ? "FAILED" : "none lost, none stale");
    printf("%llu cycles, %llu freed, %llu moved, %llu pinned, %llu logged, %llu overflows of the log\n",
           (unsigned long long)counts.cycles, (unsigned long long)counts.freed, (unsigned long long)counts.moved,
           (unsigned long long)counts.pinned, (unsigned long long)counts.logged, (unsigned long long)counts.overflows);
    collector_end();
    return failed;
}
