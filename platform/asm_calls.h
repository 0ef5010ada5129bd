/* asm_calls.h: for assembly: what is asked of the system where no C code can run. Each macro is one request, and its
 * registers are those of the System V convention for x86-64.
 * On i386 they are those of the system's calls: ebx, ecx, edx, esi and edi.
 *
 *      RETURN_FROM_SIGNAL              rsp: the ucontext, where the handler's return has left it. Does not come back
 *      SET_SIGNAL_MASK address         the thread's mask from the SIGNAL_MASK_SIZE bytes there; rax: 0 unless refused
 *      BLOCK_SIGNALS address           the same signals are blocked beside those that are
 *      SET_ALTERNATE_STACK             rdi: its description; nothing is stored
 *      SET_SIGNAL_ACTION address       edi: the signal; the system's own description is there, of SIGNAL_ACTION_SIZE
 *                                      bytes; zeros are the default action
 *      QUEUE_SIGNAL                    edi: the process, esi: its thread, edx: the signal, r10: its siginfo
 *      GET_PROCESS_ID, GET_THREAD_ID   to eax
 *      GET_FS_BASE address, noted, GET_GS_BASE address, noted      stores the base there; where the system does not
 *                                      say which it is, what is at `noted`: the caller's note of what it has set
 *      SET_FS_BASE base, SET_GS_BASE base              a register or memory
 *      SYSTEM_CALL                     one whose number and arguments C code has chosen, in the registers that the
 *                                      system takes them in; rax: the result
 *
 * Each changes rax, rcx and r11. Those for masks, actions and the alternate stack also change the flags and what they
 * pass arguments in, of rdi, rsi, rdx and r10; those for bases change rdi and rsi. An address may be relative to a
 * register. None uses the stack or thread-local storage.
 *
 *      SYSTEM_NO_MEMORY                the error number
 */
#ifndef SEGUE_PLATFORM_ASM_CALLS_H
#define SEGUE_PLATFORM_ASM_CALLS_H

#if defined(__linux__) && defined(__x86_64__)
#include "platform/linux/asm_calls_x86_64.h"
#elif defined(__linux__) && defined(__i386__)
#include "platform/linux/asm_calls_i386.h"
#elif defined(__APPLE__) && defined(__x86_64__)
#include "platform/darwin/asm_calls_x86_64.h"
#else
#error "asm_calls.h does not know this system's calls"
#endif

#endif
