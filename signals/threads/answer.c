/* answer.c: see answer.h. */
#include "answer.h"

#include "platform/frame/frame.h"
#include "signals/hot/ask/ask.h"
#include "signals/hot/reclaim/held.h"
#include "signals/threads/thread.h"

void answer_remover(const void *context, size_t room)
{
    uint64_t stack_pointer = frame_stack_pointer(context);
    bool on_alternate = frame_was_on_alternate_stack(context);
    thread_answer(stack_pointer, on_alternate);
    ask_answer(stack_pointer, on_alternate);
    held_answer(context, room);
}
