/* try.c: reads memory that cannot be trusted: a list that somebody else has built, whose pointers may lead anywhere. A
 * block between segue_try and segue_try_end may fault; then it begins again with 1, and the fault is reported. No
 * system call is made on the way that goes well, unlike with process_vm_readv or a pipe. */
#include <segue/segue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096u
#define LONGEST 1000

struct node {
    struct node *next;
    char name[24];
};

/* What came of a walk. */
struct walk {
    unsigned nodes;
    char last[24];
    /* Signal 0: it ended as a list does. */
    struct segue_fault fault;
    bool endless;
};

/* What changes inside the block is volatile, or not looked at after a fault, as with setjmp. */
static void walk_list(const struct node *list, struct walk *walk)
{
    struct segue_trial trial;
    volatile struct walk *told = walk;
    memset(walk, 0, sizeof *walk);
    if (segue_try(&trial) != 0) {
        walk->fault = trial.fault;
        return;
    }
    for (const struct node *node = list; node; node = node->next) {
        for (size_t i = 0; i < sizeof walk->last; i++)
            told->last[i] = node->name[i];
        if (++told->nodes == LONGEST) {
            told->endless = true;
            break;
        }
    }
    segue_try_end(&trial);
}

static void report(const char *what, const struct node *list)
{
    struct walk walk;
    walk_list(list, &walk);
    printf("%-28s %4u nodes, the last \"%.24s\": ", what, walk.nodes, walk.last);
    if (walk.endless)
        puts("it does not end");
    else if (walk.fault.signal == 0)
        puts("complete");
    else
        printf("%s while %s\n", walk.fault.signal == SIGBUS ? "SIGBUS" : "SIGSEGV",
               walk.fault.direction == SEGUE_READ ? "reading" : "accessing a non-canonical address");
}

/* A file that has become shorter than its mapping: the page is there, its contents are not. */
static struct node *lost_page(void)
{
    char name[] = "/tmp/segue-try-XXXXXX";
    int file = mkstemp(name);
    unlink(name);
    if (file < 0 || ftruncate(file, PAGE) != 0)
        return NULL;
    void *page = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, file, 0);
    if (page == MAP_FAILED || ftruncate(file, 0) != 0)
        return NULL;
    close(file);
    return page;
}

int main(void)
{
    struct node third = {NULL, "third"}, second = {&third, "second"}, first = {&second, "first"};
    char *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct node *lost = lost_page();
    if (pages == MAP_FAILED || !lost || segue_install(NULL) != SEGUE_OK)
        return 1;
    report("a list", &first);

    third.next = (struct node *)16;
    report("into the first page", &first);

    mprotect(pages + PAGE, PAGE, PROT_NONE);
    third.next = (struct node *)(void *)(pages + PAGE);
    report("into a closed page", &first);

    /* The pointer is still there, the name is half beyond the edge. */
    third.next = (struct node *)(void *)(pages + PAGE - 16);
    report("across the edge of one", &first);

    third.next = (struct node *)(uintptr_t)0x8000000000000000u;
    report("to a non-canonical one", &first);

    third.next = lost;
    report("into a file that has shrunk", &first);

    third.next = &first;
    report("round and round", &first);

    third.next = NULL;
    report("a list again", &first);
    return segue_uninstall(NULL) != SEGUE_OK;
}
