/* blocks.c: a program for `segue watch heap:48` and `heap@FUNCTION`: it touches its blocks by a plain read or write at
 * a time, and counts for itself what is to be seen.
 *
 *   48      accesses to blocks of 48 bytes, while they have that size
 *   node    to blocks that make_node allocates, by a function between it and malloc
 *   list    to those of make_list; jump: of make_by_jump
 *   freed   to blocks of 48 bytes that are freed already
 *   child   as 48, in a child made by fork
 *
 * It also looks at what an allocator must keep to: alignment, zeroes, contents, sizes. With the argument hugeN it only
 * allocates so many blocks of 1 GiB. */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__clang__)
#define APART __attribute__((noinline))
#define JUMPS_ON APART
#else
#define APART __attribute__((noipa))
#define JUMPS_ON __attribute__((noipa, optimize("O2")))
#endif

#define THREADS 4
#define ROUNDS 50
#define NODE 48
/* More than the first pools have room for. */
#define BLOCKS 40000

enum { SIZE_48, NODES, LISTS, JUMPS, FREED, KINDS };
static unsigned long counts[KINDS];
static const char *failure;

static void expect(int holds, const char *what)
{
    if (!holds)
        failure = what;
}

static void note(unsigned kinds)
{
    for (unsigned kind = 0; kind < KINDS; kind++)
        if (kinds >> kind & 1)
            __atomic_fetch_add(&counts[kind], 1, __ATOMIC_RELAXED);
}

/* One write and one read of a word, of a block that belongs to these kinds. */
APART static void touch(void *block, unsigned index, unsigned kinds)
{
    volatile uint64_t *word = (volatile uint64_t *)block + index;
    *word = index;
    note(kinds);
    expect(*word == index, "a word");
    note(kinds);
}

static void *checked(void *block)
{
    if (!block)
        abort();
    return block;
}

APART static void *xmalloc(size_t size)
{
    return checked(malloc(size));
}

APART static void *make_node(size_t size)
{
    void *node = xmalloc(size);
    expect(node != NULL, "a node");
    return node;
}

APART static void *make_list(size_t size)
{
    void *list = calloc(1, size);
    expect(list != NULL, "a list");
    return list;
}

APART static void *grow(void *list, size_t size)
{
    return checked(realloc(list, size));
}

/* It goes on to malloc by a jump, and has no frame then. */
JUMPS_ON static void *make_by_jump(size_t size)
{
    return malloc(size);
}

static void *work(void *unused)
{
    void *others[ROUNDS];
    for (unsigned i = 0; i < ROUNDS; i++) {
        void *node = make_node(NODE), *longer = make_node(NODE + 8), *jump = make_by_jump(56);
        others[i] = xmalloc(NODE);
        touch(node, i % 6, 1u << SIZE_48 | 1u << NODES);
        touch(longer, i % 7, 1u << NODES);
        touch(jump, i % 7, 1u << JUMPS);
        touch(others[i], i % 6, 1u << SIZE_48);
        free(node);
        free(longer);
        free(jump);
    }
    for (unsigned i = 0; i < ROUNDS; i++)
        free(others[i]);
    return unused;
}

/* The list is zero, keeps its contents while it grows and shrinks, and is of 48 bytes at first and at last. */
APART static void grow_lists(void)
{
    static const size_t sizes[] = {NODE, 100, 5000, 100000, 300, NODE};
    void *list = make_list(NODE);
    for (unsigned n = 0; n < sizeof sizes / sizeof *sizes; n++) {
        const unsigned kinds = sizes[n] == NODE ? 1u << SIZE_48 | 1u << LISTS : 1u << LISTS;
        list = grow(list, sizes[n]);
        volatile uint64_t *words = list;
        for (unsigned i = 1; i < 6; i++) {
            expect(words[i] == (n ? i : 0), "contents");
            note(kinds);
            touch(list, i, kinds);
        }
    }
    free(list);
}

static void look_at_alignment(void)
{
    static const size_t alignments[] = {16, 64, 4096, 65536, 1 << 20};
    for (unsigned i = 0; i < sizeof alignments / sizeof *alignments; i++) {
        void *blocks[3] = {memalign(alignments[i], NODE), aligned_alloc(alignments[i], NODE)};
        expect(posix_memalign(&blocks[2], alignments[i], NODE) == 0, "posix_memalign");
        for (unsigned n = 0; n < 3; n++) {
            expect(((uintptr_t)blocks[n] & (alignments[i] - 1)) == 0, "an alignment");
            expect(malloc_usable_size(blocks[n]) >= NODE, "a usable size");
            touch(blocks[n], n, 1u << SIZE_48);
            free(blocks[n]);
        }
    }
    void *none = NULL;
    volatile size_t most = SIZE_MAX;
    expect(posix_memalign(&none, 24, NODE) == EINVAL, "a wrong alignment");
    errno = 0;
    expect(!reallocarray(NULL, most / 2, NODE) && errno == ENOMEM, "a product that is too large");
    void *array = reallocarray(NULL, 6, 8);
    touch(array, 5, 1u << SIZE_48);
    expect(realloc(array, 0) == NULL, "realloc to nothing");
}

/* Its actions are in blocks, too, and its child is in this memory. */
static void spawn(void)
{
    extern char **environ;
    posix_spawn_file_actions_t actions;
    char *words[] = {(char *)"true", NULL};
    pid_t child;
    int status = -1;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addclose(&actions, 99);
    expect(posix_spawnp(&child, words[0], &actions, NULL, words, environ) == 0, "posix_spawn");
    waitpid(child, &status, 0);
    expect(status == 0, "a spawned program");
    posix_spawn_file_actions_destroy(&actions);
}

APART static void fork_child(void)
{
    uint64_t *shared = make_node(NODE);
    int status = -1;
    touch(shared, 1, 1u << SIZE_48 | 1u << NODES);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        memset(counts, 0, sizeof counts);
        touch(shared, 0, 1u << SIZE_48);
        void *own = xmalloc(NODE);
        touch(own, 2, 1u << SIZE_48);
        free(own);
        printf("child %lu\n", counts[SIZE_48]);
        fflush(stdout);
        _exit(failure != NULL);
    }
    waitpid(child, &status, 0);
    expect(status == 0, "a child");
    *(volatile uint64_t *)shared = 7;
    note(1u << SIZE_48 | 1u << NODES);
    free(shared);
}

/* What a compiler does not see: it would leave the accesses out. */
static void *volatile hidden;

/* The place of a freed block waits for others, also when a pool is full. */
APART static void fill_pools(void)
{
    static void *blocks[BLOCKS];
    hidden = make_node(NODE);
    free(hidden);
    for (unsigned i = 0; i < BLOCKS; i++) {
        blocks[i] = make_node(NODE);
        expect(blocks[i] != hidden, "a freed block waits");
    }
    for (unsigned i = 0; i < BLOCKS; i++)
        free(blocks[i]);
}

APART static void touch_freed(void)
{
    hidden = make_node(NODE);
    free(hidden);
    volatile uint64_t *freed = hidden;
    (void)freed[3];
    note(1u << FREED | 1u << SIZE_48 | 1u << NODES);
}

/* So many blocks of 1 GiB, which are too large. */
static int allocate_huge(int count)
{
    for (int i = 0; i < count; i++) {
        hidden = malloc((size_t)1 << 30);
        free(hidden);
    }
    return 0;
}

int main(int count, char **arguments)
{
    pthread_t threads[THREADS];
    if (count > 1 && strncmp(arguments[1], "huge", 4) == 0)
        return allocate_huge(arguments[1][4] - '0');
    for (unsigned i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, work, NULL) != 0)
            return 1;
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    grow_lists();
    look_at_alignment();
    spawn();
    fork_child();
    if (count > 1) {
        fill_pools();
        touch_freed();
    }
    printf("48 %lu\nnode %lu\nlist %lu\njump %lu\nfreed %lu\n%s\n", counts[SIZE_48], counts[NODES], counts[LISTS],
           counts[JUMPS], counts[FREED], failure ? failure : "right");
    if (count > 2) {
        void *twice = make_node(NODE);
        hidden = twice;
        free(twice);
        free(hidden);
    }
    return 0;
}
