/* Marks of token groups, on a plan small enough to write out. */
#include "plots/group_map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void check(uint32_t *owner, int T, int h, int w, size_t n, const char *expected)
{
    struct token_groups groups = {.T = T, .h = h, .w = w, .owner = owner, .n = n};
    struct text text = {0};
    struct err err = {0};
    assert_int_equal(group_map(&text, &groups, &err), 0);
    assert_string_equal(text.bytes, expected);
    text_free(&text);
}

static void test_marks(void **state)
{
    (void)state;
    uint32_t two_frames[] = {2, 2, OWNER_NONE, 2, 0, 1, /**/ 2, 1, OWNER_ALL, 3, 0, 0};
    check(two_frames, 2, 2, 3, 4, "nl.unnb=2;*nbl");
    uint32_t own[] = {0, 1, 2, 3};
    check(own, 1, 2, 2, 4, "nnnn");
    uint32_t apart[] = {0, 1, 0};
    check(apart, 1, 1, 3, 2, "nn=0;");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_marks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
