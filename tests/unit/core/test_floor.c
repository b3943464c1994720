/* The floor: errors, arenas, text, number formats, digests and random numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/arena.h"
#include "core/base64.h"
#include "core/digest.h"
#include "core/dtype.h"
#include "core/err.h"
#include "core/rng.h"
#include "core/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void test_err_prefix_is_cut_not_overrun(void **state)
{
    (void)state;
    struct err err = {0};
    char longer[3000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    assert_int_equal(err_set(&err, ERR_DATA, "bad '%s'", "thing"), ERR_DATA);
    assert_int_equal(err_prefix(&err, "row %d", 3), ERR_DATA);
    assert_string_equal(err.text, "row 3: bad 'thing'");
    err_set(&err, ERR_IO, "%s", longer);
    err_prefix(&err, "%s", longer);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
}

static void test_err_append_is_cut_not_overrun(void **state)
{
    (void)state;
    struct err err = {0};
    err_set(&err, ERR_DATA, "'%s' is cut short", "f");
    assert_int_equal(err_append(&err, "; get %d bytes more", 3), ERR_DATA);
    assert_string_equal(err.text, "'f' is cut short; get 3 bytes more");
    char longer[2000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    err_append(&err, "%s", longer);
    err_append(&err, "%s", longer);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
}

static void test_arena(void **state)
{
    (void)state;
    struct arena arena = {0};
    char *first = arena_alloc(&arena, 3, 5);
    for (int i = 0; i < 15; i++)
        assert_int_equal(first[i], 0);
    for (int i = 0; i < 1000; i++) {
        unsigned char *p = arena_alloc(&arena, (size_t)i, 7);
        assert_int_equal((uintptr_t)p % 64, 0);
        memset(p, 0xff, (size_t)i * 7);
    }
    assert_null(arena_alloc(&arena, SIZE_MAX / 2, 3));
    assert_string_equal(arena_printf(&arena, "%s-%d", "a", 5), "a-5");
    arena_reset(&arena);
    unsigned char *again = arena_alloc(&arena, 100, 1);
    for (int i = 0; i < 100; i++)
        assert_int_equal(again[i], 0); /* zeroed again after use */
    arena_free(&arena);
}

static void test_shown_text(void **state)
{
    (void)state;
    struct text text = {0};
    text_put_shown(&text, "a\x1b[2Jb\r\n\x7f\xc2\x9b" "c\xe2\x80\xae" "d\xe2\x80\xa8" "e\xff\xe2\x82");
    assert_string_equal(text.bytes, "a [2Jb    c d e\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    text_free(&text);
    assert_int_equal(text_columns(""), 0);
    assert_int_equal(text_columns("dyntok"), 6);
    assert_int_equal(text_columns("caf\xc3\xa9 \xe6\xbc\xa2\xe5\xad\x97 \xf0\x9f\x90\x88"), 4 + 1 + 4 + 1 + 2);
    assert_int_equal(text_columns("\xff\xe2\x82"), 3);
}

static void test_text(void **state)
{
    (void)state;
    struct text text = {0};
    for (int i = 0; i < 1000; i++)
        text_printf(&text, "%d,", i);
    assert_int_equal(text.length, 10 * 2 + 90 * 3 + 900 * 4);
    char *taken = text_take(&text);
    assert_memory_equal(taken, "0,1,2,", 6);
    free(taken);
    taken = text_take(&text);
    assert_string_equal(taken, "");
    free(taken);
}

static void test_bf16_rounds_to_even(void **state)
{
    (void)state;
    assert_int_equal(bf16_from_f32(1.0f), 0x3f80);
    assert_int_equal(bf16_from_f32(1.00390625f), 0x3f80);  /* half way, even below */
    assert_int_equal(bf16_from_f32(1.01171875f), 0x3f82);  /* half way, even above */
    assert_int_equal(bf16_from_f32(INFINITY), 0x7f80);
    assert_int_equal(bf16_from_f32(3.4e38f), 0x7f80);      /* rounds up to infinity */
    assert_true(isnan(f32_from_bf16(bf16_from_f32(NAN))));
    for (uint32_t bits = 0; bits < 0x10000; bits++)
        if (!isnan(f32_from_bf16((uint16_t)bits)))
            assert_int_equal(bf16_from_f32(f32_from_bf16((uint16_t)bits)), bits);
}

static void test_f16_is_exact(void **state)
{
    (void)state;
    assert_float_equal(f32_from_f16(0x3c00), 1, 0);
    assert_float_equal(f32_from_f16(0x0001), 0x1p-24, 0);
    assert_float_equal(f32_from_f16(0x83ff), -1023 * 0x1p-24, 0);
    assert_float_equal(f32_from_f16(0x7bff), 65504, 0);
    assert_true(isinf(f32_from_f16(0xfc00)) && f32_from_f16(0xfc00) < 0);
    assert_true(isnan(f32_from_f16(0x7e01)));
    assert_true(signbit(f32_from_f16(0x8000)));
}

static void test_sha256(void **state)
{
    (void)state;
    char hex[DIGEST_HEX], pieces[DIGEST_HEX];
    digest_of("abc", 3, hex); /* FIPS 180-4, example B.1 */
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    struct digest *digest = digest_new();
    digest_add(digest, "a", 1);
    digest_add(digest, "bc", 2);
    digest_finish(digest, pieces);
    assert_string_equal(pieces, hex);
    struct err err = {0};
    assert_int_equal(digest_of_file("/nowhere/at/all", hex, &err), ERR_IO);
    assert_non_null(strstr(err.text, "/nowhere/at/all"));
}

static void test_rng_is_a_pure_function(void **state)
{
    (void)state;
    double sum = 0;
    assert_int_equal(rng_u64(1, 2, 3), rng_u64(1, 2, 3));
    assert_int_not_equal(rng_u64(1, 2, 3), rng_u64(1, 2, 4));
    assert_int_not_equal(rng_u64(1, 2, 3), rng_u64(1, 3, 3));
    assert_int_not_equal(rng_u64(1, 2, 3), rng_u64(2, 2, 3));
    for (int i = 0; i < 100000; i++) {
        double u = rng_unit(7, rng_stream("test"), (uint64_t)i);
        assert_true(u >= 0 && u < 1);
        sum += u;
    }
    assert_float_equal(sum / 100000, 0.5, 0.005);
}

/* The vectors of RFC 4648, section 10, both ways; and what is no base64. */
static void test_base64(void **state)
{
    static const char *const pairs[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
    static const char *const wrong[] = {"Z", "Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Zm 8", "Zm8\n", "Zm-_"};
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char text[16] = {0};
        uint8_t bytes[16];
        size_t n = strlen(pairs[i][0]), back;
        base64_encode(text, (const uint8_t *)pairs[i][0], n);
        assert_string_equal(text, pairs[i][1]);
        assert_int_equal(strlen(text), base64_length(n));
        assert_true(base64_decode(bytes, &back, text, strlen(text)));
        assert_int_equal(back, n);
        assert_memory_equal(bytes, pairs[i][0], n);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint8_t bytes[16];
        size_t n;
        if (base64_decode(bytes, &n, wrong[i], strlen(wrong[i])))
            fail_msg("'%s' is taken for base64", wrong[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_err_prefix_is_cut_not_overrun), cmocka_unit_test(test_err_append_is_cut_not_overrun), cmocka_unit_test(test_arena),        cmocka_unit_test(test_text), cmocka_unit_test(test_shown_text),
        cmocka_unit_test(test_bf16_rounds_to_even),           cmocka_unit_test(test_f16_is_exact), cmocka_unit_test(test_sha256),
        cmocka_unit_test(test_rng_is_a_pure_function),
    };
    return cmocka_run_group_tests_name("floor", tests, NULL, NULL);
}
