/* windows.c: see system.h. The base of FS is not known to a program: such an instruction is refused. */
#if !defined(_WIN32) || !defined(__x86_64__)
#error "windows.c is specific to Windows on x86-64"
#endif

#include "system.h"

#include <segue/handler.h>
#include <windows.h>

volatile struct fault_seen seen;

static LONG CALLBACK on_exception(EXCEPTION_POINTERS *exception)
{
    const EXCEPTION_RECORD *record = exception->ExceptionRecord;
    CONTEXT *context = exception->ContextRecord;
    if (context->Rip - CODE >= CASES * SLOT)
        return EXCEPTION_CONTINUE_SEARCH;
    bool has_address = record->ExceptionCode == EXCEPTION_ACCESS_VIOLATION;
    seen = (struct fault_seen){record->ExceptionCode, has_address ? record->ExceptionInformation[0] : 0,
                               has_address ? record->ExceptionInformation[1] : 0, context->Rip};
    context->Rip = (uint64_t)(uintptr_t)oracle_landing;
    return EXCEPTION_CONTINUE_EXECUTION;
}

bool system_prepare(void)
{
    return AddVectoredExceptionHandler(1, on_exception) &&
           VirtualAlloc((void *)CODE, PAGE, MEM_RESERVE | MEM_COMMIT, PAGE_EXECUTE_READWRITE) == (void *)CODE &&
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

bool system_knows_fs(void)
{
    return false;
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
    regs->gs_base = (uint64_t)(uintptr_t)NtCurrentTeb();
    __asm__ volatile("rdfsbase %0" : "=r"(regs->fs_base));
}

bool system_reports_faults_of_steps(void)
{
    return true;
}
