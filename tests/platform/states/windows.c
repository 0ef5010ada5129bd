/* windows.c: see system.h. One of FS and GS leads to the thread's block. In 64-bit code the base of FS is not known to
 * a program, and such an instruction is refused; in 32-bit code no program uses GS. */
#if !defined(_WIN32)
#error "windows.c is specific to Windows"
#endif

#include "system.h"

#include <segue/handler.h>
#include <windows.h>

#if defined(__x86_64__)
#define INSTRUCTION_POINTER Rip
#else
#define INSTRUCTION_POINTER Eip
#endif

volatile struct fault_seen seen;

static LONG CALLBACK on_exception(EXCEPTION_POINTERS *exception)
{
    const EXCEPTION_RECORD *record = exception->ExceptionRecord;
    CONTEXT *context = exception->ContextRecord;
    if (context->INSTRUCTION_POINTER - CODE >= CASES * SLOT)
        return EXCEPTION_CONTINUE_SEARCH;
    bool has_address = record->ExceptionCode == EXCEPTION_ACCESS_VIOLATION;
    seen = (struct fault_seen){record->ExceptionCode, has_address ? record->ExceptionInformation[0] : 0,
                               has_address ? record->ExceptionInformation[1] : 0, context->INSTRUCTION_POINTER};
    context->INSTRUCTION_POINTER = (uintptr_t)oracle_landing;
    return EXCEPTION_CONTINUE_EXECUTION;
}

bool system_prepare(void)
{
    return AddVectoredExceptionHandler(1, on_exception) &&
           VirtualAlloc((void *)(uintptr_t)CODE, PAGE, MEM_RESERVE | MEM_COMMIT, PAGE_EXECUTE_READWRITE) ==
               (void *)(uintptr_t)CODE &&
           segue_install(NULL) == SEGUE_OK;
}

uint64_t system_components(void)
{
    return GetEnabledXStateFeatures();
}

bool system_has_handler_stack(void)
{
    return false;
}

bool system_is_handler_stack(uint64_t address)
{
    (void)address;
    return false;
}

/* Wine puts the flags and the address there, for IRET in 32-bit code, which loads no stack pointer. */
bool system_resumes_by_stack(void)
{
    return sizeof(void *) == 4;
}

bool system_knows_base(unsigned segment)
{
    return segment == (MODE == SEGUE_MODE_32 ? SEGUE_SEGMENT_FS : SEGUE_SEGMENT_GS);
}

void *system_map_stack(size_t size)
{
    return VirtualAlloc(NULL, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
}

void system_protect(void *at, size_t size, bool is_open)
{
    DWORD before;
    VirtualProtect(at, size, is_open ? PAGE_READWRITE : PAGE_NOACCESS, &before);
}

void system_get_bases(struct segue_regs *regs)
{
#if defined(__x86_64__)
    regs->gs_base = (uintptr_t)NtCurrentTeb();
    __asm__ volatile("rdfsbase %0" : "=r"(regs->fs_base));
#else
    regs->fs_base = (uintptr_t)NtCurrentTeb();
    regs->gs_base = 0;
#endif
}

bool system_reports_faults_of_steps(void)
{
    return true;
}
