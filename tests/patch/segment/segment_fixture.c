/* segment_fixture.c: see segment_fixture.h. */
#include "segment_fixture.h"

#include <asm/prctl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

char *code_map(const void *bytes, size_t size)
{
    char *code = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(code != MAP_FAILED);
    memcpy(code, bytes, size);
    assert_int_equal(mprotect(code, 2 * PAGE, PROT_READ | PROT_EXEC), 0);
    return code;
}

uint64_t call(const char *code, uint64_t argument)
{
    return ((uint64_t(*)(uint64_t))(uintptr_t)code)(argument);
}

uint64_t fs_base(void)
{
    uint64_t base;
    syscall(SYS_arch_prctl, ARCH_GET_FS, &base);
    return base;
}

struct passed passed;

static void on_passed(int number, siginfo_t *info, void *ucontext)
{
    ucontext_t *frame = ucontext;
    (void)number;
    passed.count++;
    passed.address = (uint64_t)(uintptr_t)info->si_addr;
    passed.code = info->si_code;
    passed.rdi = (uint64_t)frame->uc_mcontext.gregs[REG_RDI];
    frame->uc_mcontext.gregs[REG_RIP] += passed.length;
}

static struct sigaction cmockas;

void begin_with(const struct segue_segment_options *options)
{
    struct sigaction action = {.sa_sigaction = on_passed, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, &cmockas);
    assert_int_equal(segue_install(NULL), SEGUE_OK);
    assert_int_equal(segue_segment_enable(options), SEGUE_OK);
}

void begin(struct segue_rewrite rewrite, uint32_t flags)
{
    struct segue_segment_options options = {.rewrite = rewrite, .flags = flags};
    begin_with(&options);
}

void stop(void)
{
    assert_int_equal(segue_segment_disable(), SEGUE_OK);
    assert_int_equal(segue_uninstall(NULL), SEGUE_OK);
    sigaction(SIGSEGV, &cmockas, NULL);
}

void undo_and_stop(void)
{
    assert_int_equal(segue_patches_undo(0, SIZE_MAX, NULL), SEGUE_OK);
    stop();
}

uint64_t faults(void)
{
    struct segue_counters counters;
    segue_counters_read(&counters);
    return counters.faults;
}
