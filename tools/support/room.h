/* room.h: a verb that needs more of a stack than the limit may leave it (ulimit -s): libdw takes some 100 KiB. */
#ifndef SEGUE_TOOLS_ROOM_H
#define SEGUE_TOOLS_ROOM_H

/* Runs a verb, and returns what it does: on a stack of the command's own if the limit is low. Threads that it makes
 * have as much. */
int with_room(int (*verb)(int argument_count, char **arguments), int argument_count, char **arguments);

#endif
