/* probes.c: what this Windows offers. What the library can do is asked of the library, which says why it cannot. */
#if !defined(_WIN32)
#error "tools/windows/probes.c is specific to Windows"
#endif

#include <inttypes.h>
#include <segue/segue.h>
#include <stdio.h>
#include <windows.h>

#include "decode/x86/xsave.h"
#include "tools/doctor/probe.h"

/* ---- the system ---- */

static FARPROC in_ntdll(const char *name)
{
    HMODULE ntdll = GetModuleHandleA("ntdll.dll");
    return ntdll ? GetProcAddress(ntdll, name) : NULL;
}

static void look_at_version(struct finding *finding)
{
    OSVERSIONINFOW version = {.dwOSVersionInfoSize = sizeof version};
    LONG(WINAPI * get)(OSVERSIONINFOW *) = (LONG(WINAPI *)(OSVERSIONINFOW *))(void *)in_ntdll("RtlGetVersion");
    finding->answer = ANSWER_UNKNOWN;
    if (!get || get(&version) != 0)
        return;
    finding->answer = ANSWER_FACT;
    finding->value = (int64_t)version.dwBuildNumber;
    finding_detail(finding, "Windows %u.%u, build %u, for %s", (unsigned)version.dwMajorVersion,
                   (unsigned)version.dwMinorVersion, (unsigned)version.dwBuildNumber,
                   sizeof(void *) == 8 ? "x86-64" : "i386");
}

static void look_for_wine(struct finding *finding)
{
    const char *(*get)(void) = (const char *(*)(void))(void *)in_ntdll("wine_get_version");
    finding->answer = get ? ANSWER_YES : ANSWER_NO;
    if (get)
        finding_detail(finding, "Wine %s", get());
}

static void look_at_components(struct finding *finding)
{
    uint64_t kept = GetEnabledXStateFeatures(), there = xsave_enabled();
    finding->answer = ANSWER_FACT;
    finding->value = (int64_t)kept;
    finding_detail(finding, "0x%" PRIx64 " of the processor's 0x%" PRIx64, kept, there);
}

/* A step of an access to a closed page, by the library's own handler. */
static void look_for_steps(struct finding *finding)
{
    struct segue_mapping mapping;
    enum segue_status status = segue_install(NULL);
    if (status == SEGUE_OK && (status = segue_mapping_create(NULL, 4096, &mapping)) == SEGUE_OK) {
        const struct segue_region region = {.window = segue_mapping_window(&mapping)};
        volatile int *cell = mapping.memory;
        *cell = 40;
        status = segue_region_add(&region);
        if (status == SEGUE_OK && (status = segue_mapping_protect(&mapping, 0, 4096, 0)) == SEGUE_OK) {
            *cell += 2;
            finding->answer = *(int *)mapping.alias == 42 ? ANSWER_YES : ANSWER_NO;
        }
        segue_region_remove(mapping.memory);
        segue_mapping_destroy(&mapping);
    }
    if (segue_install_check(NULL) != SEGUE_NOT_FOUND)
        segue_uninstall(NULL);
    if (status != SEGUE_OK)
        finding_detail(finding, "%s", segue_reason());
}

static const struct probe system_list[] = {
    {"version", look_at_version, "The library needs Windows 8, for waits on an address.", NULL},
    {"wine", look_for_wine, "The library's tests run there.", "This is Windows itself, where no test has run so far."},
    {"state_components", look_at_components,
     "An instruction that needs another component than these is not stepped: the system does not keep it.", NULL},
    {"step", look_for_steps, "An access to a closed page was stepped by way of a vectored exception handler.",
     "Regions are not served."},
};
const struct probes kernel_probes = {system_list, sizeof system_list / sizeof *system_list};

/* ---- the library ---- */

static void look_at_feature(enum segue_feature feature, struct finding *finding)
{
    finding->answer = segue_feature_check(feature) == SEGUE_OK ? ANSWER_YES : ANSWER_NO;
    if (finding->answer == ANSWER_NO)
        finding_detail(finding, "%s", segue_reason());
}

#define FEATURE(name, feature)                                                                                         \
    static void look_at_##name(struct finding *finding)                                                                \
    {                                                                                                                  \
        look_at_feature(SEGUE_FEATURE_##feature, finding);                                                             \
    }
FEATURE(replay, REPLAY)
FEATURE(near, NEAR)
FEATURE(suspend, SUSPEND)
FEATURE(forced, FORCED)
FEATURE(hot, HOT)
FEATURE(guest, GUEST)
FEATURE(segment, SEGMENT)
FEATURE(watch, WATCH)
FEATURE(system_calls, SYSTEM_CALLS)

static const struct probe feature_list[] = {
    {"replay", look_at_replay, "Instructions beside moves and pushes are stepped, by their own bytes.",
     "Only moves and instructions that move the stack are stepped."},
    {"near", look_at_near, "An alias within 2 GiB can be had.", "An alias may be at any distance."},
    {"suspend", look_at_suspend, "Threads are suspended, shown and scanned.", "No thread is suspended."},
    {"forced", look_at_forced, "Forced windows can be had.", "Forced windows are refused."},
    {"hot_sites", look_at_hot, "Hot sites can be had.", "Each access to a region is a fault."},
    {"guests", look_at_guest, "Guests can be run.", "Guests are refused."},
    {"segment", look_at_segment, "Segment overrides are rewritten.", "Segment overrides are left as they are."},
    {"watch", look_at_watch, "Existing memory can be watched.", "Watching existing memory is refused."},
    {"system_calls", look_at_system_calls, "Pointers in system calls are translated.",
     "A system call with a pointer into a region fails."},
};
const struct probes processor_probes = {feature_list, sizeof feature_list / sizeof *feature_list};
