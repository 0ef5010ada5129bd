/* library.c: a library whose function touch changes what it is given, in a function called FUNCTION. With PADDING, a
 * number as a string, there is so much code in front of them: so two libraries differ. */
#ifdef PADDING
void padding(void);
void padding(void)
{
    __asm__ volatile(".fill " PADDING ", 1, 0x90");
}
#endif

__attribute__((noinline, noclone)) static void FUNCTION(long *counter)
{
    ++*(volatile long *)counter;
}

void touch(long *counter);
void touch(long *counter)
{
    FUNCTION(counter);
}
