/* start_linux_x86_64.c: relocates the host, gives its first thread its storage, and calls its main function.
 *
 * SOURCES: System V ABI for x86-64, 3.4.1 (initial stack), chapter 5; gABI, DT_RELR; Drepper, "ELF handling for
 * thread-local storage" (variant II). ASSUMPTIONS: a static position-independent program that calls no function by way
 * of IFUNC has relative relocations alone (a wrong one stops it). */
#include "start.h"

#include <asm/prctl.h>
#include <elf.h>
#include <string.h>
#include <sys/syscall.h>

#include "tools/run/syscalls/call_linux_x86_64.h"

#define STORAGE_SIZE 1024
#define ALIGNMENT 64
#define CANARY 5

/* The bytes at the thread pointer: its own address, twice, and at 28h the canary. */
struct descriptor {
    uint64_t self, vector, again, more[5];
};

struct start_storage start_storage;
char **environ;

static const Elf64_auxv_t *vector;
static char storage[STORAGE_SIZE] __attribute__((aligned(ALIGNMENT)));

extern const Elf64_Dyn _DYNAMIC[] __attribute__((visibility("hidden")));
extern const Elf64_Ehdr __ehdr_start __attribute__((visibility("hidden")));

void start_host(uint64_t *stack) __attribute__((noreturn, visibility("hidden")));

static void stop(void)
{
    for (;;)
        system_call3(SYS_exit_group, 125, 0, 0);
}

/* ---- relocation: before it, no address may be read from memory ---- */

static void relocate_packed(uint64_t base, const uint64_t *entry, uint64_t size)
{
    uint64_t *where = NULL;
    for (uint64_t i = 0; i < size / sizeof *entry; i++) {
        if (!(entry[i] & 1)) {
            where = (uint64_t *)(base + entry[i]);
            *where++ += base;
            continue;
        }
        for (unsigned bit = 0; bit < 63; bit++)
            if (entry[i] >> (bit + 1) & 1)
                where[bit] += base;
        where += 63;
    }
}

static void relocate(uint64_t base, const Elf64_Rela *entry, uint64_t size)
{
    for (uint64_t i = 0; i < size / sizeof *entry; i++) {
        if (ELF64_R_TYPE(entry[i].r_info) != R_X86_64_RELATIVE)
            stop();
        *(uint64_t *)(base + entry[i].r_offset) = base + (uint64_t)entry[i].r_addend;
    }
}

static void relocate_host(uint64_t base)
{
    uint64_t packed = 0, packed_size = 0, plain = 0, plain_size = 0;
    for (const Elf64_Dyn *entry = _DYNAMIC; entry->d_tag != DT_NULL; entry++) {
        packed = entry->d_tag == DT_RELR ? entry->d_un.d_val : packed;
        packed_size = entry->d_tag == DT_RELRSZ ? entry->d_un.d_val : packed_size;
        plain = entry->d_tag == DT_RELA ? entry->d_un.d_val : plain;
        plain_size = entry->d_tag == DT_RELASZ ? entry->d_un.d_val : plain_size;
    }
    relocate_packed(base, (const uint64_t *)(base + packed), packed_size);
    relocate(base, (const Elf64_Rela *)(base + plain), plain_size);
}

/* ---- the first thread's storage ---- */

static void set_up_storage(uint64_t base)
{
    const Elf64_Phdr *segment = (const Elf64_Phdr *)(base + __ehdr_start.e_phoff);
    struct descriptor *descriptor =
        (struct descriptor *)(void *)(storage + STORAGE_SIZE -
                                      ALIGNMENT * ((sizeof *descriptor + ALIGNMENT - 1) / ALIGNMENT));
    start_storage.pointer = start_storage.begin = (uint64_t)(uintptr_t)descriptor;
    start_storage.end = start_storage.pointer + sizeof *descriptor;
    for (unsigned i = 0; i < __ehdr_start.e_phnum; i++) {
        if (segment[i].p_type != PT_TLS)
            continue;
        start_storage.begin -= (segment[i].p_memsz + segment[i].p_align - 1) & -segment[i].p_align;
        if (segment[i].p_align > ALIGNMENT || start_storage.begin < (uint64_t)(uintptr_t)storage)
            stop();
        memcpy((void *)(uintptr_t)start_storage.begin, (const void *)(base + segment[i].p_vaddr), segment[i].p_filesz);
    }
    start_storage.begin &= -(uint64_t)ALIGNMENT;
    descriptor->self = descriptor->again = start_storage.pointer;
    const void *random = (const void *)(uintptr_t)start_told(AT_RANDOM);
    if (random)
        memcpy(&descriptor->more[CANARY - 3], random, sizeof descriptor->more[0]);
    system_call3(SYS_arch_prctl, ARCH_SET_FS, (long)start_storage.pointer, 0);
}

uint64_t start_told(uint64_t type)
{
    for (const Elf64_auxv_t *entry = vector; entry->a_type != AT_NULL; entry++)
        if (entry->a_type == type)
            return entry->a_un.a_val;
    return 0;
}

void start_host(uint64_t *stack)
{
    uint64_t base = (uint64_t)(uintptr_t)&__ehdr_start, count = *stack;
    relocate_host(base);
    environ = (char **)(void *)(stack + 1 + count + 1);
    char **end = environ;
    while (*end)
        end++;
    vector = (const Elf64_auxv_t *)(const void *)(end + 1);
    set_up_storage(base);
    start_main((int)count, (char **)(void *)(stack + 1));
}
