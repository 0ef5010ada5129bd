/* batch_code.c: see batch_code.h. */
#include "batch_code.h"

#include <fcntl.h>
#include <linux/membarrier.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "platform/memory/mappings.h"
#include "tests/support/test.h"

/* The file of code, which must be there as long as its pages are replaced. */
static char path[] = "/tmp/segue-code-XXXXXX";

static void remove_file(void)
{
    unlink(path);
}

static int open_file(size_t size)
{
    static pid_t maker;
    int file = maker == getpid() ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0) {
        memcpy(path + sizeof path - 7, "XXXXXX", 6);
        file = mkostemp(path, O_CLOEXEC);
        maker = getpid();
        atexit(remove_file);
    }
    assert_true(file >= 0);
    assert_int_equal(ftruncate(file, (off_t)size), 0);
    return file;
}

uint8_t *code_map(size_t size, unsigned ways)
{
    int file = ways & POKE_PAGES ? open_file(size) : -1;
    void *memory =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE | (file < 0 ? MAP_ANONYMOUS : 0), file, 0);
    assert_true(memory != MAP_FAILED);
    if (file >= 0)
        close(file);
    return memory;
}

void code_create(struct code *code, unsigned ways)
{
    memset(code, 0, sizeof *code);
    if (ways & POKE_ALIAS) {
        assert_int_equal(segue_mapping_create(NULL, CODE_SIZE, &code->mapping), SEGUE_OK);
        code->memory = code->mapping.memory;
        assert_int_equal(poke_alias_add((uint64_t)code->memory, CODE_SIZE, code->mapping.alias), SEGUE_OK);
    } else {
        code->memory = code_map(CODE_SIZE, ways);
    }
    memset(code->memory, 0x90, CODE_SIZE);
}

void code_close(const struct code *code)
{
    assert_int_equal(mprotect(code->memory, CODE_SIZE, PROT_READ | PROT_EXEC), 0);
}

void code_destroy(struct code *code)
{
    if (code->mapping.size) {
        assert_int_equal(poke_alias_remove((uint64_t)code->memory), SEGUE_OK);
        segue_mapping_destroy(&code->mapping);
    } else {
        munmap(code->memory, CODE_SIZE);
    }
}

int protection_of(const void *at)
{
    struct mapping mapping;
    assert_true(mappings_find((uint64_t)(uintptr_t)at, &mapping));
    return mapping.protection;
}

bool can_serialise(void)
{
    return syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0) & MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE;
}

const unsigned all_ways[WAYS] = {POKE_ALIAS, POKE_KERNEL, POKE_KERNEL | POKE_SPANS, POKE_PROTECT,
                                 POKE_KERNEL | POKE_PAGES};
const char *const way_names[WAYS] = {"an alias", "the kernel", "the kernel, spans", "pages opened", "pages replaced"};

uint8_t *site_of(const struct code *code, unsigned i)
{
    return code->memory + PAGE / 2 + i * 55;
}

void set_change(struct poke_change *change, const void *at, const void *bytes, size_t size)
{
    memset(change, 0, sizeof *change);
    change->address = (uint64_t)(uintptr_t)at;
    memcpy(change->bytes, bytes, size);
    change->size = (uint8_t)size;
    change->status = SEGUE_MISMATCH;
}

const char *const moves[2] = {"\xb8\x11\x22\x33\x44", "\xba\xaa\xbb\xcc\xdd"};

void set_moves(struct poke_change *changes, const struct code *code, unsigned version)
{
    for (unsigned i = 0; i < SITES; i++)
        set_change(&changes[i], site_of(code, SITES - 1 - i), moves[version], 5);
}

uint64_t traps, emulated;

static void on_trap(int number, siginfo_t *info, void *ucontext)
{
    greg_t *regs = ((ucontext_t *)ucontext)->uc_mcontext.gregs;
    struct poke_thread thread = {.rip = (uint64_t)regs[REG_RIP], .may_be_emulated = true};
    (void)info;
    __atomic_fetch_add(&traps, 1, __ATOMIC_RELAXED);
    if (!poke_trap(&thread)) {
        signal(number, SIG_DFL);
        return;
    }
    __atomic_fetch_add(&emulated, thread.rip + 1 != (uint64_t)regs[REG_RIP], __ATOMIC_RELAXED);
    regs[REG_RIP] = (greg_t)thread.rip;
}

void take_traps(void)
{
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
    traps = emulated = 0;
    /* A handler that is trapped in turn would be killed. */
    sigfillset(&action.sa_mask);
    assert_int_equal(sigaction(SIGTRAP, &action, NULL), 0);
}

bool trap_at(const void *site)
{
    struct poke_thread thread = {.rip = (uint64_t)(uintptr_t)site + 1};
    bool is_pokes = poke_trap(&thread);
    assert_true(!is_pokes || thread.rip == (uint64_t)(uintptr_t)site);
    return is_pokes;
}

void block_signals(void)
{
    sigset_t all;
    sigfillset(&all);
    sigdelset(&all, SIGTRAP);
    sigdelset(&all, SIGSEGV);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
}
