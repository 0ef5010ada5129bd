/* judge.c: one row: the answers of the decoders in this process, how all answers differ, and which known class
 * explains each difference. */
#include "judge.h"

#include <stdio.h>
#include <string.h>

/* The claim of the row's source, as an answer. */
static void source_answer(const struct corpus_row *row, struct corpus_answer *answer)
{
    static const uint8_t statuses[] = {
        [CORPUS_CLAIM_NONE] = CORPUS_NOT_ASKED,
        [CORPUS_CLAIM_VALID] = CORPUS_ACCEPTED,
        [CORPUS_CLAIM_INVALID] = CORPUS_REFUSED,
    };
    answer->status = statuses[row->claim];
    answer->length = row->length;
    answer->text_length = 0;
}

/* Compares status and length only: for decoders that report nothing else. */
static unsigned length_difference(const struct corpus_answer *zydis, const struct corpus_answer *other)
{
    if (other->status == CORPUS_NOT_ASKED)
        return 0;
    if (zydis->status != other->status)
        return CORPUS_DIFFERS_STATUS;
    return zydis->status == CORPUS_ACCEPTED && zydis->length != other->length ? CORPUS_DIFFERS_LENGTH : 0;
}

void corpus_judge_compare(struct corpus_judge *judge)
{
    struct corpus_case *row = &judge->row;
    const struct corpus_answer *zydis = &row->zydis_answer;
    bool accepted = zydis->status == CORPUS_ACCEPTED;
    unsigned width = accepted ? row->zydis.instruction.operand_width : 0;
    unsigned address_width = accepted ? row->zydis.instruction.address_width : 0;
    for (unsigned i = 0; i < CORPUS_PARTIES; i++) {
        if (row->answers[i].status == CORPUS_NOT_ASKED)
            row->differences[i] = 0;
        else if (i == CORPUS_SEGUE || i == CORPUS_SOURCE || row->answers[i].length_only)
            row->differences[i] = length_difference(zydis, &row->answers[i]);
        else
            row->differences[i] = corpus_differences(zydis, &row->answers[i], width, address_width);
    }
}

/* Asks the decoders in this process. The answers of the others are "not asked" until they are filled in. */
void corpus_judge_ask(struct corpus_judge *judge, const struct corpus_row *row)
{
    struct corpus_case *c = &judge->row;
    c->row = row;
    corpus_slot_fill(c->slot, row);
    corpus_zydis_answer(c->slot, &c->zydis, &c->zydis_answer);
    corpus_capstone_answer(judge->capstone, c->slot, &c->answers[CORPUS_CAPSTONE]);
    for (unsigned i = CORPUS_OBJDUMP; i < CORPUS_PARTIES; i++)
        c->answers[i].status = CORPUS_NOT_ASKED;
    if (judge->with_segue)
        corpus_segue_answer(c->slot, &c->answers[CORPUS_SEGUE]);
    if (judge->with_source)
        source_answer(row, &c->answers[CORPUS_SOURCE]);
}

/* Copies the decoder's text without the parts that depend on the row's address: a comment, and a branch target. */
static void copy_text(char *to, const struct corpus_answer *answer)
{
    const char *comment = memchr(answer->text, '#', answer->text_length);
    size_t length = comment ? (size_t)(comment - answer->text) : answer->text_length;
    if (length > CORPUS_TEXT_BYTES - 24)
        length = CORPUS_TEXT_BYTES - 24;
    memcpy(to, answer->text, length);
    while (length && (to[length - 1] == ' ' || to[length - 1] == '\t'))
        length--;
    to[length] = 0;
    for (size_t i = 0; i < answer->operand_count; i++) {
        char *place = strrchr(to, ' ');
        if (answer->operands[i].kind == CORPUS_OPERAND_TARGET && place)
            sprintf(place + 1, "0x%llx", (unsigned long long)answer->operands[i].value);
    }
}

/* Puts "LENGTH " before a text; a refusal stays empty. */
static void describe(char *to, const struct corpus_answer *answer, const char *text)
{
    if (answer->status == CORPUS_NOT_ASKED)
        snprintf(to, CORPUS_TEXT_BYTES, "%s", "");
    else if (answer->status == CORPUS_REFUSED)
        snprintf(to, CORPUS_TEXT_BYTES, "refused%s%.90s", *text ? ": " : "", text);
    else
        snprintf(to, CORPUS_TEXT_BYTES, "%u%s%.100s", answer->length, *text ? " " : "", text);
}

static void make_example(struct corpus_judge *judge, unsigned party, unsigned kind, struct corpus_example *example)
{
    const struct corpus_case *row = &judge->row;
    char text[CORPUS_TEXT_BYTES];
    example->hash = corpus_row_hash(row->row);
    example->row = *row->row;
    example->party = party;
    example->kind = kind;
    corpus_zydis_text(row->slot, text, sizeof text);
    describe(example->zydis, &row->zydis_answer, text);
    corpus_capstone_text(judge->capstone, row->slot, text, sizeof text);
    describe(example->parties[CORPUS_CAPSTONE], &row->answers[CORPUS_CAPSTONE], text);
    for (unsigned i = CORPUS_OBJDUMP; i < CORPUS_PARTIES; i++) {
        text[0] = 0;
        if (row->answers[i].text_length && row->answers[i].status != CORPUS_NOT_ASKED)
            copy_text(text, &row->answers[i]);
        describe(example->parties[i], &row->answers[i], text);
    }
}

static void keep_example(struct corpus_judge *judge, struct corpus_examples *examples, unsigned party, unsigned kind)
{
    struct corpus_example example;
    if (!corpus_examples_want(examples, corpus_row_hash(judge->row.row)))
        return;
    make_example(judge, party, kind, &example);
    corpus_examples_keep(examples, &example);
}

static void count_of_party(struct corpus_judge *judge, struct corpus_class_party *counts, unsigned party, unsigned bit)
{
    struct corpus_example example;
    counts->differs[bit]++;
    if (!corpus_least_wants(counts, judge->row.row))
        return;
    make_example(judge, party, 1u << bit, &example);
    corpus_least_keep(counts, &example);
}

/* Whether no more of the party's answer is compared than status and length. */
static bool is_length_only(const struct corpus_judge *judge, unsigned party)
{
    return party == CORPUS_SEGUE || party == CORPUS_SOURCE || judge->row.answers[party].length_only;
}

/* Counts, for the classes of the row, who agrees with Zydis in it. `seen` has, by class, in what somebody differs. */
static void count_agreement(struct corpus_judge *judge, const unsigned seen[CORPUS_CLASSES])
{
    const struct corpus_case *row = &judge->row;
    for (size_t i = 0; i < judge->rules->count; i++)
        for (unsigned party = 0; seen[i] && party < CORPUS_PARTIES; party++)
            judge->counts.classes[i].parties[party].agreed +=
                row->answers[party].status != CORPUS_NOT_ASKED && !row->differences[party] &&
                (!is_length_only(judge, party) || seen[i] & (CORPUS_DIFFERS_STATUS | CORPUS_DIFFERS_LENGTH));
}

/* Finds the class of each difference. A class, and the unknown differences together, count a row once. */
static void explain(struct corpus_judge *judge)
{
    const struct corpus_case *row = &judge->row;
    struct corpus_counts *counts = &judge->counts;
    struct corpus_shape shape;
    unsigned seen[CORPUS_CLASSES] = {0};
    bool unknown = false;
    corpus_shape_read(row->slot, &shape);
    for (unsigned party = 0; party < CORPUS_PARTIES; party++) {
        for (unsigned bit = 0; bit < CORPUS_DIFFERENCES; bit++) {
            unsigned kind = 1u << bit;
            if (!(row->differences[party] & kind))
                continue;
            counts->parties[party].differs[bit]++;
            int class = corpus_rules_find(judge->rules, row, &shape, party, kind);
            if (class >= 0)
                count_of_party(judge, &counts->classes[class].parties[party], party, bit);
            bool is_again = class >= 0 ? seen[class] : unknown;
            if (class >= 0)
                seen[class] |= kind;
            if (is_again)
                continue;
            if (class >= 0) {
                counts->classes[class].rows++;
                keep_example(judge, &counts->classes[class].examples, party, kind);
            } else {
                unknown = true;
                counts->unknown_rows++;
                keep_example(judge, &counts->unknown, party, kind);
            }
        }
    }
    count_agreement(judge, seen);
}

/* Counts the row with its present differences. */
void corpus_judge_count(struct corpus_judge *judge)
{
    const struct corpus_case *row = &judge->row;
    struct corpus_counts *counts = &judge->counts;
    unsigned any = 0;
    bool accepted = row->zydis_answer.status == CORPUS_ACCEPTED;
    counts->rows++;
    counts->accepted += accepted;
    for (unsigned i = 0; i < CORPUS_PARTIES; i++) {
        struct corpus_party_counts *party = &counts->parties[i];
        if (row->answers[i].status == CORPUS_NOT_ASKED)
            continue;
        party->asked++;
        party->agreed += row->differences[i] == 0;
        if (accepted && row->answers[i].status == CORPUS_ACCEPTED) {
            party->both_accepted++;
            party->same_length += row->answers[i].length == row->zydis_answer.length;
        }
        any |= row->differences[i];
    }
    if (any) {
        counts->disputed++;
        explain(judge);
    }
}
