/* mixed.c: accesses of many kinds to few variables, and to their neighbours: each instruction once in each round. */
#include <stdint.h>
#include <string.h>

struct words {
    uint64_t first, second;
    uint32_t third;
    uint16_t fourth;
    uint8_t fifth;
    uint8_t rest[41];
} __attribute__((aligned(64)));
volatile uint64_t before[4];
struct words words;
volatile uint64_t after[4];

static void touch(struct words *at, uint64_t round)
{
    __asm__ volatile("movq %1, (%0)\n\t addq $3, (%0)\n\t lock xaddq %1, (%0)\n\t cmpq $5, (%0)\n\t"
                     "movb $7, 1(%0)\n\t movw $9, 5(%0)\n\t incl 2(%0)\n\t"
                     "lock btsq $3, 8(%0)\n\t notq 8(%0)\n\t xchgq %1, 8(%0)\n\t pushq 8(%0)\n\t popq 8(%0)\n\t"
                     "movq 4(%0), %1\n\t movq %1, 4(%0)\n\t movups (%0), %%xmm0\n\t movups %%xmm0, 8(%0)\n\t"
                     "sete 22(%0)\n\t shlw $1, 20(%0)\n\t fildl 16(%0)\n\t fistpl 16(%0)\n\t"
                     "cmovel 16(%0), %%eax\n\t bsfq (%0), %%rax\n\t movnti %1, 8(%0)\n\t"
                     : "+r"(at), "+r"(round)
                     :
                     : "memory", "xmm0", "rax", "cc");
    uint64_t expected = at->first, wanted = round;
    __asm__ volatile("lock cmpxchgq %2, (%1)" : "+a"(expected) : "r"(&at->first), "r"(wanted) : "memory", "cc");
    __asm__ volatile("lock cmpxchgq %2, (%1)" : "+a"(expected) : "r"(&at->first), "r"(wanted) : "memory", "cc");
}

int main(void)
{
    for (uint64_t round = 0; round < 50; round++) {
        before[round % 4] += round;
        touch(&words, round * 0x9e3779b97f4a7c15);
        after[round % 4] += words.second;
        memcpy((void *)(words.rest + 1), (const void *)&words, 32);
        memcpy((void *)&words, (const void *)(words.rest + 3), 24);
        words.rest[round % 41]++;
        if (memcmp((const void *)&words, (const void *)words.rest, 20) == 0)
            return 1;
    }
    return 0;
}
