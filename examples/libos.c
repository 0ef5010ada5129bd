/* libos.c: code of another system in a guest, on a host that cannot give it FS: its thread-local storage is reached by
 * fs:, the base of FS stays 0, and each such access is rewritten to gs: when it faults first. So a library OS runs
 * programs for Linux where FS cannot be set.
 *
 * The guest's code is what a compiler makes of `static __thread long counter; counter += 2; return counter;` and of a
 * stack guard, and instead of a system call it calls the guest's entry. */
#include <segue/segue.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096

/* The guest's program: bytes, as they would be read from a file. */
static const unsigned char program[] = {
    0x64, 0x48, 0x8b, 0x04, 0x25, 0x28, 0x00, 0x00, 0x00,       /* mov rax, fs:[0x28]     the stack guard */
    0x50,                                                       /* push rax */
    0x64, 0x48, 0x83, 0x04, 0x25, 0xf8, 0xff, 0xff, 0xff, 0x02, /* add qword fs:[-8], 2   a thread-local variable */
    0x64, 0x48, 0x8b, 0x1c, 0x25, 0xf8, 0xff, 0xff, 0xff,       /* mov rbx, fs:[-8] */
    0x58,                                                       /* pop rax */
    0x41, 0xff, 0xd4,                                           /* call r12               the host: a "system call" */
};

struct thread_block {
    long counter; /* at -8 */
    long self, unused[4];
    long guard; /* at 0x28 */
};

static int report(const char *what, enum segue_status status)
{
    fprintf(stderr, "%s: %s\n", what, segue_status_text(status));
    return 1;
}

/* Runs the program once, from its beginning. */
static enum segue_status run(struct segue_guest *guest, void *code, char *stack)
{
    guest->general.rip = (uint64_t)code;
    guest->general.rsp = (uint64_t)(stack + PAGE - 64);
    enum segue_status status = segue_guest_enter(guest);
    if (status == SEGUE_OK && guest->trap_num != SEGUE_GUEST_CALLED) {
        fprintf(stderr, "the guest stopped by exception %llu at %#llx\n", (unsigned long long)guest->trap_num,
                (unsigned long long)guest->general.rip);
        return SEGUE_FAULT;
    }
    return status;
}

int main(void)
{
    static struct thread_block block = {.counter = 40, .guard = 0x5eedf00d};
    const struct segue_segment_options options = {
        .rewrite = {.from = SEGUE_SEGMENT_FS, .to = SEGUE_SEGMENT_GS},
    };
    struct segue_guest guest = {0};
    char *code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *stack = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (code == MAP_FAILED || stack == MAP_FAILED)
        return report("memory", SEGUE_NO_MEMORY);
    memcpy(code, program, sizeof program);
    mprotect(code, PAGE, PROT_READ | PROT_EXEC);

    enum segue_status status = segue_install(NULL);
    if (status != SEGUE_OK)
        return report("segue_install", status);
    status = segue_segment_enable(&options);
    if (status != SEGUE_OK)
        return report("segue_segment_enable", status);
    status = segue_guest_new(&guest, NULL);
    if (status != SEGUE_OK)
        return report("segue_guest_new", status);

    guest.general.rflags = 2;
    guest.general.fs_base = 0; /* what the host cannot give */
    guest.general.gs_base = (uint64_t)&block.self;
    guest.general.r12 = guest.entry;
    for (int i = 0; i < 2; i++) {
        status = run(&guest, code, stack);
        if (status != SEGUE_OK)
            return report("the guest", status);
        printf("rax %#llx, rbx %lld, rewritten so far:", (unsigned long long)guest.general.rax,
               (long long)guest.general.rbx);
        for (size_t at = 0; at < sizeof program; at++)
            if ((unsigned char)code[at] != program[at])
                printf(" byte %zu", at);
        putchar('\n');
    }
    segue_guest_free(&guest);
    return 0;
}
