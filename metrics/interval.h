/* Intervals: pure functions from shares to bounds. */
#ifndef TOKSWEEP_METRICS_INTERVAL_H
#define TOKSWEEP_METRICS_INTERVAL_H

#include <stdint.h>

struct interval { double low, high; };

/* Wilson's score interval (Wilson 1927, JASA 22) for a share of n independent questions, n > 0 and not always whole, at standard-normal
 * quantile z (1.959964 for 95 %); 0..1. */
struct interval wilson_interval(double share, double n, double z);

/* Interval of a share whose questions are grouped by video: Wilson's, at the number of independent questions that would be as uncertain
 * (Korn and Graubard 1998, Survey Methodology 24; Franco, Little, Louis and Slud 2019, JSSAM 7).
 * share     0..1, a mean over questions or over groups of them
 * se        its standard error with videos as clusters (accuracy_se of results/views.sql); ignored with fewer than two videos
 * n         questions it is made of; independent ones are never counted as more than these
 * clusters  videos that have any; widens the bounds by Student's t with clusters - 1 degrees of freedom
 * confidence 0..1
 * [0, 1] with fewer than two videos, which say nothing about noise. */
struct interval share_interval(double share, double se, int64_t n, int64_t clusters, double confidence);

#endif
