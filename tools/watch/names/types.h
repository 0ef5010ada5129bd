/* types.h: variables and their parts, by debug information. */
#ifndef SEGUE_TOOLS_WATCH_TYPES_H
#define SEGUE_TOOLS_WATCH_TYPES_H

#include <elfutils/libdw.h>

#include "target.h"

/* The type of the variable of that name, without what it belongs to (C++), at that address in memory; of one elsewhere,
 * if none of that name is there. False if the module's debug information has no variable of that name. */
bool types_find_variable(Dwfl_Module *module, const char *name, uint64_t wanted, Dwarf_Die *type);

/* Without typedefs and qualifiers. False at a type that is not complete. */
bool types_strip(Dwarf_Die *type);

/* The size of a type in bytes; 0 if it is not known. */
uint64_t types_size(Dwarf_Die *type);

/* A member: its type and its offset. False if the type is not a structure, or has no such member. */
bool types_member(Dwarf_Die *type, const char *name, Dwarf_Die *member, uint64_t *offset);
/* The element of an array; what a pointer points to. False if the type is neither of these. */
bool types_element(Dwarf_Die *type, Dwarf_Die *element);
bool types_pointed(Dwarf_Die *type, Dwarf_Die *pointed);

/* The numbers of elements of an array in its dimensions, outermost first, 0 where one is not known. Returns how many
 * dimensions there are, at most TYPES_DIMENSIONS. */
#define TYPES_DIMENSIONS 16u
unsigned types_dimensions(Dwarf_Die *type, uint64_t counts[TYPES_DIMENSIONS]);

/* How values of the type are shown, and the size of one: of an array, of its elements. */
void types_kind(Dwarf_Die *type, enum value_kind *kind, uint64_t *element);

/* The names of members, for a message; to be freed. */
char *types_members(Dwarf_Die *type);

#endif
