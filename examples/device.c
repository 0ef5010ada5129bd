/* device.c: a serial port and a framebuffer that are not there. Their addresses are a window of callbacks: each access
 * of ordinary compiled code, of whatever size, is one call that is given the address, the size and the value.
 *
 * A driver needs no changes: what follows "the driver" below might as well talk to hardware. */
#include <immintrin.h>
#include <segue/segue.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096u
/* The serial port's page, then the framebuffer's: one byte a pixel. */
#define UART_DATA 0x000u
#define UART_STATUS 0x004u
#define UART_SCRATCH 0x008u
#define UART_READY 0x20u
#define FRAMEBUFFER PAGE
#define WIDTH 64u
#define HEIGHT 16u

/* ---- the devices ----------------------------------------------------------------------------------------------- */

struct machine {
    uint64_t base;
    char printed[256];
    size_t printed_length;
    uint64_t scratch;
    unsigned char pixels[HEIGHT][WIDTH];
    /* Accesses by size: 1, 2, 4, 8, 16, 32 and 64 bytes. */
    unsigned reads[7], writes[7];
};

static unsigned place_of(size_t size)
{
    unsigned place = 0;
    while (place < 6 && (size_t)1 << place < size)
        place++;
    return place;
}

static enum segue_status machine_read(void *context, uint64_t address, void *bytes, size_t size)
{
    struct machine *machine = context;
    uint64_t at = address - machine->base;
    machine->reads[place_of(size)]++;
    memset(bytes, 0, size);
    if (at >= FRAMEBUFFER && at + size <= FRAMEBUFFER + sizeof machine->pixels)
        memcpy(bytes, (char *)machine->pixels + (at - FRAMEBUFFER), size);
    else if (at == UART_STATUS)
        *(unsigned char *)bytes = UART_READY;
    else if (at == UART_SCRATCH && size <= sizeof machine->scratch)
        memcpy(bytes, &machine->scratch, size);
    else
        return SEGUE_FAULT; /* Nothing answers there: the instruction has not happened. */
    return SEGUE_OK;
}

static enum segue_status machine_write(void *context, uint64_t address, const void *bytes, size_t size)
{
    struct machine *machine = context;
    uint64_t at = address - machine->base;
    machine->writes[place_of(size)]++;
    if (at >= FRAMEBUFFER && at + size <= FRAMEBUFFER + sizeof machine->pixels)
        memcpy((char *)machine->pixels + (at - FRAMEBUFFER), bytes, size);
    else if (at == UART_DATA && machine->printed_length < sizeof machine->printed - 1)
        machine->printed[machine->printed_length++] = *(const char *)bytes;
    else if (at == UART_SCRATCH && size <= sizeof machine->scratch)
        memcpy(&machine->scratch, bytes, size);
    else
        return SEGUE_FAULT;
    return SEGUE_OK;
}

/* ---- the driver ------------------------------------------------------------------------------------------------ */

static volatile unsigned char *uart;
static volatile unsigned char *screen;

static void put_text(const char *text)
{
    for (; *text; text++) {
        while (!(uart[UART_STATUS] & UART_READY))
            ;
        uart[UART_DATA] = (unsigned char)*text;
    }
}

/* The same register by every width that C has. */
static bool scratch_works(void)
{
    volatile uint64_t *wide = (volatile uint64_t *)(uart + UART_SCRATCH);
    *wide = 0x1122334455667788u;
    *(volatile uint32_t *)wide = 0xaabbccddu;
    *(volatile uint16_t *)wide += 1;
    *(volatile uint8_t *)wide |= 0x0f;
    return *wide == 0x11223344aabbccdfu && *(volatile uint32_t *)wide == 0xaabbccdfu;
}

/* What vectorising compilers make of loops. The barriers keep one from making something else of these. */
static void fill_by_16(void *to)
{
    _mm_storeu_si128(to, _mm_set1_epi8('_'));
    __asm__ volatile("" : : : "memory");
}

__attribute__((target("avx"))) static void fill_by_32(void *to)
{
    _mm256_storeu_si256(to, _mm256_set1_epi8('_'));
    __asm__ volatile("" : : : "memory");
}

static void draw(void)
{
    /* Bytes, one by one; sixteen and 32 at a time; and as many as a string instruction's count says. */
    for (unsigned i = 0; i < HEIGHT; i++)
        screen[i * WIDTH + 2 * i] = '\\';
    bool has_avx = __builtin_cpu_supports("avx");
    for (unsigned i = 0; i < WIDTH; i += 32) {
        char *part = (char *)(uintptr_t)(screen + 15 * WIDTH + i);
        if (has_avx && i)
            fill_by_32(part);
        else {
            fill_by_16(part);
            fill_by_16(part + 16);
        }
    }
    void *to = (void *)(uintptr_t)(screen + 3 * WIDTH + 20);
    unsigned long count = 24;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(count) : "a"('=') : "memory");
    /* A row read back in words, and put elsewhere. */
    for (unsigned i = 0; i < WIDTH; i += 8)
        *(volatile uint64_t *)(screen + 5 * WIDTH + i) = *(volatile uint64_t *)(screen + 3 * WIDTH + i);
}

/* ---- the program ----------------------------------------------------------------------------------------------- */

static void show(const struct machine *machine)
{
    printf("serial port: %s\n", machine->printed);
    for (unsigned y = 0; y < HEIGHT; y++) {
        for (unsigned x = 0; x < WIDTH; x++)
            putchar(machine->pixels[y][x] ? machine->pixels[y][x] : '.');
        putchar('\n');
    }
    for (unsigned i = 0; i < 7; i++)
        if (machine->reads[i] + machine->writes[i])
            printf("%2u bytes: %u reads, %u writes\n", 1u << i, machine->reads[i], machine->writes[i]);
}

int main(void)
{
    static struct machine machine;
    size_t size = 2 * PAGE;
    char *place = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (place == MAP_FAILED || segue_install(NULL) != SEGUE_OK)
        return 1;
    machine.base = (uint64_t)place;
    struct segue_region region = {.window = {.base = machine.base,
                                             .size = size,
                                             .kind = SEGUE_WINDOW_CALLBACK,
                                             .read = machine_read,
                                             .write = machine_write,
                                             .context = &machine}};
    if (segue_region_add(&region) != SEGUE_OK)
        return 1;

    uart = (volatile unsigned char *)place;
    screen = uart + FRAMEBUFFER;
    put_text("hello, world");
    bool works = scratch_works();
    draw();

    /* Where nothing answers, the program gets the fault that hardware would have given it. */
    struct segue_trial trial;
    volatile bool faulted = false;
    if (segue_try(&trial) == 0) {
        (void)uart[0x100];
        segue_try_end(&trial);
    } else
        faulted = trial.fault.address == machine.base + 0x100;

    show(&machine);
    printf("scratch register %s; where nothing answers: %s\n", works ? "works" : "FAILS",
           faulted ? "a fault at that address" : "NO FAULT");
    return !works || !faulted;
}
