/* report_linux.c: builds each text on the stack and writes it at once, so that lines of several threads do not mix. */
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "platform/calls/calls.h"
#include "tools/run/options/settings.h"
#include "tools/run/signals/registers.h"
#include "tools/run/syscalls/call_linux_x86_64.h"
#include "tools/run/syscalls/services/descriptor.h"
#include "tools/support/quote.h"

#define LINE 512
#define TABLE 16384

struct counters *counters;
struct settings settings;
/* With --stats or --trace a copy of standard error: programs close theirs at the end. */
static int output = STDERR_FILENO;

struct text {
    char *at, *end;
};

static void add_character(struct text *text, char character)
{
    if (text->at < text->end)
        *text->at++ = character;
}

static void add_string(struct text *text, const char *string)
{
    while (string && *string)
        add_character(text, *string++);
}

/* As print_name of the other verbs does. */
static void add_name(struct text *text, const char *name)
{
    char piece[QUOTE_PIECE];
    if (!name || !quote_is_needed(name)) {
        add_string(text, name);
        return;
    }
    add_string(text, QUOTE_BEGIN);
    while (*name) {
        size_t size = quote_next(&name, piece);
        for (size_t i = 0; i < size; i++)
            add_character(text, piece[i]);
    }
    add_string(text, QUOTE_END);
}

static void add_number(struct text *text, uint64_t number, unsigned base)
{
    char digits[24];
    unsigned held = 0;
    do
        digits[held++] = "0123456789abcdef"[number % base];
    while (number /= base);
    while (held)
        add_character(text, digits[--held]);
}

static void add_signed(struct text *text, int64_t number)
{
    if (number < 0)
        add_character(text, '-');
    add_number(text, number < 0 ? -(uint64_t)number : (uint64_t)number, 10);
}

static void add_format(struct text *text, const char *format, va_list arguments)
{
    for (; *format; format++) {
        if (*format != '%' || !format[1]) {
            add_character(text, *format);
            continue;
        }
        switch (*++format) {
        case 's':
            add_name(text, va_arg(arguments, const char *));
            break;
        case 'x':
            add_string(text, "0x");
            add_number(text, va_arg(arguments, uint64_t), 16);
            break;
        case 'd':
            add_signed(text, va_arg(arguments, int64_t));
            break;
        default:
            add_character(text, *format);
        }
    }
}

static void write_text(const char *start, const struct text *text)
{
    size_t left = (size_t)(text->at - start);
    while (left) {
        long done = system_call3(SYS_write, output, (long)start, (long)left);
        if (done == -EINTR)
            continue;
        if (done <= 0)
            return;
        start += done;
        left -= (size_t)done;
    }
}

static void write_line(const char *head, const char *format, va_list arguments)
{
    char line[LINE];
    struct text text = {line, line + sizeof line - 1};
    add_string(&text, head);
    add_format(&text, format, arguments);
    text.end++;
    add_character(&text, '\n');
    write_text(line, &text);
}

bool report_prepare(void)
{
    static struct counters unprinted;
    counters = &unprinted;
    if (settings.statistics) {
        void *memory = mmap(NULL, sizeof *counters, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        counters = memory == MAP_FAILED ? NULL : memory;
    }
    if (settings.statistics || settings.trace) {
        int copy = descriptor_lift(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0));
        output = copy < 0 ? output : copy;
    }
    return counters;
}

const char *report_call_name(uint64_t number)
{
    const char *name = calls_name(number);
    return name ? name : "?";
}

void report_message(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    write_line("segue run: ", format, arguments);
    va_end(arguments);
}

void report_fatal(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    write_line("segue run: ", format, arguments);
    va_end(arguments);
    for (;;)
        system_call3(SYS_exit_group, EXIT_RUNNER, 0, 0);
}

void report_misuse(const char *format, ...)
{
    static const char more[] = "Try: segue help run\n";
    struct text text = {(char *)(uintptr_t)more + sizeof more - 1, NULL};
    va_list arguments;
    va_start(arguments, format);
    write_line("segue run: ", format, arguments);
    va_end(arguments);
    write_text(more, &text);
    for (;;)
        system_call3(SYS_exit_group, EXIT_RUNNER, 0, 0);
}

void report_event(const char *format, ...)
{
    va_list arguments;
    if (!settings.trace)
        return;
    va_start(arguments, format);
    write_line("segue run: ", format, arguments);
    va_end(arguments);
}

static int64_t own_number(void)
{
    return system_call3(SYS_gettid, 0, 0, 0);
}

void report_call(const ucontext_t *frame)
{
    uint64_t number = registers_call_number(frame);
    if (!settings.trace)
        return;
    report_event("%d %s(%x, %x, %x, %x, %x, %x)", own_number(), report_call_name(number), registers_argument(frame, 0),
                 registers_argument(frame, 1), registers_argument(frame, 2), registers_argument(frame, 3),
                 registers_argument(frame, 4), registers_argument(frame, 5));
}

void report_signal(const siginfo_t *info)
{
    count(&counters->signals, 1);
    report_event("%d signal %d, code %d, address %x", own_number(), (int64_t)info->si_signo, (int64_t)info->si_code,
                 (uint64_t)(uintptr_t)info->si_addr);
}

/* ---- --stats ---- */

static const struct {
    const char *name, *label;
    size_t offset;
} figures[] = {
    {"crossings", "from the program into the host", offsetof(struct counters, crossings)},
    {"wrong_bases", "FS base set while the program ran", offsetof(struct counters, wrong_bases)},
    {"faults", "faults of fs: accesses", offsetof(struct counters, faults)},
    {"sites_eager", "sites rewritten with their module", offsetof(struct counters, sites_eager)},
    {"sites_lazy", "sites rewritten at their own fault", offsetof(struct counters, sites_lazy)},
    {"sites_page", "sites rewritten with another of their page", offsetof(struct counters, sites_page)},
    {"emulated", "accesses done without rewriting", offsetof(struct counters, emulated)},
    {"untrusted", "sites left alone until they fault", offsetof(struct counters, untrusted)},
    {"modules", "modules rewritten", offsetof(struct counters, modules)},
    {"own_faults", "faults of the program's own", offsetof(struct counters, own_faults)},
    {"signals", "signals delivered", offsetof(struct counters, signals)},
    {"threads", "threads made", offsetof(struct counters, threads)},
    {"processes", "processes made", offsetof(struct counters, processes)},
    {"programs", "programs run in place of this one", offsetof(struct counters, programs)},
    {"calls_passed", "system calls made as they were", offsetof(struct counters, passed)},
    {"calls_served", "system calls done on its behalf", offsetof(struct counters, served)},
    {"sites_calls", "sites whose system calls are not trapped any more", offsetof(struct counters, sites_calls)},
    {"handler_ticks", "processor ticks in the handler", offsetof(struct counters, ticks)},
};

static uint64_t figure(size_t offset)
{
    return __atomic_load_n((const uint64_t *)(const void *)((const char *)counters + offset), __ATOMIC_RELAXED);
}

static void add_text_figures(struct text *text)
{
    add_string(text, "segue run: figures of process ");
    add_signed(text, settings.process);
    add_string(text, " and those that it forked\n");
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        char number[24];
        struct text digits = {number, number + sizeof number};
        add_number(&digits, figure(figures[i].offset), 10);
        for (long width = digits.at - number; width < 16; width++)
            add_character(text, ' ');
        for (const char *at = number; at < digits.at; at++)
            add_character(text, *at);
        add_string(text, "  ");
        add_string(text, figures[i].label);
        add_character(text, '\n');
    }
    add_string(text, "system calls:");
    for (uint64_t i = 0; i < TABLE_NUMBERS; i++) {
        if (!counters->calls[i])
            continue;
        add_character(text, ' ');
        add_string(text, report_call_name(i));
        add_character(text, ' ');
        add_number(text, counters->calls[i], 10);
    }
    add_character(text, '\n');
}

static void add_json_figures(struct text *text)
{
    add_string(text, "{\"process\": ");
    add_signed(text, settings.process);
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        add_string(text, ", \"");
        add_string(text, figures[i].name);
        add_string(text, "\": ");
        add_number(text, figure(figures[i].offset), 10);
    }
    add_string(text, ", \"calls\": {");
    bool is_first = true;
    for (uint64_t i = 0; i < TABLE_NUMBERS; i++) {
        if (!counters->calls[i])
            continue;
        add_string(text, is_first ? "\"" : ", \"");
        add_string(text, report_call_name(i));
        add_string(text, "\": ");
        add_number(text, counters->calls[i], 10);
        is_first = false;
    }
    add_string(text, "}}\n");
}

void report_end(int signal)
{
    char table[TABLE];
    struct text text = {table, table + sizeof table};
    if (settings.statistics == STATISTICS_NONE || system_call3(SYS_getpid, 0, 0, 0) != settings.process)
        return;
    if (signal)
        report_event("ended by signal %d", (int64_t)signal);
    if (settings.statistics == STATISTICS_JSON)
        add_json_figures(&text);
    else
        add_text_figures(&text);
    write_text(table, &text);
}
