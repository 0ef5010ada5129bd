/* library_os_main.c: the guest of library_os.c, built to find its thread-local storage through FS: it loads a word of
 * it, calls its entry with that word, and then runs into an undefined instruction. */
#include <segue/posix.h>
#include <segue/segue.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

void serve_call(struct segue_regs *regs);
int run(uint64_t start, uint64_t stack, uint64_t thread_pointer);

static uint64_t served;

void serve_call(struct segue_regs *regs)
{
    served = regs->rdi;
}

int main(void)
{
    /* mov rdi, fs:[0x10]; mov rax, fs:[8]; call rax; ud2 */
    static const unsigned char code[] = "\x64\x48\x8b\x3c\x25\x10\0\0\0\x64\x48\x8b\x04\x25\x08\0\0\0\xff\xd0\x0f\x0b";
    static uint64_t thread[8], stack[512];
    struct segue_guest other;
    struct sigaction illegal = {.sa_sigaction = segue_guest_handler, .sa_flags = SA_SIGINFO};
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || segue_guest_sigaction(SIGILL, &illegal, NULL) != 0 ||
        segue_guest_new(&other, NULL) != SEGUE_OK)
        return 2;
    /* All guests of a process have one entry. */
    thread[1] = other.entry;
    thread[2] = 42;
    segue_guest_free(&other);
    memcpy(page, code, sizeof code);
    mprotect(page, 4096, PROT_READ | PROT_EXEC);
    int trap = run((uint64_t)(uintptr_t)page, (uint64_t)(uintptr_t)(stack + 500), (uint64_t)(uintptr_t)thread);
    printf("%llu, trap %d\n", (unsigned long long)served, trap);
    /* The prefix was rewritten: FS became GS. */
    return served == 42 && trap == 6 && page[0] == 0x65 ? 0 : 1;
}
