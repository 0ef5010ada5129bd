/* ports.c: Mach's ports and messages, and exceptions as messages. See loader.h.
 *
 * A port's name is the same for all its rights, and rights are not counted: a send-once right that is used twice is
 * noticed only where an exception is answered twice. The messages are in one queue. Whoever holds its lock blocks all
 * signals, so that a thread that is held, or that faults, never has it. */
#define _GNU_SOURCE
#include "loader.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SUCCESS = 0, INVALID_ADDRESS = 1, NO_SPACE = 3, INVALID_ARGUMENT = 4, FAILURE = 5, INVALID_NAME = 15 };
enum { MSG_SEND = 1, MSG_RECEIVE = 2, SEND_INVALID_DEST = 0x10000003, RCV_INVALID_NAME = 0x10004002 };
enum { MOVE_SEND = 17, MOVE_SEND_ONCE = 18, COPY_SEND = 19, MAKE_SEND = 20, MAKE_SEND_ONCE = 21 };
enum { RIGHT_RECEIVE = 1, RIGHT_PORT_SET = 3 };
#define COMPLEX 0x80000000u
#define TRAILER 8u

struct header {
    uint32_t bits, size, remote, local, voucher;
    int id;
};
#pragma pack(push, 4)
struct descriptor {
    uint32_t name, padding;
    uint32_t padding_disposition_type;
};
/* A request with everything that one may have, in this order; a reply. */
struct request {
    struct header header;
    uint8_t rest[4096 - sizeof(struct header)];
};
struct reply {
    struct header header;
    uint8_t data[8];
    int result, flavor;
    uint32_t count;
    uint8_t state[3000];
};
#pragma pack(pop)
_Static_assert(sizeof(struct header) == 24 && sizeof(struct descriptor) == 12, "mach/message.h's sizes");

/* ---- ports ---- */

#define PORTS 256
#define FIRST_PORT 0x800003u
#define NAME_STEP 0x100u

static struct port {
    bool is_there, is_set;
    uint32_t set;
} ports[PORTS];

#define MESSAGES 64
static struct message {
    bool is_there;
    /* In the order of their arrival. */
    uint64_t number;
    struct request request;
} messages[MESSAGES];
static uint64_t last_number;
static uint32_t lock_word, arrivals;

static sigset_t lock(void)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    while (__atomic_exchange_n(&lock_word, 1, __ATOMIC_ACQUIRE))
        sched_yield();
    return before;
}

static void unlock(sigset_t before)
{
    __atomic_store_n(&lock_word, 0, __ATOMIC_RELEASE);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static struct port *port_of(uint32_t name)
{
    uint32_t index = (name - FIRST_PORT) / NAME_STEP;
    return name >= FIRST_PORT && (name - FIRST_PORT) % NAME_STEP == 0 && index < PORTS && ports[index].is_there
               ? &ports[index]
               : NULL;
}

static uint32_t make_port(bool is_set)
{
    for (uint32_t i = 0; i < PORTS; i++)
        if (!__atomic_exchange_n(&ports[i].is_there, true, __ATOMIC_ACQ_REL)) {
            ports[i].is_set = is_set;
            ports[i].set = 0;
            return FIRST_PORT + i * NAME_STEP;
        }
    fail("there are %d ports", PORTS);
}

int d_mach_port_allocate(uint32_t task, uint32_t right, uint32_t *name);
int d_mach_port_allocate(uint32_t task, uint32_t right, uint32_t *name)
{
    (void)task;
    if (right != RIGHT_RECEIVE && right != RIGHT_PORT_SET)
        return INVALID_ARGUMENT;
    *name = make_port(right == RIGHT_PORT_SET);
    return SUCCESS;
}

int d_mach_port_insert_right(uint32_t task, uint32_t name, uint32_t port, uint32_t how);
int d_mach_port_insert_right(uint32_t task, uint32_t name, uint32_t port, uint32_t how)
{
    (void)task;
    return port_of(name) && name == port && how == MAKE_SEND ? SUCCESS : INVALID_ARGUMENT;
}

int d_mach_port_move_member(uint32_t task, uint32_t member, uint32_t after);
int d_mach_port_move_member(uint32_t task, uint32_t member, uint32_t after)
{
    struct port *port = port_of(member), *set = port_of(after);
    (void)task;
    if (!port || !set || port->is_set || !set->is_set)
        return INVALID_NAME;
    port->set = after;
    return SUCCESS;
}

/* A receive right that goes takes the port and its messages with it. */
int d_mach_port_mod_refs(uint32_t task, uint32_t name, uint32_t right, int delta);
int d_mach_port_mod_refs(uint32_t task, uint32_t name, uint32_t right, int delta)
{
    struct port *port = port_of(name);
    (void)task;
    if (right != RIGHT_RECEIVE)
        return SUCCESS;
    if (!port || delta != -1)
        return INVALID_NAME;
    sigset_t before = lock();
    for (unsigned i = 0; i < MESSAGES; i++)
        if (messages[i].is_there && messages[i].request.header.local == name)
            messages[i].is_there = false;
    port->is_there = false;
    unlock(before);
    return SUCCESS;
}

int d_mach_port_deallocate(uint32_t task, uint32_t name);
int d_mach_port_deallocate(uint32_t task, uint32_t name)
{
    (void)task;
    return name ? SUCCESS : INVALID_NAME;
}

/* The receive rights stay the parent's. */
void ports_in_child(void)
{
    memset(ports, 0, sizeof ports);
    memset(messages, 0, sizeof messages);
    lock_word = 0;
}

/* ---- messages ---- */

/* As they are in the receiver's message. */
static uint32_t given(uint32_t disposition)
{
    return disposition == MAKE_SEND_ONCE || disposition == MOVE_SEND_ONCE ? MOVE_SEND_ONCE
           : disposition                                                  ? MOVE_SEND
                                                                          : 0;
}

static bool send(const struct header *given_message, uint32_t size)
{
    if (size > sizeof(struct request) - TRAILER)
        fail("a message of %u bytes", size);
    sigset_t before = lock();
    struct message *free = NULL;
    if (port_of(given_message->remote) && !port_of(given_message->remote)->is_set)
        for (unsigned i = 0; i < MESSAGES && !free; i++)
            free = messages[i].is_there ? NULL : &messages[i];
    if (free) {
        struct header *header = &free->request.header;
        memcpy(header, given_message, size);
        header->size = size;
        header->local = given_message->remote;
        header->remote = given_message->local;
        header->bits = given(given_message->bits >> 8 & 0x1f) | given(given_message->bits & 0x1f) << 8 |
                       (given_message->bits & COMPLEX);
        free->number = ++last_number;
        free->is_there = true;
    }
    unlock(before);
    __atomic_fetch_add(&arrivals, 1, __ATOMIC_ACQ_REL);
    syscall(SYS_futex, &arrivals, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    return free;
}

static struct message *first_for(uint32_t name)
{
    struct message *first = NULL;
    for (unsigned i = 0; i < MESSAGES; i++) {
        struct message *message = &messages[i];
        const struct port *port = message->is_there ? port_of(message->request.header.local) : NULL;
        if (port && (message->request.header.local == name || port->set == name) &&
            (!first || message->number < first->number))
            first = message;
    }
    return first;
}

static void receive(uint32_t name, struct header *to, uint32_t room)
{
    for (;;) {
        uint32_t seen = __atomic_load_n(&arrivals, __ATOMIC_ACQUIRE);
        sigset_t before = lock();
        struct message *first = first_for(name);
        if (first) {
            uint32_t size = first->request.header.size;
            if (size + TRAILER > room)
                fail("no room for a message of %u bytes", size);
            memcpy(to, &first->request, size);
            memset((char *)to + size, 0, TRAILER);
            first->is_there = false;
        }
        unlock(before);
        if (first)
            return;
        syscall(SYS_futex, &arrivals, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    }
}

int d_mach_msg(struct header *message, int option, uint32_t send_size, uint32_t room, uint32_t name, uint32_t timeout,
               uint32_t notify);
int d_mach_msg(struct header *message, int option, uint32_t send_size, uint32_t room, uint32_t name, uint32_t timeout,
               uint32_t notify)
{
    if ((option & ~(MSG_SEND | MSG_RECEIVE)) || timeout || notify)
        fail("mach_msg with option %#x", (unsigned)option);
    if ((option & MSG_SEND) && !send(message, send_size))
        return SEND_INVALID_DEST;
    if ((option & MSG_RECEIVE) && !port_of(name))
        return RCV_INVALID_NAME;
    if (option & MSG_RECEIVE)
        receive(name, message, room);
    return SUCCESS;
}

void d_mach_msg_destroy(struct header *message);
void d_mach_msg_destroy(struct header *message)
{
    (void)message;
}

/* ---- who is asked ---- */

enum { BEHAVIOR_DEFAULT = 1, BEHAVIOR_STATE = 2, BEHAVIOR_STATE_IDENTITY = 3 };
#define LONG_CODES 0x80000000u

static struct exception_port of_task[EXCEPTIONS];

static int set_ports(struct exception_port *of, uint32_t mask, uint32_t port, uint32_t behavior, int flavor)
{
    uint32_t kind = behavior & ~LONG_CODES;
    if (port && (kind < BEHAVIOR_DEFAULT || kind > BEHAVIOR_STATE_IDENTITY ||
                 (kind != BEHAVIOR_DEFAULT && !state_size(flavor))))
        return INVALID_ARGUMENT;
    for (unsigned i = 1; i < EXCEPTIONS; i++)
        if (mask >> i & 1)
            of[i] = (struct exception_port){port, behavior, flavor};
    return SUCCESS;
}

/* Those with equal answers are one row. */
static void get_ports(const struct exception_port *of, uint32_t mask, uint32_t *masks, uint32_t *count, uint32_t *names,
                      uint32_t *behaviors, int *flavors)
{
    uint32_t rows = 0;
    for (unsigned i = 1; i < EXCEPTIONS; i++) {
        uint32_t row = 0;
        if (!(mask >> i & 1))
            continue;
        while (row < rows &&
               (names[row] != of[i].port || behaviors[row] != of[i].behavior || flavors[row] != of[i].flavor))
            row++;
        if (row == rows) {
            if (rows == *count)
                break;
            masks[rows] = 0;
            names[rows] = of[i].port;
            behaviors[rows] = of[i].behavior;
            flavors[rows++] = of[i].flavor;
        }
        masks[row] |= 1u << i;
    }
    *count = rows;
}

int d_task_set_exception_ports(uint32_t task, uint32_t mask, uint32_t port, uint32_t behavior, int flavor);
int d_task_set_exception_ports(uint32_t task, uint32_t mask, uint32_t port, uint32_t behavior, int flavor)
{
    (void)task;
    return set_ports(of_task, mask, port, behavior, flavor);
}

int d_task_get_exception_ports(uint32_t task, uint32_t mask, uint32_t *masks, uint32_t *count, uint32_t *names,
                               uint32_t *behaviors, int *flavors);
int d_task_get_exception_ports(uint32_t task, uint32_t mask, uint32_t *masks, uint32_t *count, uint32_t *names,
                               uint32_t *behaviors, int *flavors)
{
    (void)task;
    get_ports(of_task, mask, masks, count, names, behaviors, flavors);
    return SUCCESS;
}

int d_task_swap_exception_ports(uint32_t task, uint32_t mask, uint32_t port, uint32_t behavior, int flavor,
                                uint32_t *masks, uint32_t *count, uint32_t *names, uint32_t *behaviors, int *flavors);
int d_task_swap_exception_ports(uint32_t task, uint32_t mask, uint32_t port, uint32_t behavior, int flavor,
                                uint32_t *masks, uint32_t *count, uint32_t *names, uint32_t *behaviors, int *flavors)
{
    get_ports(of_task, mask, masks, count, names, behaviors, flavors);
    return d_task_set_exception_ports(task, mask, port, behavior, flavor);
}

int d_thread_set_exception_ports(uint32_t name, uint32_t mask, uint32_t port, uint32_t behavior, int flavor);
int d_thread_set_exception_ports(uint32_t name, uint32_t mask, uint32_t port, uint32_t behavior, int flavor)
{
    struct thread *thread = thread_by_port(name);
    return thread ? set_ports(thread->exceptions, mask, port, behavior, flavor) : INVALID_ARGUMENT;
}

/* ---- exceptions ---- */

static void put(struct request *request, const void *bytes, size_t size)
{
    memcpy((char *)request + request->header.size, bytes, size);
    request->header.size += (uint32_t)size;
}

static void put_port(struct request *request, uint32_t name)
{
    put(request, &(struct descriptor){name, 0, MOVE_SEND << 16}, sizeof(struct descriptor));
}

static void compose(struct request *request, struct thread *self, const struct exception_port *to,
                    const struct exception *exception)
{
    struct header *header = &request->header;
    const uint32_t kind = to->behavior & ~LONG_CODES, two = 2;
    const bool are_long = to->behavior & LONG_CODES;
    *header = (struct header){
        .size = sizeof *header,
        .remote = to->port,
        .local = self->answers,
        .bits = COPY_SEND | MAKE_SEND_ONCE << 8 | (kind == BEHAVIOR_STATE ? 0 : COMPLEX),
        .id = (int)(kind - BEHAVIOR_DEFAULT) + (are_long ? 2405 : 2401),
    };
    if (kind != BEHAVIOR_STATE) {
        put(request, &two, sizeof two);
        put_port(request, self->port);
        put_port(request, TASK);
    }
    put(request, (uint8_t[8]){0, 0, 0, 0, 1}, 8);
    put(request, &exception->type, sizeof exception->type);
    put(request, &two, sizeof two);
    for (unsigned i = 0; i < 2; i++) {
        int code = (int)exception->codes[i];
        put(request, are_long ? (const void *)&exception->codes[i] : &code, are_long ? 8 : 4);
    }
    if (kind != BEHAVIOR_DEFAULT) {
        const uint32_t size = (uint32_t)state_size(to->flavor), count = size / 4;
        put(request, &to->flavor, sizeof to->flavor);
        put(request, &count, sizeof count);
        state_get(self->registers, to->flavor, (char *)request + header->size);
        header->size += size;
    }
}

/* Whether the exception is answered: then the thread goes on. */
static bool ask(struct thread *self, const struct exception_port *to, const struct exception *exception)
{
    struct request request;
    union {
        struct reply reply;
        char room[sizeof(struct reply) + TRAILER];
    } answer;
    if (!port_of(to->port))
        return false;
    compose(&request, self, to, exception);
    if (!send(&request.header, request.header.size))
        return false;
    receive(self->answers, &answer.reply.header, sizeof answer);
    if (answer.reply.header.id != request.header.id + 100)
        fail("exception %d is answered by message %d", request.header.id, answer.reply.header.id);
    if (answer.reply.result != SUCCESS)
        return false;
    if ((to->behavior & ~LONG_CODES) == BEHAVIOR_DEFAULT)
        return true;
    if (!state_size(answer.reply.flavor) || answer.reply.count * 4 != state_size(answer.reply.flavor))
        fail("an answer has a state of flavor %d with %u words", answer.reply.flavor, answer.reply.count);
    state_set(self->registers, answer.reply.flavor, answer.reply.state);
    return true;
}

bool exception_raise(struct thread *self, ucontext_t *native, const struct exception *exception)
{
    const struct exception_port *of_thread = &self->exceptions[exception->type], *task = &of_task[exception->type];
    if (!of_thread->port && !task->port)
        return false;
    if (!port_of(self->answers))
        self->answers = make_port(false);
    self->registers = native;
    __atomic_store_n(&self->in_exception, 1, __ATOMIC_RELEASE);
    bool is_answered =
        (of_thread->port && ask(self, of_thread, exception)) || (task->port && ask(self, task, exception));
    __atomic_store_n(&self->in_exception, 0, __ATOMIC_RELEASE);
    thread_stand_still(self, native);
    return is_answered;
}

/* ---- memory ---- */

int d_vm_write(uint32_t task, uint64_t address, uint64_t from, uint32_t size);
int d_vm_write(uint32_t task, uint64_t address, uint64_t from, uint32_t size)
{
    struct iovec of = {(void *)(uintptr_t)from, size}, to = {(void *)(uintptr_t)address, size};
    (void)task;
    return syscall(SYS_process_vm_writev, getpid(), &of, 1, &to, 1, 0) == (long)size ? SUCCESS : INVALID_ADDRESS;
}
