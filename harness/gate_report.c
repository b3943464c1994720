/* Gates, reports: what a person and what other programs read.
 *
 * JUnit       the elements and attributes that Jenkins's schema has (xunit-plugin, junit-10.xsd)
 * GitHub      workflow commands, escaped as actions/toolkit does (packages/core/src/command.ts)
 * benchmark   the list that github-action-benchmark takes for its custom tools
 * Bencher     Bencher Metric Format (bencher.dev/bmf.json) */
#include "harness/gate.h"
#include "harness/table.h"

#include "core/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum judgement gate_judgement(const struct gate_outcomes *outcomes)
{
    enum judgement verdict = JUDGED_PASS;
    for (size_t i = 0; i < outcomes->n; i++)
        verdict = outcomes->rows[i].verdict > verdict ? outcomes->rows[i].verdict : verdict;
    return verdict;
}

static size_t count(const struct gate_outcomes *outcomes, const char *file, enum judgement verdict)
{
    size_t n = 0;
    for (size_t i = 0; i < outcomes->n; i++)
        n += outcomes->rows[i].verdict == verdict && (!file || !strcmp(outcomes->rows[i].file->path, file));
    return n;
}

/* ---- tables -------------------------------------------------------------------------------------------------------------- */

/* "1 fail, 4 pass" */
static void put_counts(struct text *out, const struct gate_outcomes *outcomes)
{
    const char *between = "";
    for (int verdict = JUDGEMENTS - 1; verdict >= 0; verdict--) {
        size_t n = count(outcomes, NULL, (enum judgement)verdict);
        if (n)
            text_printf(out, "%s%zu %s", between, n, judgement_name((enum judgement)verdict));
        between = n ? ", " : between;
    }
}

/* Under a line for each cell and baseline, a line for each of its gates. */
static int write_terminal(struct text *out, const struct gate_outcomes *outcomes, struct err *err)
{
    (void)err;
    int width = 0;
    for (size_t i = 0; i < outcomes->n; i++)
        width = (int)strlen(outcomes->rows[i].gate->rule) > width ? (int)strlen(outcomes->rows[i].gate->rule) : width;
    for (size_t i = 0; i < outcomes->n; i++) {
        const struct gate_outcome *row = &outcomes->rows[i], *before = i ? row - 1 : NULL;
        if (!before || before->cell != row->cell || before->baseline != row->baseline)
            text_printf(out, "%s%s against %s\n", i ? "\n" : "", row->cell, row->baseline);
        text_printf(out, "  %-13s %-*s  %s\n", judgement_name(row->verdict), width, row->gate->rule, row->detail);
    }
    text_printf(out, "\n%s: ", judgement_name(gate_judgement(outcomes)));
    put_counts(out, outcomes);
    text_put(out, "\n");
    return 0;
}

static int write_table(struct text *out, const struct gate_outcomes *outcomes, struct err *err)
{
    static const char *const names[] = {"verdict", "cell", "gate", "baseline", "finding"};
    struct table table = {0};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        table_column(&table, names[i], false);
    for (size_t i = 0; i < outcomes->n; i++) {
        const struct gate_outcome *row = &outcomes->rows[i];
        const char *const texts[] = {judgement_name(row->verdict), row->cell, row->gate->rule, row->baseline, row->detail};
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
            table_cell(&table, "%s", texts[k]);
    }
    bool good = table_write(&table, TABLE_MARKDOWN, out);
    table_free(&table);
    return good ? 0 : err_no_memory(err, "a table of gates");
}

static int write_markdown(struct text *out, const struct gate_outcomes *outcomes, struct err *err)
{
    text_printf(out, "### toksweep gate: %s (", judgement_name(gate_judgement(outcomes)));
    put_counts(out, outcomes);
    text_put(out, ")\n\n");
    int rc = write_table(out, outcomes, err);
    text_put(out, "\n");
    return rc;
}

static void put_numbers(struct table *table, const struct gate_outcome *row)
{
    const double numbers[] = {row->value, row->expected, row->low, row->high};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        table_cell(table, isnan(numbers[i]) ? "" : "%.9g", numbers[i]);
}

static int write_rows(struct text *out, const struct gate_outcomes *outcomes, enum table_format format, struct err *err)
{
    static const char *const names[] = {"verdict", "cell", "gate", "metric", "unit", "baseline", "file", "finding"};
    static const char *const numbers[] = {"value", "expected", "low", "high"};
    struct table table = {0};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        table_column(&table, names[i], false);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        table_column(&table, numbers[i], true);
    for (size_t i = 0; i < outcomes->n; i++) {
        const struct gate_outcome *row = &outcomes->rows[i];
        const char *const texts[] = {judgement_name(row->verdict), row->cell,     row->gate->rule,  row->gate->metric->name,
                                     row->gate->metric->unit,    row->baseline, row->file->path, row->detail};
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
            table_cell(&table, "%s", texts[k]);
        put_numbers(&table, row);
    }
    bool good = table_write(&table, format, out);
    table_free(&table);
    return good ? 0 : err_no_memory(err, "a table of gates");
}

static int write_csv(struct text *out, const struct gate_outcomes *outcomes, struct err *err)
{
    return write_rows(out, outcomes, TABLE_CSV, err);
}

static int write_json(struct text *out, const struct gate_outcomes *outcomes, struct err *err)
{
    return write_rows(out, outcomes, TABLE_JSON, err);
}

/* ---- JUnit --------------------------------------------------------------------------------------------------------------- */

/* Inside an attribute or an element. Control characters are not in XML 1.0, not even escaped. */
static void put_xml(struct text *out, const char *text)
{
    static const char special[] = "&<>\"'";
    static const char *const instead[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&apos;"};
    for (; *text; text++) {
        const char *at = strchr(special, *text);
        if (at)
            text_put(out, instead[at - special]);
        else
            text_add(out, (unsigned char)*text < 0x20 || *text == 0x7f ? " " : text, 1);
    }
}

static void put_case(struct text *out, const struct gate_outcome *row)
{
    static const char *const elements[JUDGEMENTS] = {NULL, "skipped", "error", "failure"};
    const char *element = elements[row->verdict];
    text_put(out, "    <testcase classname=\"");
    put_xml(out, row->file->name);
    text_put(out, "\" name=\"");
    put_xml(out, row->cell);
    text_printf(out, ": %s\">\n", row->gate->rule);
    if (element) {
        text_printf(out, "      <%s type=\"%s\" message=\"", element, judgement_name(row->verdict));
        put_xml(out, row->detail);
        text_put(out, "\"/>\n");
    }
    text_put(out, "      <system-out>");
    put_xml(out, row->detail);
    text_put(out, "; baseline: ");
    put_xml(out, row->baseline);
    text_put(out, "</system-out>\n    </testcase>\n");
}

static void put_counted(struct text *out, const struct gate_outcomes *outcomes, const char *file)
{
    size_t n = 0;
    for (int verdict = 0; verdict < JUDGEMENTS; verdict++)
        n += count(outcomes, file, (enum judgement)verdict);
    text_printf(out, " tests=\"%zu\" failures=\"%zu\" errors=\"%zu\"", n, count(outcomes, file, JUDGED_FAIL),
                count(outcomes, file, JUDGED_INCOMPLETE));
}

/* A suite for each file: outcomes come file by file. */
static int write_junit(struct text *out, const struct gate_outcomes *outcomes, struct err *err)
{
    (void)err;
    text_put(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"toksweep gate\"");
    put_counted(out, outcomes, NULL);
    text_put(out, ">\n");
    for (size_t i = 0; i < outcomes->n; i++) {
        const struct gate_file *file = outcomes->rows[i].file;
        if (i == 0 || file != outcomes->rows[i - 1].file) {
            text_put(out, "  <testsuite name=\"");
            put_xml(out, file->path);
            text_put(out, "\"");
            put_counted(out, outcomes, file->path);
            text_printf(out, " skipped=\"%zu\">\n", count(outcomes, file->path, JUDGED_INCONCLUSIVE));
        }
        put_case(out, &outcomes->rows[i]);
        if (i + 1 == outcomes->n || file != outcomes->rows[i + 1].file)
            text_put(out, "  </testsuite>\n");
    }
    text_put(out, "</testsuites>\n");
    return 0;
}

/* ---- GitHub -------------------------------------------------------------------------------------------------------------- */

static void put_escaped(struct text *out, const char *text, bool is_property)
{
    for (; *text; text++)
        if (*text == '%' || *text == '\r' || *text == '\n' || (is_property && (*text == ':' || *text == ',')))
            text_printf(out, "%%%02X", (unsigned)(unsigned char)*text);
        else
            text_add(out, text, 1);
}

void gate_annotations(struct text *out, const struct gate_outcomes *outcomes)
{
    for (size_t i = 0; i < outcomes->n; i++) {
        const struct gate_outcome *row = &outcomes->rows[i];
        if (row->verdict == JUDGED_PASS)
            continue;
        text_printf(out, "::%s file=", row->verdict == JUDGED_FAIL ? "error" : "warning");
        put_escaped(out, row->file->path, true);
        text_printf(out, ",line=%zu,title=", row->gate->line);
        put_escaped(out, row->cell, true);
        put_escaped(out, ": ", true);
        put_escaped(out, row->gate->rule, true);
        text_printf(out, " %s::", judgement_name(row->verdict));
        put_escaped(out, row->detail, false);
        text_put(out, "\n");
    }
}

/* ---- dashboards ---------------------------------------------------------------------------------------------------------- */

static bool is_bigger_better(const struct gate_outcome *row)
{
    return row->gate->bound == BOUND_MARGIN || row->gate->metric->source == GATE_MARGIN;
}

/* Whether an earlier outcome has told the same number already, with another bound. */
static bool is_told(const struct gate_outcomes *outcomes, size_t at)
{
    const struct gate_outcome *row = &outcomes->rows[at];
    for (size_t i = 0; i < at; i++)
        if (outcomes->rows[i].gate->metric == row->gate->metric && !strcmp(outcomes->rows[i].cell, row->cell))
            return true;
    return isnan(row->value);
}

static struct json *benchmark_entry(const struct gate_outcome *row)
{
    struct json *entry = json_new(JSON_OBJECT);
    char name[512], range[32];
    snprintf(name, sizeof name, "%s: %s", row->cell, row->gate->metric->name);
    snprintf(range, sizeof range, "\302\261 %.2f", (row->high - row->low) / 2);
    bool good = json_add(entry, "name", json_new_string(name)) && json_add(entry, "unit", json_new_string(row->gate->metric->unit)) &&
                json_add(entry, "value", json_new_number(row->value));
    if (good && !isnan(row->low))
        good = json_add(entry, "range", json_new_string(range));
    if (good && json_add(entry, "extra", json_new_string(row->detail)))
        return entry;
    json_free(entry);
    return NULL;
}

static int put_tree(struct text *out, struct json *tree, struct err *err)
{
    char *text = tree ? json_text_pretty(tree) : NULL;
    json_free(tree);
    if (!text)
        return err_no_memory(err, "a report of gates");
    text_put(out, text);
    text_put(out, "\n");
    free(text);
    return 0;
}

static int write_benchmark(struct text *out, const struct gate_outcomes *outcomes, bool bigger, struct err *err)
{
    struct json *list = json_new(JSON_ARRAY);
    bool good = list;
    for (size_t i = 0; i < outcomes->n && good; i++)
        if (is_bigger_better(&outcomes->rows[i]) == bigger && !is_told(outcomes, i))
            good = json_add(list, NULL, benchmark_entry(&outcomes->rows[i]));
    if (!good) {
        json_free(list);
        list = NULL;
    }
    return put_tree(out, list, err);
}

static int write_bigger(struct text *out, const struct gate_outcomes *outcomes, struct err *err)
{
    return write_benchmark(out, outcomes, true, err);
}

static int write_smaller(struct text *out, const struct gate_outcomes *outcomes, struct err *err)
{
    return write_benchmark(out, outcomes, false, err);
}

static bool put_measure(struct json *cell, const struct gate_outcome *row)
{
    struct json *measure = json_add(cell, row->gate->metric->name, json_new(JSON_OBJECT));
    return json_add(measure, "value", json_new_number(row->value)) &&
           (isnan(row->low) || (json_add(measure, "lower_value", json_new_number(row->low)) &&
                                json_add(measure, "upper_value", json_new_number(row->high))));
}

/* The measures of the cell of outcome `first`, unless an earlier outcome has the same cell. */
static bool put_cell(struct json *root, const struct gate_outcomes *outcomes, size_t first)
{
    const char *cell = outcomes->rows[first].cell;
    if (json_get(root, cell))
        return true;
    struct json *measures = json_add(root, cell, json_new(JSON_OBJECT));
    bool good = measures;
    for (size_t i = first; i < outcomes->n && good; i++)
        if (!strcmp(outcomes->rows[i].cell, cell) && !is_told(outcomes, i))
            good = put_measure(measures, &outcomes->rows[i]);
    return good;
}

static int write_bencher(struct text *out, const struct gate_outcomes *outcomes, struct err *err)
{
    struct json *root = json_new(JSON_OBJECT);
    bool good = root;
    for (size_t i = 0; i < outcomes->n && good; i++)
        good = put_cell(root, outcomes, i);
    if (!good) {
        json_free(root);
        root = NULL;
    }
    return put_tree(out, root, err);
}

/* ---- the table ----------------------------------------------------------------------------------------------------------- */

static const struct gate_format formats[] = {
    {"terminal", "a table for people", write_terminal},
    {"md", "Markdown, as in the step summary of GitHub Actions", write_markdown},
    {"csv", "one row for each gate and cell, with numbers", write_csv},
    {"json", "the same", write_json},
    {"junit", "JUnit XML: inconclusive is skipped, incomplete an error", write_junit},
    {"benchmark-bigger", "github-action-benchmark's customBiggerIsBetter", write_bigger},
    {"benchmark-smaller", "github-action-benchmark's customSmallerIsBetter", write_smaller},
    {"bencher", "Bencher Metric Format", write_bencher},
};

const struct gate_format *gate_format_at(int i)
{
    return i >= 0 && (size_t)i < sizeof formats / sizeof *formats ? &formats[i] : NULL;
}

const struct gate_format *gate_format_find(const char *name)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (!strcmp(formats[i].name, name))
            return &formats[i];
    return NULL;
}
