/* flow_outline.c: the flow that an outline gives, compared with that of a full decoder: for each opcode of the first
 * two maps with each ModRM byte, with and without REX. */
#include <stdio.h>
#include <string.h>

#include "decode/relocate/flow.h"
#include "decode/scratch.h"

#define ADDRESS UINT64_C(0x555555551000)
/* Of 655,360. */
#define KNOWN_LEAST 300000u

static struct {
    unsigned known, unknown, differ;
} found;

static void compare(const uint8_t *bytes, size_t size)
{
    static struct decode_scratch scratch;
    struct displaceable form;
    struct outline outline;
    enum displaced_flow flow;
    uint64_t target;
    unsigned length = length_outline(bytes, size, &outline);
    if (!length || !flow_outline(ADDRESS, bytes, &outline, &flow, &target)) {
        found.unknown++;
        return;
    }
    found.known++;
    if (displaceable_make(&scratch, ADDRESS, bytes, size, &form) && form.length == length && form.flow == flow &&
        form.target == target)
        return;
    found.differ++;
    fprintf(stderr, "%02x %02x %02x %02x: flow %d, target %#llx\n", bytes[0], bytes[1], bytes[2], bytes[3], (int)flow,
            (unsigned long long)target);
}

int main(void)
{
    static const uint8_t rexes[] = {0, 0x40, 0x41, 0x48, 0x4f};
    for (unsigned i = 0; i < sizeof rexes; i++)
        for (unsigned opcode = 0; opcode < 512; opcode++)
            for (unsigned modrm = 0; modrm < 256; modrm++) {
                uint8_t bytes[32];
                size_t at = 0;
                memset(bytes, 0x85, sizeof bytes);
                if (rexes[i])
                    bytes[at++] = rexes[i];
                if (opcode >= 256)
                    bytes[at++] = 0x0f;
                bytes[at++] = (uint8_t)opcode;
                bytes[at] = (uint8_t)modrm;
                compare(bytes, sizeof bytes);
            }
    printf("%u flows found, %u left to a full decoder, %u differ\n", found.known, found.unknown, found.differ);
    return found.differ || found.known < KNOWN_LEAST;
}
