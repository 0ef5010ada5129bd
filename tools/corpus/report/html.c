/* html.c: a report as one page: decoders by kinds of errors; then each class, with its evidence and, for each decoder
 * that errs, its least row as a text to be sent to its authors. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "tools/support/output/output.h"

static json_int_t integer(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static const char *string(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static void escape(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '&')
            fputs("&amp;", out);
        else if (*text == '<')
            fputs("&lt;", out);
        else if (*text == '>')
            fputs("&gt;", out);
        else
            fputc(*text, out);
    }
}

static bool is_right(const json_t *class, const char *who)
{
    return strcmp(string(class, "right"), who) == 0;
}

/* Only the notation differs. */
static bool is_notation(const json_t *class)
{
    return is_right(class, "both");
}

/* A set that is newer than Zydis: a decoder that lacks it does not err. */
static bool is_newer(const char *name)
{
    return strstr(name, "newer") || strcmp(name, "unknown-to-zydis") == 0;
}

/* In what the decoders differ most often in the class. */
static size_t main_difference(const json_t *class)
{
    json_int_t sums[CORPUS_DIFFERENCES] = {0};
    const char *name;
    json_t *decoder;
    size_t most = 0;
    json_object_foreach(json_object_get(class, "decoders"), name, decoder)
    {
        for (size_t i = 0; i < CORPUS_DIFFERENCES; i++)
            sums[i] += integer(decoder, corpus_difference_names[i]);
    }
    for (size_t i = 0; i < CORPUS_DIFFERENCES; i++)
        if (sums[i] > sums[most])
            most = i;
    return most;
}

struct score {
    json_int_t errors[CORPUS_DIFFERENCES];
    json_int_t notation, too_old, right_against_zydis;
};

/* Adds what a class says of one decoder. */
static void add_class(struct score *score, const char *name, const json_t *class, const json_t *decoder)
{
    for (size_t i = 0; i < CORPUS_DIFFERENCES; i++) {
        json_int_t rows = integer(decoder, corpus_difference_names[i]);
        if (is_notation(class))
            score->notation += rows;
        else if (is_right(class, "zydis"))
            score->errors[i] += rows;
        else
            score->right_against_zydis += rows;
    }
    if (is_newer(name))
        score->too_old += integer(decoder, "agreed");
    else if (!is_notation(class) && !is_right(class, "zydis"))
        score->errors[main_difference(class)] += integer(decoder, "agreed");
}

static struct score score_of(const json_t *report, const char *party)
{
    struct score score = {0};
    const char *name;
    json_t *class;
    json_object_foreach(json_object_get(report, "classes"), name, class)
    {
        const json_t *decoder = json_object_get(json_object_get(class, "decoders"), party);
        if (decoder)
            add_class(&score, name, class, decoder);
    }
    return score;
}

/* Zydis is what all are compared with: it errs in the rows of the classes in which somebody else is right. */
static struct score score_of_zydis(const json_t *report)
{
    struct score score = {0};
    const char *name;
    json_t *class;
    json_object_foreach(json_object_get(report, "classes"), name, class)
    {
        if (is_newer(name))
            score.too_old += integer(class, "rows");
        else if (!is_notation(class) && !is_right(class, "zydis"))
            score.errors[main_difference(class)] += integer(class, "rows");
    }
    return score;
}

/* The number at the end of "GNU objdump (GNU Binutils for Debian) 2.40". */
static const char *version_of(const json_t *report, const char *name)
{
    const char *version = string(json_object_get(report, "versions"), name), *space = strrchr(version, ' ');
    return space ? space + 1 : version;
}

static void put_score(FILE *out, const json_t *report, const char *name, json_int_t asked, const struct score *score)
{
    fputs("<tr><th>", out);
    escape(out, name);
    fputs("<td>", out);
    escape(out, version_of(report, name));
    fprintf(out, "<td>%lld", (long long)asked);
    for (size_t i = 0; i < CORPUS_DIFFERENCES; i++)
        fprintf(out, "<td%s>%lld", score->errors[i] ? " class=error" : "", (long long)score->errors[i]);
    fprintf(out, "<td>%lld<td>%lld<td>%lld\n", (long long)score->notation, (long long)score->too_old,
            (long long)score->right_against_zydis);
}

static void put_scores(FILE *out, const json_t *report)
{
    const char *name;
    json_t *decoder;
    struct score score = score_of_zydis(report);
    fputs("<div class=wide><table><thead><tr><th>decoder<th>version<th>rows", out);
    for (size_t i = 0; i < CORPUS_DIFFERENCES; i++)
        fprintf(out, "<th>%s", corpus_difference_names[i]);
    fputs("<th>notation<th>too old<th>right against Zydis\n<tbody>\n", out);
    put_score(out, report, "zydis", integer(report, "rows"), &score);
    json_object_foreach(json_object_get(report, "decoders"), name, decoder)
    {
        score = score_of(report, name);
        if (strcmp(name, "source") != 0 && integer(decoder, "asked"))
            put_score(out, report, name, integer(decoder, "asked"), &score);
    }
    fputs("</table></div>\n", out);
}

/* "c5 f8 77": the bytes of a row. */
static void put_bytes(FILE *out, const char *hex)
{
    for (size_t i = 0; hex[i] && hex[i + 1]; i += 2)
        fprintf(out, "%s%.2s", i ? " " : "", hex + i);
}

static void put_answers(FILE *out, const json_t *example)
{
    static const char *const others[] = {"bytes", "hash", "decoder", "differs"};
    const char *name;
    json_t *answer;
    json_object_foreach((json_t *)example, name, answer)
    {
        bool is_other = false;
        for (size_t i = 0; i < sizeof others / sizeof *others; i++)
            is_other = is_other || strcmp(name, others[i]) == 0;
        if (is_other)
            continue;
        fprintf(out, "  %-11s ", name);
        escape(out, json_string_value(answer));
        fputc('\n', out);
    }
}

/* What to send to the authors of a decoder. */
static void put_message(FILE *out, const json_t *report, const char *class_name, const json_t *class, const char *name,
                        const json_t *decoder)
{
    const json_t *least = json_object_get(decoder, "least");
    const char *version = version_of(report, name);
    fputs("<pre>", out);
    escape(out, name);
    fprintf(out, "%s%s: ", *version ? " " : "", version);
    bool is_first = true;
    for (size_t i = 0; i < CORPUS_DIFFERENCES; i++) {
        json_int_t rows = integer(decoder, corpus_difference_names[i]);
        if (rows)
            fprintf(out, "%s%s (%lld rows)", is_first ? "" : ", ", corpus_difference_names[i], (long long)rows);
        is_first = is_first && !rows;
    }
    fprintf(out, "\n\nleast row: ");
    put_bytes(out, string(least, "bytes"));
    fprintf(out, "  (%s), in 64-bit mode; length and text by each decoder:\n", string(least, "differs"));
    put_answers(out, least);
    fprintf(out, "\nright is %s. ", string(class, "right"));
    escape(out, string(class, "why"));
    fprintf(out, "\n\nclass %s of segue corpus; again by: echo %s > row.hex; segue corpus report row.hex</pre>\n",
            class_name, string(least, "bytes"));
}

static void put_details(FILE *out, const json_t *report, const char *class_name, const json_t *class, const char *party,
                        const char *verb, const json_t *decoder)
{
    fputs("<details><summary>", out);
    escape(out, party);
    fprintf(out, " %s</summary>\n", verb);
    put_message(out, report, class_name, class, party, decoder);
    fputs("</details>\n", out);
}

/* Where somebody else than Zydis is right: who is as Zydis, and one message, about the least of the others' rows. */
static void put_zydis(FILE *out, const json_t *report, const char *name, const json_t *class)
{
    const json_t *decoders = json_object_get(class, "decoders"),
                 *shown = json_object_get(decoders, string(class, "right"));
    const char *party;
    json_t *decoder;
    bool is_first = true;
    json_object_foreach((json_t *)decoders, party, decoder)
    {
        if (!json_object_get(shown, "least"))
            shown = decoder;
        if (integer(decoder, "agreed") && strcmp(party, "source") != 0) {
            fprintf(out, "%s%s (%lld)", is_first ? "As Zydis: " : ", ", party, (long long)integer(decoder, "agreed"));
            is_first = false;
        }
    }
    if (!is_first)
        fputs(".\n", out);
    if (json_object_get(shown, "least"))
        put_details(out, report, name, class, "zydis", is_newer(name) ? "is older" : "errs", shown);
}

static void put_class(FILE *out, const json_t *report, const char *name, const json_t *class)
{
    const char *party;
    json_t *decoder;
    fprintf(out, "<section id=%s><h3>%s</h3>\n<p>%lld row%s. Right: <b>%s</b>. ", name, name,
            (long long)integer(class, "rows"), integer(class, "rows") == 1 ? "" : "s", string(class, "right"));
    escape(out, string(class, "why"));
    fputc('\n', out);
    if (!is_right(class, "zydis") && !is_notation(class)) {
        put_zydis(out, report, name, class);
    } else {
        json_object_foreach(json_object_get(class, "decoders"), party, decoder)
        {
            if (json_object_get(decoder, "least"))
                put_details(out, report, name, class, party, is_notation(class) ? "writes it otherwise" : "errs",
                            decoder);
        }
    }
    fputs("</section>\n", out);
}

enum part { PART_ERRORS, PART_NEWER, PART_NOTATION, PARTS };

static void put_part(FILE *out, const json_t *report, enum part part)
{
    static const char *const headings[PARTS] = {
        [PART_ERRORS] = "Errors",
        [PART_NEWER] = "Sets that are newer than Zydis",
        [PART_NOTATION] = "Notation",
    };
    const char *name;
    json_t *class;
    fprintf(out, "<h2>%s</h2>\n", headings[part]);
    json_object_foreach(json_object_get(report, "classes"), name, class)
    {
        enum part its = is_newer(name) ? PART_NEWER : is_notation(class) ? PART_NOTATION : PART_ERRORS;
        if (its == part)
            put_class(out, report, name, class);
    }
}

static void put_unknown(FILE *out, const json_t *report)
{
    const json_t *unknown = json_object_get(report, "unknown"), *example;
    size_t index;
    fprintf(out, "<h2>Outside every class</h2>\n<p>%lld rows.\n", (long long)integer(unknown, "rows"));
    json_array_foreach(json_object_get(unknown, "examples"), index, example)
    {
        if (index == CORPUS_UNKNOWN_EXAMPLES)
            break;
        fputs("<pre>", out);
        put_bytes(out, string(example, "bytes"));
        fprintf(out, "  (%s: %s)\n", string(example, "decoder"), string(example, "differs"));
        put_answers(out, example);
        fputs("</pre>\n", out);
    }
}

static void put_inputs(FILE *out, const json_t *report)
{
    const json_t *inputs = json_object_get(report, "inputs"), *skipped = json_object_get(report, "skipped"), *input;
    const char *name;
    json_t *why;
    size_t index;
    fprintf(out,
            "<p>%lld rows, of which %lld are instructions by Zydis; %lld are disputed, %lld lie outside every class. "
            "Rows of: ",
            (long long)integer(report, "rows"), (long long)integer(report, "accepted"),
            (long long)integer(report, "disputed"), (long long)corpus_report_unknown(report));
    json_array_foreach(inputs, index, input)
    {
        fputs(index ? ", " : "", out);
        escape(out, json_string_value(input));
    }
    fputs(".\n", out);
    json_object_foreach((json_t *)skipped, name, why)
    {
        fputs("<p>Not asked: ", out);
        escape(out, name);
        fputs(" (", out);
        escape(out, json_string_value(why));
        fputs(").\n", out);
    }
}

static const char head[] =
    "<!doctype html><html lang=en><meta charset=utf-8>\n"
    "<meta name=viewport content='width=device-width,initial-scale=1'><title>Decoders of x86-64, compared</title>\n"
    "<style>body{font:16px/1.5 sans-serif;max-width:60rem;margin:0 auto;padding:1rem}"
    ".wide{overflow-x:auto}table{border-collapse:collapse}table{font-size:.85rem}td,th{padding:.2rem "
    ".4rem;text-align:right;"
    "border-bottom:1px solid #ccc}th:first-child{text-align:left}.error{color:#a00}"
    "pre{overflow-x:auto;background:#f4f4f4;padding:.6rem;white-space:pre-wrap;overflow-wrap:anywhere}"
    "@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}pre{background:#222}.error{color:#f77}}</"
    "style>\n"
    "<h1>Decoders of x86-64, compared</h1>\n"
    "<p>Made by <code>segue corpus report</code>. Each decoder is compared with Zydis, row by row; where they differ, "
    "the "
    "class of the difference says who is right and how we know. The table counts the differences in which the decoder "
    "errs, by kind: whether the bytes are an instruction (status), its length, its name, its operands, the size of its "
    "memory and whether that is read or written. After one difference a row is compared no further, and the rows of "
    "enumerated encodings are not those of programs: the numbers compare kinds of errors, not decoders as a whole.\n"
    "<p><b>Notation</b>: the same, written otherwise. <b>Too old</b>: rows of sets that came after the decoder. "
    "<b>Right against Zydis</b>: rows in which Zydis errs, or is too old, and the decoder does not. A decoder that "
    "answers with a length alone (segue, ndisasm, distorm3) can only err in status and length.\n"
    "<p>Rows are single instructions, as bytes. Those of Debian's programs (whose names and versions are in "
    "<code>debian.hex.xz</code>) are encodings without the numbers of the program, one of each form; the generated "
    "ones "
    "are enumerated; others are of whoever made the file. An instruction's encoding is a fact and carries no rights.\n";

bool corpus_report_write_html(const json_t *report, const char *path)
{
    char *page = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&page, &size);
    if (!out)
        abort();
    fputs(head, out);
    put_inputs(out, report);
    put_scores(out, report);
    for (unsigned part = 0; part < PARTS; part++)
        put_part(out, report, part);
    put_unknown(out, report);
    if (fclose(out) != 0)
        abort();
    bool ok = output_write("corpus", path, page, size);
    free(page);
    return ok;
}
