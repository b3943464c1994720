/* The CSV reader on any bytes: it answers or refuses, and what it answers with is whole. */
#include "core/text.h"
#include "datasets/csv.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct err err = {0};
    struct arena arena = {0};
    struct csv_table table;
    if (csv_parse(&table, length ? (const char *)bytes : "", length, "input", &arena, &err) == 0) {
        size_t total = 0;
        for (size_t i = 0; i < table.n_rows * table.n_columns; i++) {
            if (!text_is_clean(table.cells[i], strlen(table.cells[i])))
                abort();
            total += strlen(table.cells[i]);
        }
        for (size_t i = 1; i < table.n_rows; i++)
            if (table.lines[i] <= table.lines[i - 1])
                abort();
        if (total > length || table.n_columns < 1 || table.n_columns > CSV_MOST_COLUMNS)
            abort();
        csv_column(&table, "question");
    }
    arena_free(&arena);
    return 0;
}
