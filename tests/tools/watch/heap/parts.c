/* parts.c: a function that allocates a block, and that a compiler could have split into so many PARTS more. */
#include <stdlib.h>

#define TEXT(number) TEXT_OF(number)
#define TEXT_OF(number) #number

__asm__(".text\n.altmacro\n"
        ".macro part number\n"
        ".type make.part.\\number, @function\n"
        "make.part.\\number: ret\n"
        ".size make.part.\\number, 1\n"
        ".endm\n"
        ".set number, 0\n"
        ".rept " TEXT(PARTS) "\n"
                             "part %number\n"
                             ".set number, number + 1\n"
                             ".endr\n");

__attribute__((noinline, noclone)) static long *make(void)
{
    long *block = malloc(48);
    if (!block)
        abort();
    return block;
}

int main(void)
{
    volatile long *block = make();
    *block = 1;
    free((void *)block);
    return 0;
}
