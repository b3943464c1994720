/* Records: the rows of a manifest file, whatever form it comes in, as named fields. Internal to datasets/.
 *
 * The form is told by the content: Parquet ("PAR1"), a JSON list of objects ('['), or JSON Lines, one object per line ('{').
 * Messages name the file, the row (counted from 0; lines from 1) and the field. Texts are UTF-8 without NUL, whatever the form. */
#ifndef TOKSWEEP_DATASETS_RECORDS_H
#define TOKSWEEP_DATASETS_RECORDS_H

#include "core/arena.h"
#include "core/err.h"

#include <stddef.h>

struct records;

/* `nested` may be NULL: JSON objects are the records. Otherwise an object with a list under this key stands for the records in
 * that list, which take from it the fields that they lack. */
int records_open(struct records **out, const char *path, const char *nested, struct err *err);
void records_close(struct records *records); /* NULL is fine */

const char *records_digest(const struct records *records); /* of the file's bytes */

/* Goes to the next record, at first to the first: 1 if there is one, 0 if not, negative when the file is ill-formed. */
int records_next(struct records *records, struct err *err);

/* What the file must say about a field. */
enum field_need {
    FIELD_REQUIRED, /* there, and not null */
    FIELD_NULLABLE, /* there */
    FIELD_OPTIONAL,
};

/* Fields of the current record, copied into `arena`. What is absent or null gives NULL. */
int records_text(struct records *records, const char *key, enum field_need need, struct arena *arena, const char **out, struct err *err);

/* A required list of 1 to `most` texts. */
int records_texts(struct records *records, const char *key, int most, struct arena *arena, const char *const **out, int *n,
                  struct err *err);

/* An optional number: `otherwise` when it is absent or null. */
int records_number(struct records *records, const char *key, double otherwise, double *out, struct err *err);

/* ERR_DATA "<file>, row <n>: <formatted>", at the current record. */
int records_fail(const struct records *records, struct err *err, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
