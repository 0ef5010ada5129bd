/* coverage.c: see coverage.h. */
#include "coverage.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

enum encoding { LEGACY, NOW_3D, VEX, XOP, EVEX, ENCODINGS };

static const char *const encoding_names[ENCODINGS] = {"legacy", "3dnow", "vex", "xop", "evex"};

static struct {
    const char *const *windows;
    size_t count, size;
    uint64_t *counts;
} table;

bool coverage_begin(const char *const *windows, size_t count)
{
    size_t size = count * ENCODINGS * segue_mnemonic_count() * sizeof *table.counts;
    void *counts = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (counts == MAP_FAILED)
        return false;
    table.windows = windows;
    table.count = count;
    table.size = size;
    table.counts = counts;
    return true;
}

static bool is_prefix(uint8_t byte, enum segue_mode mode)
{
    static const uint8_t prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3};
    return memchr(prefixes, byte, sizeof prefixes) || (mode == SEGUE_MODE_64 && (byte & 0xf0) == 0x40);
}

/* Intel SDM volume 2, 2.3.5 and 2.7.1; AMD APM volume 3, 1.1. In 32-bit mode the second byte says whether the first is
 * the opcode of LES, LDS or BOUND. */
static enum encoding encoding_of(const struct segue_insn *insn)
{
    const uint8_t *at = insn->bytes, *last = insn->bytes + insn->length - 1;
    while (at < last && is_prefix(*at, (enum segue_mode)insn->mode))
        at++;
    if (at == last)
        return LEGACY;
    bool is_vector = insn->mode == SEGUE_MODE_64 || at[1] >= 0xc0;
    switch (at[0]) {
    case 0xc4:
    case 0xc5:
        return is_vector ? VEX : LEGACY;
    case 0x62:
        return is_vector ? EVEX : LEGACY;
    case 0x8f:
        return (at[1] & 0x1f) >= 8 ? XOP : LEGACY;
    case 0x0f:
        return at[1] == 0x0f ? NOW_3D : LEGACY;
    default:
        return LEGACY;
    }
}

static uint64_t *counter(unsigned window, enum encoding encoding, unsigned mnemonic)
{
    return &table.counts[((size_t)window * ENCODINGS + encoding) * segue_mnemonic_count() + mnemonic];
}

void coverage_note(const struct segue_insn *insn, unsigned window)
{
    if (table.counts && window < table.count && insn->mnemonic < segue_mnemonic_count())
        __atomic_fetch_add(counter(window, encoding_of(insn), insn->mnemonic), 1, __ATOMIC_RELAXED);
}

void *coverage_counts(size_t *size)
{
    *size = table.size;
    return table.counts;
}

static void write_window(FILE *file, unsigned window)
{
    for (unsigned encoding = 0; encoding < ENCODINGS; encoding++)
        for (unsigned mnemonic = 0; mnemonic < segue_mnemonic_count(); mnemonic++) {
            uint64_t count = *counter(window, (enum encoding)encoding, mnemonic);
            if (count)
                fprintf(file, "%s\t%s\t%s\t%" PRIu64 "\n", table.windows[window], encoding_names[encoding],
                        segue_mnemonic_name(mnemonic), count);
        }
}

bool coverage_save(const char *path)
{
    FILE *file = fopen(path, "w");
    for (unsigned window = 0; file && window < table.count; window++)
        write_window(file, window);
    bool ok = file && !ferror(file);
    if (file && fclose(file) != 0)
        ok = false;
    if (!ok)
        fprintf(stderr, "cannot write %s: %s\n", path, strerror(errno));
    return ok;
}
