/* patch_poke.c: code changes under threads that run it. The torture shows that no thread ever ran anything but the old
 * or the new instruction; it runs for 0.2 seconds a case, or as long as SEGUE_TORTURE says (in seconds). What it cannot
 * show is another processor's behaviour. */
#include "tests/support/test.h"

#include <asm/prctl.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/membarrier.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <segue/mapping.h>

#include "patch/poke/poke.h"
#include "platform/memory/mappings.h"
#include "tests/support/company.h"

#define PAGE 4096u

/* --- Code memory that each way can write. --- */

struct code {
    char *memory;
    struct segue_mapping mapping;
};

/* Private pages can be written through the kernel and by opening them; shared ones by opening them and by the alias. */
static void code_create(struct code *code, unsigned way)
{
    memset(code, 0, sizeof *code);
    if (way == POKE_ALIAS) {
        assert_int_equal(segue_mapping_create(NULL, 2 * PAGE, &code->mapping), SEGUE_OK);
        code->memory = code->mapping.memory;
        assert_int_equal(poke_alias_add((uint64_t)code->memory, 2 * PAGE, code->mapping.alias), SEGUE_OK);
    } else {
        code->memory = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_true(code->memory != MAP_FAILED);
    }
    memset(code->memory, 0x90, 2 * PAGE);
}

static void code_close(struct code *code)
{
    assert_int_equal(mprotect(code->memory, 2 * PAGE, PROT_READ | PROT_EXEC), 0);
}

static void code_destroy(struct code *code)
{
    if (code->mapping.size) {
        assert_int_equal(poke_alias_remove((uint64_t)code->memory), SEGUE_OK);
        segue_mapping_destroy(&code->mapping);
    } else {
        munmap(code->memory, 2 * PAGE);
    }
}

static int protection_of(const void *at)
{
    struct mapping mapping;
    assert_true(mappings_find((uint64_t)(uintptr_t)at, &mapping));
    return mapping.protection;
}

/* --- One at a time. --- */

static void byte_changes_in_every_way_and_protection_stays(void **state)
{
    static const unsigned ways[] = {POKE_ALIAS, POKE_KERNEL, POKE_PROTECT};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct code code;
        code_create(&code, ways[i]);
        code_close(&code);
        assert_int_equal(poke_byte((uint64_t)code.memory + PAGE - 1, 0x42, ways[i]), SEGUE_OK);
        assert_int_equal((uint8_t)code.memory[PAGE - 1], 0x42);
        assert_int_equal((uint8_t)code.memory[PAGE], 0x90);
        assert_int_equal(protection_of(code.memory + PAGE - 1), PROT_READ | PROT_EXEC);
        code_destroy(&code);
    }
}

/* hard-coded-RX: what comes back is what was there, whatever that was. */
static void hard_coded_RX_is_not_what_comes_back(void **state)
{
    static const int protections[] = {PROT_READ | PROT_WRITE | PROT_EXEC, PROT_READ | PROT_EXEC, PROT_EXEC, PROT_READ,
                                      PROT_NONE};
    (void)state;
    for (size_t i = 0; i < sizeof protections / sizeof *protections; i++) {
        struct code code;
        code_create(&code, POKE_PROTECT);
        assert_int_equal(mprotect(code.memory, PAGE, protections[i]), 0);
        uint8_t bytes[] = {0x0f, 0x1f, 0x00};
        assert_int_equal(poke_byte((uint64_t)code.memory, 0x42, POKE_PROTECT), SEGUE_OK);
        assert_int_equal(protection_of(code.memory), protections[i]);
        assert_int_equal(poke((uint64_t)code.memory + PAGE - 2, bytes, 3, POKE_PROTECT), SEGUE_OK);
        assert_int_equal(protection_of(code.memory), protections[i]);
        assert_int_equal(protection_of(code.memory + PAGE), PROT_READ | PROT_WRITE);
        mprotect(code.memory, PAGE, PROT_READ);
        assert_int_equal((uint8_t)code.memory[0], 0x42);
        assert_memory_equal(code.memory + PAGE - 2, bytes, 3);
        code_destroy(&code);
    }
}

static void what_cannot_be_written_is_refused_and_left(void **state)
{
    struct code code;
    uint8_t bytes[] = {0x0f, 0x1f, 0x00};
    (void)state;
    code_create(&code, POKE_KERNEL);
    code_close(&code);
    munmap(code.memory + PAGE, PAGE);
    assert_int_equal(poke_byte((uint64_t)code.memory + PAGE, 0x42, POKE_ANY), SEGUE_UNSUPPORTED);
    /* The tail lies where nothing is: the head must not keep a breakpoint. */
    assert_int_equal(poke((uint64_t)code.memory + PAGE - 1, bytes, 3, POKE_ANY), SEGUE_UNSUPPORTED);
    assert_int_equal((uint8_t)code.memory[PAGE - 1], 0x90);
    assert_int_equal(protection_of(code.memory), PROT_READ | PROT_EXEC);
    assert_int_equal(poke((uint64_t)code.memory, bytes, 0, POKE_ANY), SEGUE_INVALID);
    assert_int_equal(poke((uint64_t)code.memory, (const uint8_t *)"\xcc\xcc", 2, POKE_ANY), SEGUE_INVALID);
    munmap(code.memory, PAGE);
}

/* vdso/vsyscall read-only: the one page outside the process's own is refused; nothing is killed. */
static void vdso_vsyscall_read_only_is_refused(void **state)
{
    (void)state;
    assert_int_equal(poke_byte(0xffffffffff600000u, 0x90, POKE_ANY), SEGUE_UNSUPPORTED);
}

static void shared_memory_is_written_by_opening_it(void **state)
{
    struct code code;
    (void)state;
    code_create(&code, POKE_ALIAS);
    code_close(&code);
    assert_int_equal(poke_byte((uint64_t)code.memory, 0x42, POKE_KERNEL), SEGUE_UNSUPPORTED);
    assert_int_equal(poke_byte((uint64_t)code.memory, 0x42, POKE_KERNEL | POKE_PROTECT), SEGUE_OK);
    assert_int_equal((uint8_t)code.memory[0], 0x42);
    code_destroy(&code);
}

static void descriptors_that_the_program_closes_are_opened_again(void **state)
{
    struct code code;
    (void)state;
    code_create(&code, POKE_KERNEL);
    code_close(&code);
    assert_int_equal(poke_byte((uint64_t)code.memory, 0x41, POKE_KERNEL), SEGUE_OK);
    for (int i = 3; i < 1024; i++)
        close(i);
    assert_int_equal(poke_byte((uint64_t)code.memory, 0x42, POKE_KERNEL), SEGUE_OK);
    assert_int_equal((uint8_t)code.memory[0], 0x42);
    code_destroy(&code);
}

/* --- Torture. --- */

/* What the threads run: a loop around the site, which begins at `site`. Returns how often the result was neither. */
static struct torture {
    char *site;
    bool stop;
    uint64_t traps, emulated, executions, torn;
    /* The registers after the site: eax and edx begin at 0. */
    bool (*is_right)(uint64_t rax, uint64_t rdx);
} torture;

static double torture_seconds(void)
{
    const char *given = getenv("SEGUE_TORTURE");
    return given ? atof(given) : 0.2;
}

static bool store_word(uint64_t address, uint64_t word)
{
    *(uint64_t *)(uintptr_t)address = word;
    return true;
}

static void on_trap(int number, siginfo_t *info, void *ucontext)
{
    ucontext_t *frame = ucontext;
    greg_t *regs = frame->uc_mcontext.gregs;
    struct poke_thread thread = {
        .rip = (uint64_t)regs[REG_RIP], .rsp = (uint64_t)regs[REG_RSP], .may_be_emulated = true, .store = store_word};
    (void)info;
    __atomic_fetch_add(&torture.traps, 1, __ATOMIC_RELAXED);
    if (!poke_trap(&thread)) {
        signal(number, SIG_DFL);
        return;
    }
    __atomic_fetch_add(&torture.emulated, thread.rip + 1 != (uint64_t)regs[REG_RIP], __ATOMIC_RELAXED);
    regs[REG_RIP] = (greg_t)thread.rip;
    regs[REG_RSP] = (greg_t)thread.rsp;
}

static void *run_site(void *unused)
{
    uint64_t fs_base;
    syscall(SYS_arch_prctl, ARCH_GET_FS, &fs_base);
    syscall(SYS_arch_prctl, ARCH_SET_GS, fs_base);
    while (!__atomic_load_n(&torture.stop, __ATOMIC_RELAXED)) {
        uint64_t torn = 0;
        for (int i = 0; i < 1000; i++) {
            uint64_t rax = 0, rdx = 0;
            __asm__ volatile("call *%2" : "+a"(rax), "+d"(rdx) : "r"(torture.site) : "memory", "cc");
            torn += !torture.is_right(rax, rdx);
        }
        __atomic_fetch_add(&torture.executions, 1000, __ATOMIC_RELAXED);
        __atomic_fetch_add(&torture.torn, torn, __ATOMIC_RELAXED);
    }
    return unused;
}

static double seconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) * 1e-9;
}

/* On a busy machine no thread may have had its turn when the time is over. */
static bool goes_on(const struct timespec *start)
{
    return seconds_since(start) < torture_seconds() || !__atomic_load_n(&torture.executions, __ATOMIC_RELAXED);
}

/* Where transfers from the site may lead: mov eax, imm32 or mov edx, imm32, and ret. */
#define FIRST_TARGET 16
#define SECOND_TARGET 32

/* Flips the site between two instructions of `size` bytes while two threads run it. */
static void flip(const char *name, unsigned way, size_t offset, const uint8_t *const versions[2], size_t size,
                 bool is_right(uint64_t, uint64_t))
{
    struct code code;
    pthread_t threads[2];
    struct timespec start;
    uint64_t flips = 0;
    code_create(&code, way);
    torture = (struct torture){.site = code.memory + offset, .is_right = is_right};
    memcpy(torture.site, versions[0], size);
    torture.site[size] = (char)0xc3;
    memcpy(torture.site + FIRST_TARGET, "\xb8\x11\x22\x33\x44\xc3", 6);
    memcpy(torture.site + SECOND_TARGET, "\xba\xaa\xbb\xcc\xdd\xc3", 6);
    code_close(&code);
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
    sigaction(SIGTRAP, &action, NULL);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_site, NULL), 0);
    clock_gettime(CLOCK_MONOTONIC, &start);
    while (goes_on(&start))
        for (int i = 0; i < 16; i++)
            assert_int_equal(poke((uint64_t)torture.site, versions[++flips % 2], size, way), SEGUE_OK);
    __atomic_store_n(&torture.stop, true, __ATOMIC_RELAXED);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    printf("%-28s %zu bytes at %4zu: %9llu flips, %11llu executions, %8llu traps, %8llu emulated, %llu torn\n", name,
           size, offset, (unsigned long long)flips, (unsigned long long)torture.executions,
           (unsigned long long)torture.traps, (unsigned long long)torture.emulated, (unsigned long long)torture.torn);
    assert_int_equal(torture.torn, 0);
    code_destroy(&code);
    signal(SIGTRAP, SIG_DFL);
}

/* Both read the thread pointer: FS and GS have one base in these threads. */
static const uint8_t *const segment_versions[2] = {(const uint8_t *)"\x64\x48\x8b\x04\x25\x10\0\0\0",
                                                   (const uint8_t *)"\x65\x48\x8b\x04\x25\x10\0\0\0"};

static bool is_thread_pointer(uint64_t rax, uint64_t rdx)
{
    return rax == (uint64_t)pthread_self() && rdx == 0;
}

/* Only the prefix changes, but by way of poke_byte. */
static void flip_prefix(const char *name, unsigned way, size_t offset)
{
    struct code code;
    pthread_t threads[2];
    struct timespec start;
    uint64_t flips = 0;
    code_create(&code, way);
    torture = (struct torture){.site = code.memory + offset, .is_right = is_thread_pointer};
    memcpy(torture.site, segment_versions[0], 9);
    torture.site[9] = (char)0xc3;
    code_close(&code);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_site, NULL), 0);
    clock_gettime(CLOCK_MONOTONIC, &start);
    while (goes_on(&start))
        for (int i = 0; i < 16; i++)
            assert_int_equal(poke_byte((uint64_t)torture.site, ++flips % 2 ? 0x65 : 0x64, way), SEGUE_OK);
    __atomic_store_n(&torture.stop, true, __ATOMIC_RELAXED);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    printf("%-28s 1 byte  at %4zu: %9llu flips, %11llu executions, %llu torn\n", name, offset,
           (unsigned long long)flips, (unsigned long long)torture.executions, (unsigned long long)torture.torn);
    assert_int_equal(torture.torn, 0);
    code_destroy(&code);
}

static void straddle_tear_one_byte_is_never_torn(void **state)
{
    static const size_t offsets[] = {0, 60, 63, 4090, 4095};
    (void)state;
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++)
        flip_prefix("prefix, through an alias", POKE_ALIAS, offsets[i]);
    flip_prefix("prefix, through the kernel", POKE_KERNEL, 63);
    flip_prefix("prefix, page opened", POKE_PROTECT, 4095);
}

/* mov eax, imm32 and mov edx, imm32. */
static const uint8_t *const move_versions[2] = {(const uint8_t *)"\xb8\x11\x22\x33\x44",
                                                (const uint8_t *)"\xba\xaa\xbb\xcc\xdd"};

static bool is_either_move(uint64_t rax, uint64_t rdx)
{
    return (rax == 0x44332211 && rdx == 0) || (rax == 0 && rdx == 0xddccbbaa);
}

static void aligned_word_is_never_torn(void **state)
{
    (void)state;
    flip("word, through an alias", POKE_ALIAS, 64, move_versions, 5, is_either_move);
    flip("word, through an alias", POKE_ALIAS, 67, move_versions, 5, is_either_move);
    flip("word, page opened", POKE_PROTECT, 64, move_versions, 5, is_either_move);
}

/* A jump to the first target and a call of the second. */
static const uint8_t *const transfer_versions[2] = {(const uint8_t *)"\xe9\x0b\0\0\0",
                                                    (const uint8_t *)"\xe8\x1b\0\0\0"};

static bool can_serialise(void)
{
    return syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0) & MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE;
}

/* Across words, cache lines and pages: what a plain store tears. */
static void straddle_tear_is_prevented_by_a_breakpoint(void **state)
{
    static const size_t offsets[] = {5, 60, 62, 4092, 4095};
    (void)state;
    if (!can_serialise())
        skip();
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++)
        flip("breakpoint, through an alias", POKE_ALIAS, offsets[i], move_versions, 5, is_either_move);
    flip("breakpoint, the kernel's way", POKE_KERNEL, 64, move_versions, 5, is_either_move);
    flip("breakpoint, the kernel's way", POKE_KERNEL, 4094, move_versions, 5, is_either_move);
    flip("breakpoint, pages opened", POKE_PROTECT, 4094, move_versions, 5, is_either_move);
}

static void transfers_that_are_emulated_meanwhile_are_either(void **state)
{
    (void)state;
    if (!can_serialise())
        skip();
    flip("transfers, through an alias", POKE_ALIAS, 5, transfer_versions, 5, is_either_move);
    flip("transfers, the kernel's way", POKE_KERNEL, 4094, transfer_versions, 5, is_either_move);
}

/* A second page that the kernel does not write to either: no breakpoint stands, so no thread can have executed the new
 * instruction. */
static void change_that_cannot_be_ended_is_not_begun(void **state)
{
    struct code code;
    (void)state;
    if (!can_serialise())
        skip();
    code_create(&code, POKE_KERNEL);
    memset(code.memory, 0x90, PAGE);
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    assert_ptr_equal(mmap(code.memory + PAGE, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, file, 0),
                     code.memory + PAGE);
    close(file);
    assert_int_equal(mprotect(code.memory, PAGE, PROT_READ | PROT_EXEC), 0);
    /* Nowhere else is this one changed. */
    uint64_t site = (uint64_t)code.memory + PAGE - 3;
    assert_int_equal(poke(site, transfer_versions[0], 5, POKE_KERNEL), SEGUE_UNSUPPORTED);
    for (unsigned i = 1; i <= 3; i++)
        assert_int_equal((uint8_t)code.memory[PAGE - i], 0x90);
    struct poke_thread thread = {.rip = site + 1, .may_be_emulated = true};
    assert_false(poke_trap(&thread));
    code_destroy(&code);
}

/* --- Breakpoints of the program's own. --- */

static void breakpoint_of_the_program_is_not_taken(void **state)
{
    struct code code;
    struct poke_thread thread = {.may_be_emulated = true};
    (void)state;
    if (!can_serialise())
        skip();
    code_create(&code, POKE_KERNEL);
    code_close(&code);
    assert_int_equal(poke((uint64_t)code.memory + 6, move_versions[1], 5, POKE_KERNEL), SEGUE_OK);
    /* A thread that was trapped, and came to its handler only now. */
    thread.rip = (uint64_t)code.memory + 7;
    assert_true(poke_trap(&thread));
    assert_int_equal(thread.rip, (uint64_t)code.memory + 6);
    thread.rip = (uint64_t)code.memory + 8;
    assert_false(poke_trap(&thread));
    assert_int_equal(poke_byte((uint64_t)code.memory + 6, 0xcc, POKE_KERNEL), SEGUE_OK);
    thread.rip = (uint64_t)code.memory + 7;
    assert_false(poke_trap(&thread));
    code_destroy(&code);
}

/* --- fork. --- */

static bool forking;

static void *poke_all_the_time(void *code)
{
    for (unsigned i = 0; __atomic_load_n(&forking, __ATOMIC_RELAXED); i++) {
        poke_byte((uint64_t)(uintptr_t)code, (uint8_t)i, POKE_PROTECT);
        for (int pause = 0; pause < 100; pause++)
            __builtin_ia32_pause();
    }
    return NULL;
}

/* fork between W and RX: a child never begins with a page that stands open, and can poke itself. */
static void fork_between_W_and_RX_leaves_no_page_open(void **state)
{
    struct code code;
    pthread_t thread;
    (void)state;
    code_create(&code, POKE_PROTECT);
    code_close(&code);
    forking = true;
    pthread_create(&thread, NULL, poke_all_the_time, code.memory);
    for (int i = 0; i < 100; i++) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            struct mapping mapping;
            bool fine = mappings_find((uint64_t)code.memory, &mapping) &&
                        mapping.protection == (PROT_READ | PROT_EXEC) &&
                        poke_byte((uint64_t)code.memory, 0x42, POKE_PROTECT) == SEGUE_OK && code.memory[0] == 0x42;
            _exit(fine ? 0 : 1);
        }
        assert_true(child > 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    __atomic_store_n(&forking, false, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    code_destroy(&code);
}

/* --- A kernel that does not let a program past its own protections. --- */

/* Makes every pwrite64 fail with EIO, as proc_mem.force_override=never does for /proc/self/mem. */
static bool forbid_forced_writes(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pwrite64, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EIO),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static bool is_poked_without_forced_writes(struct code *code)
{
    static const uint8_t bytes[] = {0x0f, 0x1f, 0x00};
    uint64_t address = (uint64_t)(uintptr_t)code->memory;
    return forbid_forced_writes() && poke_byte(address, 0x42, POKE_KERNEL) == SEGUE_UNSUPPORTED &&
           (uint8_t)code->memory[0] == 0x90 && poke_byte(address, 0x42, POKE_ANY) == SEGUE_OK &&
           code->memory[0] == 0x42 && poke(address + 4, bytes, sizeof bytes, POKE_ANY) == SEGUE_OK &&
           memcmp(code->memory + 4, bytes, sizeof bytes) == 0 && protection_of(code->memory) == (PROT_READ | PROT_EXEC);
}

static void proc_mem_force_override_that_forbids_leaves_the_opened_page(void **state)
{
    struct code code;
    int status;
    (void)state;
    code_create(&code, POKE_KERNEL);
    code_close(&code);
    pid_t child = fork();
    if (child == 0)
        _exit(is_poked_without_forced_writes(&code) ? 0 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    code_destroy(&code);
}

/* --- Aliases. --- */

static void alias_too_many_is_refused(void **state)
{
    enum { MOST = 64 };
    static char bytes[(MOST + 1) * 16];
    uint64_t base = (uint64_t)(uintptr_t)bytes;
    (void)state;
    for (unsigned i = 0; i < MOST; i++)
        assert_int_equal(poke_alias_add(base + 16 * i, 16, bytes), SEGUE_OK);
    assert_int_equal(poke_alias_add(base + 16 * MOST, 16, bytes), SEGUE_NO_MEMORY);
    assert_int_equal(poke_alias_add(base + 15, 1, bytes), SEGUE_OVERLAP);
    assert_int_equal(poke_alias_remove(base + 16 * 5), SEGUE_OK);
    assert_int_equal(poke_alias_add(base + 16 * MOST, 16, bytes), SEGUE_OK);
    for (unsigned i = 0; i <= MOST; i++)
        assert_int_equal(poke_alias_remove(base + 16 * i), i == 5 ? SEGUE_NOT_FOUND : SEGUE_OK);
}

/* Two aliases that take turns in one slot: a long one elsewhere, and a short one just before `bystander`. */
struct turns {
    char elsewhere[2 * PAGE], bystander[2 * PAGE], far_view[4 * PAGE], near_view[4 * PAGE];
    uint32_t is_over;
};

static void *take_turns(void *given)
{
    struct turns *turns = given;
    uint64_t far = (uint64_t)(uintptr_t)turns->elsewhere, near = (uint64_t)(uintptr_t)turns->bystander;
    while (!__atomic_load_n(&turns->is_over, __ATOMIC_RELAXED)) {
        if (poke_alias_add(far, PAGE, turns->far_view) != SEGUE_OK || poke_alias_remove(far) != SEGUE_OK ||
            poke_alias_add(near, 16, turns->near_view) != SEGUE_OK || poke_alias_remove(near) != SEGUE_OK)
            return turns;
    }
    return NULL;
}

static void alias_that_changes_is_read_whole_or_not_at_all(void **state)
{
    static struct turns turns;
    uint64_t address = (uint64_t)(uintptr_t)turns.bystander + 16;
    struct timespec begin, now;
    pthread_t thread;
    void *failed;
    unsigned long wrong = 0;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, take_turns, &turns), 0);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    do {
        for (unsigned i = 0; i < 100000; i++)
            wrong += poke_byte(address, 0x5a, POKE_ALIAS) != SEGUE_UNSUPPORTED;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec - begin.tv_sec < 2);
    __atomic_store_n(&turns.is_over, 1, __ATOMIC_RELAXED);
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_null(failed);
    assert_int_equal(wrong, 0);
}

static int prepare(void **state)
{
    (void)state;
    return keep_company() && poke_prepare() == SEGUE_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(byte_changes_in_every_way_and_protection_stays),
        cmocka_unit_test(hard_coded_RX_is_not_what_comes_back),
        cmocka_unit_test(what_cannot_be_written_is_refused_and_left),
        cmocka_unit_test(vdso_vsyscall_read_only_is_refused),
        cmocka_unit_test(shared_memory_is_written_by_opening_it),
        cmocka_unit_test(descriptors_that_the_program_closes_are_opened_again),
        cmocka_unit_test(straddle_tear_one_byte_is_never_torn),
        cmocka_unit_test(aligned_word_is_never_torn),
        cmocka_unit_test(straddle_tear_is_prevented_by_a_breakpoint),
        cmocka_unit_test(transfers_that_are_emulated_meanwhile_are_either),
        cmocka_unit_test(change_that_cannot_be_ended_is_not_begun),
        cmocka_unit_test(breakpoint_of_the_program_is_not_taken),
        cmocka_unit_test(fork_between_W_and_RX_leaves_no_page_open),
        cmocka_unit_test(proc_mem_force_override_that_forbids_leaves_the_opened_page),
        cmocka_unit_test(alias_too_many_is_refused),
        cmocka_unit_test(alias_that_changes_is_read_whole_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}
