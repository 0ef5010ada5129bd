/* library.c: a library whose function touch changes what it is given, in a function called FUNCTION. PADDING, a
 * number as a string: so much code is in front of them. */
void padding(void);
/* Linkers put this section in front of .text. */
__attribute__((section(".text.unlikely"))) void padding(void)
{
    __asm__ volatile(".fill " PADDING ", 1, 0x90");
}

/* Loads and stores: by an instruction each, whichever the compiler. */
__attribute__((noinline)) static void FUNCTION(long *counter)
{
    long value = *(volatile long *)counter + 1;
    __asm__ volatile("" : "+r"(value));
    *(volatile long *)counter = value;
}

void touch(long *counter);
void touch(long *counter)
{
    FUNCTION(counter);
}
