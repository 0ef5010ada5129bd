#include <stdio.h>
int main(int count, char **arguments)
{
    printf("hello, %d arguments, last %s\n", count, arguments[count - 1]);
    return 42;
}
