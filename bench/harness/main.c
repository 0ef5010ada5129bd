/* main.c: main, for all programs that define a bench_suite and nothing before it. */
#include "bench.h"

int main(int count, char **arguments)
{
    return bench_main(count, arguments, &bench_suite);
}
