/* relay_layout.h: offsets of the mask and the stack for relay_x86_64.S; platform/linux/handlers/relay_x86_64.c checks
 * them against the C struct. */
#ifndef SEGUE_PLATFORM_RELAY_LAYOUT_H
#define SEGUE_PLATFORM_RELAY_LAYOUT_H

#define RELAY_RFLAGS 0
#define RELAY_RCX 8
#define RELAY_R10 16
#define RELAY_R11 24
#define RELAY_RDX 32
#define RELAY_RSI 40
#define RELAY_RDI 48
#define RELAY_MASK 56
#define RELAY_STACK 64
#define RELAY_HANDLER 96
#define RELAY_SIZE 104

#endif
