/* error.h: the reason why the engine failed, as a value. The engine prints nothing: its caller shows the error, and
 * quotes the parts that are not the engine's own words. */
#ifndef SEGUE_CORPUS_ERROR_H
#define SEGUE_CORPUS_ERROR_H

#include <stdbool.h>
#include <stddef.h>

#define CORPUS_ERROR_NAME 4096
#define CORPUS_ERROR_WORDS 160
#define CORPUS_ERROR_QUOTE 4096

/* One sentence: WHAT WHERE[:LINE] WHY ['QUOTE']. All but WHERE and QUOTE are the engine's words, with their own blanks
 * and punctuation. */
struct corpus_error {
    /* What was done: "cannot read "; empty if the sentence begins with the name. */
    char what[CORPUS_ERROR_WORDS];
    /* The file or the decoder, cut to the room; empty if neither is at fault. */
    char where[CORPUS_ERROR_NAME];
    /* The line of the file, from 1; 0 if no line is at fault. */
    size_t line;
    /* What is wrong: ": holds no rows". */
    char why[CORPUS_ERROR_WORDS];
    /* The input that is wrong, or its beginning. */
    bool has_quote;
    char quote[CORPUS_ERROR_QUOTE];
};

/* Fill in an error; `what` and `where` may be NULL. All return false, so that the caller can return it in turn. */
__attribute__((format(printf, 4, 5))) bool corpus_error_set(struct corpus_error *error, const char *what,
                                                            const char *where, const char *why, ...);
__attribute__((format(printf, 4, 5))) bool corpus_error_at(struct corpus_error *error, const char *where, size_t line,
                                                           const char *why, ...);
/* Adds the input that is wrong; `quote` need not be terminated. */
bool corpus_error_quote(struct corpus_error *error, const char *quote, size_t length);

/* The system's: WHAT WHERE: the text of errno. */
bool corpus_error_system(struct corpus_error *error, const char *what, const char *where);

bool corpus_error_memory(struct corpus_error *error);

/* The whole sentence, nothing in it quoted; it is cut to `size`. */
void corpus_error_text(const struct corpus_error *error, char *text, size_t size);

#endif
