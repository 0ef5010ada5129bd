/* chain.c: see chain.h. What libdw asks of the thread's stack is answered from the copy; other memory is the program's
 * as it is by now, if it still runs: the tables of the library's own code read constants there. */
#include "chain.h"

#include <string.h>
#include <sys/uio.h>

#include "tools/watch/modules/modules.h"

/* In DWARF's order: the System V ABI for x86-64, figure 3.36. */
static const uint8_t order[QUEUE_REGISTERS] = {
    SEGUE_RAX, SEGUE_RDX, SEGUE_RCX, SEGUE_RBX, SEGUE_RSI, SEGUE_RDI, SEGUE_RBP, SEGUE_RSP, SEGUE_R8,
    SEGUE_R9,  SEGUE_R10, SEGUE_R11, SEGUE_R12, SEGUE_R13, SEGUE_R14, SEGUE_R15, SEGUE_RIP,
};

/* The one whose frames are looked for. */
static const struct queue_stack *present;

static bool get_thread(Dwfl *dwfl, pid_t number, void *unused, void **argument)
{
    (void)dwfl, (void)number, (void)unused;
    *argument = NULL;
    return true;
}

static pid_t next_thread(Dwfl *dwfl, void *unused, void **argument)
{
    (void)dwfl, (void)unused, (void)argument;
    return 0;
}

static bool set_registers(Dwfl_Thread *thread, void *unused)
{
    Dwarf_Word words[QUEUE_REGISTERS];
    (void)unused;
    for (unsigned i = 0; i < QUEUE_REGISTERS; i++)
        words[i] = present->registers[order[i]];
    dwfl_thread_state_register_pc(thread, present->registers[SEGUE_RIP]);
    return dwfl_thread_state_registers(thread, 0, QUEUE_REGISTERS, words);
}

static bool read_of_process(pid_t process, uint64_t address, Dwarf_Word *word)
{
    const struct iovec to = {word, sizeof *word}, from = {(void *)(uintptr_t)address, sizeof *word};
    return process_vm_readv(process, &to, 1, &from, 1, 0) == (ssize_t)sizeof *word;
}

static bool read_memory(Dwfl *dwfl, Dwarf_Addr address, Dwarf_Word *word, void *unused)
{
    const uint64_t at = address - present->registers[SEGUE_RSP];
    (void)unused;
    if (at >= sizeof present->bytes)
        return read_of_process(dwfl_pid(dwfl), address, word);
    if (at >= present->size || present->size - at < sizeof *word)
        return false;
    memcpy(word, present->bytes + at, sizeof *word);
    return true;
}

static const Dwfl_Thread_Callbacks callbacks = {
    .next_thread = next_thread,
    .get_thread = get_thread,
    .memory_read = read_memory,
    .set_initial_registers = set_registers,
};

struct found {
    Dwfl *dwfl;
    struct chain_frame *frames;
    size_t count, most;
    bool is_first;
};

/* The library's own code, which the thread would not have run otherwise. */
static bool is_own(Dwfl *dwfl, uint64_t address)
{
    Dwfl_Module *module = dwfl_addrmodule(dwfl, address);
    const char *path = module ? dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, NULL, NULL) : NULL;
    return path && code_is_own(path);
}

static int note_frame(Dwfl_Frame *frame, void *argument)
{
    struct found *found = argument;
    Dwarf_Addr address;
    bool is_exact;
    if (!dwfl_frame_pc(frame, &address, &is_exact))
        return DWARF_CB_ABORT;
    if (!found->is_first && !is_own(found->dwfl, is_exact ? address : address - 1))
        found->frames[found->count++] = (struct chain_frame){address, !is_exact};
    found->is_first = false;
    return found->count < found->most ? DWARF_CB_OK : DWARF_CB_ABORT;
}

void chain_begin(struct code *code)
{
    code->frames = modules_begin(code->process);
    if (code->frames)
        dwfl_attach_state(code->frames, NULL, code->process, &callbacks, NULL);
}

size_t chain_find(struct code *code, const struct queue_stack *stack, struct chain_frame *frames, size_t most)
{
    struct found found = {.dwfl = code->frames, .frames = frames, .most = most, .is_first = true};
    present = stack;
    /* It ends with an error where nothing is known: the frames before that count. */
    if (code->frames)
        dwfl_getthread_frames(code->frames, code->process, note_frame, &found);
    return found.count;
}
