/* port_stacks.h: stacks for threads that serve a fault by the exception port and cannot do so on the stack that they
 * are on: it has no room, or it is a guest's. */
#ifndef SEGUE_PLATFORM_DARWIN_PORT_STACKS_H
#define SEGUE_PLATFORM_DARWIN_PORT_STACKS_H

#include <mach/mach.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/frame/stack.h"

/* Sets the size of those that are made from now on. */
void port_stacks_set_size(size_t size);

/* A stack for the thread, which is on none of them: the one that it has left by a jump, or a free one. False if all are
 * in use. The receiver's alone, as the next. */
bool port_stack_take(thread_act_t thread, struct alternate_stack *stack);

/* Gives the thread's stack back, if its outermost fault was served there, with the frame at that address. */
void port_stack_give_back(uint64_t frame, size_t frame_size);

/* The stack that holds the address; false if none does. Async-signal-safe. */
bool port_stack_find(uint64_t address, struct alternate_stack *stack);

/* Where a frame of that size begins on a stack. */
uint64_t port_stack_place(const struct alternate_stack *stack, size_t frame_size);

/* In a child made by fork, whose only thread is the caller. */
void port_stacks_in_child(void);

#endif
