/* Records of bench: to a file and back, and two of them compared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/file.h"
#include "harness/bench_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[] = "/tmp/toksweep-test-XXXXXX";

static int file_setup(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int file_teardown(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

static void add(struct bench_record *record, const char *name, double amount, const double *seconds, size_t n)
{
    const struct bench_figure figure = {"stages", name, "frames/s", amount, 2e9, seconds, n};
    struct err err = {0};
    if (bench_record_add(record, &figure, &err))
        fail_msg("%s", err.text);
}

static struct bench_record record_of(const char *cpu)
{
    return (struct bench_record){.date = "2026-01-02", .commit = "c0ffee", .compiler = "GNU 12.2.0", .cpu = cpu, .isa = "avx2", .model = "tiny",
                                 .dtype = "bf16", .clock = "wall", .processors = 4, .threads = 2, .memory_gib = 23.5, .load = 1.25, .peak_gflops = 100};
}

static struct bench_record read_back(void)
{
    struct bench_record record;
    struct err err = {0};
    if (bench_record_read(&record, path, &err))
        fail_msg("%s", err.text);
    return record;
}

static void record_comes_back(void **state)
{
    (void)state;
    static const double seconds[] = {0.5, 0.25, 1.0 / 3};
    struct bench_record record = record_of("a \"processor\""), back;
    struct err err = {0};
    add(&record, "tower", 8, seconds, 3);
    assert_int_equal(bench_record_write(&record, path, &err), 0);
    back = read_back();
    assert_string_equal(back.cpu, record.cpu);
    assert_string_equal(back.commit, "c0ffee");
    assert_int_equal(back.threads, 2);
    assert_true(back.memory_gib == 23.5 && back.load == 1.25 && back.peak_gflops == 100);
    assert_int_equal(back.n_figures, 1);
    assert_string_equal(back.figures[0].name, "tower");
    assert_true(back.figures[0].amount == 8 && back.figures[0].flops == 2e9 && back.figures[0].n == 3);
    assert_memory_equal(back.figures[0].seconds, seconds, sizeof seconds); /* shortest numbers that read back equal */
    assert_true(bench_median(&back.figures[0]) == 1.0 / 3);
    bench_record_free(&back);
    bench_record_free(&record);
}

static void table_shows_the_median(void **state)
{
    (void)state;
    static const double seconds[] = {4, 1, 2, 3};
    struct bench_record record = record_of("p");
    struct table table = {0};
    struct text out = {0};
    add(&record, "tower", 5, seconds, 4);
    bench_record_table(&record, &table);
    assert_true(table_write(&table, TABLE_CSV, &out));
    assert_string_equal(out.bytes, "part,figure,rate,unit,seconds,least,most,GFLOP/s,% of peak\r\n"
                                   "stages,tower,2,frames/s,2.5,1,4,0.8,0.8\r\n");
    text_free(&out);
    table_free(&table);
    bench_record_free(&record);
}

static void refuses(const char *text, const char *part)
{
    struct bench_record record;
    struct err err = {0};
    assert_int_equal(file_save(path, text, strlen(text), &err), 0);
    assert_int_equal(bench_record_read(&record, path, &err), ERR_DATA);
    if (!strstr(err.text, part) || !strstr(err.text, path))
        fail_msg("'%s' lacks '%s'", err.text, part);
}

static void what_is_no_record_is_refused(void **state)
{
    (void)state;
    refuses("{}", "is no record of version 1; give a file that 'toksweep bench --json' has written");
    refuses("[1, 2", ":1:6: not valid JSON");
    refuses("{\"bench\": 2}", "is no record of version 1");
    refuses("{\"bench\": 1, \"date\": 5}", "'date' should be a string");
    refuses("{\"bench\": 1, \"machine\": {\"load\": -1}}", "'load' should not be negative, it is -1");
    refuses("{\"bench\": 1, \"figures\": [{\"name\": \"a\", \"amount\": 1, \"seconds\": [0.5, 0]}]}",
            "'seconds' of figure 'a' should be up to 101 positive numbers");
    refuses("{\"bench\": 1, \"figures\": [{\"name\": \"a\", \"amount\": 1, \"seconds\": []}]}",
            "figure 1 should have a name, a positive amount and seconds");
    refuses("{\"bench\": 1, \"figures\": [{\"name\": \"a\", \"seconds\": [1]}]}", "figure 1 should have a name, a positive amount and seconds");
}

static void verdicts_follow_the_intervals(void **state)
{
    (void)state;
    static const double base[] = {1, 1.01, 1.02, 1.03, 1.04}, half[] = {0.5, 0.505, 0.51, 0.515, 0.52}, twice[] = {2, 2.02, 2.04, 2.06, 2.08},
                        steady[] = {1, 1.001, 1.002, 1.003, 1.004}, wild[] = {0.5, 2, 0.9, 1.1, 1};
    struct bench_record a = record_of("p"), b = record_of("q");
    struct table table = {0};
    struct text out = {0}, notes = {0};
    struct err err = {0};
    /* With five and five the interval ends at the third of 25 ratios: 2 * 1.01 / 1.04. */
    add(&a, "one", 1, base, 5), add(&b, "one", 1, half, 5);
    add(&a, "two", 1, base, 5), add(&b, "two", 2, twice, 5); /* twice the work in twice the time */
    add(&a, "three", 1, base, 5), add(&b, "three", 1, twice, 5);
    add(&a, "four", 1, steady, 5), add(&b, "four", 1, steady, 5);
    add(&a, "five", 1, base, 5), add(&b, "five", 1, wild, 5);
    add(&a, "six", 1, base, 3), add(&b, "six", 1, half, 3);
    add(&a, "seven", 1, base, 5), add(&b, "eight", 1, base, 5);
    b.load = 6;
    assert_int_equal(bench_compare(&a, &b, &table, &notes, &err), 0);
    assert_true(table_write(&table, TABLE_CSV, &out));
    assert_string_equal(out.bytes, "part,figure,A,B,unit,B/A,low,high,verdict\r\n"
                                   "stages,one,0.9804,1.961,frames/s,2.000,1.942,2.059,faster\r\n"
                                   "stages,two,0.9804,0.9804,frames/s,1.000,0.971,1.030,not shown to differ\r\n"
                                   "stages,three,0.9804,0.4902,frames/s,0.500,0.486,0.515,slower\r\n"
                                   "stages,four,0.998,0.998,frames/s,1.000,0.997,1.003,same within 2 %\r\n"
                                   "stages,five,0.9804,1,frames/s,1.020,0.510,2.040,not shown to differ\r\n"
                                   "stages,six,0.9901,1.98,frames/s,2.000,,,too few repeats\r\n");
    assert_string_equal(notes.bytes, "A and B differ in processor: 'p' and 'q'\nB was measured beside other work: load 6.0 with 2 threads\n"
                                     "only in A: stages, seven\nonly in B: stages, eight\n");
    text_free(&out);
    text_free(&notes);
    table_free(&table);
    bench_record_free(&a);
    bench_record_free(&b);
}

static void machine_is_described(void **state)
{
    (void)state;
    struct bench_record record = {0};
    struct err err = {0};
    assert_int_equal(bench_record_begin(&record, &err), 0);
    assert_int_equal(strlen(record.date), 10);
    assert_true(record.processors >= 1 && record.memory_gib > 0 && *record.compiler);
    bench_record_free(&record);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(record_comes_back),          cmocka_unit_test(table_shows_the_median),     cmocka_unit_test(what_is_no_record_is_refused),
        cmocka_unit_test(verdicts_follow_the_intervals), cmocka_unit_test(machine_is_described),
    };
    return cmocka_run_group_tests(tests, file_setup, file_teardown);
}
