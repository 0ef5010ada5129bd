/* asm.h: assembly for ELF, COFF (mingw) and Mach-O: sections, symbols and their visibility, in one spelling;
 * and the registers that a function keeps for its caller.
 *
 * A C name is written C(name) wherever it stands: Mach-O and 32-bit COFF prefix it with an underscore. A symbol is
 * hidden unless its macro says PUBLIC. Mach-O's assembler treats each symbol as the beginning of an atom, and forbids
 * one in the middle of a CFI region: so a place between the instructions is LABEL(name) there, a private label to which
 * the symbol is set; a place that C does not name is a number or LOCAL(name).
 *
 *      SECTION_TEXT(name)  SECTION_CONSTANT(name)  SECTION_DATA(name)  SECTION_BSS(name)
 *      SECTION_EXEMPT(name)  of code whose system calls are never caught (platform/calls/calls.h)
 *      SECTION_HOT(name)  of code that each fault runs through: the linker keeps it together
 *      FUNCTION(name)  PUBLIC_FUNCTION(name)  LOCAL_FUNCTION(name)  OBJECT(name)  ... END(name)
 *      LABEL(name)     inside a CFI region       LABEL_FUNCTION(name)    the same, and a function begins there
 *      ATOM(name)      before a CFI region that begins before its function: Mach-O's linkers need a symbol there
 *      LOCAL(name)     a name for this file      LOCAL_LABEL(name)       where it stands
 *      PERSONALITY(name)   the function that unwinders ask, in a CFI region
 *      SIGNAL_FRAME        .cfi_signal_frame; nothing in Mach-O, for which not every linker knows it
 *      THREAD_LOCAL(name, register), then TLS_AT(register): initial-exec thread-local storage
 *      PROLOGUE(name)  ROOM(bytes)  END_PROLOGUE  ... END_UNWIND   in a CFI region: the same for Windows, whose
 *                      unwinders know pushes and room below them, and those only at a function's beginning
 *      ARG1 ARG2 ARG3      the registers of a function's arguments, in 64-bit code
 *      KEEP register   pushes a register of the caller's   KEEP_CALLEE_SAVED     all
 *      RESTORE register                the reverse         RESTORE_CALLEE_SAVED
 *      END_OF_FILE     the stack is not executable
 *
 * The target of an indirect branch begins with _CET_ENDBR (cet.h).
 *
 * SOURCES: GNU as, PE and Mach-O chapters of its manual; Microsoft, "x64 exception handling"; LLVM
 * lib/MC/MCParser/DarwinAsmParser.cpp; PE/COFF specification, .tls; ELF handling for thread-local storage (Drepper),
 * 4.1.6; System V ABI, AMD64 supplement, 3.2.1 (callee-saved registers), 3.2.3 (arguments); Microsoft, "x64 calling
 * convention". */
#ifndef SEGUE_PLATFORM_ASM_H
#define SEGUE_PLATFORM_ASM_H

#include <cet.h>

#if defined(__ELF__)

#define C(name) name
#define LOCAL(name) .L##name
#define SECTION_TEXT(name) .section .text.name, "ax", @progbits
#define SECTION_HOT(name) .section .text.hot.name, "ax", @progbits
#define SECTION_EXEMPT(name) .section segue_exempt, "ax", @progbits
#define SECTION_CONSTANT(name) .section .rodata.name, "a", @progbits
#define SECTION_DATA(name) .section .data.rel.name, "aw", @progbits
#define SECTION_BSS(name) .section .bss.name, "aw", @nobits
#define HIDDEN(name) .globl name; .hidden name
#define FUNCTION(name) HIDDEN(name); .type name, @function; name:
#define PUBLIC_FUNCTION(name) .globl name; .type name, @function; name:
#define LOCAL_FUNCTION(name) .type name, @function; name:
#define OBJECT(name) HIDDEN(name); .type name, @object; name:
#define ATOM(name)
#define LABEL(name) HIDDEN(name); name:
#define LABEL_FUNCTION(name) FUNCTION(name)
#define END(name) .size name, . - name
#define END_OF_FILE .section .note.GNU-stack, "", @progbits
/* Relative to the instruction, in 32 bits. */
#define PERSONALITY(name) .cfi_personality 0x1b, name
#define SIGNAL_FRAME .cfi_signal_frame
#if defined(__i386__)
/* Pushes and pops a word; the CFA must be relative to ESP. Changes the flags. */
#define THREAD_LOCAL(name, register) I386_THREAD_LOCAL name, register
#define TLS_AT(register) %gs:(register)
#else
#define THREAD_LOCAL(name, register) movq name@GOTTPOFF(%rip), register
#define TLS_AT(register) %fs:(register)
#endif

#elif defined(__APPLE__)

#define C(name) _##name
#define LOCAL(name) L##name
#define SECTION_TEXT(name) .section __TEXT, __text, regular, pure_instructions
#define SECTION_HOT(name) SECTION_TEXT(name)
#define SECTION_EXEMPT(name) SECTION_TEXT(name)
#define SECTION_CONSTANT(name) .section __TEXT, __const
#define SECTION_DATA(name) .section __DATA, __data
/* Mach-O has no directive that switches to a section of zeroes (only .zerofill): these few bytes are in the data
 * section. */
#define SECTION_BSS(name) .section __DATA, __data
#define HIDDEN(name) .globl C(name); .private_extern C(name)
#define FUNCTION(name) HIDDEN(name); C(name):
#define PUBLIC_FUNCTION(name) .globl C(name); C(name):
#define LOCAL_FUNCTION(name) C(name):
#define OBJECT(name) HIDDEN(name); C(name):
#define ATOM(name) C(name):
#define LABEL(name) HIDDEN(name); .set C(name), LOCAL(at_##name); LOCAL(at_##name):
#define LABEL_FUNCTION(name) LABEL(name)
#define END(name)
#define END_OF_FILE
/* The same, to a word that holds the address: its linkers know no other. */
#define PERSONALITY(name) .cfi_personality 0x9b, C(name)
#define SIGNAL_FRAME
/* Mach-O finds its thread-local storage by a call, which allocates on a thread's first use: so what the assembly
 * needs is in the slot of a key. C(name_slot) holds the slot's distance from GS. */
#define THREAD_LOCAL(name, register) movq C(name##_slot)(%rip), register
#define TLS_AT(register) %gs:(register)

#elif defined(_WIN32)

#if defined(__i386__)
#define C(name) _##name
#else
#define C(name) name
#endif
#define LOCAL(name) .L##name
#define SECTION_TEXT(name) .section .text$name, "xr"
#define SECTION_HOT(name) SECTION_TEXT(name)
#define SECTION_EXEMPT(name) SECTION_TEXT(name)
#define SECTION_CONSTANT(name) .section .rdata$name, "dr"
#define SECTION_DATA(name) .section .data$name, "dw"
#define SECTION_BSS(name) .section .bss$name, "bw"
/* A DLL hides what it does not export. */
#define HIDDEN(name) .globl C(name)
#define FUNCTION(name) HIDDEN(name); .def C(name); .scl 2; .type 32; .endef; C(name):
/* The linker reads there what the DLL exports, in C's spelling. */
#define PUBLIC_FUNCTION(name)                                                                                          \
    .section .drectve, "yn"; .ascii " -export:" #name; SECTION_TEXT(name); FUNCTION(name)
#define LOCAL_FUNCTION(name) .def C(name); .scl 3; .type 32; .endef; C(name):
#define OBJECT(name) HIDDEN(name); C(name):
#define ATOM(name)
#define LABEL(name) HIDDEN(name); C(name):
#define LABEL_FUNCTION(name) FUNCTION(name)
#define END(name)
#define END_OF_FILE
#define PERSONALITY(name)
#define SIGNAL_FRAME .cfi_signal_frame
/* The TEB's array holds the module's block, by the module's index. Changes the flags. */
#if defined(__i386__)
#define THREAD_LOCAL(name, register)                                                                                   \
    movl __tls_index, register; shll $2, register; addl %fs:0x2c, register; movl (register), register;                 \
    leal C(name)@SECREL32(register), register
#else
#define THREAD_LOCAL(name, register)                                                                                   \
    movslq _tls_index(%rip), register; shlq $3, register; addq %gs:0x58, register; movq (register), register;          \
    leaq name@SECREL32(register), register
#endif
#define TLS_AT(register) (register)

#else
#error "asm.h knows ELF, Mach-O and COFF"
#endif

#define LOCAL_LABEL(name) LOCAL(name):

#if defined(_WIN32) && defined(__x86_64__)
        .set    is_prologue, 0
#define PROLOGUE(name) .seh_proc name; .set is_prologue, 1
#define ROOM(bytes) .seh_stackalloc bytes
#define END_PROLOGUE .set is_prologue, 0; .seh_endprologue
#define END_UNWIND .seh_endproc
#else
#define PROLOGUE(name)
#define ROOM(bytes)
#define END_PROLOGUE
#define END_UNWIND
#endif

#if defined(__i386__)

.macro I386_THREAD_LOCAL name, register
        call    7700f
        .cfi_adjust_cfa_offset 4
7700:   popl    \register
        .cfi_adjust_cfa_offset -4
        addl    $_GLOBAL_OFFSET_TABLE_ + (. - 7700b), \register
        movl    \name@GOTNTPOFF(\register), \register
.endm

.macro KEEP register
        pushl   \register
        .cfi_adjust_cfa_offset 4
        .cfi_rel_offset \register, 0
.endm

.macro RESTORE register
        popl    \register
        .cfi_adjust_cfa_offset -4
        .cfi_restore \register
.endm

.macro KEEP_CALLEE_SAVED
        .irp    register, %ebp, %ebx, %esi, %edi
        KEEP    \register
        .endr
.endm

.macro RESTORE_CALLEE_SAVED
        .irp    register, %edi, %esi, %ebx, %ebp
        RESTORE \register
        .endr
.endm

#else

#if defined(_WIN32)
#define ARG1 %rcx
#define ARG2 %rdx
#define ARG3 %r8
#else
#define ARG1 %rdi
#define ARG2 %rsi
#define ARG3 %rdx
#endif

/* The CFA must be relative to RSP. */
.macro KEEP register
        pushq   \register
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset \register, 0
#if defined(_WIN32)
        .if     is_prologue
        .seh_pushreg \register
        .endif
#endif
.endm

.macro RESTORE register
        popq    \register
        .cfi_adjust_cfa_offset -8
        .cfi_restore \register
.endm

.macro KEEP_CALLEE_SAVED
        .irp    register, %rbp, %rbx, %r12, %r13, %r14, %r15
        KEEP    \register
        .endr
.endm

.macro RESTORE_CALLEE_SAVED
        .irp    register, %r15, %r14, %r13, %r12, %rbx, %rbp
        RESTORE \register
        .endr
.endm

#endif

#endif
