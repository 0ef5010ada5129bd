/* code.h: what a process's symbols and debug information say of its addresses and names, by libdw. */
#ifndef SEGUE_TOOLS_WATCH_CODE_H
#define SEGUE_TOOLS_WATCH_CODE_H

#include <elfutils/libdwfl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "signals/watch/loaded/loaded.h"

struct code {
    Dwfl *dwfl;
    pid_t process;
    /* The same for frames (chain.h), which need one that asks chain.c for memory; NULL until then. */
    Dwfl *frames;
    /* What the process has mapped since (later.h), LOADED_MOST of them; NULL until it is watched. */
    const struct loaded_list *loaded;
    struct later *later;
    /* The record whose addresses are described: its number in the queue, and its process; UINT64_MAX and 0 for sums. */
    uint64_t number;
    uint32_t by;
};

struct later {
    Dwfl *dwfl;
    bool is_looked_at;
    /* A process was taken to have this code from another one: it may have had that code instead, at the same address.
     * NULL: not so. */
    const struct loaded_code *other;
};

/* False if the process cannot be looked at. */
bool code_begin(struct code *code, pid_t process);
/* Libraries have been loaded meanwhile. */
bool code_renew(struct code *code);
/* The same, for an address that is not known. False if that changes nothing: its code is in the list (code_follow). */
bool code_renew_for(struct code *code, uint64_t address);
void code_end(struct code *code);

/* From now on, what the program maps is known from this list, too. */
void code_follow(struct code *code, const struct loaded_list *loaded);
/* The address, with what is different for another library at the same address. */
uint64_t code_key(const struct code *code, uint64_t address);

/* An instruction, in words: texts to be freed. */
struct place {
    /* "function+0x12 (file.c:34)", or what of that is known. */
    char *where;
    /* Its parts; NULL and 0 where they are not known. */
    char *function, *file;
    int line;
    /* In assembly; "?" if its bytes are not known. */
    char *instruction;
    /* Of the libraries that the command preloads. */
    bool is_own;
};

/* Whether a file is one of those that the command preloads. */
bool code_is_own(const char *path);

/* False if the address is in no module that is known. */
bool code_describe(const struct code *code, uint64_t address, struct place *place);

/* "caller+0x34 (file.c:5)" for the address that a call returns to: with the line of the call. To be freed; NULL if the
 * address is in no module. */
char *code_describe_return(const struct code *code, uint64_t address);

#endif
