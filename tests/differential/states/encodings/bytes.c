/* bytes.c: the bytes of random instructions (see bytes.h).
 *
 * SOURCES: Intel SDM volume 2, 2.1 to 2.7; AMD APM volume 3, 1.8 (XOP). */
#include "bytes.h"

#include <stdbool.h>

#include "chance.h"

struct bytes {
    uint8_t *at;
    unsigned length;
};

static void put(struct bytes *bytes, unsigned byte)
{
    bytes->at[bytes->length++] = (uint8_t)byte;
}

static void put_prefixes(struct random *random, struct bytes *bytes, bool legacy)
{
    static const uint8_t legacy_only[] = {0x66, 0xf2, 0xf3, 0xf0}, any[] = {0x64, 0x65, 0x67, 0x2e, 0x3e};
    while (legacy && one_in(random, 3) && bytes->length < 3)
        put(bytes, legacy_only[random_below(random, sizeof legacy_only)]);
    while (one_in(random, 6) && bytes->length < 4)
        put(bytes, any[random_below(random, sizeof any)]);
    if (legacy && one_in(random, 24))
        put(bytes, 0x40 | random_below(random, 16));
    if (legacy && one_in(random, 24))
        put(bytes, any[random_below(random, sizeof any)]);
}

static void put_legacy(struct random *random, struct bytes *bytes)
{
    static const uint8_t maps[] = {0, 0, 0, 1, 1, 1, 1, 2, 2, 3};
    uint8_t map = maps[random_below(random, sizeof maps)];
    put_prefixes(random, bytes, true);
    if (one_in(random, 2))
        put(bytes, 0x40 | random_below(random, 16));
    if (map)
        put(bytes, 0x0f);
    if (map >= 2)
        put(bytes, map == 2 ? 0x38 : 0x3a);
}

static void put_vex(struct random *random, struct bytes *bytes)
{
    put_prefixes(random, bytes, false);
    if (one_in(random, 3)) {
        put(bytes, 0xc5);
    } else {
        put(bytes, 0xc4);
        put(bytes, random_below(random, 8) << 5 | (1 + random_below(random, 3)));
    }
    /* Where no second source is named, its field must be all ones. */
    put(bytes, random_below(random, 256) | (one_in(random, 2) ? 0x78 : 0));
}

static void put_evex(struct random *random, struct bytes *bytes)
{
    static const uint8_t maps[] = {1, 1, 2, 2, 3, 5, 6};
    bool one_source = one_in(random, 2);
    put_prefixes(random, bytes, false);
    put(bytes, 0x62);
    put(bytes, random_below(random, 16) << 4 | maps[random_below(random, sizeof maps)]);
    put(bytes, random_below(random, 256) | 4 | (one_source ? 0x78 : 0));
    unsigned last = random_below(random, 256) | (one_source ? 8 : 0);
    if (one_in(random, 2))
        last &= ~0x80u;
    put(bytes, last);
}

static void put_xop(struct random *random, struct bytes *bytes)
{
    put_prefixes(random, bytes, false);
    put(bytes, 0x8f);
    put(bytes, random_below(random, 8) << 5 | (8 + random_below(random, 3)));
    put(bytes, random_below(random, 256));
}

void bytes_random(struct random *random, uint8_t *code)
{
    struct bytes bytes = {code, 0};
    random_fill(random, code, BYTES_OF_CODE);
    switch (random_below(random, 16)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
    case 5:
        put_legacy(random, &bytes);
        break;
    case 6:
    case 7:
    case 8:
    case 9:
        put_vex(random, &bytes);
        break;
    case 10:
        put_xop(random, &bytes);
        break;
    default:
        put_evex(random, &bytes);
        break;
    }
    put(&bytes, random_below(random, 256));
    /* Memory, not a register. */
    while (code[bytes.length] >> 6 == 3)
        code[bytes.length] = (uint8_t)random_next(random);
}
