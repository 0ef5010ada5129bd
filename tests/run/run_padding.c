/* run_padding.c: where a system call's detour may go: what is padding, and what only looks like it. Each case is code
 * as the assembler has made it, cut out of this program by its labels. */
#include "tests/support/test.h"

#include <link.h>
#include <string.h>
#include <sys/mman.h>

#include "decode/x86/page.h"
#include "patch/scan/detour.h"
#include "patch/scan/unwind.h"

/* A piece of code, "name" to "name_end", with labels of its own. What the assembler fills an alignment with is padding
 * as compilers have it. */
#define CODE(name, text)                                                                                               \
    __asm__(".section .text.cases, \"ax\", @progbits\n.p2align 6\n" #name ":\n" text "\n" #name "_end:\n.text\n");     \
    extern const uint8_t name[], name##_end[]

static uint64_t address_of(const uint8_t *at)
{
    return (uint64_t)(uintptr_t)at;
}

/* One function, as long as the code. */
static bool find(const uint8_t *start, const uint8_t *end, uint64_t site, struct padding *padding)
{
    struct segue_extent function = {address_of(start), address_of(end)};
    struct segue_segment_code code = {start, (size_t)(end - start), address_of(start), &function, 1, {0}};
    return padding_find(&code, site, padding);
}

#define FIND(name, site, padding) find(name, name##_end, address_of(site), padding)

/* --- In a function. --- */

CODE(behind_return, ".fill 8, 1, 0x50\n"
                    "xorl %eax, %eax\n"
                    "behind_return_site: syscall\n"
                    "cmpq $-4096, %rax\n"
                    "ja behind_return_error\n"
                    "ret\n"
                    "behind_return_padding: .p2align 4\n"
                    "behind_return_error: negl %eax\n"
                    "ret");
extern const uint8_t behind_return_site[], behind_return_padding[];

static void what_follows_a_return_is_padding(void **state)
{
    struct padding padding;
    (void)state;
    assert_true(FIND(behind_return, behind_return_site, &padding));
    assert_int_equal(padding.address, address_of(behind_return_padding));
    assert_in_range(padding.size, PADDING_LEAST, PADDING_MOST);
}

static void a_site_that_is_no_instruction_has_none(void **state)
{
    struct padding padding;
    (void)state;
    uint64_t site = address_of(behind_return_site);
    assert_false(find(behind_return, behind_return_end, site + 1, &padding));
    assert_false(find(behind_return, behind_return_end, site - 1, &padding));
}

static void a_site_outside_of_every_function_has_none(void **state)
{
    struct padding padding;
    struct segue_extent function = {address_of(behind_return_padding), address_of(behind_return_end)};
    struct segue_segment_code code = {
        behind_return, (size_t)(behind_return_end - behind_return), address_of(behind_return), &function, 1, {0}};
    (void)state;
    assert_false(padding_find(&code, address_of(behind_return_site), &padding));
    code.function_count = 0;
    assert_false(padding_find(&code, address_of(behind_return_site), &padding));
}

CODE(executed, "executed_site: syscall\n"
               "testl %eax, %eax\n"
               "je executed_label\n"
               "incl %eax\n"
               ".nops 9\n"
               ".p2align 4\n"
               "executed_label: ret");
extern const uint8_t executed_site[];

static void what_is_run_through_is_not(void **state)
{
    struct padding padding;
    (void)state;
    assert_false(FIND(executed, executed_site, &padding));
}

CODE(entered, "entered_site: syscall\n"
              "testl %eax, %eax\n"
              "je entered_label\n"
              "ret\n"
              ".nops 4\n"
              "entered_label: .nops 16, 8\n"
              ".p2align 4\n"
              "ret");
extern const uint8_t entered_site[];

static void what_a_branch_leads_into_is_not(void **state)
{
    struct padding padding;
    (void)state;
    assert_false(FIND(entered, entered_site, &padding));
}

CODE(referred, "referred_site: syscall\n"
               "leaq referred_label(%rip), %rdx\n"
               "ret\n"
               ".nops 1, 1\n"
               "referred_label: .nops 5, 5\n"
               "ret");
extern const uint8_t referred_site[];

CODE(loaded, "loaded_site: syscall\n"
             "movups loaded_data(%rip), %xmm1\n"
             "ret\n"
             ".nops 2, 2\n"
             "loaded_data: .nops 4, 4\n"
             "ret");
extern const uint8_t loaded_site[];

static void what_an_operand_leads_to_is_not(void **state)
{
    struct padding padding;
    (void)state;
    assert_int_equal((referred_end - referred - 1) % 8, 0);
    assert_false(FIND(referred, referred_site, &padding));
    assert_int_equal((loaded_end - loaded - 1) % 8, 0);
    assert_false(FIND(loaded, loaded_site, &padding));
}

CODE(many, "many_site: syscall\n"
           "ret\n"
           ".nops 5, 1\n"
           "ret");
extern const uint8_t many_site[];

CODE(two, "two_site: syscall\n"
          "ret\n"
          ".nops 5, 4\n"
          "ret");
extern const uint8_t two_site[];

/* Assemblers do not make so many. */
static void many_instructions_are_not(void **state)
{
    struct padding padding;
    (void)state;
    assert_false(FIND(many, many_site, &padding));
    assert_true(FIND(two, two_site, &padding));
}

CODE(unaligned, "unaligned_site: syscall\n"
                "ret\n"
                ".nops 9\n"
                "ret");
extern const uint8_t unaligned_site[];

static void what_does_not_end_where_labels_do_is_not(void **state)
{
    struct padding padding;
    (void)state;
    assert_int_equal((unaligned_end - unaligned - 1) % 8, 4);
    assert_false(FIND(unaligned, unaligned_site, &padding));
}

CODE(small, "small_site: syscall\n"
            "ret\n"
            ".fill 9, 1, 0x50\n"
            ".byte 0xc3\n"
            "small_padding: .nops 3\n"
            "ret");
extern const uint8_t small_site[], small_padding[];

static void what_has_no_room_for_a_jump_is_not(void **state)
{
    struct padding padding;
    (void)state;
    assert_int_equal(address_of(small_padding + 3) % 8, 0);
    assert_false(FIND(small, small_site, &padding));
}

CODE(idle, "syscall\n"
           "ret\n"
           ".nops 13\n"
           "idle_site: syscall\n"
           ".nops 3\n"
           "ret\n"
           ".p2align 4");
extern const uint8_t idle_site[];

/* Once the jump stands there, it would look like padding to the next search. */
static void a_site_before_an_instruction_that_does_nothing_has_none(void **state)
{
    struct padding padding;
    (void)state;
    assert_false(FIND(idle, idle_site, &padding));
    assert_true(FIND(idle, idle, &padding));
}

CODE(data, "data_site: syscall\n"
           "ret\n"
           ".nops 13\n"
           ".byte 0x06, 0x06\n"
           "ret");
extern const uint8_t data_site[];

static void a_function_with_bytes_that_are_no_instruction_has_none(void **state)
{
    struct padding padding;
    (void)state;
    assert_false(FIND(data, data_site, &padding));
}

CODE(exchanged, "exchanged_site: syscall\n"
                "ret\n"
                "xchgw %ax, %r8w\n"
                "xchgq %rax, %r8\n"
                "exchanged_label: ret\n"
                "pause\n"
                "pause\n"
                "pause\n"
                "nop\n"
                "ret");
extern const uint8_t exchanged_site[], exchanged_label[];

static void what_does_something_is_not(void **state)
{
    struct padding padding;
    (void)state;
    assert_int_equal(exchanged_label - exchanged, 8);
    assert_int_equal(exchanged_end - exchanged, 17);
    assert_false(FIND(exchanged, exchanged_site, &padding));
}

/* --- Reach. --- */

CODE(far_on, "far_on_site: syscall\n"
             ".fill 126, 1, 0x50\n"
             "ret\n"
             ".nops 7, 7\n"
             "ret");
extern const uint8_t far_on_site[];

CODE(too_far_on, "too_far_on_site: syscall\n"
                 ".fill 127, 1, 0x50\n"
                 "ret\n"
                 ".nops 6, 6\n"
                 "ret");
extern const uint8_t too_far_on_site[];

CODE(far_back, "ret\n"
               "far_back_padding: .nops 7, 7\n"
               ".fill 119, 1, 0x50\n"
               "far_back_site: syscall\n"
               "ret");
extern const uint8_t far_back_site[], far_back_padding[];

CODE(too_far_back, "ret\n"
                   ".nops 7, 7\n"
                   ".fill 120, 1, 0x50\n"
                   "too_far_back_site: syscall\n"
                   "ret");
extern const uint8_t too_far_back_site[];

static void only_what_a_short_jump_reaches_is_found(void **state)
{
    struct padding padding;
    (void)state;
    assert_true(FIND(far_on, far_on_site, &padding));
    assert_int_equal(padding.address - address_of(far_on_site) - 2, 127);
    assert_false(FIND(too_far_on, too_far_on_site, &padding));
    assert_true(FIND(far_back, far_back_site, &padding));
    assert_int_equal(padding.address, address_of(far_back_padding));
    assert_int_equal(address_of(far_back_site) + 2 - padding.address, 128);
    assert_false(FIND(too_far_back, too_far_back_site, &padding));
}

/* --- Between functions. --- */

CODE(gap, "gap_site: syscall\n"
          "ret\n"
          "gap_first_end: .p2align 4\n"
          "gap_second: ret");
extern const uint8_t gap_site[], gap_first_end[], gap_second[];

static bool find_in_gap(const uint8_t *bytes, uint64_t first_end, uint64_t second, struct padding *padding)
{
    uint64_t start = address_of(gap);
    struct segue_extent functions[] = {{start, first_end}, {second, address_of(gap_end)}};
    struct segue_segment_code code = {bytes, (size_t)(gap_end - gap), start, functions, 2, {0}};
    return padding_find(&code, start, padding);
}

static void what_follows_a_function_is_padding(void **state)
{
    struct padding padding;
    (void)state;
    assert_true(find_in_gap(gap, address_of(gap_first_end), address_of(gap_second), &padding));
    assert_int_equal(padding.address, address_of(gap_first_end));
}

/* Whole instructions, whatever the assembler has filled with. */
static void what_follows_a_function_with_another_in_it_is_not(void **state)
{
    static const uint8_t filled[] = {0x0f, 0x1f, 0x44, 0x00, 0x00, 0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00};
    uint8_t copy[64];
    struct padding padding;
    (void)state;
    memcpy(copy, gap, (size_t)(gap_end - gap));
    memcpy(copy + 3, filled, sizeof filled);
    copy[15] = 0x90;
    assert_false(find_in_gap(copy, address_of(gap_first_end), address_of(gap_second), &padding));
    copy[15] = 0xc3;
    assert_false(find_in_gap(copy, address_of(gap_first_end), address_of(gap_second), &padding));
    assert_true(find_in_gap(copy, address_of(gap_first_end), address_of(gap_first_end) + sizeof filled, &padding));
}

static void what_follows_a_function_that_goes_on_is_not(void **state)
{
    uint8_t copy[64];
    struct padding padding;
    (void)state;
    memcpy(copy, gap, (size_t)(gap_end - gap));
    copy[2] = 0x50;
    assert_false(find_in_gap(copy, address_of(gap_first_end), address_of(gap_second), &padding));
}

/* --- What was used. --- */

static void what_was_taken_is_not_found_again(void **state)
{
    uint8_t copy[64] = {0};
    struct padding padding;
    (void)state;
    memcpy(copy, gap, (size_t)(gap_end - gap));
    assert_true(find_in_gap(copy, address_of(gap_first_end), address_of(gap_second), &padding));
    uint8_t *taken = copy + (padding.address - address_of(gap));
    memset(taken, 0x90, padding.size);
    taken[0] = 0xe9;
    uint64_t first = padding.address;
    if (find_in_gap(copy, address_of(gap_first_end), address_of(gap_second), &padding))
        assert_true(padding.address >= first + PADDING_LEAST);
}

/* --- The C library's. --- */

struct sites {
    struct segue_segment_code code;
    unsigned with, without;
};

static enum segue_status count_site(void *context, const struct segue_site *site)
{
    struct sites *sites = context;
    struct padding padding;
    if (site->kind != SEGUE_SITE_SYSTEM_CALL)
        return SEGUE_OK;
    bool found = padding_find(&sites->code, site->address, &padding);
    sites->with += found;
    sites->without += !found;
    return SEGUE_OK;
}

static int take_libc(struct dl_phdr_info *info, size_t size, void *context)
{
    static struct segue_extent functions[20000];
    struct sites *sites = context;
    struct segue_extent all = {UINT64_MAX, 0};
    (void)size;
    if (!strstr(info->dlpi_name, "libc.so"))
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uint64_t start = info->dlpi_addr + segment->p_vaddr;
        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_X))
            sites->code =
                (struct segue_segment_code){(const uint8_t *)start, segment->p_filesz, start, functions, 0, {0}};
        if (segment->p_type == PT_LOAD)
            all = (struct segue_extent){start < all.start ? start : all.start, start + segment->p_memsz};
    }
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_GNU_EH_FRAME)
            sites->code.function_count =
                unwind_functions((const uint8_t *)info->dlpi_addr + info->dlpi_phdr[i].p_vaddr,
                                 info->dlpi_phdr[i].p_memsz, all, functions, sizeof functions / sizeof *functions);
    return 1;
}

static void most_of_the_C_library_s_system_calls_have_some(void **state)
{
    struct sites sites = {.with = 0};
    (void)state;
    dl_iterate_phdr(take_libc, &sites);
    assert_in_range(sites.code.function_count, 1000, 20000);
    segue_segment_scan(&sites.code, (struct segue_rewrite){SEGUE_SEGMENT_FS, SEGUE_SEGMENT_GS}, count_site, &sites);
    print_message("%u of %u sites have padding\n", sites.with, sites.with + sites.without);
    assert_true(sites.with > 4 * sites.without);
}

/* --- The jumps of a detour. --- */

CODE(short_function, "xorl %eax, %eax\n"
                     "short_function_site: syscall\n"
                     "ret\n"
                     ".p2align 4\n"
                     "ret");
extern const uint8_t short_function_site[];

CODE(long_function, "xorl %eax, %eax\n"
                    "long_function_site: syscall\n"
                    ".fill 36, 1, 0x50\n"
                    "ret\n"
                    ".p2align 4\n"
                    "ret");
extern const uint8_t long_function_site[];

CODE(in_its_place, "movl $7, %eax\n"
                   "ret\n");

#define COPIED (2 * PAGE)

/* A copy of the code, at that offset of two pages; finds its site's place. */
static bool place_copy(uint8_t *pages, size_t offset, const uint8_t *start, const uint8_t *end, const uint8_t *site,
                       struct detour_place *place)
{
    uint64_t at = address_of(pages) + offset, size = (uint64_t)(end - start);
    struct segue_extent function = {at, at + size};
    struct segue_segment_code code = {pages + offset, size, at, &function, 1, {0}};
    memcpy(pages + offset, start, size);
    return detour_find(&code, at + (uint64_t)(site - start), place);
}

static uint8_t *map_pages(void)
{
    uint8_t *pages = mmap(NULL, COPIED, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(pages, MAP_FAILED);
    return pages;
}

static void the_jumps_of_a_detour_lead_to_it(void **state)
{
    uint8_t *pages = map_pages(), *to = pages + 256;
    struct detour_place place;
    struct detour_bytes bytes;
    (void)state;
    assert_true(place_copy(pages, 0, short_function, short_function_end, short_function_site, &place));
    assert_true(detour_reaches(&place, address_of(to)));
    memcpy(to, in_its_place, (size_t)(in_its_place_end - in_its_place));
    detour_encode(&place, address_of(to), &bytes);
    memcpy((void *)(uintptr_t)place.padding.address, bytes.jump, place.padding.size);
    memcpy((void *)(uintptr_t)place.site, bytes.site, sizeof bytes.site);
    assert_int_equal(((int (*)(void))(uintptr_t)pages)(), 7);
    munmap(pages, COPIED);
}

static void a_detour_reaches_two_gibibytes(void **state)
{
    uint64_t behind = 0x7f0000000015;
    struct detour_place place = {.site = behind - 15, .padding = {behind - DETOUR_JUMP_SIZE, DETOUR_JUMP_SIZE}};
    (void)state;
    assert_true(detour_reaches(&place, behind + INT32_MAX));
    assert_false(detour_reaches(&place, behind + INT32_MAX + 1u));
    assert_true(detour_reaches(&place, behind - ((uint64_t)1 << 31)));
    assert_false(detour_reaches(&place, behind - ((uint64_t)1 << 31) - 1));
}

static void a_detour_is_in_its_site_s_page(void **state)
{
    uint8_t *pages = map_pages();
    struct detour_place place;
    (void)state;
    assert_true(place_copy(pages, 0, long_function, long_function_end, long_function_site, &place));
    assert_false(place_copy(pages, PAGE - 16, long_function, long_function_end, long_function_site, &place));
    munmap(pages, COPIED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_follows_a_return_is_padding),
        cmocka_unit_test(a_site_that_is_no_instruction_has_none),
        cmocka_unit_test(a_site_outside_of_every_function_has_none),
        cmocka_unit_test(what_is_run_through_is_not),
        cmocka_unit_test(what_a_branch_leads_into_is_not),
        cmocka_unit_test(what_an_operand_leads_to_is_not),
        cmocka_unit_test(many_instructions_are_not),
        cmocka_unit_test(what_does_not_end_where_labels_do_is_not),
        cmocka_unit_test(what_has_no_room_for_a_jump_is_not),
        cmocka_unit_test(a_site_before_an_instruction_that_does_nothing_has_none),
        cmocka_unit_test(a_function_with_bytes_that_are_no_instruction_has_none),
        cmocka_unit_test(what_does_something_is_not),
        cmocka_unit_test(only_what_a_short_jump_reaches_is_found),
        cmocka_unit_test(what_follows_a_function_is_padding),
        cmocka_unit_test(what_follows_a_function_with_another_in_it_is_not),
        cmocka_unit_test(what_follows_a_function_that_goes_on_is_not),
        cmocka_unit_test(what_was_taken_is_not_found_again),
        cmocka_unit_test(most_of_the_C_library_s_system_calls_have_some),
        cmocka_unit_test(the_jumps_of_a_detour_lead_to_it),
        cmocka_unit_test(a_detour_reaches_two_gibibytes),
        cmocka_unit_test(a_detour_is_in_its_site_s_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
