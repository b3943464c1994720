/* Tables: five ways to write the same rows. */
#include "harness/table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int table_format_find(const char *name)
{
    static const char *const names[] = {"terminal", "md", "csv", "json", "latex"};
    for (int i = 0; i < 5; i++)
        if (!strcmp(names[i], name))
            return i;
    return -1;
}

void table_column(struct table *table, const char *name, bool number)
{
    table->columns[table->n_columns].name = name;
    table->columns[table->n_columns++].number = number;
}

void table_cell(struct table *table, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if ((table->n_cells & (table->n_cells + 1)) == 0) { /* full at 2^k - 1 */
        char **grown = realloc(table->cells, 2 * (table->n_cells + 1) * sizeof *grown);
        if (!grown) {
            table->failed = true;
            return;
        }
        table->cells = grown;
    }
    if (!(table->cells[table->n_cells] = strdup(text)))
        table->failed = true;
    else
        table->n_cells++;
}

void table_free(struct table *table)
{
    for (size_t i = 0; i < table->n_cells; i++)
        free(table->cells[i]);
    free(table->cells);
    *table = (struct table){0};
}

/* A cell as it is shown. Cells may hold the words of strangers: nothing in them steers the terminal or ends the line, no '|' ends the
 * cell. */
static void put_cell(struct text *out, const char *text, bool markdown)
{
    const char *bar;
    struct text part = {0};
    while (markdown && (bar = strchr(text, '|'))) {
        text_add(&part, text, (size_t)(bar - text));
        text_put(&part, "\\|");
        text = bar + 1;
    }
    text_put(&part, text);
    out->failed |= part.failed;
    if (part.bytes)
        text_put_shown(out, part.bytes);
    text_free(&part);
}

static int shown_width(const char *text, bool markdown)
{
    size_t bars = 0;
    for (const char *p = text; markdown && *p; p++)
        bars += *p == '|';
    return (int)(text_columns(text) + bars);
}

static void pad(struct text *out, const char *text, int width, bool right, bool markdown)
{
    int blanks = width - shown_width(text, markdown);
    text_printf(out, "%*s", right ? blanks : 0, "");
    put_cell(out, text, markdown);
    text_printf(out, "%*s", right ? 0 : blanks, "");
}

static void write_lines(const struct table *table, bool markdown, struct text *out)
{
    int width[TABLE_MOST_COLUMNS];
    const char *between = markdown ? " | " : "  ";
    for (size_t c = 0; c < table->n_columns; c++) {
        width[c] = shown_width(table->columns[c].name, markdown);
        for (size_t i = c; i < table->n_cells; i += table->n_columns) {
            int shown = shown_width(table->cells[i], markdown);
            width[c] = shown > width[c] ? shown : width[c];
        }
    }
    for (size_t row = 0; row <= table->n_cells / table->n_columns; row++) {
        text_put(out, markdown ? "| " : "");
        for (size_t c = 0; c < table->n_columns; c++) {
            const char *cell = row ? table->cells[(row - 1) * table->n_columns + c] : table->columns[c].name;
            text_put(out, c ? between : "");
            pad(out, cell, width[c], table->columns[c].number, markdown);
        }
        while (!markdown && out->length && out->bytes[out->length - 1] == ' ')
            out->bytes[--out->length] = 0;
        text_put(out, markdown ? " |\n" : "\n");
        for (size_t c = 0; c < table->n_columns && row == 0; c++) {
            text_put(out, c ? (markdown ? "|" : between) : markdown ? "|" : "");
            int dashes = width[c] + (markdown ? 2 : 0);
            for (int i = 0; i < dashes; i++)
                text_put(out, markdown ? (i == dashes - 1 && table->columns[c].number ? ":" : "-") : "─");
        }
        text_put(out, row == 0 ? (markdown ? "|\n" : "\n") : "");
    }
}

static void write_quoted(struct text *out, const char *text, char quote, const char *doubled)
{
    for (; *text; text++)
        if (*text == quote)
            text_put(out, doubled);
        else
            text_add(out, text, 1);
}

static void write_csv(const struct table *table, struct text *out)
{
    for (size_t i = 0; i < table->n_columns + table->n_cells; i++) {
        const char *cell = i < table->n_columns ? table->columns[i].name : table->cells[i - table->n_columns];
        bool quoted = strpbrk(cell, ",\"\r\n") != NULL;
        text_put(out, quoted ? "\"" : "");
        write_quoted(out, cell, '"', "\"\"");
        text_put(out, quoted ? "\"" : "");
        text_put(out, (i + 1) % table->n_columns ? "," : "\r\n"); /* RFC 4180 */
    }
}

static void write_json_string(struct text *out, const char *text)
{
    text_put(out, "\"");
    for (; *text; text++)
        if (*text == '"' || *text == '\\')
            text_printf(out, "\\%c", *text);
        else if ((unsigned char)*text < 0x20)
            text_printf(out, "\\u%04x", (unsigned)*text);
        else
            text_add(out, text, 1);
    text_put(out, "\"");
}

static void write_json(const struct table *table, struct text *out)
{
    text_put(out, "[");
    for (size_t i = 0; i < table->n_cells; i++) {
        size_t c = i % table->n_columns;
        text_put(out, c ? ", " : i ? "},\n {" : "\n {");
        write_json_string(out, table->columns[c].name);
        text_put(out, ": ");
        if (!table->columns[c].number)
            write_json_string(out, table->cells[i]);
        else
            text_put(out, *table->cells[i] ? table->cells[i] : "null");
    }
    text_put(out, table->n_cells ? "}\n]\n" : "]\n");
}

static void write_latex_text(struct text *out, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '%': case '&': case '_': case '#': case '$': case '{': case '}':
            text_printf(out, "\\%c", *text);
            break;
        case '\\':
            text_put(out, "\\textbackslash{}");
            break;
        case '~':
            text_put(out, "\\textasciitilde{}");
            break;
        case '^':
            text_put(out, "\\textasciicircum{}");
            break;
        default:
            text_add(out, (unsigned char)*text < 0x20 ? " " : text, 1);
        }
}

static void write_latex(const struct table *table, struct text *out)
{
    text_put(out, "\\begin{tabular}{");
    for (size_t c = 0; c < table->n_columns; c++)
        text_put(out, table->columns[c].number ? "r" : "l");
    text_put(out, "}\n\\toprule\n");
    for (size_t i = 0; i < table->n_columns + table->n_cells; i++) {
        write_latex_text(out, i < table->n_columns ? table->columns[i].name : table->cells[i - table->n_columns]);
        text_put(out, (i + 1) % table->n_columns ? " & " : " \\\\\n");
        text_put(out, i + 1 == table->n_columns ? "\\midrule\n" : "");
    }
    text_put(out, "\\bottomrule\n\\end{tabular}\n");
}

bool table_write(const struct table *table, enum table_format format, struct text *out)
{
    switch (format) {
    case TABLE_TERMINAL:
    case TABLE_MARKDOWN:
        write_lines(table, format == TABLE_MARKDOWN, out);
        break;
    case TABLE_CSV:
        write_csv(table, out);
        break;
    case TABLE_JSON:
        write_json(table, out);
        break;
    case TABLE_LATEX:
        write_latex(table, out);
        break;
    }
    return !table->failed && !out->failed;
}
