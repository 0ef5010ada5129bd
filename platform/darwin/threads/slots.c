/* slots.c: see slots.h; and thread-local storage of C, which must exist before a handler uses it.
 *
 * A slot's place is found in the thread's own block: by a value that only this function has stored. Where it is not
 * found, the assembly would write to what is another's: the process ends.
 *
 * The system makes a thread's copy of a library's thread-local storage at the first use, and allocates for it. So each
 * thread uses it as it begins. Threads that were there before the library was loaded do so when they attach.
 *
 * SOURCES: Apple's header mach/thread_info.h (thread_handle); XNU osfmk/kern/thread.c (it is the base of GS that was
 * set last, machine.cthread_self); pthread_key_create(3); Apple libpthread, pthread/introspection.h and src/internal.h
 * (the thread's block holds its keys' values); dyld, threadLocalVariables.c (what is allocated when). */
#if !defined(__APPLE__) || !defined(__x86_64__)
#error "slots.c is specific to macOS on x86-64"
#endif

#include "slots.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

#include "platform/darwin/frame/native.h"
#include "platform/memory/memory.h"
#include "platform/posix/called/nested.h"
#include "platform/reason.h"
#include "platform/report.h"

/* Not in the headers of the tools that build for macOS elsewhere. */
enum { THREAD_START = 2 };
typedef void introspection_hook(unsigned event, pthread_t thread, void *address, size_t size);
introspection_hook *pthread_introspection_hook_install(introspection_hook *hook);

/* For platform/asm.h: a slot's distance from GS. */
uint64_t trial_innermost_slot __attribute__((visibility("hidden")));

/* From the thread's block to GS's base. */
static uint64_t base_offset;

/* Of each thread, where its thread-local storage is. */
static pthread_key_t locals;

/* So many bytes of a thread's block are searched. */
#define SEARCHED 1024u

static uint64_t word_at_gs(uint64_t offset)
{
    uint64_t word;
    __asm__ volatile("movq %%gs:(%1), %0" : "=r"(word) : "r"(offset));
    return word;
}

/* Where in the block the slot is. 0 if the value is not there, or is at GS another one's. */
static uint64_t find_base(pthread_key_t key)
{
    static const char mark;
    const uint64_t wanted = (uint64_t)(uintptr_t)&mark, *block = (const void *)pthread_self();
    uint64_t found = 0;
    if (pthread_setspecific(key, &mark) != 0)
        return 0;
    for (size_t i = key; i < SEARCHED / sizeof *block + key && !found; i++)
        if (block[i] == wanted && word_at_gs(8 * (uint64_t)key) == wanted)
            found = (i - key) * sizeof *block;
    pthread_setspecific(key, NULL);
    return word_at_gs(8 * (uint64_t)key) == 0 ? found : 0;
}

static void touch(void)
{
    __asm__ volatile("" : : "r"(&reason_last) : "memory");
    pthread_setspecific(locals, &native_thread);
}

void slots_note_stack(const struct alternate_stack *stack)
{
    native_thread.stack = *stack;
    touch();
}

static introspection_hook *next_hook;

static void at_event(unsigned event, pthread_t thread, void *address, size_t size)
{
    introspection_hook *next = __atomic_load_n(&next_hook, __ATOMIC_ACQUIRE);
    if (event == THREAD_START)
        touch();
    if (next)
        next(event, thread, address, size);
}

__attribute__((constructor)) static void prepare(void)
{
    static const char why[] = "segue: a key's slot is not where this system is known to have it\n";
    pthread_key_t key;
    if (pthread_key_create(&locals, NULL) == 0)
        touch();
    __atomic_store_n(&next_hook, pthread_introspection_hook_install(at_event), __ATOMIC_RELEASE);
    if (pthread_key_create(&key, NULL) == 0) {
        trial_innermost_slot = 8 * (uint64_t)key;
        base_offset = find_base(key);
    }
    if (base_offset)
        return;
    platform_report(why, sizeof why - 1);
    abort();
}

static uint64_t base_of(thread_act_t thread)
{
    thread_identifier_info_data_t info;
    mach_msg_type_number_t size = THREAD_IDENTIFIER_INFO_COUNT;
    kern_return_t result = thread_info(thread, THREAD_IDENTIFIER_INFO, (thread_info_t)&info, &size);
    return result == KERN_SUCCESS ? info.thread_handle : 0;
}

void *slots_of_thread(thread_act_t thread)
{
    const uint64_t gs_base = base_of(thread);
    uint64_t self = 0, place = 0;
    /* The first word is the block's address. */
    if (platform_look_at(gs_base, &self, sizeof self) != PLATFORM_THERE || self != gs_base - base_offset ||
        platform_look_at(gs_base + 8 * (uint64_t)locals, &place, sizeof place) != PLATFORM_THERE)
        return NULL;
    return (void *)(uintptr_t)place;
}

uint64_t slots_gs_base(void)
{
    return (uint64_t)(uintptr_t)pthread_self() + base_offset;
}
