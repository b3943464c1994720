/* Layout: axes, labels that keep off each other, text made safe for scripts and data files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/rng.h"
#include "plots/plot_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void axis_is(double low, double high, double least, struct axis expected)
{
    struct axis axis = axis_make(low, high, least, 0, 100);
    if (fabs(axis.low - expected.low) > 1e-9 || fabs(axis.high - expected.high) > 1e-9 || fabs(axis.step - expected.step) > 1e-9)
        fail_msg("[%g, %g] gave [%g, %g] by %g", low, high, axis.low, axis.high, axis.step);
}

static void axes_are_round_and_cover(void **state)
{
    (void)state;
    axis_is(60.1, 67.4, 2, (struct axis){58, 68, 2});
    axis_is(0, 100, 2, (struct axis){0, 100, 20});
    axis_is(3, 97, 2, (struct axis){0, 100, 20});
    axis_is(50, 50, 2, (struct axis){49, 51, 0.5});
    axis_is(100, 100, 2, (struct axis){99, 100, 0.2});
    axis_is(0, 0.5, 2, (struct axis){0, 1.4, 0.2});
    struct axis axis = axis_make(0.4, 0.7, 0.1, -INFINITY, INFINITY);
    assert_true(fabs(axis.low - 0.35) < 1e-9 && fabs(axis.high - 0.75) < 1e-9 && fabs(axis.step - 0.05) < 1e-9);
    axis = axis_make(-3000, 5000, 0.1, -INFINITY, INFINITY);
    assert_true(axis.low <= -3000 && axis.high >= 5000 && axis.step == 2000);
    for (double low = 0; low < 100; low += 3.7)
        for (double high = low; high <= 100; high += 5.3) {
            axis = axis_make(low, high, 2, 0, 100);
            assert_true(axis.low <= low && axis.high >= high && axis.low >= 0 && axis.high <= 100);
            double steps = (axis.high - axis.low) / axis.step;
            assert_true(steps > 2.5 && steps < 9.5);
        }
}

static void accuracy_axis_says_where_it_starts(void **state)
{
    (void)state;
    assert_string_equal(axis_accuracy_name(&(struct axis){0, 100, 20}).text, "accuracy (%)");
    assert_string_equal(axis_accuracy_name(&(struct axis){57.5, 70, 2.5}).text, "accuracy (%), axis starts at 57.5");
}

static const struct panel panel = {.left = 76, .right = 876, .top = 78, .bottom = 510, .x = {0, 105, 10}, .y = {40, 80, 5}};

struct box { double left, right, top, bottom; };

static struct box label_box(const struct label *label)
{
    double x = panel_px(&panel, label->x) + label->dx, y = panel_py(&panel, label->y) + label->dy;
    return (struct box){x, x + 7 * (double)strlen(label->text), y - LABEL_HEIGHT / 2.0, y + LABEL_HEIGHT / 2.0};
}

static bool boxes_meet(struct box a, struct box b)
{
    return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

static void pixels_follow_the_axes(void **state)
{
    (void)state;
    assert_true(panel_px(&panel, 0) == 76 && panel_px(&panel, 105) == 876);
    assert_true(panel_py(&panel, 40) == 510 && panel_py(&panel, 80) == 78 && panel_py(&panel, 60) == 294);
}

static void labels_keep_off_each_other(void **state)
{
    (void)state;
    enum { LABELS = 30 };
    struct label labels[LABELS];
    struct segment segments[LABELS - 1];
    for (uint64_t seed = 0; seed < 50; seed++) {
        int placed = 0;
        for (size_t i = 0; i < LABELS; i++) {
            double x = 10 + 90 * rng_unit(seed, 0, i), y = 45 + 30 * rng_unit(seed, 1, i);
            labels[i] = (struct label){.x = x, .y = y, .low = y - 3, .high = y + 3, .text = i == 7 ? "" : "0.45"};
            if (i > 0)
                segments[i - 1] = (struct segment){i - 1, i};
        }
        labels_place(&panel, labels, LABELS, segments, LABELS - 1);
        for (size_t i = 0; i < LABELS; i++) {
            if (!labels[i].placed)
                continue;
            placed++;
            struct box box = label_box(&labels[i]);
            assert_true(box.left >= panel.left && box.right <= panel.right && box.top >= panel.top && box.bottom <= panel.bottom);
            for (size_t j = 0; j < LABELS; j++) {
                double x = panel_px(&panel, labels[j].x);
                assert_true(i == j || !labels[j].placed || !boxes_meet(box, label_box(&labels[j])));
                assert_false(boxes_meet(box, (struct box){x - 2, x + 2, panel_py(&panel, labels[j].high), panel_py(&panel,
                    labels[j].low)}));
            }
        }
        assert_false(labels[7].placed);
        assert_true(placed >= 20);
    }
}

static void lonely_label_stands_right_above(void **state)
{
    (void)state;
    struct label label = {.x = 50, .y = 60, .low = 55, .high = 65, .text = "0.6"};
    labels_place(&panel, &label, 1, NULL, 0);
    assert_true(label.placed && label.dx > 0 && label.dx < 15 && label.dy < 0);
    struct label corner = {.x = 104.9, .y = 79.9, .low = 79, .high = 80, .text = "0.6"};
    labels_place(&panel, &corner, 1, NULL, 0);
    assert_true(corner.placed && corner.dx < 0 && corner.dy > 0);
}

static void legend_uses_the_width(void **state)
{
    (void)state;
    struct series series[5];
    for (int i = 0; i < 5; i++)
        series[i] = (struct series){.title = "dyntok, 96 frames"};
    struct legend legend = legend_make(&(struct series_set){series, 5}, &panel);
    assert_int_equal(legend.columns, 3);
    assert_int_equal(legend.rows, 2);
    series[0].title = "a title that is so long that nothing can stand beside it, whatever one does about the width of the columns it has";
    legend = legend_make(&(struct series_set){series, 5}, &panel);
    assert_int_equal(legend.columns, 1);
    assert_int_equal(legend.rows, 5);
}

static void quoted(void (*quote)(struct text *, const char *), const char *given, const char *expected)
{
    struct text text = {0};
    quote(&text, given);
    char *bytes = text_take(&text);
    assert_string_equal(bytes, expected);
    free(bytes);
}

static void text_is_made_safe(void **state)
{
    (void)state;
    quoted(text_quote_script, "", "''");
    quoted(text_quote_script, "it's `x` \"y\" @z \\n", "'it''s `x` \"y\" @z \\n'");
    quoted(text_quote_script, "a\nb\tc\x7f", "'a b c '");
    quoted(text_quote_script, "\xc3\xa9\xe6\xbc\xa2\xf0\x9f\x8e\x9e", "'\xc3\xa9\xe6\xbc\xa2\xf0\x9f\x8e\x9e'");
    quoted(text_quote_script, "\xff|\xc3|\xc0\xaf|\xe0\x80\xaf|\xed\xa0\x80|\xf5\x80\x80\x80|\xef\xbf\xbf|\xc2\x85|\xf0\x9f",
           "' | |  |   |   |    |   |  |  '");
    quoted(text_quote_data, "say \"a\" 'b'", "\"say 'a' 'b'\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(axes_are_round_and_cover),
        cmocka_unit_test(accuracy_axis_says_where_it_starts),
        cmocka_unit_test(pixels_follow_the_axes),
        cmocka_unit_test(labels_keep_off_each_other),
        cmocka_unit_test(lonely_label_stands_right_above),
        cmocka_unit_test(legend_uses_the_width),
        cmocka_unit_test(text_is_made_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
