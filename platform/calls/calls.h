/* calls.h: system calls that the program makes, caught before the kernel carries them out, and made with other
 * arguments. A port that cannot catch them has platform/generic/calls.
 *
 * A thread whose calls are caught traps at each of its calls (SIGSYS), except at those in the library's exempt code:
 * restorers, gates, and the call that calls_make arranges. A gate makes one site's calls: the SYSCALL instruction, and
 * a jump to the one behind the site's. So a call is made with the thread's own registers, stack and mask, is
 * interrupted and restarted by the kernel as natively, and nothing of it is kept anywhere.
 *
 * Unless it says otherwise, every function is async-signal-safe and thread-safe. */
#ifndef SEGUE_PLATFORM_CALLS_H
#define SEGUE_PLATFORM_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/code_range.h"
#include "platform/frame/frame.h"
#include "platform/handlers/action.h"

#define CALL_ARGUMENTS 6

/* One system call that was caught. */
struct system_call {
    uint64_t number, arguments[CALL_ARGUMENTS];
    /* The SYSCALL instruction, and the frame of the trap. */
    uint64_t instruction;
    struct native_frame native;
};

/* Why this system or this process cannot catch calls; NULL if it can. Not async-signal-safe. */
const char *calls_obstacle(void);

/* Copies from and to the program's memory, wherever its bytes are; false if it cannot be reached. */
typedef bool calls_peek(void *to, uint64_t address, size_t size);
typedef bool calls_poke(uint64_t address, const void *bytes, size_t size);

/* Whether a call may be made as it is, without being looked at in a handler. Compiled for general registers only. */
typedef bool calls_is_plain(const struct system_call *call);

/* Reads and sets the program's action for a signal that is kept, each if not NULL: the action behind the library's. */
typedef void calls_action(int number, const struct platform_action *wanted, struct platform_action *before);

/* Whether memory is of interest. General registers only. */
typedef bool calls_visitor(uint64_t address, uint64_t size);

/* Prepares the process: from now on no action for a signal blocks those by which calls trap. Not async-signal-safe; the
 * five are. */
void calls_prepare(calls_peek *peek, calls_poke *poke, calls_is_plain *is_plain, calls_action *action,
                   calls_visitor *has_region);

/* The calls of the calling thread, and of all threads and processes that it makes, are caught from now on. SIGSYS must
 * have the library's handler. False if the system refuses. */
bool calls_arm(void);

/* The calling thread's calls are caught no longer. It must not be in a call that calls_make has arranged. */
void calls_disarm(void);

/* While calls are caught the program blocks none of these signals, nor those by which calls trap, and sets the actions
 * behind the library's for them. At first that is SIGSYS alone. The library's own calls concern those by which calls
 * trap alone. */
void calls_keep(uint64_t signals);

/* ---- where the system cannot catch them ---- */

/* The caller has put the second byte of an instruction that faults (CLTS) in place of SYSCALL's at some of these
 * addresses, which are sorted, or will: their calls trap by SIGSEGV. That array stays. It takes the place of
 * calls_arm, which then does nothing; so does calls_disarm. Before calls_prepare. Not async-signal-safe. */
#define CALLS_STAND_IN 0x06
void calls_use_sites(const uint64_t *sites, size_t count);

/* Whether that was called. General registers only. */
bool calls_uses_sites(void);

/* The signals by which calls trap, and that are never blocked: SIGSYS, and SIGSEGV after calls_use_sites. */
uint64_t calls_signals(void);

/* Whether the fault is such a trap. General registers only. */
bool calls_is_stand_in(struct native_frame native);

/* Whether a call in the library's code there is never to trap, or is there in order to trap. */
bool calls_is_exempt(uint64_t address);

/* The process dies of SIGSYS. The library's handler for it is taken away without being caught. */
void calls_die(void);

/* ---- one call ---- */

enum calls_trap {
    /* Not a trap of this kind: another SIGSYS. */
    CALLS_NO_TRAP,
    /* A call of the program's. */
    CALLS_TRAP,
    /* A call that calls_make has arranged is made, and its record wants calls_finish. */
    CALLS_FINISH,
};

/* What the signal is; fills in `call`. */
enum calls_trap calls_read(struct native_frame native, struct system_call *call);

/* Serves a call that concerns signals' masks, children, or the way in which calls are caught: those that must be made
 * in their own way, whatever their pointers. False for every other call. */
bool calls_serve_own(const struct system_call *call);

/* Whether that needs CALLS_STACK bytes of the handler's stack: the call is given a mask, and may be made with another
 * one. */
#define CALLS_STACK 2048u
bool calls_leads_mask(const struct system_call *call);

/* Whether calls_serve_own serves the call without the kernel, and reads and writes what its pointers lead to. */
bool calls_is_served_at_once(const struct system_call *call);

/* Arranges that the thread makes the call as the program asked. */
void calls_pass(const struct system_call *call);

/* ---- calls that do not trap ---- */

/* The number of the gate that makes the calls of this one's site, below CALL_GATES; CALL_GATES if it has none. */
#define CALL_GATES 2048u
unsigned calls_gate(const struct system_call *call);

/* A detour of that gate: where a jump in place of the site's instruction may lead. It makes the call at the gate if
 * calls_is_plain is true, and lets it trap otherwise. It uses the stack below the red zone, and no vector register. */
uint64_t calls_detour(unsigned gate);

/* Whether calls_serve_own may serve the call. General registers only. */
bool calls_is_own(const struct system_call *call);

/* A thread that was interrupted at a gate, or where it goes there from a detour's look, goes on at the program's own
 * call, or traps there: the call is looked at anew. */
void calls_leave_gate(struct native_frame native);

/* Threads that are between a detour's look and their gate look at their calls anew, unless they are about to make them
 * right now: such a thread must be suspended, and sent back by calls_leave_gate. To be called when calls_is_plain
 * says other than before. */
void calls_look_anew(void);

/* Arranges that the thread goes on behind the call, with that result. */
void calls_return(const struct system_call *call, long result);

/* A call that is made with other arguments has a record on the thread's own stack, below its red zone, until it is
 * done. Where the trap's frame is on that stack, too, the record is in a part of it that the return does not read. */
struct call_record {
    /* The program's: restored when the call is done. */
    uint64_t arguments[CALL_ARGUMENTS];
    /* Behind the call; the stack pointer there. */
    uint64_t target, stack_pointer;
    /* What calls_read returns CALLS_FINISH for; 0: the thread goes on at once. */
    uint64_t finish;
    /* The address of a word that becomes 0 when the call is done; never NULL. */
    uint64_t busy;
    uint64_t result, number;
    /* Memory for what the call's arguments point to. */
    uint64_t room[4];
};

/* Where the call's record will be. */
struct call_record *calls_record(const struct system_call *call);

/* Arranges that the thread makes the call with these arguments and that record, which this writes to the thread's
 * stack: of the caller's copy it reads `finish`, `busy` and `room`. False if the stack has no room. */
bool calls_make(const struct system_call *call, const uint64_t *arguments, const struct call_record *record);

/* If the mask that the call reads, with these arguments, has SIGSYS: they lead to a copy of it without that in the room
 * of the record that calls_make will write. False if it has not. */
bool calls_open_mask(const struct system_call *call, uint64_t *arguments, struct call_record *record);

/* After CALLS_FINISH: the record, and the thread's continuation behind the call with its result. */
struct call_record *calls_finished(struct native_frame native);
void calls_finish(struct native_frame native, const struct call_record *record);

/* If the thread, interrupted at that frame, is about to make a call that calls_make has arranged: its record. NULL if
 * it is not. calls_begin_again may follow. */
struct call_record *calls_about_to_make(struct native_frame native);

/* If the thread, interrupted at that frame, is about to make a call that calls_make has arranged, or was interrupted in
 * it: its record, and the call's beginning anew, at the program's own instruction. NULL, and false, if it is not. */
struct call_record *calls_interrupted(struct native_frame native);
void calls_begin_again(struct native_frame native);

/* If the signal is a filter's answer to a call of the program's (seccomp): the frame and the signal show the program's
 * own call. `record` becomes its record, if calls_make has arranged the call, which is not made then. True if the call
 * is one of the library's own: it has failed, and the signal is served. */
bool calls_answered(struct native_frame native, struct call_record **record);

/* Whether the call sets a filter for the calls that follow: the library's own may be answered by it, too. */
bool calls_sets_filter(const struct system_call *call);

/* ---- calls that change what is mapped ---- */

enum memory_change_kind {
    /* Another protection, by enum platform_access alone. */
    MEMORY_PROTECTED,
    /* Advice, locks: of the mapping, and nothing that its pages show. */
    MEMORY_ADVISED,
    /* The pages are to show again what the mapping holds without what the process has written. */
    MEMORY_DROPPED,
    /* The pages are unmapped, replaced, moved, or get what a second view cannot have. */
    MEMORY_REPLACED,
};

/* Of the addresses that a call changes. */
struct memory_change {
    enum memory_change_kind kind;
    /* Whole pages. The second range is what a move replaces. */
    uint64_t start, end, second_start, second_end;
    /* For MEMORY_PROTECTED. */
    int protection;
    /* What the pages had is afterwards at the address that the call returns, up to `moved` bytes; 0: nothing moves. */
    uint64_t moved;
    /* A range with holes is changed all the same. */
    bool passes_holes;
    /* What the first range has is still there afterwards: it has been mapped elsewhere, too. */
    bool stays;
};

/* Whether the call changes what is mapped; fills in `change`. General registers only. */
bool calls_changes_memory(const struct system_call *call, struct memory_change *change);

/* How many bytes of a file the call maps, if it maps one, from the address on that it returns; else 0. General
 * registers only. */
uint64_t calls_maps_file(const struct system_call *call);
/* Whether it maps code of a file. General registers only. */
bool calls_maps_code(const struct system_call *call);
/* The file's descriptor; -1 without one. */
int calls_mapped_file(const struct system_call *call);

/* Makes such a call, not caught: with its arguments; or, if it replaces no pages, for those from `start` to `end`,
 * wherever they are. Return its result, or a negative error number. */
long calls_change(const struct system_call *call);
long calls_change_range(const struct system_call *call, uint64_t start, uint64_t end);

/* Whether such a call, with that result, has changed nothing. */
bool calls_change_failed(const struct system_call *call, long result);

/* Arranges that the thread calls a function in place of the call: on its own stack, with its own mask, in no handler.
 * It may do what a function may that the program calls at that place, while it holds any lock. What it returns is the
 * call's result. The caller has seen that the stack can be written down to calls_run_stack. False if that is not
 * possible. */
typedef long calls_function(const struct system_call *call);
uint64_t calls_run_stack(const struct system_call *call);
bool calls_run(const struct system_call *call, calls_function *function);

/* A thread that is on its way to the function or back. */
extern const struct code_range calls_run_range;

/* ---- calls that make threads and processes ---- */

enum thread_change_kind {
    /* The calling thread gets another thread pointer. */
    THREAD_POINTER_SET,
    /* A thread is made, with a thread pointer of its own. */
    THREAD_BEGINS,
    /* A process with a copy of the memory, which goes on where its parent does, on the same stack. */
    PROCESS_FORKS,
    /* The calling thread gets another word that the kernel clears at its end. */
    THREAD_WORD_SET,
};

struct thread_change {
    enum thread_change_kind kind;
    uint64_t pointer;
    /* The kernel clears it at the thread's end, and wakes a thread that waits for it; 0 without one. */
    uint64_t word;
};

/* Whether the call is one of these; fills in `change`. */
bool calls_changes_threads(const struct system_call *call, calls_peek *peek, struct thread_change *change);

/* Arranges that the call is made with another word, which has the same bytes. Uses the end of a child's stack, below
 * its red zone. False if it cannot be: the child has no stack of its own. */
bool calls_lead_word(const struct system_call *call, uint64_t word, calls_peek *peek, calls_poke *poke);

/* Makes the call, not caught, and returns its result, or a negative error number. A child's calls are not caught yet.
 * For calls_run. */
long calls_make_here(const struct system_call *call);

/* Ends the process, with that text on standard error. */
void calls_end(const char *text, size_t length);

/* The result of a call for which there is no memory. */
#define CALLS_NO_MEMORY (-12L)
/* The result of a call whose pointer cannot be accessed. */
#define CALLS_BAD_ADDRESS (-14L)

/* Memory from the system, not caught. NULL if it has no more. */
void *calls_map(size_t size);
void calls_unmap(void *at, size_t size);

/* A thread at a gate, or at a call that calls_make has arranged, is at the program's call or behind it. */
extern const struct code_range calls_gate_range, calls_make_range, calls_detour_range, calls_trap_range,
    calls_halt_range;

/* ---- what a call's pointers lead to ---- */

/* Memory that the kernel will read or write for the call. */
struct call_access {
    uint64_t address, size;
    /* Where the pointer is: in the arguments, or in a copy of what one of them points to. */
    uint64_t *pointer;
    /* enum segue_direction bits. */
    uint8_t direction;
    /* The call's result says how much is written: it is multiplied by this. 0: all of it, or it is not known. */
    uint8_t unit;
    /* What it was is in `copy`: the access is made there. */
    bool is_copied;
    /* It is one element of a vector: the result counts the bytes of all. */
    bool is_element;
    /* It is a message's header, of which the kernel writes three words. */
    bool is_message;
    /* The caller's. */
    void *bytes;
};

/* What calls_list needs: the most accesses, and bytes of copies. */
struct call_need {
    size_t accesses, copies;
};

/* Whether the table knows the call's pointers; `need` may be NULL. */
bool calls_is_known(const struct system_call *call, struct call_need *need);

/* The pointers of a call that the table does not know, a bit for each argument. */
uint8_t calls_refused_pointers(uint64_t number);

/* Lists the accesses of a known call, in the order of its arguments; `arguments` begins as a copy of the call's, and
 * the accesses' pointers are there or in `copies`. Returns how many. */
size_t calls_list(const struct system_call *call, uint64_t *arguments, void *copies, const struct call_need *need,
                  struct call_access *accesses);

/* Calls `visit` for each access of a known call, without copies, until it returns true; returns that. `visit` sees the
 * address of what it is about to read before `peek` reads it. General registers only. */
bool calls_visit(const struct system_call *call, calls_peek *peek_at, bool (*visit)(uint64_t address, uint64_t size));

/* Whether the table has a row for the call; the same as calls_is_known. General registers only. */
bool calls_has_row(const struct system_call *call);

/* After the call: writes to the program's header what the kernel has written to its copy. */
void calls_give_message(const struct call_access *access, calls_poke *poke);

/* The call's name; NULL for an unknown number. */
const char *calls_name(uint64_t number);

#endif
