/* Records: the rows of a manifest file, whatever form it comes in, as named fields. Internal to datasets/.
 *
 * The form is told by the name's ending ("csv") or else by the content: Parquet ("PAR1"), a JSON list of objects ('['), or JSON Lines,
 * one object per line ('{'). Messages name the file, the row (counted from 0; lines from 1) and the field. Texts are UTF-8 without
 * NUL, whatever the form. */
#ifndef TOKSWEEP_DATASETS_RECORDS_H
#define TOKSWEEP_DATASETS_RECORDS_H

#include "core/arena.h"
#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>

struct records;

struct records_layout {
    const char *nested; /* an object with a list under this key stands for the records in that list, which take from it the fields
                         * that they lack; NULL: objects are the records */
    bool keyed;         /* the file may be one object, whose members then are the objects */
};

/* `layout` may be NULL: neither. */
int records_open(struct records **out, const char *path, const struct records_layout *layout, struct err *err);
void records_close(struct records *records); /* NULL is fine */

const char *records_digest(const struct records *records); /* of the file's bytes */

/* Goes to the next record, at first to the first: 1 if there is one, 0 if not, negative when the file is ill-formed. */
int records_next(struct records *records, struct err *err);

/* The key under which the file has the object of the current record; NULL where objects have none. */
const char *records_key(const struct records *records);

/* What the file must say about a field. */
enum field_need {
    FIELD_REQUIRED, /* there, and not null */
    FIELD_NULLABLE, /* there */
    FIELD_OPTIONAL,
};

/* Fields of the current record, copied into `arena`. What is absent or null gives NULL. */
int records_text(struct records *records, const char *key, enum field_need need, struct arena *arena, const char **out, struct err *err);

/* The same for a name or a number that some forms have as a text and others as a whole number: always as a text. */
int records_word(struct records *records, const char *key, enum field_need need, struct arena *arena, const char **out, struct err *err);

/* A list of `least` to `most` texts; with `least` 0 it may also be absent or null. CSV has no lists. */
int records_texts(struct records *records, const char *key, int least, int most, struct arena *arena, const char *const **out, int *n,
                  struct err *err);

/* An optional number: `otherwise` when it is absent or null, or an empty field of CSV. */
int records_number(struct records *records, const char *key, double otherwise, double *out, struct err *err);

/* ERR_DATA "<file>, row <n>: <formatted>", at the current record. */
int records_fail(const struct records *records, struct err *err, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
