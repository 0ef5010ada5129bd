// ctx_cxx.cpp: contexts in C++: exceptions inside a context, what happens to one that would leave it, and libgcc's
// unwinder, which exceptions go by, from a child through its parent.
#include <csetjmp>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <segue/segue.h>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <unwind.h>

extern "C" {
#include <cmocka.h>
}

namespace
{

alignas(16) char stack[262144];
segue_context parent, child;
int destroyed;
std::string caught;

struct counted {
    ~counted()
    {
        destroyed++;
    }
};

void init(void (*entry)())
{
    segue_context_destroy(&child);
    assert_int_equal(segue_context_init(&child, &parent, stack, sizeof stack, entry, nullptr, 0, nullptr), SEGUE_OK);
}

void go()
{
    assert_int_equal(segue_context_swap(&parent, &child), SEGUE_OK);
}

__attribute__((noinline)) void throw_from(int depth)
{
    counted here;
    if (depth == 0) {
        segue_context_swap(&child, &parent);
        throw std::runtime_error("from the depth");
    }
    throw_from(depth - 1);
}

void throw_and_catch()
{
    try {
        throw_from(10);
    } catch (const std::exception &error) {
        caught = error.what();
    }
}

void exception_is_caught_inside_a_context(void **)
{
    destroyed = 0;
    init(throw_and_catch);
    go();
    assert_int_equal(destroyed, 0);
    go();
    assert_int_equal(destroyed, 11);
    assert_string_equal(caught.c_str(), "from the depth");
    assert_true(segue_context_is_finished(&child));
}

void throw_out()
{
    throw std::runtime_error("nobody catches this inside");
}

void say_terminated()
{
    _exit(42);
}

// Even where the parent has a handler: it belongs to another flow.
void exception_that_leaves_its_context_terminates(void **)
{
    pid_t process = fork();
    if (process == 0) {
        std::set_terminate(say_terminated);
        init(throw_out);
        try {
            segue_context_swap(&parent, &child);
        } catch (...) {
            _exit(1);
        }
        _exit(2);
    }
    int status;
    assert_int_equal(waitpid(process, &status, 0), process);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 42);
}

bool met_child, met_parent;
extern "C" void walking_child();
extern "C" void walking_parent();

_Unwind_Reason_Code note_frame(struct _Unwind_Context *context, void *)
{
    void *function = _Unwind_FindEnclosingFunction(reinterpret_cast<void *>(_Unwind_GetIP(context)));
    met_child = met_child || function == reinterpret_cast<void *>(walking_child);
    met_parent = met_parent || (met_child && function == reinterpret_cast<void *>(walking_parent));
    return _URC_NO_REASON;
}

extern "C" __attribute__((noinline)) void walking_child()
{
    _Unwind_Backtrace(note_frame, nullptr);
    segue_context_swap(&child, &parent);
    _Unwind_Backtrace(note_frame, nullptr);
    __asm__ volatile("");
}

extern "C" __attribute__((noinline)) void walking_parent()
{
    for (int i = 0; i < 2; i++) {
        met_child = met_parent = false;
        go();
        assert_true(met_child);
        assert_true(met_parent);
    }
    __asm__ volatile("");
}

void libgcc_walks_from_a_child_through_its_parent(void **)
{
    init(walking_child);
    walking_parent();
}

} // namespace

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exception_is_caught_inside_a_context),
        cmocka_unit_test(exception_that_leaves_its_context_terminates),
        cmocka_unit_test(libgcc_walks_from_a_child_through_its_parent),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
