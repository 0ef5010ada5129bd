/* unwind.cpp: unwinders get from hot sites to the program's function: in handlers of signals that come while a thread
 * is in a body, and in policies that bodies call. The program's own unwinder is libgcc's; libunwind has a program of
 * its own, which it would take the place of.
 *
 * A handler sees where its thread was interrupted: only what began in a body counts. Each case runs in a child. */
#include <csetjmp>
#include <csignal>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

extern "C" {
#include <cmocka.h>
}
#include <execinfo.h>
#include <pthread.h>
#include <segue/segue.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(WITH_LIBUNWIND)
#define UNW_LOCAL_ONLY
#include <libunwind.h>
#endif

/* Sums words until the memory's first word is 0; between the two names. */
extern "C" uint64_t sum_words(volatile uint64_t *at);
extern "C" char sum_words_end[];

asm(".text\n.globl sum_words, sum_words_end\n.type sum_words, @function\n"
    "sum_words:\n.cfi_startproc\n"
    "push %rbx\n.cfi_adjust_cfa_offset 8\n.cfi_rel_offset %rbx, 0\n"
    "push %r12\n.cfi_adjust_cfa_offset 8\n.cfi_rel_offset %r12, 0\n"
    "xor %eax, %eax\n"
    "mov %rdi, %rbx\n"
    "1: add 8(%rbx), %rax\n"
    "mov 16(%rbx), %r12\n"
    "xor %r12, %rax\n"
    "adc 24(%rbx), %rax\n"
    "cmpq $0, (%rbx)\n"
    "jne 1b\n"
    "pop %r12\n.cfi_adjust_cfa_offset -8\n.cfi_restore %r12\n"
    "pop %rbx\n.cfi_adjust_cfa_offset -8\n.cfi_restore %rbx\n"
    "ret\n.cfi_endproc\n.size sum_words, . - sum_words\n"
    "sum_words_end: nop\n");

namespace
{

constexpr size_t size = 1 << 16;
constexpr int most_frames = 64;
constexpr unsigned wanted = 300;

segue_mapping memory;
volatile unsigned samples, unwound;
volatile bool destroyed;

bool is_in_function(uint64_t address)
{
    return address - reinterpret_cast<uint64_t>(&sum_words) <
           reinterpret_cast<uint64_t>(&sum_words_end) - reinterpret_cast<uint64_t>(&sum_words);
}

/* The original instruction, if the thread was interrupted in a body of the function; else 0. */
uint64_t original_in_body(const void *context)
{
    const greg_t *from = static_cast<const ucontext_t *>(context)->uc_mcontext.gregs;
    auto value = [from](int number) { return static_cast<uint64_t>(from[number]); };
    segue_regs regs = {};
    regs.rax = value(REG_RAX);
    regs.rbx = value(REG_RBX);
    regs.rcx = value(REG_RCX);
    regs.rdx = value(REG_RDX);
    regs.rsi = value(REG_RSI);
    regs.rdi = value(REG_RDI);
    regs.rbp = value(REG_RBP);
    regs.rsp = value(REG_RSP);
    regs.r8 = value(REG_R8);
    regs.r9 = value(REG_R9);
    regs.r10 = value(REG_R10);
    regs.r11 = value(REG_R11);
    regs.r12 = value(REG_R12);
    regs.r13 = value(REG_R13);
    regs.r14 = value(REG_R14);
    regs.r15 = value(REG_R15);
    regs.rip = value(REG_RIP);
    regs.rflags = value(REG_EFL);
    if (is_in_function(regs.rip) || segue_translate(&regs) != SEGUE_OK)
        return 0;
    return is_in_function(regs.rip) ? regs.rip : 0;
}

/* The addresses of the frames from the caller on. */
int unwind_all(uint64_t *addresses)
{
#if defined(WITH_LIBUNWIND)
    unw_context_t context;
    unw_cursor_t cursor;
    int count = 0;
    unw_getcontext(&context);
    unw_init_local(&cursor, &context);
    while (count < most_frames && unw_step(&cursor) > 0) {
        unw_word_t address;
        unw_get_reg(&cursor, UNW_REG_IP, &address);
        addresses[count++] = address;
    }
    return count;
#else
    void *found[most_frames];
    int count = backtrace(found, most_frames);
    for (int i = 0; i < count; i++)
        addresses[i] = reinterpret_cast<uint64_t>(found[i]);
    return count;
#endif
}

/* Called on the thread's stack; its return address is in the caller. */
__attribute__((noinline)) uint64_t call_sum(volatile uint64_t *at)
{
    uint64_t sum = sum_words(at);
    asm volatile("" : "+r"(sum));
    return sum;
}

/* Whether the frames are: at an address, then the instruction of the function, and then its caller. */
bool gets_to(uint64_t original, uint64_t body)
{
    uint64_t addresses[most_frames] = {};
    int count = unwind_all(addresses);
    auto caller = reinterpret_cast<uint64_t>(&call_sum);
    for (int i = 1; i + 1 < count; i++)
        if (addresses[i] == original && (!body || addresses[i - 1] == body))
            return addresses[i + 1] - caller < 64;
    return false;
}

void make_memory(segue_hot_policy *policy)
{
    segue_region region = {};
    assert_int_equal(segue_install(nullptr), SEGUE_OK);
    assert_int_equal(segue_mapping_create(nullptr, size, &memory), SEGUE_OK);
    region.window = segue_mapping_window(&memory);
    region.flags = SEGUE_REGION_HOT;
    region.hot_policy = policy;
    if (policy)
        region.policy = [](void *, const segue_event *) { return SEGUE_STEP; };
    assert_int_equal(segue_region_add(&region), SEGUE_OK);
    assert_int_equal(segue_mapping_protect(&memory, 0, memory.size, 0), SEGUE_OK);
}

volatile uint64_t *words()
{
    return static_cast<volatile uint64_t *>(memory.memory);
}

volatile uint64_t *alias()
{
    return static_cast<volatile uint64_t *>(memory.alias);
}

void interrupt(void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction action = {};
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART;
    sigaction(SIGALRM, &action, nullptr);
    itimerval often = {{0, 200}, {0, 200}};
    setitimer(ITIMER_REAL, handler ? &often : nullptr, nullptr);
}

void stop_interrupts()
{
    itimerval never = {};
    setitimer(ITIMER_REAL, &never, nullptr);
}

/* ---- handlers ---- */

void look(int, siginfo_t *, void *context)
{
    uint64_t original = original_in_body(context);
    if (!original)
        return;
    samples = samples + 1;
    auto at = static_cast<uint64_t>(static_cast<const ucontext_t *>(context)->uc_mcontext.gregs[REG_RIP]);
    if (gets_to(original, at))
        unwound = unwound + 1;
    if (samples == wanted)
        alias()[0] = 0;
}

int handlers_get_past_bodies()
{
    make_memory(nullptr);
    alias()[0] = 1;
    interrupt(look);
    call_sum(words());
    stop_interrupts();
    print_message("%u samples in bodies, %u unwound\n", samples, unwound);
    assert_int_equal(unwound, samples);
    return 0;
}

/* ---- policies ---- */

segue_verdict ask(void *, const segue_hot_event *event)
{
    samples = samples + 1;
    if (gets_to(event->site, 0))
        unwound = unwound + 1;
    if (samples == wanted)
        alias()[0] = 0;
    return SEGUE_STEP;
}

int policies_get_past_bodies()
{
    make_memory(ask);
    alias()[0] = 1;
    call_sum(words());
    print_message("%u questions, %u unwound\n", samples, unwound);
    assert_true(samples >= wanted);
    assert_int_equal(unwound, samples);
    return 0;
}

#if !defined(WITH_LIBUNWIND)
/* ---- exceptions ---- */

struct noted {
    ~noted()
    {
        destroyed = true;
    }
};

void throw_in_body(int, siginfo_t *, void *context)
{
    if (original_in_body(context))
        throw 7;
}

/* Values that the caller keeps in registers that the function saves. */
__attribute__((noinline)) bool catch_one(uint64_t kept)
{
    uint64_t others[5];
    for (uint64_t i = 0; i < 5; i++) {
        others[i] = kept * (i + 3);
        asm volatile("" : "+r"(others[i]));
    }
    try {
        noted local;
        call_sum(words());
    } catch (int number) {
        bool right = number == 7;
        for (uint64_t i = 0; i < 5; i++)
            right = right && others[i] == kept * (i + 3);
        return right;
    }
    return false;
}

int exceptions_get_past_bodies()
{
    make_memory(nullptr);
    alias()[0] = 1;
    for (uint64_t i = 1; i <= wanted; i++) {
        destroyed = false;
        interrupt(throw_in_body);
        assert_true(catch_one(i));
        stop_interrupts();
        assert_true(destroyed);
    }
    return 0;
}

/* ---- cancellation ---- */

/* As the C library's own handler does it for another thread: it unwinds at once, from the handler on. */
void cancel_in_body(int, siginfo_t *, void *context)
{
    if (original_in_body(context))
        pthread_cancel(pthread_self());
}

void *sum_until_cancelled(void *unused)
{
    noted local;
    sigset_t alarm;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, nullptr);
    pthread_sigmask(SIG_UNBLOCK, &alarm, nullptr);
    call_sum(words());
    return unused;
}

int cancellations_get_past_bodies()
{
    sigset_t alarm;
    make_memory(nullptr);
    alias()[0] = 1;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarm, nullptr);
    interrupt(cancel_in_body);
    for (unsigned i = 0; i < wanted; i++) {
        pthread_t thread;
        void *result = nullptr;
        destroyed = false;
        assert_int_equal(pthread_create(&thread, nullptr, sum_until_cancelled, nullptr), 0);
        assert_int_equal(pthread_join(thread, &result), 0);
        assert_ptr_equal(result, PTHREAD_CANCELED);
        assert_true(destroyed);
    }
    stop_interrupts();
    /* No thread is thought to be in a body: neither of these waits. */
    assert_int_equal(segue_mapping_protect(&memory, 0, memory.size, SEGUE_READ | SEGUE_WRITE), SEGUE_OK);
    assert_int_equal(segue_region_remove(memory.memory), SEGUE_OK);
    return 0;
}

/* A handler that unwinds may interrupt a thread that unwinds: neither may wait for the other. */
void look_anywhere(int, siginfo_t *, void *)
{
    uint64_t addresses[most_frames];
    samples = samples + (unwind_all(addresses) > 0);
}

int handlers_unwind_in_unwinders()
{
    make_memory(nullptr);
    alias()[0] = 0;
    for (unsigned i = 0; i < 3; i++)
        call_sum(words());
    interrupt(look_anywhere);
    for (unsigned i = 0; i < 100000 || samples < wanted; i++) {
        try {
            throw 1;
        } catch (int) {
        }
    }
    stop_interrupts();
    return 0;
}
#endif

#if !defined(WITH_LIBUNWIND)
/* ---- for a debugger (unwind_gdb.sh) ---- */

__attribute__((noinline)) void now_hot()
{
    asm volatile("");
}

segue_verdict __attribute__((noinline)) ask_debugger(void *, const segue_hot_event *)
{
    asm volatile("");
    return SEGUE_STEP;
}

int debugged(bool has_policy)
{
    make_memory(has_policy ? ask_debugger : nullptr);
    alias()[0] = 0;
    for (unsigned i = 0; i < 3; i++)
        call_sum(words());
    now_hot();
    call_sum(words());
    return 0;
}
#endif

int status_of(int (*work)())
{
    int status;
    fflush(nullptr);
    pid_t child = fork();
    if (child == 0) {
        int result = work();
        fflush(nullptr);
        _exit(result);
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

template <int (*work)()> void in_child(void **)
{
    assert_int_equal(status_of(work), 0);
}

} // namespace

int main(int count, char **)
{
#if !defined(WITH_LIBUNWIND)
    if (count > 1)
        return debugged(count > 2);
#else
    (void)count;
#endif
    const CMUnitTest tests[] = {
        cmocka_unit_test(in_child<handlers_get_past_bodies>),
        cmocka_unit_test(in_child<policies_get_past_bodies>),
#if !defined(WITH_LIBUNWIND)
        cmocka_unit_test(in_child<exceptions_get_past_bodies>),
        cmocka_unit_test(in_child<handlers_unwind_in_unwinders>),
        cmocka_unit_test(in_child<cancellations_get_past_bodies>),
#endif
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
