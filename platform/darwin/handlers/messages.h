/* messages.h: the messages of exceptions, as the kernel sends and receives them.
 *
 * SOURCES: Apple's mach/mach_exc.defs and mach/exc.defs (the routines 2405 to 2407, and 2401 to 2403 with codes of 32
 * bits; a reply's number is its request's and 100), mach/message.h (descriptors), mach/ndr.h. MIG packs to 4 bytes: a
 * code of 64 bits is at an odd multiple of 4. */
#ifndef SEGUE_PLATFORM_DARWIN_MESSAGES_H
#define SEGUE_PLATFORM_DARWIN_MESSAGES_H

#include <mach/mach.h>
#include <mach/ndr.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RAISE = 2405,
    RAISE_STATE = 2406,
    RAISE_STATE_IDENTITY = 2407,
    /* From one of them to the routine with codes of 32 bits; from a request to its reply. */
    RAISE_TO_SHORT_CODES = -4,
    RAISE_TO_REPLY = 100,
};

#pragma pack(push, 4)
struct exception_request {
    mach_msg_header_t header;
    mach_msg_body_t body;
    mach_msg_port_descriptor_t thread, task;
    NDR_record_t data;
    exception_type_t exception;
    mach_msg_type_number_t code_count;
    int64_t code[2];
    int flavor;
    mach_msg_type_number_t state_count;
    natural_t state[THREAD_STATE_MAX];
};

/* The last three are in replies to requests with a state alone. */
struct exception_reply {
    mach_msg_header_t header;
    NDR_record_t data;
    kern_return_t result;
    int flavor;
    mach_msg_type_number_t state_count;
    natural_t state[THREAD_STATE_MAX];
};
#pragma pack(pop)

#define MESSAGE_AT(type, field, offset)                                                                                \
    _Static_assert(offsetof(struct exception_##type, field) == (offset), "MIG's layout")
MESSAGE_AT(request, thread, 28);
MESSAGE_AT(request, task, 40);
MESSAGE_AT(request, data, 52);
MESSAGE_AT(request, exception, 60);
MESSAGE_AT(request, code, 68);
MESSAGE_AT(request, flavor, 84);
MESSAGE_AT(request, state, 92);
MESSAGE_AT(reply, data, 24);
MESSAGE_AT(reply, result, 32);
MESSAGE_AT(reply, flavor, 36);
MESSAGE_AT(reply, state, 44);
_Static_assert(sizeof(mach_msg_header_t) == 24 && sizeof(mach_msg_port_descriptor_t) == 12 &&
                   sizeof(NDR_record_t) == 8 && sizeof(x86_thread_state64_t) == 168,
               "the sizes that MIG has");

#endif
