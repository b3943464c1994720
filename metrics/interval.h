/* Intervals: pure functions from counts to bounds. */
#ifndef TOKSWEEP_METRICS_INTERVAL_H
#define TOKSWEEP_METRICS_INTERVAL_H

#include <stdint.h>

struct interval { double low, high; };

/* Wilson's score interval (Wilson 1927, JASA 22) for `correct` of `n` at standard-normal quantile z (1.959964 for 95 %); 0..1;
 * n == 0 gives [0, 1]. */
struct interval wilson_interval(int64_t correct, int64_t n, double z);

#endif
