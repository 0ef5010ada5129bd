/* library.c: a library whose function touch changes what it is given, in a function called FUNCTION. PADDING, a
 * number as a string: so much code is in front of them. */
void padding(void);
/* Linkers put this section in front of .text. */
__attribute__((section(".text.unlikely"))) void padding(void)
{
    __asm__ volatile(".fill " PADDING ", 1, 0x90");
}

__attribute__((noinline, noclone)) static void FUNCTION(long *counter)
{
    ++*(volatile long *)counter;
}

void touch(long *counter);
void touch(long *counter)
{
    FUNCTION(counter);
}
