/* watch.c: what `segue watch` takes. */
#include "command_line.h"

const struct verb_words watch_words = {
    .name = "watch",
    .forms =
        (const char *const[]){"[OPTION...] TARGET... -- PROGRAM [ARGUMENT...]", "[OPTION...] --pid=N TARGET...", NULL},
    .summary = "runs a program, or attaches to one, and reports who touches a variable or other memory",
    .operands =
        (const struct operand_words[]){
            {"TARGET...", "what to watch, until --",
             "NAME: a global or static variable, by the program's symbols; of C++ with or without its namespace. "
             "NAME.MEMBER, NAME[INDEX], and both "
             "repeated: a part of one, by its debug information. *NAME: what a pointer points to when the program "
             "begins. FILE:NAME: a variable of a shared library, as libx.so.1:state. ADDRESS:SIZE: numbers, "
             "hexadecimal with 0x. map:PATH: each mapping of that file, as they come and go; map:PATH+OFFSET:SIZE: of "
             "a part of it. heap:SIZE and heap:SIZE-SIZE: all blocks of the heap that a program asks for with that "
             "size in bytes. heap@FUNCTION: those that a function allocates, or one that it calls, up to four frames "
             "deep."},
            {"PROGRAM [ARGUMENT...]", "what to run", "Its files, streams and exit status are its own."},
            {0},
        },
    .options =
        (const struct option_words[]){
            {WATCH_WRITE, "write", NULL, "report writes; without --write, --read and --change that is what is reported",
             NULL},
            {WATCH_READ, "read", NULL, "report reads; with --write, both", NULL},
            {WATCH_CHANGE, "change", NULL, "report writes that change the value", NULL},
            {WATCH_IF, "if", "CONDITION", "report only where it holds: 'new > 100', 'old == 7', 'new != old'",
             "Both sides are new, old, or a number. Operators: == != < <= > >=."},
            {WATCH_THREAD, "thread", "THREAD", "report only this thread's accesses: its name or its number", NULL},
            {WATCH_COUNT, "count", NULL, "count each instruction's accesses, and print a table at the end",
             "That takes some nanoseconds for an access, in place of microseconds. On a terminal that the program does "
             "not write to, the table is shown meanwhile. NO_COLOR, in the environment, is respected."},
            {WATCH_FOLLOW, "follow", NULL, "report the accesses of children made by fork, too", NULL},
            {WATCH_LIMIT, "limit", "N", "report no more than N accesses; the program goes on", NULL},
            {WATCH_PID, "pid", "=N", "watch the process with that number, until it ends or the command is interrupted",
             "One of its threads is stopped for some milliseconds, and loads a library; a thread of the library's own "
             "does the rest. At the end all is given back, also if the command is killed; the library stays loaded. "
             "The command exits with 0."},
            {WATCH_BACKTRACE, "backtrace", "[=N]", "report the callers, too: at most N (16)",
             "A frame on a line: the function, and the line of its call. They are found by the tables of the program's "
             "files (.eh_frame), and by RBP in code without tables, in 32 KiB of the thread's stack."},
            {WATCH_STOP, "stop", NULL, "stop the program behind each access that is reported",
             "A debugger that has the program gets SIGTRAP. Without one all of the program is stopped, and the command "
             "says how to look at it by gdb. With --limit=1 it stops once."},
            {WATCH_HEAT, "heat", "FILE", "draw a map of the accesses, address by time, as a PNG, in place of lines",
             "By gnuplot, at the end. The targets lie one above the other."},
            {WATCH_JSON, "json", NULL, "a JSON object on a line for each access", NULL},
            {WATCH_OUTPUT, "output", "FILE", "write there; without it, to standard error", NULL},
            {0},
        },
    .exclusions =
        (const struct option_pair[]){
            {WATCH_COUNT, WATCH_IF, "an access is counted without a look at its value"},
            {WATCH_COUNT, WATCH_THREAD, "counts are those of all threads"},
            {WATCH_COUNT, WATCH_LIMIT, "nothing is reported before the end"},
            {WATCH_COUNT, WATCH_CHANGE, "an access is counted without a look at its value"},
            {WATCH_COUNT, WATCH_BACKTRACE, "counts are those of instructions, whoever called them"},
            {WATCH_COUNT, WATCH_STOP, "nothing is reported before the end"},
            {WATCH_COUNT, WATCH_HEAT, "a count has no time"},
            {WATCH_HEAT, WATCH_JSON, "a map is in place of lines"},
            {WATCH_HEAT, WATCH_OUTPUT, "a map is in place of lines"},
            {WATCH_HEAT, WATCH_BACKTRACE, "a map is in place of lines"},
            {WATCH_HEAT, WATCH_STOP, "a map is in place of lines"},
            {0},
        },
    .examples =
        (const struct example_words[]){
            {"My counter is wrong: who changes it?", "segue watch counter -- ./program"},
            {"It should never be negative: who makes it so, and who called that?",
             "segue watch --if 'new < 0' --backtrace counter -- ./program"},
            {"Who touches it at all, and how often?", "segue watch --count --read --write counter -- ./program"},
            {"Who writes to the nodes that parse_node allocates?", "segue watch heap@parse_node -- ./program"},
            {"The program runs already:", "segue watch --pid=\"$(pidof server)\" counter"},
            {0},
        },
    .closing = "A line has the time since the beginning, the thread, the function and line, the instruction, what it "
               "has accessed, and the value before and after.",
    .operand_ends_options = true,
};
