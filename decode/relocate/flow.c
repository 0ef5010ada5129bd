/* flow.c: see flow.h.
 *
 * SOURCES: Intel SDM volume 2, appendix A (opcode maps). */
#include "flow.h"

#include <string.h>

/* By opcode: `.` next, `c` conditional, `j` jump, `l` call, `r` return; `-` or `m` a full decoder must decide, `m` only
 * for some values of ModRM.reg. */
static const char one_byte[] = "................" /* 00 */
                               "................" /* 10 */
                               "................" /* 20 */
                               "................" /* 30 */
                               "----------------" /* 40 */
                               "................" /* 50 */
                               "---.----....----" /* 60 */
                               "cccccccccccccccc" /* 70 */
                               "............-.-." /* 80 */
                               ".........-------" /* 90 */
                               "----....-......." /* a0 */
                               "................" /* b0 */
                               "..rr--..-.------" /* c0 */
                               "....------------" /* d0 */
                               "--------lj-j----" /* e0 */
                               "-----...------.m" /* f0 */;

static const char two_byte[] = "----------------" /* 00 */
                               "................" /* 10 */
                               "--------........" /* 20 */
                               "----------------" /* 30 */
                               "................" /* 40 */
                               "................" /* 50 */
                               "----------------" /* 60 */
                               "----------------" /* 70 */
                               "cccccccccccccccc" /* 80 */
                               "................" /* 90 */
                               "---...-----...-." /* a0 */
                               "..-...........--" /* b0 */
                               "..------........" /* c0 */
                               "----------------" /* d0 */
                               "----------------" /* e0 */
                               "----------------" /* f0 */;

static bool flow_of(char kind, uint8_t modrm, enum displaced_flow *flow)
{
    switch (kind) {
    case 'c':
        *flow = DISPLACED_FLOW_CONDITIONAL;
        return true;
    case 'j':
        *flow = DISPLACED_FLOW_JUMP;
        return true;
    case 'l':
        *flow = DISPLACED_FLOW_CALL;
        return true;
    case 'r':
        *flow = DISPLACED_FLOW_RETURN;
        return true;
    case 'm':
        *flow = DISPLACED_FLOW_NEXT;
        return (modrm >> 3 & 7) <= 1;
    default:
        *flow = DISPLACED_FLOW_NEXT;
        return kind == '.';
    }
}

/* The displacement is the last byte, or the last four. */
static uint64_t target_of(uint64_t address, const uint8_t *bytes, const struct outline *outline)
{
    uint64_t behind = address + outline->length;
    int32_t displacement;
    if (outline->length - outline->opcode == 2)
        return behind + (uint64_t)(int8_t)bytes[outline->length - 1];
    memcpy(&displacement, bytes + outline->length - sizeof displacement, sizeof displacement);
    return behind + (uint64_t)displacement;
}

bool flow_outline(uint64_t address, const uint8_t *bytes, const struct outline *outline, enum displaced_flow *flow,
                  uint64_t *target)
{
    uint8_t opcode = bytes[outline->opcode];
    if (!length_is_sure(bytes, outline) ||
        !flow_of((outline->map ? two_byte : one_byte)[opcode], bytes[outline->opcode + 1], flow))
        return false;
    bool is_direct =
        *flow == DISPLACED_FLOW_CONDITIONAL || *flow == DISPLACED_FLOW_JUMP || *flow == DISPLACED_FLOW_CALL;
    *target = is_direct ? target_of(address, bytes, outline) : 0;
    return true;
}
