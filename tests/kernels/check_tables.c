/* Choosing a table, its errors, and the measured ceiling. */
#include "tests/kernels/check.h"

#include "engine/kernels/peak.h"

static void test_names(void **state)
{
    (void)state;
    size_t n = 0;
    for (const char *const *name = kernels_names(); *name; name++, n++)
        if (kernels_runs(*name))
            assert_string_equal(check_table(*name)->name, *name);
    assert_true(n >= 1);
    assert_string_equal(kernels_names()[n - 1], "ref");
    assert_true(kernels_runs("ref"));
    assert_false(kernels_runs("sse"));
}

static void test_best(void **state)
{
    (void)state;
    const char *const *best = kernels_names();
    while (!kernels_runs(*best))
        best++;
    assert_string_equal(check_table(NULL)->name, *best);
    assert_string_equal(check_table("auto")->name, *best);
}

static void test_unknown(void **state)
{
    (void)state;
    const struct kernels *k = NULL;
    struct err err = {0};
    assert_int_equal(kernels_open(&k, "sse", &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "there is no kernel table 'sse': choose one of auto, "));
    assert_non_null(strstr(err.text, ", ref"));
    assert_null(k);
}

/* On a processor that lacks one of them. */
static void test_not_here(void **state)
{
    (void)state;
    for (const char *const *name = kernels_names(); *name; name++) {
        const struct kernels *k = NULL;
        struct err err = {0};
        if (kernels_runs(*name))
            continue;
        assert_int_equal(kernels_open(&k, *name, &err), ERR_DEVICE);
        assert_non_null(strstr(err.text, *name));
        assert_non_null(strstr(err.text, "choose auto"));
        assert_null(k);
    }
}

/* No core does less than a thousandth of this, or more than a thousand times as much. */
static void test_peak(void **state)
{
    (void)state;
    for (const char *const *name = kernels_names(); *name; name++) {
        if (!kernels_runs(*name))
            continue;
        bool ref = !strcmp(*name, "ref");
        for (int d = 0; d < 2; d++) {
            double peak = kernels_peak_gflops(check_table(*name), check_dtypes[d], 1, 1);
            if (ref)
                assert_true(peak == 0);
            else
                assert_true(peak > 0.1 && peak < 1e5);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),    cmocka_unit_test(test_best), cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_not_here), cmocka_unit_test(test_peak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
