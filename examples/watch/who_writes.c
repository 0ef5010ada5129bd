/* who_writes.c: who writes my variable? Four threads add to a counter, and something sets it back. Each write that
 * changes it becomes an event in a queue; an ordinary thread reads the queue, and may use locks, stdio and dladdr. */
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <pthread.h>
#include <segue/segue.h>
#include <stdio.h>
#include <string.h>

#define THREADS 4
#define ROUNDS 1000

static long counter;
static volatile int is_over;

/* What is noted of each function. */
static struct writer {
    const char *name;
    unsigned long writes, odd;
    segue_thread_id threads[THREADS];
    unsigned thread_count;
    /* The least before, and the greatest after. */
    long from, to;
} writers[8];

/* Not static: dladdr knows only names that the program exports (-rdynamic). */
void *add(void *unused);
void set_back(void);

__attribute__((noinline)) void *add(void *unused)
{
    for (int i = 0; i < ROUNDS; i++)
        __atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED);
    return unused;
}

__attribute__((noinline)) void set_back(void)
{
    __atomic_store_n(&counter, 7, __ATOMIC_RELAXED);
}

static struct writer *writer_of(uint64_t instruction)
{
    Dl_info info;
    const char *name = dladdr((void *)instruction, &info) && info.dli_sname ? info.dli_sname : "?";
    struct writer *writer = writers;
    while (writer->name && strcmp(writer->name, name) != 0 && writer < writers + 7)
        writer++;
    writer->name = name;
    return writer;
}

static void note(const struct segue_watch_record *record)
{
    struct writer *writer = writer_of(record->site);
    unsigned i = 0;
    long before, after;
    memcpy(&before, record->before, sizeof before);
    memcpy(&after, record->after, sizeof after);
    writer->from = writer->writes && writer->from < before ? writer->from : before;
    writer->to = writer->writes && writer->to > after ? writer->to : after;
    writer->writes++;
    writer->odd += after != before + 1;
    while (i < writer->thread_count && writer->threads[i] != record->thread)
        i++;
    if (i == writer->thread_count && i < THREADS)
        writer->threads[writer->thread_count++] = record->thread;
}

/* Until all is over and the queue is empty. The program's threads do not wait for it, unless the queue is full. */
static void *read_events(void *unused)
{
    struct segue_watch_record records[64];
    size_t count;
    for (;;) {
        int was_over = is_over;
        if (segue_watch_read(records, 64, 10000000, &count, NULL) == SEGUE_OK)
            for (size_t i = 0; i < count; i++)
                note(&records[i]);
        else if (was_over)
            return unused;
    }
}

int main(void)
{
    const struct segue_watch watch = {
        .address = &counter, .size = sizeof counter, .flags = SEGUE_WATCH_CHANGE | SEGUE_WATCH_WAIT};
    pthread_t threads[THREADS], reader;
    uint64_t id;
    if (segue_install(NULL) || segue_suspend_install(NULL) || segue_watch_add(&watch, 1, &id))
        return fprintf(stderr, "%s\n", segue_reason()), 1;
    if (pthread_create(&reader, NULL, read_events, NULL) != 0)
        return 1;
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, add, NULL) != 0)
            return 1;
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    set_back();
    is_over = 1;
    pthread_join(reader, NULL);
    for (const struct writer *writer = writers; writer->name; writer++)
        printf("%s: %lu writes by %u threads, from %ld to %ld; %lu of them did not add 1\n", writer->name,
               writer->writes, writer->thread_count, writer->from, writer->to, writer->odd);
    printf("the counter is %ld\n", counter);
    return segue_watch_remove(id) != SEGUE_OK;
}
