/* Published numbers: whether a table can be what it says, and what ours say of it. Pure. All shares are percent, as papers print them. */
#ifndef TOKSWEEP_METRICS_PUBLISHED_H
#define TOKSWEEP_METRICS_PUBLISHED_H

#include "metrics/interval.h"

#include <stdbool.h>
#include <stdint.h>

/* What a printed percentage can be of n questions. */
enum whole { WHOLE_EXACT, WHOLE_ROUNDED_WRONGLY, WHOLE_IMPOSSIBLE, WHOLE_ANY };

/* The number of right answers among n that comes nearest to `printed`, which has `decimals`: exact when it is printed so, rounded wrongly
 * when the last digit is off by one. With so many questions that every number fits, WHOLE_ANY: nothing can be learnt. n > 0. */
enum whole whole_questions(double printed, int decimals, int64_t n, int64_t *correct);

/* A share of n in percent as it should be printed: halves away from zero. */
double whole_printed(int64_t correct, int64_t n, int decimals);

/* Two rows of one table differ by `difference` questions: how many questions at most may have changed between them if an exact McNemar
 * test is to find that difference at level `alpha`. 0 when it cannot for any number. */
int64_t whole_most_changed(int64_t difference, double alpha);

enum verdict { VERDICT_WITHIN_NOISE, VERDICT_LOWER, VERDICT_HIGHER, VERDICT_CANNOT_TELL };

/* What ours minus published says: lower or higher when its interval, widened by what the published digits leave open, excludes 0; within
 * noise when it does not and reaches no farther than `margin` to either side of the difference; else it cannot be told, and
 * *questions is how many of the kind of the `n` at hand would make it as narrow as that (0 when n says nothing).
 * interval  of the difference
 * open      half a unit of the last published digit */
enum verdict verdict_of(struct interval interval, double open, double margin, int64_t n, int64_t *questions);

#endif
