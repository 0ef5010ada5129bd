/* classes.h: one faulting instruction of each class that the library steps. */
#ifndef SEGUE_BENCH_CLASSES_H
#define SEGUE_BENCH_CLASSES_H

/* A function that runs one instruction on the memory at its argument, which is 64-byte aligned. */
typedef void class_function(void *address);

/* The functions by number, and how many bytes the instruction of each has. */
extern class_function *const class_functions[];
extern const unsigned char class_lengths[];

enum class_number {
    CLASS_MOVE,
    CLASS_MOVE_STORE,
    CLASS_ALU,
    CLASS_RMW,
    CLASS_LOCK,
    CLASS_SSE_LOAD,
    CLASS_SSE_COMPUTE,
    CLASS_AVX_LOAD,
    CLASS_AVX_COMPUTE,
    CLASS_AVX512_LOAD,
    CLASS_AVX512_MASKED,
    CLASS_X87,
    CLASS_COMPARE,
    CLASS_STRING,
    CLASS_COUNT,
};

#endif
