/* Judgement: bounds of a difference held against a margin. */
#include "metrics/judgement.h"

#include "metrics/special.h"

#include <math.h>

const char *judgement_name(enum judgement verdict)
{
    static const char *const names[JUDGEMENTS] = {"pass", "inconclusive", "incomplete", "fail"};
    return names[verdict];
}

static double floor_variance(size_t clusters, double margin)
{
    return margin * (1 - margin) / (double)clusters;
}

static double half_video(size_t clusters)
{
    return 0.5 / (double)clusters;
}

struct judged difference_judge(const struct difference *difference, double margin, double alpha)
{
    static const double power = 0.8;
    double se = sqrt(fmax(difference->se * difference->se, floor_variance(difference->clusters, margin)));
    double half = student_quantile(1 - alpha, difference->df) * se + half_video(difference->clusters);
    double ratio = (normal_quantile(1 - alpha) + normal_quantile(power)) * se / margin;
    struct interval bounds = {difference->mean - half, difference->mean + half};
    return (struct judged){
        .verdict = bounds.low > -margin ? JUDGED_PASS : bounds.high < -margin ? JUDGED_FAIL : JUDGED_INCONCLUSIVE,
        .bounds = bounds,
        .questions = ceil((double)difference->n * ratio * ratio),
    };
}

/* P(the estimate is further than the bound's half width above -margin), mirrored for losses. */
static double power_beyond(double se, size_t clusters, double distance, double margin, double alpha)
{
    double used = sqrt(fmax(se * se, floor_variance(clusters, margin)));
    double needed = normal_quantile(1 - alpha) * used + half_video(clusters);
    return normal_cdf((distance - needed) / se);
}

double pass_power(double se, size_t clusters, double truth, double margin, double alpha)
{
    return power_beyond(se, clusters, truth + margin, margin, alpha);
}

double fail_power(double se, size_t clusters, double truth, double margin, double alpha)
{
    return power_beyond(se, clusters, -margin - truth, margin, alpha);
}
