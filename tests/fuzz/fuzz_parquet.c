/* The Parquet reader on any bytes: it answers or refuses, within its limits. */
#include "datasets/parquet.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct err err = {0};
    struct arena arena = {0};
    struct parquet_table table;
    if (parquet_parse(&table, bytes, length, "input", &arena, &err) == 0)
        for (size_t i = 0; i < table.n_columns; i++)
            parquet_column(&table, table.columns[i].name);
    arena_free(&arena);
    return 0;
}
