/* Judgement: what a gate says of a paired difference and a margin.
 *
 * A margin is what may be lost. A difference passes when a loss of the margin is ruled out, fails when a smaller loss is, and is
 * inconclusive while its interval holds the margin: both errors, failing what lost no more than the margin and passing what lost no less,
 * happen in at most a share alpha of all cases. Two things keep that true where few questions flip, and cost nothing where many do
 * (tests/unit/metrics/test_judgement.c):
 *
 *   the floor        a loss of the margin m takes a share m of questions that flip, so its variance is at least m (1 - m), here taken over
 *                    videos, whose questions may flip together; a variance seen that is smaller is luck, and equal answers are no proof
 *   the continuity   sums of flips are whole numbers: bounds are moved by half a video (Yates 1934, JRSS Supplement 1) */
#ifndef TOKSWEEP_METRICS_JUDGEMENT_H
#define TOKSWEEP_METRICS_JUDGEMENT_H

#include "metrics/paired.h"

/* By weight: of several verdicts the last of these is that of all. */
enum judgement {
    JUDGED_PASS,
    JUDGED_INCONCLUSIVE, /* these questions cannot tell */
    JUDGED_INCOMPLETE,   /* what is to be judged is not there, or only in part */
    JUDGED_FAIL,
    JUDGEMENTS
};

const char *judgement_name(enum judgement verdict); /* "pass", "inconclusive", "incomplete", "fail" */

struct judged {
    enum judgement verdict; /* never incomplete */
    struct interval bounds; /* each holds with confidence 1 - alpha: pass when low > -margin, fail when high < -margin */
    double questions;       /* like these, with which a candidate as good as the baseline would pass four times out of five, about */
};

/* difference  candidate minus baseline
 * margin      share of questions that may be lost, 0 < margin < 1
 * alpha       0 < alpha < 0.5 */
struct judged difference_judge(const struct difference *difference, double margin, double alpha);

/* Chance that difference_judge() passes (fails) what truly differs by `truth`, when se is as expected; normal approximation. */
double pass_power(double se, size_t clusters, double truth, double margin, double alpha);
double fail_power(double se, size_t clusters, double truth, double margin, double alpha);

#endif
