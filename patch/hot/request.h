/* request.h: what the caller of hot_make gives: the sites, and the builder of their bodies. */
#ifndef SEGUE_PATCH_HOT_REQUEST_H
#define SEGUE_PATCH_HOT_REQUEST_H

#include <segue/status.h>
#include <stdbool.h>
#include <stddef.h>

#include "patch/poke/change.h"

/* The most sites of one call of hot_make. */
#define HOT_BATCH 64u
/* The most bytes of a body. */
#define HOT_BODY_BYTES 4096u

/* What the builder made. */
struct hot_built {
    /* Bytes used; with SEGUE_NO_MEMORY: bytes needed. */
    uint32_t size;
    /* Returned as hot_body.cookie. */
    uint64_t cookie;
    /* With SEGUE_UNSUPPORTED: a constant string. */
    const char *refusal;
};

/* The caller's builder. It may call hot_read_code, hot_site_find, hot_body_of and rooms_take_data. */
struct hot_builder {
    /* Writes to `code` the body of the instruction at `site`, which will be executed at `at`. The site may be any
     * instruction: the successor of one that was asked for needs a body, too. SEGUE_OK; SEGUE_NO_MEMORY if it needs
     * more than `room` bytes; SEGUE_UNSUPPORTED. */
    enum segue_status (*build)(void *context, uint64_t site, uint64_t at, uint8_t *code, size_t room,
                               struct hot_built *built);
    /* Whether the instruction of a site that was asked for should be another one of the same length, and needs no body:
     * writes it to `rewritten`, and stores what hot_site.cookie is to be. The instruction at `bytes` is the program's.
     * May be NULL. */
    bool (*rewrite)(void *context, uint64_t site, const uint8_t *bytes, unsigned length, uint8_t *rewritten,
                    uint64_t *cookie);
    /* A body that was built is not used after all; may be NULL. */
    void (*dropped)(void *context, uint64_t site, uint64_t cookie);
    void *context;
    /* The room that most bodies need; 0 means 512. The same for an instruction that only moves for its predecessor's
     * jump; 0 means usual_room. And the room that the body at `site` will probably need, 0 if that is not known; may be
     * NULL. */
    uint32_t usual_room, moved_room;
    uint32_t (*estimate)(void *context, uint64_t site);
    /* May be NULL. */
    poke_peek *peek;
};

struct hot_request {
    uint64_t address;
    /* SEGUE_OK; SEGUE_EXISTS: it is hot already; SEGUE_UNSUPPORTED or SEGUE_NO_MEMORY with a reason; SEGUE_BUSY. */
    enum segue_status status;
    const char *refusal;
};

#endif
