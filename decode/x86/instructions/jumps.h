/* jumps.h: opcodes of one byte, for code that is written over other code.
 *
 * SOURCES: Intel SDM volume 2, JMP (with one byte of displacement, and with four), NOP. */
#ifndef SEGUE_X86_JUMPS_H
#define SEGUE_X86_JUMPS_H

#define JUMP_SHORT 0xeb
#define JUMP 0xe9
#define NOP 0x90

#endif
