/* abi.c: the sizes of the public structs on 64-bit systems, System V and Windows (docs/abi.md). They never change
 * within one soname; a struct that is added gets a line. */
#include <segue/segue.h>
#ifdef __linux__
#include <segue/linux.h>
#endif

#define HOLD(type, bytes) _Static_assert(sizeof(struct type) == (bytes), "struct " #type " has another size")
HOLD(segue_regs, 176);
HOLD(segue_xstate, 24);
HOLD(segue_fault, 32);
HOLD(segue_access, 24);
HOLD(segue_memory_operand, 24);
HOLD(segue_insn, 168);
HOLD(segue_plan, 1024);
HOLD(segue_cache_entry, 192);
HOLD(segue_window, 72);
HOLD(segue_mapping, 64);
HOLD(segue_words, 72);
HOLD(segue_value, 48);
HOLD(segue_region, 136);
HOLD(segue_event, 128);
HOLD(segue_hot_event, 72);
HOLD(segue_hot_options, 64);
HOLD(segue_options, 64);
HOLD(segue_owner, 48);
HOLD(segue_counters, 128);
HOLD(segue_refusal, 16);
HOLD(segue_patch, 128);
HOLD(segue_rewrite, 8);
HOLD(segue_watch, 80);
HOLD(segue_watch_record, 136);
HOLD(segue_watch_count, 24);
HOLD(segue_site, 64);
HOLD(segue_extent, 16);
HOLD(segue_segment_code, 56);
HOLD(segue_segment_options, 72);
HOLD(segue_rewrite_counts, 48);
HOLD(segue_mutator, 528);
HOLD(segue_suspend_options, 48);
HOLD(segue_suspension, 576);
HOLD(segue_argument, 16);
HOLD(segue_stack, 48);
HOLD(segue_context, 256);
HOLD(segue_context_options, 64);
HOLD(segue_returned, 48);
HOLD(segue_frame, 408);
#ifdef _WIN64
HOLD(segue_trial, 304);
#else
HOLD(segue_trial, 128);
#endif
HOLD(segue_guest, 272);
HOLD(segue_guest_options, 48);
#ifdef __linux__
HOLD(segue_clone, 144);
#endif
_Static_assert(sizeof(enum segue_status) == 4 && sizeof(enum segue_verdict) == 4, "-fshort-enums is not supported");
