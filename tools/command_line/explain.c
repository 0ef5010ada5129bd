/* explain.c: what `segue explain` takes. */
#include "command_line.h"

const struct verb_words explain_words = {
    .name = "explain",
    .forms =
        (const char *const[]){
            "HEX...|FILE:ADDRESS|FILE:SYMBOL[+N]|- [--count N] [--hot] [--mode 32|64] [--json]",
            NULL,
        },
    .summary = "lists an instruction's memory accesses, and says how it can be stepped",
    .operands =
        (const struct operand_words[]){
            {"HEX...", "bytes in hex; spaces, commas, 0x and \\x may stand between them",
             "They are decoded one instruction after another until they are used up; several arguments are joined. "
             "Their place is given as the offset from the first byte. Bytes that are no instruction, and bytes that "
             "end before the instruction does, end the list."},
            {"-", "bytes in hex from standard input", NULL},
            {"FILE:ADDRESS", "one instruction of an ELF file, at a virtual address (0x... or decimal)",
             "The file is one for x86: an executable, a shared object or a core file; - is standard input. Relocatable "
             "objects and archives have no addresses yet, but symbols."},
            {"FILE:SYMBOL", "all instructions of a symbol",
             "The symbol is from the file's static or dynamic symbol table, named without a version. Of several "
             "versions the one that programs are linked to today is taken; a global symbol goes before a weak one, "
             "and that before a local one. If the file does not say how long the symbol is, only the first "
             "instruction is explained. Of an indirect function (IFUNC) it is the code that chooses the function "
             "which is explained, and a note says so. Names of C++ and Rust may be given as they are written, with or "
             "without the parentheses (std::thread::join), the stub that calls an imported function as NAME@plt, a "
             "section by its name (.text), and a member of an archive as ARCHIVE(MEMBER):SYMBOL; without (MEMBER), the "
             "one that defines the symbol is found. In what is not linked yet places are offsets, and what the linker "
             "fills in is 0."},
            {"FILE:SYMBOL+N", "one instruction, N bytes into a symbol; N is decimal, or hexadecimal with 0x", NULL},
            {0},
        },
    .options =
        (const struct option_words[]){
            {EXPLAIN_COUNT, "count", "N", "at most N instructions from there on, beyond a symbol's end if need be",
             NULL},
            {EXPLAIN_HOT, "hot", NULL,
             "also whether it can become a hot site, and by which tactics a jump fits into its bytes",
             "B1: in place. B2: ending in bytes of its successor. T1: the same behind redundant prefixes. T2: the "
             "same, and its successor becomes a jump, too. Each with the number of addresses that its body can have, "
             "or with "
             "the reason why not. Which of them a site takes depends on the room near it, and is decided at run time. "
             "Short instructions need the bytes behind them: with bytes in hex, give those as well."},
            {EXPLAIN_MODE, "mode", "32|64",
             "the processor's mode; without it, 64 for bytes, and what a file's header says", NULL},
            {EXPLAIN_JSON, "json", NULL, "a JSON array, one object for each instruction", NULL},
            {0},
        },
};
