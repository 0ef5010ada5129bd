/* patch_segment_without_fs.c: accesses through FS become accesses through GS where FS's base cannot be used: which
 * faults are rewritten, tried again and passed on, and code that runs without FS, in this program and in a guest.
 *
 * On Linux FS can be set. So a stub sets its base to 0 around the access, and a handler of the test's own puts it right
 * before it asks the library; that needs FSGSBASE. A base that is not canonical cannot be set on x86-64 at all, so that
 * one is tested as a pure function. */
#include "segment_fixture.h"

#include <asm/prctl.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define HWCAP2_FSGSBASE 2u

/* --- Classification. --- */

#define TP 0x7f0000001000u
#define NOT_CANONICAL 0x8000000000000000u

/* One fault of one instruction, and what it is. The rewrite is fs to gs; rdi is 0x28. */
struct fault_case {
    const char *name;
    const char *bytes;
    size_t length;
    uint64_t fs_base, gs_base;
    /* -1: not known, and the trap is 13. */
    int64_t address;
    uint8_t direction;
    enum segue_segment_verdict verdict;
    unsigned index;
};

#define FS_LOAD "\x64\x48\x8b\x07", 4
#define GS_LOAD "\x65\x48\x8b\x07", 4

static const struct fault_case fault_cases[] = {
    {"unwritten", FS_LOAD, 0, TP, 0x28, SEGUE_READ, SEGUE_SEGMENT_REWRITE, 0},
    {"unwritten, last byte", FS_LOAD, 0, TP, 0x2f, SEGUE_READ, SEGUE_SEGMENT_REWRITE, 0},
    {"unwritten, beyond", FS_LOAD, 0, TP, 0x30, SEGUE_READ, SEGUE_SEGMENT_PASS, 0},
    {"unwritten, other direction", FS_LOAD, 0, TP, 0x28, SEGUE_WRITE, SEGUE_SEGMENT_PASS, 0},
    {"unwritten, fetch", FS_LOAD, 0, TP, 0x28, SEGUE_FETCH, SEGUE_SEGMENT_PASS, 0},
    {"FS is usable", FS_LOAD, TP, TP, TP + 0x28, SEGUE_READ, SEGUE_SEGMENT_PASS, 0},
    {"FS is usable, #GP", FS_LOAD, TP, TP, -1, 0, SEGUE_SEGMENT_PASS, 0},
    {"not canonical, #GP", FS_LOAD, NOT_CANONICAL, TP, -1, 0, SEGUE_SEGMENT_REWRITE, 0},
    {"behind three 66", "\x66\x66\x66\x64\x48\x8b\x07", 7, 0, TP, 0x28, SEGUE_READ, SEGUE_SEGMENT_REWRITE, 3},
    {"behind gs", "\x65\x64\x8b\x07", 4, 0, TP, 0x28, SEGUE_READ, SEGUE_SEGMENT_REWRITE, 1},
    {"before a null prefix", "\x64\x2e\x8b\x07", 4, 0, TP, 0x28, SEGUE_READ, SEGUE_SEGMENT_REWRITE, 0},
    {"VEX", "\x64\xc5\xf8\x10\x07", 5, 0, TP, 0x30, SEGUE_READ, SEGUE_SEGMENT_REWRITE, 0},
    {"movs: the source", "\x64\xa4", 2, 0, TP, 0x1234, SEGUE_READ, SEGUE_SEGMENT_REWRITE, 0},
    {"movs: the destination", "\x64\xa4", 2, 0, TP, 0x28, SEGUE_WRITE, SEGUE_SEGMENT_PASS, 0},
    {"rewritten meanwhile", GS_LOAD, 0, TP, 0x28, SEGUE_READ, SEGUE_SEGMENT_RETRY, 0},
    {"rewritten, genuine", GS_LOAD, 0, TP, TP + 0x28, SEGUE_READ, SEGUE_SEGMENT_PASS, 0},
    {"rewritten, neither", GS_LOAD, 0, TP, 0x5000, SEGUE_READ, SEGUE_SEGMENT_PASS, 0},
    {"rewritten, either", GS_LOAD, 0, 4, 0x2c, SEGUE_READ, SEGUE_SEGMENT_RETRY_ONCE, 0},
    {"rewritten, #GP", GS_LOAD, 0, TP, -1, 0, SEGUE_SEGMENT_RETRY_ONCE, 0},
    {"no segment", "\x48\x8b\x07", 3, 0, TP, 0x28, SEGUE_READ, SEGUE_SEGMENT_PASS, 0},
    {"no access", "\x64\x48\x8d\x07", 4, 0, TP, 0x28, SEGUE_READ, SEGUE_SEGMENT_PASS, 0},
    {"the stack is not FS's", "\x64\xff\x37", 3, 0, TP, 0x8ff8, SEGUE_WRITE, SEGUE_SEGMENT_PASS, 0},
};

static void stale_versus_genuine_65_is_told_by_the_address(void **state)
{
    struct segue_segment_options options = {.rewrite = fs_to_gs};
    (void)state;
    for (size_t i = 0; i < sizeof fault_cases / sizeof *fault_cases; i++) {
        const struct fault_case *tested = &fault_cases[i];
        struct segue_insn insn;
        struct segue_site site = {0};
        struct segue_regs regs = {.rdi = 0x28, .rsi = 0x1234, .rsp = 0x9000};
        regs.fs_base = tested->fs_base;
        regs.gs_base = tested->gs_base;
        struct segue_fault fault = {.address = (uint64_t)tested->address, .direction = tested->direction, .trap = 14};
        fault.address_known = tested->address >= 0;
        if (!fault.address_known)
            fault.trap = 13;
        assert_int_equal(segue_decode(SEGUE_MODE_64, tested->bytes, tested->length, &insn), SEGUE_OK);
        enum segue_segment_verdict verdict = segue_segment_classify(&insn, &regs, NULL, &fault, &options, &site);
        if (verdict != tested->verdict)
            fail_msg("%s: verdict %d, not %d", tested->name, verdict, tested->verdict);
        if (verdict == SEGUE_SEGMENT_REWRITE) {
            assert_int_equal(site.index, tested->index);
            assert_int_equal(site.old_byte, 0x64);
            assert_int_equal(site.new_byte, 0x65);
        }
    }
}

/* --- A handler of the test's own: fs: becomes gs:. --- */

uint64_t run_without_fs(const void *code, uint64_t argument, uint64_t base);
void entry_without_fs(int number, siginfo_t *info, void *ucontext);
void handler_without_fs(int number, siginfo_t *info, void *ucontext, uint64_t base);

static struct {
    unsigned faults, passed;
    struct segue_fault fault;
    struct segue_regs regs;
} without_fs;

void handler_without_fs(int number, siginfo_t *info, void *ucontext, uint64_t base)
{
    struct segue_frame frame;
    struct segue_insn insn;
    (void)number;
    if (segue_frame_open(&frame, info, ucontext) == SEGUE_HANDLED)
        return;
    frame.regs.fs_base = base;
    without_fs.faults++;
    segue_decode(SEGUE_MODE_64, (const void *)(uintptr_t)frame.regs.rip, SEGUE_INSN_BYTES, &insn);
    if (segue_segment_serve(&insn, &frame.regs, NULL, &frame.fault) == SEGUE_SEGMENT_RETRY)
        return;
    without_fs.passed++;
    without_fs.fault = frame.fault;
    without_fs.regs = frame.regs;
    frame.regs.rip += insn.length;
    segue_frame_write(&frame);
}

static bool begin_without_fs(struct sigaction *before)
{
    struct sigaction ours = {.sa_sigaction = entry_without_fs, .sa_flags = SA_SIGINFO | SA_NODEFER};
    if (!(getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE)) {
        print_message("SKIP: the kernel does not let programs use FSGSBASE\n");
        return false;
    }
    memset(&without_fs, 0, sizeof without_fs);
    begin(fs_to_gs, 0);
    syscall(SYS_arch_prctl, ARCH_SET_GS, fs_base());
    sigfillset(&ours.sa_mask);
    sigaction(SIGSEGV, &ours, before);
    return true;
}

static void end_without_fs(const struct sigaction *before)
{
    sigaction(SIGSEGV, before, NULL);
    syscall(SYS_arch_prctl, ARCH_SET_GS, 0);
    undo_and_stop();
}

static void fs_becomes_gs_where_fs_cannot_be_used(void **state)
{
    struct sigaction before;
    char *code = CODE("\x64\x48\x8b\x04\x25\x10\0\0\0\x64\x48\x89\x07\x64\x48\x03\x07\xc3");
    static __thread uint64_t word;
    (void)state;
    if (!begin_without_fs(&before))
        return;
    uint64_t offset = (uint64_t)(uintptr_t)&word - fs_base();
    assert_int_equal(run_without_fs(code, offset, 0), 2 * fs_base());
    assert_int_equal(word, fs_base());
    assert_int_equal(without_fs.faults, 3);
    assert_memory_equal(code, "\x65\x48\x8b\x04\x25\x10\0\0\0\x65\x48\x89\x07\x65\x48\x03\x07\xc3", 18);
    assert_int_equal(run_without_fs(code, offset, 0), 2 * fs_base());
    assert_int_equal(without_fs.faults, 3);
    end_without_fs(&before);
    assert_int_equal((uint8_t)code[0], 0x64);
    munmap(code, 2 * PAGE);
}

static void genuine_fault_without_fs_is_told_at_its_own_address(void **state)
{
    struct sigaction before;
    char *code = CODE("\x64\x48\x8b\x07\xc3");
    char *closed = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    (void)state;
    if (!begin_without_fs(&before))
        return;
    for (unsigned i = 1; i <= 2; i++) {
        run_without_fs(code, (uint64_t)closed - fs_base(), 0);
        assert_int_equal(without_fs.passed, i);
        assert_int_equal(without_fs.fault.address, (uint64_t)closed);
        assert_int_equal(without_fs.faults, i + 1);
    }
    end_without_fs(&before);
    munmap(code, 2 * PAGE);
    munmap(closed, PAGE);
}

/* --- A guest, whose FS base is 0: the library's own handler, the host's bases restored in it. --- */

static uint64_t run_guest(const char *code, uint64_t argument, uint64_t gs_base, struct segue_guest *guest)
{
    static _Alignas(16) char stack[8192];
    guest->general.rip = (uint64_t)(uintptr_t)code;
    guest->general.rsp = (uint64_t)(uintptr_t)(stack + sizeof stack - 64);
    guest->general.rflags = 0x202;
    guest->general.rdi = argument;
    guest->general.rcx = guest->entry;
    guest->general.fs_base = 0;
    guest->general.gs_base = gs_base;
    assert_int_equal(segue_guest_enter(guest), SEGUE_OK);
    return guest->general.rax;
}

static void guest_without_fs_is_served_and_its_genuine_fault_is_its_own(void **state)
{
    /* mov rax, fs:[rdi]; mov fs:[rdi + 8], rax; call rcx */
    char *code = CODE("\x64\x48\x8b\x07\x64\x48\x89\x47\x08\xff\xd1");
    char *closed = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t words[3] = {1, 77, 3}, host_base = fs_base();
    struct segue_guest guest = {0};
    (void)state;
    begin(fs_to_gs, 0);
    assert_int_equal(segue_guest_new(&guest, NULL), SEGUE_OK);
    uint64_t before = faults();
    assert_int_equal(run_guest(code, 8, (uint64_t)(uintptr_t)words, &guest), 77);
    assert_int_equal(guest.trap_num, SEGUE_GUEST_CALLED);
    assert_int_equal(words[2], 77);
    assert_int_equal(faults() - before, 2);
    assert_memory_equal(code, "\x65\x48\x8b\x07\x65\x48\x89\x47\x08", 9);
    /* Never again; and the host has its own base. */
    words[1] = 78;
    assert_int_equal(run_guest(code, 8, (uint64_t)(uintptr_t)words, &guest), 78);
    assert_int_equal(faults() - before, 2);
    assert_int_equal(fs_base(), host_base);
    run_guest(code, (uint64_t)closed - (uint64_t)(uintptr_t)words, (uint64_t)(uintptr_t)words, &guest);
    assert_int_equal(guest.trap_num, 14);
    assert_int_equal(guest.fault_address, (uint64_t)closed);
    assert_int_equal(guest.general.rip, (uint64_t)code);
    segue_guest_free(&guest);
    undo_and_stop();
    munmap(code, 2 * PAGE);
    munmap(closed, PAGE);
}

/* Code that changes in memory and not for the processor: what a translator does that does not notice. It is played by
 * asking about the same stale fault again and again. */
static void fault_that_stays_stale_ends(void **state)
{
    struct segue_insn insn;
    unsigned retries = 0;
    (void)state;
    begin(fs_to_gs, 0);
    assert_int_equal(segue_decode(SEGUE_MODE_64, GS_LOAD, &insn), SEGUE_OK);
    for (;;) {
        struct segue_regs regs = {.rdi = 0x28, .rip = 0x1000, .gs_base = TP};
        struct segue_fault fault = {.address = 0x28, .direction = SEGUE_READ, .address_known = true, .trap = 14};
        enum segue_segment_verdict verdict = segue_segment_serve(&insn, &regs, NULL, &fault);
        if (verdict != SEGUE_SEGMENT_RETRY) {
            assert_int_equal(verdict, SEGUE_SEGMENT_DO);
            assert_int_equal(fault.address, TP + 0x28);
            assert_int_equal(regs.fs_base, TP);
            break;
        }
        assert_true(++retries < 1000);
    }
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stale_versus_genuine_65_is_told_by_the_address),
        cmocka_unit_test(fs_becomes_gs_where_fs_cannot_be_used),
        cmocka_unit_test(genuine_fault_without_fs_is_told_at_its_own_address),
        cmocka_unit_test(guest_without_fs_is_served_and_its_genuine_fault_is_its_own),
        cmocka_unit_test(fault_that_stays_stale_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
