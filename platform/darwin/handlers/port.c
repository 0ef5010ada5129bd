/* port.c: faults as messages of Mach. A thread of the library's receives them; the thread that has faulted serves its
 * fault itself, since policies, blocks that may fault and nested faults are a thread's own:
 *
 *   the kernel      sends the exception, with the thread's general registers, and waits for the answer
 *   the receiver    gathers the thread's other states, writes all below the thread's red zone, and answers: go on in
 *                   port_entry. If the stack has no room there, or is a guest's: on another stack (port_stacks.h)
 *   the thread      sets the host's base of GS if it runs a guest, serves the fault as in a handler of a signal, and
 *                   ends in an instruction that faults
 *   the receiver    sets the vector state, and answers with the general registers: the thread is back
 *
 * What the library leaves to others happens again: the thread goes back to its instruction as it was, the kernel sends
 * the exception once more, and now, since the thread has the same registers, it goes on to the port that was there
 * before. If there is no such port, or it refuses, the kernel asks the host's port, then handlers of signals.
 * A port that another library sets for a thread comes before this one, which is the task's, and loses nothing.
 *
 * The port before may want another message than the kernel sends here. Then it gets one that is made of the exception,
 * with a port for its answer, from which the kernel's is made. So the receiver waits for no other thread.
 *
 * SOURCES: XNU osfmk/kern/exception.c (exception_deliver: thread's port, task's, host's; an answer has a flavor of its
 * own), osfmk/kern/ipc_tt.c (task_swap_exception_ports), bsd/uxkern/ux_exception.c (numbers and codes); MPS,
 * code/protxc.c (the receiver is made anew in a child). */
#if !defined(__APPLE__) || !defined(__x86_64__)
#error "port.c is specific to macOS on x86-64"
#endif

#include "platform/handlers/port.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "decode/x86/flags.h"
#include "messages.h"
#include "platform/darwin/threads/slots.h"
#include "platform/frame/frame.h"
#include "platform/guest.h"
#include "platform/handlers/action.h"
#include "platform/threads/thread.h"
#include "platform/threads/wait.h"
#include "port_stacks.h"
#include "serve.h"

#define OURS ((exception_behavior_t)(EXCEPTION_STATE_IDENTITY | MACH_EXCEPTION_CODES))
/* Not breakpoints: none is the library's where it changes no code by more than one byte, and a trap does not happen
 * again when its thread goes on. */
#define EXCEPTIONS (EXC_MASK_BAD_ACCESS | EXC_MASK_ARITHMETIC)
#define RED_ZONE_SIZE 128u
/* A thread that faults anew where the library has passed it on; and answers that are awaited. */
#define MARKS 64u
#define RELAYS 16u
/* How long a close waits for threads on their way back. */
#define CLOSE_MOMENTS 2000u

/* On the stack of the thread that has faulted. */
struct port_frame {
    /* Its own address, and the same changed by a secret. */
    uint64_t self, cookie;
    struct native_info info;
    struct native_state state;
    /* Where it is if not on the thread's own stack: that of port_stacks.h. */
    struct alternate_stack stack;
};

void port_entry(void);
platform_handler port_serve;
extern const char port_return[];

/* The ports before, as task_swap_exception_ports returns them. */
static struct {
    exception_mask_t masks[EXC_TYPES_COUNT];
    mach_port_t ports[EXC_TYPES_COUNT];
    exception_behavior_t behaviors[EXC_TYPES_COUNT];
    thread_state_flavor_t flavors[EXC_TYPES_COUNT];
    mach_msg_type_number_t count;
} previous;

static bool is_open;
/* Threads that serve a fault, or that have left its policy by a jump. */
static uint32_t in_flight;
/* The port for exceptions, and the set of it and of those for answers. MACH_PORT_NULL until there is a receiver. */
static mach_port_t exceptions, receives;
static uint64_t secret;

/* The receiver's alone. */
static struct mark {
    mach_port_t thread;
    x86_thread_state64_t state;
} marks[MARKS];
static unsigned next_mark;
static struct relay {
    mach_port_t port;
    mach_msg_header_t request;
    mach_port_t thread;
} relays[RELAYS];
static struct port_frame scratch;

bool port_is_open(void)
{
    return __atomic_load_n(&is_open, __ATOMIC_ACQUIRE);
}

/* ---- on the thread that has faulted ---- */

/* A handler on the alternate stack that faults while this is on a stack of port_stacks.h would be taken for one that
 * has left it: so there all signals wait that do not come of an instruction. */
void port_serve(int number, void *info, void *word)
{
    struct port_frame *frame = word;
    const bool is_elsewhere = frame->stack.size;
    const uint64_t blocked = serve_mask(frame->info.number) | (is_elsewhere ? ~SIGNALS_SYNCHRONOUS : 0);
    (void)number;
    (void)info;
    struct native_context native;
    struct gathered_room room;
    int kept = errno;
    uint64_t before = platform_mask_block(blocked);
    uint32_t mask = (uint32_t)before;
    native_begin(&native, &frame->state, &mask, &room);
    if (is_elsewhere)
        native.stack = frame->stack;
    else if (platform_stack_exchange(NULL, &native.stack) != 0)
        native.stack = (struct alternate_stack){.flags = STACK_DISABLED};
    native.was_on_stack = native.stack.flags & STACK_IN_USE;
    serve(&frame->info, &native);
    if (blocked || mask != (uint32_t)before)
        platform_mask_set(mask);
    errno = kept;
}

/* ---- answers ---- */

static void give_back(mach_port_t port)
{
    if (MACH_PORT_VALID(port))
        mach_port_deallocate(mach_task_self(), port);
}

/* The registers of the answer are a state of that flavor; none if it is a refusal. */
static void answer(const mach_msg_header_t *request, kern_return_t result, int flavor, const void *state,
                   mach_msg_type_number_t count)
{
    struct exception_reply reply = {.data = NDR_record, .result = result, .flavor = flavor, .state_count = count};
    if (count)
        memcpy(reply.state, state, count * sizeof *reply.state);
    reply.header.msgh_bits = MACH_MSGH_BITS(MACH_MSGH_BITS_REMOTE(request->msgh_bits), 0);
    reply.header.msgh_remote_port = request->msgh_remote_port;
    reply.header.msgh_id = request->msgh_id + RAISE_TO_REPLY;
    reply.header.msgh_size = (mach_msg_size_t)(offsetof(struct exception_reply, state) + count * sizeof *reply.state);
    mach_msg(&reply.header, MACH_SEND_MSG, reply.header.msgh_size, 0, MACH_PORT_NULL, MACH_MSG_TIMEOUT_NONE,
             MACH_PORT_NULL);
}

static void refuse(const mach_msg_header_t *request)
{
    answer(request, KERN_FAILURE, 0, NULL, 0);
}

static void answer_general(const mach_msg_header_t *request, const x86_thread_state64_t *state)
{
    answer(request, KERN_SUCCESS, x86_THREAD_STATE64, state, x86_THREAD_STATE64_COUNT);
}

/* ---- the port before ---- */

static unsigned find_previous(exception_type_t exception)
{
    unsigned i = 0;
    while (i < previous.count && !(MACH_PORT_VALID(previous.ports[i]) && (previous.masks[i] >> exception & 1)))
        i++;
    return i;
}

static void put(mach_msg_header_t *message, const void *bytes, size_t size)
{
    memcpy((char *)message + message->msgh_size, bytes, size);
    message->msgh_size += (mach_msg_size_t)size;
}

static void put_port(mach_msg_header_t *message, mach_port_t port)
{
    const mach_msg_port_descriptor_t descriptor = {
        .name = port, .disposition = MACH_MSG_TYPE_COPY_SEND, .type = MACH_MSG_PORT_DESCRIPTOR};
    put(message, &descriptor, sizeof descriptor);
}

static void put_codes(mach_msg_header_t *message, const struct exception_request *request, bool are_long)
{
    const mach_msg_type_number_t count = 2;
    put(message, &request->exception, sizeof request->exception);
    put(message, &count, sizeof count);
    for (unsigned i = 0; i < count; i++) {
        const int code = (int)request->code[i];
        put(message, are_long ? (const void *)&request->code[i] : &code, are_long ? sizeof(int64_t) : sizeof code);
    }
}

static bool put_state(mach_msg_header_t *message, mach_port_t thread, thread_state_flavor_t flavor)
{
    natural_t state[THREAD_STATE_MAX];
    mach_msg_type_number_t count = THREAD_STATE_MAX;
    if (thread_get_state(thread, flavor, state, &count) != KERN_SUCCESS)
        return false;
    put(message, &flavor, sizeof flavor);
    put(message, &count, sizeof count);
    put(message, state, count * sizeof *state);
    return true;
}

/* The message that the port wants, without the header's ports. Larger than the kernel's by nothing. */
static bool compose(struct exception_request *made, const struct exception_request *request, unsigned to)
{
    static const int routines[] = {
        [EXCEPTION_DEFAULT] = RAISE,
        [EXCEPTION_STATE] = RAISE_STATE,
        [EXCEPTION_STATE_IDENTITY] = RAISE_STATE_IDENTITY,
    };
    const unsigned behavior = (unsigned)previous.behaviors[to];
    const unsigned kind = behavior & ~(MACH_EXCEPTION_CODES | MACH_EXCEPTION_ERRORS);
    const bool are_long = behavior & MACH_EXCEPTION_CODES, has_identity = kind != EXCEPTION_STATE;
    const mach_msg_body_t ports = {2};
    mach_msg_header_t *header = &made->header;
    if (kind < EXCEPTION_DEFAULT || kind > EXCEPTION_STATE_IDENTITY)
        return false;
    *header = (mach_msg_header_t){
        .msgh_size = sizeof *header,
        .msgh_id = routines[kind] + (are_long ? 0 : RAISE_TO_SHORT_CODES),
        .msgh_bits = has_identity ? MACH_MSGH_BITS_COMPLEX : 0,
    };
    if (has_identity) {
        put(header, &ports, sizeof ports);
        put_port(header, request->thread.name);
        put_port(header, request->task.name);
    }
    put(header, &NDR_record, sizeof NDR_record);
    put_codes(header, request, are_long);
    return kind == EXCEPTION_DEFAULT || put_state(header, request->thread.name, previous.flavors[to]);
}

static bool send(struct exception_request *made, mach_port_t to, mach_port_t reply, unsigned how)
{
    mach_msg_header_t *header = &made->header;
    header->msgh_bits = MACH_MSGH_BITS(MACH_MSG_TYPE_COPY_SEND, how) | (header->msgh_bits & MACH_MSGH_BITS_COMPLEX);
    header->msgh_remote_port = to;
    header->msgh_local_port = reply;
    return mach_msg(header, MACH_SEND_MSG, header->msgh_size, 0, MACH_PORT_NULL, MACH_MSG_TIMEOUT_NONE,
                    MACH_PORT_NULL) == KERN_SUCCESS;
}

static struct relay *find_relay(mach_port_t port)
{
    for (unsigned i = 0; i < RELAYS; i++)
        if (relays[i].port == port)
            return &relays[i];
    return NULL;
}

static bool make_relay(struct relay *relay)
{
    return mach_port_allocate(mach_task_self(), MACH_PORT_RIGHT_RECEIVE, &relay->port) == KERN_SUCCESS &&
           mach_port_move_member(mach_task_self(), relay->port, receives) == KERN_SUCCESS;
}

/* The kernel waits for the answer to its own message: the port before gives that one itself if it wants the same
 * message, though perhaps with another state. */
static bool pass_to(const struct exception_request *request, unsigned to)
{
    static struct exception_request made;
    if (!compose(&made, request, to))
        return false;
    if (made.header.msgh_id == RAISE_STATE_IDENTITY)
        return send(&made, previous.ports[to], request->header.msgh_remote_port,
                    MACH_MSGH_BITS_REMOTE(request->header.msgh_bits));
    struct relay *relay = find_relay(MACH_PORT_NULL);
    if (!relay || !make_relay(relay))
        return false;
    relay->request = request->header;
    relay->thread = request->thread.name;
    mach_port_mod_refs(mach_task_self(), relay->thread, MACH_PORT_RIGHT_SEND, 1);
    if (send(&made, previous.ports[to], relay->port, MACH_MSG_TYPE_MAKE_SEND_ONCE))
        return true;
    mach_port_mod_refs(mach_task_self(), relay->port, MACH_PORT_RIGHT_RECEIVE, -1);
    give_back(relay->thread);
    relay->port = MACH_PORT_NULL;
    return false;
}

static void pass_on(const struct exception_request *request)
{
    unsigned to = find_previous(request->exception);
    if (to == previous.count || !pass_to(request, to))
        refuse(&request->header);
}

/* An answer to a message that was made; or the news that there will be none. A thread's registers are those of the
 * answer, or, if it has none, what the answering thread has made them. */
static void relay_answer(struct relay *relay, const struct exception_reply *reply)
{
    const int id = reply->header.msgh_id - RAISE_TO_REPLY;
    x86_thread_state64_t state;
    mach_msg_type_number_t count = x86_THREAD_STATE64_COUNT;
    bool is_one = id >= RAISE + RAISE_TO_SHORT_CODES && id <= RAISE_STATE_IDENTITY;
    if (!is_one || reply->result != KERN_SUCCESS)
        refuse(&relay->request);
    else if (id != RAISE && id != RAISE + RAISE_TO_SHORT_CODES && reply->state_count <= THREAD_STATE_MAX)
        answer(&relay->request, KERN_SUCCESS, reply->flavor, reply->state, reply->state_count);
    else if (thread_get_state(relay->thread, x86_THREAD_STATE64, (thread_state_t)&state, &count) == KERN_SUCCESS)
        answer_general(&relay->request, &state);
    else
        refuse(&relay->request);
    mach_port_mod_refs(mach_task_self(), relay->port, MACH_PORT_RIGHT_RECEIVE, -1);
    give_back(relay->thread);
    relay->port = MACH_PORT_NULL;
}

/* ---- faults that happen again ---- */

/* The kernel, not the thread, sets this flag. */
static x86_thread_state64_t comparable(const x86_thread_state64_t *state)
{
    x86_thread_state64_t copy = *state;
    copy.__rflags &= ~(uint64_t)FLAG_RESUME;
    return copy;
}

static void mark(mach_port_t thread, const x86_thread_state64_t *state)
{
    marks[next_mark++ % MARKS] = (struct mark){thread, comparable(state)};
}

/* Any other exception of the thread's shows that it went on. */
static bool take_mark(mach_port_t thread, const x86_thread_state64_t *state)
{
    const x86_thread_state64_t wanted = comparable(state);
    for (unsigned i = 0; i < MARKS; i++)
        if (marks[i].thread == thread) {
            marks[i].thread = MACH_PORT_NULL;
            return memcmp(&marks[i].state, &wanted, sizeof wanted) == 0;
        }
    return false;
}

/* ---- one exception ---- */

static int code_of_arithmetic(int64_t code)
{
    return code == EXC_I386_DIV ? FPE_INTDIV : FPE_FLTINV;
}

/* As the signal would be. 0: none that the library handles. */
static struct native_info describe(const struct exception_request *request, uint64_t instruction)
{
    const int64_t code = request->code[0];
    struct native_info info = {.address = instruction};
    switch (request->exception) {
    case EXC_BAD_ACCESS:
        info.number = code == KERN_INVALID_ADDRESS || code == EXC_I386_GPFLT ? SIGSEGV : SIGBUS;
        info.address = (uint64_t)request->code[1];
        if (code != EXC_I386_GPFLT)
            info.code = info.number == SIGBUS ? BUS_ADRERR : SEGV_MAPERR;
        return info;
    case EXC_ARITHMETIC:
        info.number = SIGFPE;
        info.code = code_of_arithmetic(code);
        return info;
    default:
        return info;
    }
}

static uint64_t cookie_of(uint64_t address)
{
    return address ^ secret;
}

/* Writes it by the kernel: the stack may be exhausted, or closed. */
static bool put_frame(uint64_t at)
{
    scratch.self = at;
    scratch.cookie = cookie_of(at);
    return vm_write(mach_task_self(), at, (vm_offset_t)&scratch, sizeof scratch) == KERN_SUCCESS;
}

/* Where the thread goes on; 0 if there is no room. A fault of what is served on a stack of port_stacks.h goes on
 * there. */
static uint64_t write_frame(thread_act_t thread, uint64_t stack_pointer, bool is_guest)
{
    const uint64_t own = (stack_pointer - RED_ZONE_SIZE - sizeof scratch) & ~(uint64_t)63;
    scratch.stack = (struct alternate_stack){.size = 0};
    if (!is_guest && port_stack_find(stack_pointer, &scratch.stack)) {
        scratch.stack.flags = STACK_IN_USE;
        return put_frame(own) ? own : 0;
    }
    if (!is_guest && put_frame(own))
        return own;
    if (!port_stack_take(thread, &scratch.stack))
        return 0;
    const uint64_t other = port_stack_place(&scratch.stack, sizeof scratch);
    return put_frame(other) ? other : 0;
}

/* Not of a thread that has no thread-local storage yet. */
static bool begin(const struct exception_request *request, x86_thread_state64_t *general)
{
    const thread_act_t thread = request->thread.name;
    const bool is_guest = guest_is_entered((int)thread);
    scratch.info = describe(request, general->__rip);
    if (!serve_is_wanted(scratch.info.number) || !(is_guest || slots_of_thread(thread)) ||
        !native_state_get(&scratch.state, thread))
        return false;
    scratch.state.general = *general;
    const uint64_t at = write_frame(thread, general->__rsp, is_guest);
    if (!at)
        return false;
    __atomic_fetch_add(&in_flight, 1, __ATOMIC_ACQ_REL);
    general->__rip = (uint64_t)(uintptr_t)port_entry;
    general->__rdi = at;
    general->__rsp = at - sizeof(uint64_t);
    general->__rflags &= ~(uint64_t)(FLAG_TRAP | FLAG_DIRECTION | FLAG_ALIGNMENT | FLAG_RESUME);
    return true;
}

/* The thread has served its fault. False if it came to that instruction in another way. */
static bool finish(const struct exception_request *request, x86_thread_state64_t *general)
{
    const uint64_t at = general->__rdi;
    vm_size_t done = 0;
    if (request->exception != EXC_BAD_ACCESS || general->__rip != (uint64_t)(uintptr_t)port_return ||
        vm_read_overwrite(mach_task_self(), at, sizeof scratch, (vm_address_t)&scratch, &done) != KERN_SUCCESS ||
        scratch.self != at || scratch.cookie != cookie_of(at) ||
        !native_vectors_set(&scratch.state, request->thread.name))
        return false;
    scratch.state.general.__cs = general->__cs;
    scratch.state.general.__fs = general->__fs;
    scratch.state.general.__gs = general->__gs;
    *general = scratch.state.general;
    if (__atomic_load_n(&in_flight, __ATOMIC_ACQUIRE))
        __atomic_fetch_sub(&in_flight, 1, __ATOMIC_ACQ_REL);
    if (scratch.info.is_passed_on)
        mark(request->thread.name, general);
    port_stack_give_back(at, sizeof scratch);
    return true;
}

/* A child of a fork sends its exceptions here until it has a port of its own: its threads are not this task's. */
static void take(const struct exception_request *request)
{
    x86_thread_state64_t general;
    if (request->task.name != mach_task_self() || request->flavor != x86_THREAD_STATE64 ||
        request->state_count != x86_THREAD_STATE64_COUNT) {
        refuse(&request->header);
        return;
    }
    memcpy(&general, request->state, sizeof general);
    if (finish(request, &general) || (!take_mark(request->thread.name, &general) && begin(request, &general)))
        answer_general(&request->header, &general);
    else
        pass_on(request);
}

/* ---- the receiver ---- */

static union {
    mach_msg_header_t header;
    struct exception_request request;
    struct exception_reply reply;
    char room[sizeof(struct exception_request) + MAX_TRAILER_SIZE];
} received;

static void *receive(void *unused)
{
    (void)unused;
    for (;;) {
        if (mach_msg(&received.header, MACH_RCV_MSG, 0, sizeof received, receives, MACH_MSG_TIMEOUT_NONE,
                     MACH_PORT_NULL) != KERN_SUCCESS)
            continue;
        struct relay *relay = find_relay(received.header.msgh_local_port);
        if (relay) {
            relay_answer(relay, &received.reply);
        } else if (received.header.msgh_id == RAISE_STATE_IDENTITY) {
            take(&received.request);
            give_back(received.request.thread.name);
            give_back(received.request.task.name);
        } else {
            mach_msg_destroy(&received.header);
        }
    }
    return NULL;
}

static bool start(void)
{
    pthread_t thread;
    pthread_attr_t attributes;
    const mach_port_t self = mach_task_self();
    uint64_t before = platform_signals_hold();
    if (!secret)
        secret = (uint64_t)(uintptr_t)&thread * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)platform_process_id();
    bool done = mach_port_allocate(self, MACH_PORT_RIGHT_PORT_SET, &receives) == KERN_SUCCESS &&
                mach_port_allocate(self, MACH_PORT_RIGHT_RECEIVE, &exceptions) == KERN_SUCCESS &&
                mach_port_insert_right(self, exceptions, exceptions, MACH_MSG_TYPE_MAKE_SEND) == KERN_SUCCESS &&
                mach_port_move_member(self, exceptions, receives) == KERN_SUCCESS &&
                pthread_attr_init(&attributes) == 0;
    if (done) {
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        done = pthread_create(&thread, &attributes, receive, NULL) == 0;
        pthread_attr_destroy(&attributes);
    }
    if (!done)
        exceptions = MACH_PORT_NULL;
    platform_signals_release(before);
    return done;
}

/* ---- the task's ports ---- */

static bool swap(void)
{
    previous.count = EXC_TYPES_COUNT;
    return task_swap_exception_ports(mach_task_self(), EXCEPTIONS, exceptions, OURS, x86_THREAD_STATE64, previous.masks,
                                     &previous.count, previous.ports, previous.behaviors,
                                     previous.flavors) == KERN_SUCCESS;
}

/* The receiver stays when the port is closed. Threads that are on their way back still need it before that. */
long platform_port_open(size_t stack_size)
{
    port_stacks_set_size(stack_size);
    if (!MACH_PORT_VALID(exceptions) && !start())
        return -ENOMEM;
    __atomic_store_n(&is_open, true, __ATOMIC_RELEASE);
    if (swap())
        return 0;
    __atomic_store_n(&is_open, false, __ATOMIC_RELEASE);
    return -EPERM;
}

void platform_port_close(void)
{
    if (!port_is_open())
        return;
    for (unsigned i = 0; i < CLOSE_MOMENTS && __atomic_load_n(&in_flight, __ATOMIC_ACQUIRE); i++)
        wait_a_moment();
    __atomic_store_n(&in_flight, 0, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < previous.count; i++)
        task_set_exception_ports(mach_task_self(), previous.masks[i], previous.ports[i], previous.behaviors[i],
                                 previous.flavors[i]);
    __atomic_store_n(&is_open, false, __ATOMIC_RELEASE);
}

bool platform_port_is_in_force(void)
{
    exception_mask_t masks[EXC_TYPES_COUNT];
    mach_port_t ports[EXC_TYPES_COUNT];
    exception_behavior_t behaviors[EXC_TYPES_COUNT];
    thread_state_flavor_t flavors[EXC_TYPES_COUNT];
    mach_msg_type_number_t count = EXC_TYPES_COUNT;
    bool is_all = port_is_open() && task_get_exception_ports(mach_task_self(), EXCEPTIONS, masks, &count, ports,
                                                             behaviors, flavors) == KERN_SUCCESS;
    for (unsigned i = 0; is_all && i < count; i++)
        is_all = ports[i] == exceptions;
    return is_all;
}

/* The parent's ports are not the child's, nor is the port before the parent's. */
void platform_port_in_child(void)
{
    exceptions = receives = MACH_PORT_NULL;
    memset(marks, 0, sizeof marks);
    memset(relays, 0, sizeof relays);
    port_stacks_in_child();
    if (!port_is_open() || !start() || !swap())
        return;
    previous.count = 0;
}
