/* types.c: see types.h.
 *
 * SOURCES: DWARF 5, 4.1 (variables), 5 (types), 7.8 (encodings). */
#include "types.h"

#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

/* Typedefs in one another; structures without a name in one another. */
#define DEPTH_MOST 64

static bool type_of(Dwarf_Die *die, Dwarf_Die *type)
{
    Dwarf_Attribute attribute;
    return dwarf_attr_integrate(die, DW_AT_type, &attribute) && dwarf_formref_die(&attribute, type);
}

bool types_strip(Dwarf_Die *type)
{
    for (int i = 0; i < DEPTH_MOST; i++) {
        switch (dwarf_tag(type)) {
        case DW_TAG_typedef:
        case DW_TAG_const_type:
        case DW_TAG_volatile_type:
        case DW_TAG_restrict_type:
        case DW_TAG_atomic_type: {
            Dwarf_Die inner;
            if (!type_of(type, &inner))
                return false;
            *type = inner;
            break;
        }
        default:
            return true;
        }
    }
    return false;
}

uint64_t types_size(Dwarf_Die *type)
{
    Dwarf_Word size;
    return dwarf_aggregate_size(type, &size) == 0 ? size : 0;
}

/* A fixed address is all of its location. */
static bool address_of(Dwarf_Die *variable, uint64_t *address)
{
    Dwarf_Attribute attribute;
    Dwarf_Op *operations;
    size_t count;
    if (!dwarf_attr_integrate(variable, DW_AT_location, &attribute) ||
        dwarf_getlocation(&attribute, &operations, &count) != 0 || count != 1)
        return false;
    if (operations[0].atom == DW_OP_addr) {
        *address = operations[0].number;
        return true;
    }
    Dwarf_Attribute indexed;
    Dwarf_Addr found;
    if (operations[0].atom != DW_OP_addrx || dwarf_getlocation_attr(&attribute, operations, &indexed) != 0 ||
        dwarf_formaddr(&indexed, &found) != 0)
        return false;
    *address = found;
    return true;
}

static bool is_named(Dwarf_Die *die, const char *name)
{
    const char *own = dwarf_diename(die);
    return own && strcmp(own, name) == 0;
}

/* Also in functions, namespaces and blocks. `*wanted`: its address; NULL: any. */
static bool search(Dwarf_Die *parent, const char *name, const uint64_t *wanted, int depth, Dwarf_Die *type,
                   uint64_t *address)
{
    Dwarf_Die die;
    if (depth > DEPTH_MOST || dwarf_child(parent, &die) != 0)
        return false;
    do {
        int tag = dwarf_tag(&die);
        if (tag == DW_TAG_variable && is_named(&die, name) && address_of(&die, address) &&
            (!wanted || *wanted == *address) && type_of(&die, type))
            return true;
        bool is_scope = tag == DW_TAG_subprogram || tag == DW_TAG_lexical_block || tag == DW_TAG_namespace;
        if (is_scope && search(&die, name, wanted, depth + 1, type, address))
            return true;
    } while (dwarf_siblingof(&die, &die) == 0);
    return false;
}

bool types_find_variable(Dwfl_Module *module, const char *name, uint64_t wanted, Dwarf_Die *type)
{
    Dwarf_Addr bias;
    Dwarf_Die *unit = NULL;
    uint64_t address;
    while ((unit = dwfl_module_nextcu(module, unit, &bias)) != NULL) {
        const uint64_t in_file = wanted - bias;
        if (search(unit, name, &in_file, 0, type, &address))
            return true;
    }
    /* A library's variable may have been moved into the program (R_X86_64_COPY). */
    while ((unit = dwfl_module_nextcu(module, unit, &bias)) != NULL)
        if (search(unit, name, NULL, 0, type, &address))
            return true;
    return false;
}

static bool is_structure(Dwarf_Die *type)
{
    int tag = dwarf_tag(type);
    return tag == DW_TAG_structure_type || tag == DW_TAG_union_type || tag == DW_TAG_class_type;
}

static bool member_in(Dwarf_Die *type, const char *name, int depth, Dwarf_Die *member, uint64_t *offset)
{
    Dwarf_Die die, inner;
    if (depth > DEPTH_MOST || !is_structure(type) || dwarf_child(type, &die) != 0)
        return false;
    do {
        Dwarf_Attribute attribute;
        Dwarf_Word at = 0;
        if (dwarf_tag(&die) != DW_TAG_member)
            continue;
        if (dwarf_attr(&die, DW_AT_data_member_location, &attribute))
            dwarf_formudata(&attribute, &at);
        if (is_named(&die, name)) {
            *offset = at;
            return !dwarf_hasattr(&die, DW_AT_bit_size) && type_of(&die, member) && types_strip(member);
        }
        /* Of a structure without a name. */
        if (!dwarf_diename(&die) && type_of(&die, &inner) && types_strip(&inner) &&
            member_in(&inner, name, depth + 1, member, offset)) {
            *offset += at;
            return true;
        }
    } while (dwarf_siblingof(&die, &die) == 0);
    return false;
}

bool types_member(Dwarf_Die *type, const char *name, Dwarf_Die *member, uint64_t *offset)
{
    return member_in(type, name, 0, member, offset);
}

bool types_element(Dwarf_Die *type, Dwarf_Die *element)
{
    return dwarf_tag(type) == DW_TAG_array_type && type_of(type, element) && types_strip(element);
}

static uint64_t count_of(Dwarf_Die *subrange)
{
    Dwarf_Attribute attribute;
    Dwarf_Word number;
    if (dwarf_attr(subrange, DW_AT_count, &attribute) && dwarf_formudata(&attribute, &number) == 0)
        return number;
    return dwarf_attr(subrange, DW_AT_upper_bound, &attribute) && dwarf_formudata(&attribute, &number) == 0 ? number + 1
                                                                                                            : 0;
}

unsigned types_dimensions(Dwarf_Die *type, uint64_t counts[TYPES_DIMENSIONS])
{
    Dwarf_Die child;
    unsigned count = 0;
    if (dwarf_tag(type) != DW_TAG_array_type || dwarf_child(type, &child) != 0)
        return 0;
    do
        if (dwarf_tag(&child) == DW_TAG_subrange_type && count < TYPES_DIMENSIONS)
            counts[count++] = count_of(&child);
    while (dwarf_siblingof(&child, &child) == 0);
    return count;
}

bool types_pointed(Dwarf_Die *type, Dwarf_Die *pointed)
{
    return dwarf_tag(type) == DW_TAG_pointer_type && type_of(type, pointed) && types_strip(pointed);
}

void types_kind(Dwarf_Die *type, enum value_kind *kind, uint64_t *element)
{
    Dwarf_Die inner = *type;
    while (types_element(type, &inner))
        *type = inner;
    Dwarf_Attribute attribute;
    Dwarf_Word encoding = 0;
    *element = types_size(type);
    if (dwarf_tag(type) == DW_TAG_enumeration_type)
        encoding = DW_ATE_signed;
    else if (dwarf_attr_integrate(type, DW_AT_encoding, &attribute))
        dwarf_formudata(&attribute, &encoding);
    switch (encoding) {
    case DW_ATE_signed:
        *kind = VALUE_SIGNED;
        break;
    case DW_ATE_unsigned:
        *kind = VALUE_UNSIGNED;
        break;
    case DW_ATE_float:
        *kind = VALUE_FLOAT;
        break;
    case DW_ATE_boolean:
        *kind = VALUE_BOOLEAN;
        break;
    case DW_ATE_signed_char:
    case DW_ATE_unsigned_char:
        *kind = VALUE_CHARACTER;
        break;
    default:
        *kind = VALUE_BYTES;
    }
}

char *types_members(Dwarf_Die *type)
{
    Dwarf_Die die;
    char *text = NULL;
    size_t length;
    FILE *to = open_memstream(&text, &length);
    if (!to)
        abort();
    if (is_structure(type) && dwarf_child(type, &die) == 0)
        do {
            if (dwarf_tag(&die) == DW_TAG_member && dwarf_diename(&die))
                fprintf(to, " %s", dwarf_diename(&die));
        } while (dwarf_siblingof(&die, &die) == 0);
    if (fclose(to) != 0)
        abort();
    return text;
}
