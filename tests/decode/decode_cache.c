/* decode_cache.c: the cache of decoded instructions answers as decoding does, whatever changes and whoever asks. */
#include <pthread.h>
#include <string.h>

#include "decode/host.h"
#include "decode/orders.h"
#include "decode/relocate/relocation.h"
#include "decode_words.h"

static void cache_answers_as_decoding_does(void **state)
{
    (void)state;
    static struct segue_cache cache;
    struct segue_insn first, second;
    for (unsigned round = 0; round < 2; round++) {
        memset(&first, 0xa5, sizeof first);
        assert_int_equal(segue_decode_cached(&cache, HOST_MODE, 0x1000, "\x8b\x03", 2, &first), SEGUE_OK);
        decode_hex(HOST_MODE, "8b 03", &second);
        assert_int_equal(orders_of(&second)->relocation.kind, INSN_RELOCATION_UNKNOWN);
        relocation_complete(&second);
        assert_int_equal(orders_of(&second)->relocation.kind, INSN_RELOCATION_OPERAND);
        assert_memory_equal(&first, &second, sizeof first);
    }
    assert_int_equal(segue_decode_cached(&cache, SEGUE_MODE_64, 0x1000, "\x8b", 1, &first), SEGUE_TRUNCATED);
    assert_int_equal(segue_decode_cached(&cache, SEGUE_MODE_64, 0x1000, "\x06", 1, &first), SEGUE_UNDEFINED);
    assert_int_equal(segue_decode_cached(NULL, SEGUE_MODE_64, 0x1000, "\x90", 1, &first), SEGUE_INVALID);
}

/* Any byte that changes, and the mode, is noticed; so is another address at the same place. */
static void cache_notices_changed_bytes(void **state)
{
    (void)state;
    static struct segue_cache cache;
    uint8_t bytes[16] = {0};
    size_t length = bytes_of("48 8b 84 8b 10 00 00 00", bytes);
    for (size_t at = 0; at < length; at++) {
        struct segue_insn cached, decoded;
        assert_int_equal(segue_decode_cached(&cache, SEGUE_MODE_64, 0x1000, bytes, sizeof bytes, &cached), SEGUE_OK);
        uint8_t changed[sizeof bytes];
        memcpy(changed, bytes, sizeof bytes);
        changed[at] ^= 1;
        enum segue_status status = segue_decode_cached(&cache, SEGUE_MODE_64, 0x1000, changed, sizeof changed, &cached);
        assert_int_equal(status, segue_decode(SEGUE_MODE_64, changed, sizeof changed, &decoded));
        if (status == SEGUE_OK) {
            relocation_complete(&decoded);
            assert_memory_equal(&cached, &decoded, sizeof cached);
        }
    }
    struct segue_insn insn;
    assert_int_equal(segue_decode_cached(&cache, SEGUE_MODE_64, 0x2000, "\x48\x90", 2, &insn), SEGUE_OK);
    assert_int_equal(insn.length, 2);
    assert_int_equal(segue_decode_cached(&cache, SEGUE_MODE_32, 0x2000, "\x48\x90", 2, &insn), SEGUE_OK);
    assert_int_equal(insn.length, 1);
}

/* Two instructions at one address that many threads decode, each its own: none may ever get another's, or a mixture. */
static struct segue_cache shared_cache;

static void *hammer(void *argument)
{
    static const char *const instructions[] = {"48 8b 84 8b 10 00 00 00", "f0 0f c7 0b 90 90 90 90"};
    uint8_t bytes[SEGUE_INSN_BYTES];
    struct segue_insn mine, got;
    size_t size = bytes_of(instructions[argument != NULL], bytes);
    uintptr_t wrong = 0;
    segue_decode(SEGUE_MODE_64, bytes, size, &mine);
    relocation_complete(&mine);
    for (unsigned i = 0; i < 300000; i++) {
        uint64_t address = i % 8 * 0x1000000;
        if (segue_decode_cached(&shared_cache, SEGUE_MODE_64, address, bytes, size, &got) != SEGUE_OK ||
            memcmp(&mine, &got, sizeof mine) != 0)
            wrong++;
    }
    return (void *)wrong;
}

static void cache_never_mixes_what_two_threads_store(void **state)
{
    (void)state;
    pthread_t threads[2];
    for (uintptr_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, (void *)i), 0);
    for (unsigned i = 0; i < 2; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cache_answers_as_decoding_does),
        cmocka_unit_test(cache_notices_changed_bytes),
        cmocka_unit_test(cache_never_mixes_what_two_threads_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
