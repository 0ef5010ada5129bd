// ctx_cxx.cpp: contexts in C++: exceptions inside a context, what happens to one that would leave it, and libgcc's
// unwinder, which exceptions go by, from a child through its parent.
#include <csetjmp>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <pthread.h>
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
    throw std::runtime_error("no handler inside catches this");
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

// ---- exceptions of a flow's own ----

alignas(16) char other_stack[262144];
segue_context other;

void init_own(segue_context *context, void *bottom, size_t size, void (*entry)())
{
    segue_context_options options = {};
    options.flags = SEGUE_CONTEXT_OWN_EXCEPTIONS;
    segue_context_destroy(context);
    assert_int_equal(segue_context_init(context, &parent, bottom, size, entry, nullptr, 0, &options), SEGUE_OK);
}

// Left and gone on with where an exception is on its way.
struct swaps_when_destroyed {
    ~swaps_when_destroyed()
    {
        uncaught_inside = std::uncaught_exceptions();
        segue_context_swap(&child, &parent);
        uncaught_after = std::uncaught_exceptions();
    }
    static int uncaught_inside, uncaught_after;
};
int swaps_when_destroyed::uncaught_inside, swaps_when_destroyed::uncaught_after;

void be_left_while_unwinding()
{
    try {
        swaps_when_destroyed here;
        throw std::runtime_error("on its way");
    } catch (const std::exception &error) {
        caught = error.what();
    }
}

void flow_that_is_left_while_unwinding_counts_its_exceptions_alone(void **)
{
    init_own(&child, stack, sizeof stack, be_left_while_unwinding);
    caught.clear();
    go();
    assert_int_equal(std::uncaught_exceptions(), 0);
    try {
        throw 5;
    } catch (int value) {
        assert_int_equal(value, 5);
        assert_int_equal(swaps_when_destroyed::uncaught_inside, 1);
        go();
        assert_int_equal(std::uncaught_exceptions(), 0);
        assert_non_null(std::current_exception() ? "one" : nullptr);
    }
    assert_int_equal(swaps_when_destroyed::uncaught_after, 1);
    assert_string_equal(caught.c_str(), "on its way");
    assert_true(segue_context_is_finished(&child));
}

std::string rethrown[2];

template <int number> void handle_and_be_left()
{
    segue_context &self = number ? other : child;
    try {
        throw std::runtime_error(number ? "the other's" : "the one's");
    } catch (...) {
        segue_context_swap(&self, &parent);
        try {
            throw;
        } catch (const std::exception &error) {
            rethrown[number] = error.what();
        }
        segue_context_swap(&self, &parent);
    }
    if (std::current_exception())
        rethrown[number] += ", and one is left";
}

// The blocks end in the order in which they began, which the thread's own list could not bear.
void flows_that_are_left_in_catch_blocks_end_them_in_any_order(void **)
{
    init_own(&child, stack, sizeof stack, handle_and_be_left<0>);
    init_own(&other, other_stack, sizeof other_stack, handle_and_be_left<1>);
    for (int round = 0; round < 3; round++) {
        segue_context_swap(&parent, &child);
        assert_null(std::current_exception() ? "one" : nullptr);
        segue_context_swap(&parent, &other);
        assert_null(std::current_exception() ? "one" : nullptr);
    }
    assert_string_equal(rethrown[0].c_str(), "the one's");
    assert_string_equal(rethrown[1].c_str(), "the other's");
    assert_true(segue_context_is_finished(&child));
    assert_true(segue_context_is_finished(&other));
}

void *go_on_with_child(void *)
{
    segue_context here = {};
    segue_context_swap(&here, &child);
    return std::current_exception() || std::uncaught_exceptions() ? &child : nullptr;
}

void exceptions_go_with_their_flow_to_another_thread(void **)
{
    pthread_t thread;
    void *wrong = nullptr;
    init_own(&child, stack, sizeof stack, be_left_while_unwinding);
    caught.clear();
    go();
    assert_int_equal(pthread_create(&thread, nullptr, go_on_with_child, nullptr), 0);
    pthread_join(thread, &wrong);
    assert_null(wrong);
    assert_int_equal(swaps_when_destroyed::uncaught_after, 1);
    assert_string_equal(caught.c_str(), "on its way");
    assert_int_equal(std::uncaught_exceptions(), 0);
}

} // namespace

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exception_is_caught_inside_a_context),
        cmocka_unit_test(exception_that_leaves_its_context_terminates),
        cmocka_unit_test(libgcc_walks_from_a_child_through_its_parent),
        cmocka_unit_test(flow_that_is_left_while_unwinding_counts_its_exceptions_alone),
        cmocka_unit_test(flows_that_are_left_in_catch_blocks_end_them_in_any_order),
        cmocka_unit_test(exceptions_go_with_their_flow_to_another_thread),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
