/* dirty_bytes.c: which bytes of a document have changed since it was saved? Every write that changes a byte of it is an
 * event, to the byte and with its value before: so what is saved is what has changed, and undoing needs no copy of the
 * document. Pages (userfaultfd, soft-dirty bits) would say 4096 bytes for each. */
#include <segue/segue.h>
#include <stdio.h>
#include <string.h>

#define SIZE 20000

static char document[SIZE], saved[SIZE];

struct change {
    size_t first, end;
    unsigned char before[32];
};

static struct change changes[256];
static size_t change_count;

/* In the order in which they were made. */
static void take_changes(void)
{
    struct segue_watch_record record;
    size_t count;
    while (segue_watch_read(&record, 1, 0, &count, NULL) == SEGUE_OK) {
        const size_t first = (size_t)(record.address - (uint64_t)document);
        /* The record has the value of the first 32 bytes: no store here has more. */
        if (change_count == sizeof changes / sizeof *changes || record.size > sizeof record.before)
            continue;
        changes[change_count] = (struct change){.first = first, .end = first + record.size};
        memcpy(changes[change_count++].before, record.before, sizeof record.before);
    }
}

/* Joins what touches, and prints it. */
static void print_ranges(void)
{
    static unsigned char is_dirty[SIZE + 1];
    size_t bytes = 0, ranges = 0;
    for (size_t i = 0; i < change_count; i++)
        memset(is_dirty + changes[i].first, 1, changes[i].end - changes[i].first);
    for (size_t at = 0; at < SIZE; at++) {
        size_t first = at;
        while (is_dirty[at])
            at++;
        if (at == first)
            continue;
        printf("  bytes %zu to %zu\n", first, at - 1);
        ranges++;
        bytes += at - first;
    }
    size_t missed = 0;
    for (size_t at = 0; at < SIZE; at++)
        missed += document[at] != saved[at] && !is_dirty[at];
    printf("%zu ranges, %zu bytes of %d; %zu changed bytes are in none\n", ranges, bytes, SIZE, missed);
}

static void undo_all(void)
{
    for (size_t i = change_count; i-- > 0;)
        memcpy(document + changes[i].first, changes[i].before, changes[i].end - changes[i].first);
}

/* The compiler must not join, leave out or widen what the program stores. */
static void edit(void)
{
    volatile char *at = document;
    at[17] = 'x';
    at[18] = 'y';
    /* No change. */
    at[500] = '.';
    *(volatile long *)(document + 4092) = 0x6867666564636261;
    for (int i = 0; i < 100; i++)
        at[10000 + i] = '!';
    at[SIZE - 1] = '\n';
    at[17] = 'z';
}

int main(void)
{
    memset(document, '.', SIZE);
    memcpy(saved, document, SIZE);
    const struct segue_watch watch = {.address = document, .size = SIZE, .flags = SEGUE_WATCH_CHANGE};
    uint64_t id;
    if (segue_install(NULL) || segue_watch_add(&watch, 1, &id))
        return fprintf(stderr, "%s\n", segue_reason()), 1;
    edit();
    take_changes();
    print_ranges();
    /* What undoes them is not an edit. */
    if (segue_watch_remove(id) != SEGUE_OK)
        return 1;
    undo_all();
    printf("undone, the document is %s\n", memcmp(document, saved, SIZE) == 0 ? "as it was saved" : "another");
    return 0;
}
