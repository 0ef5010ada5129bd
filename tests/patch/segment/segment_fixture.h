/* segment_fixture.h: code whose accesses through a segment register fault, and the library's handler with what it
 * passes on. */
#ifndef SEGUE_TESTS_SEGMENT_FIXTURE_H
#define SEGUE_TESTS_SEGMENT_FIXTURE_H

#include "tests/support/test.h"

#include <segue/handler.h>
#include <segue/patch.h>
#include <segue/posix.h>
#include <segue/segment.h>

#include "decode/x86/page.h"

static const struct segue_rewrite fs_to_gs = {SEGUE_SEGMENT_FS, SEGUE_SEGMENT_GS};
static const struct segue_rewrite gs_to_fs = {SEGUE_SEGMENT_GS, SEGUE_SEGMENT_FS};

/* Two pages that begin with these bytes, to be executed. */
char *code_map(const void *bytes, size_t size);
#define CODE(bytes) code_map(bytes, sizeof(bytes))
uint64_t call(const char *code, uint64_t argument);

uint64_t fs_base(void);

/* What the handler that was there before was given; it skips the instruction. */
struct passed {
    unsigned count;
    uint64_t address;
    int code;
    unsigned length;
    uint64_t rdi;
};
extern struct passed passed;

/* cmocka takes SIGSEGV for itself before each test; so the handlers go in and out within each. */
void begin_with(const struct segue_segment_options *options);
void begin(struct segue_rewrite rewrite, uint32_t flags);

/* Leaves rewritten what is rewritten. */
void stop(void);
void undo_and_stop(void);

uint64_t faults(void);

#endif
