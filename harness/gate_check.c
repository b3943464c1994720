/* Gates, judging: first whether all is there that is to be judged, then each kind of bound. */
#include "harness/gate.h"

#include "harness/pairing.h"
#include "metrics/interval.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_NAMED = 3 }; /* questions that a sentence names */

struct check {
    const struct gate *gate;
    const struct gate_side *a, *b; /* candidate, baseline */
    struct pairing pairing;
    struct gate_outcome *out;
    struct text detail;
    struct err *err;
};

static int settle(struct check *check, enum judgement verdict)
{
    check->out->verdict = verdict;
    return 0;
}

/* ---- what is there ------------------------------------------------------------------------------------------------------- */

/* Questions that the baseline answered and the candidate did not. */
static bool is_complete(struct check *check)
{
    const struct stored_cell *a = check->a->cell, *b = check->b->cell;
    size_t n_asked = 0, n_missing = 0, n_failed = 0;
    const char *status = "";
    for (size_t i = 0; i < a->manifest.n_samples; i++) {
        if (!pairing_replied(&b->answers[i]))
            continue;
        n_asked++;
        n_missing += !a->answers[i].id;
        if (a->answers[i].id && !pairing_replied(&a->answers[i])) {
            n_failed++;
            status = answer_status_name(a->answers[i].answer.status);
        }
    }
    if (n_missing + n_failed == 0 && n_asked > 0)
        return true;
    if (n_asked == 0)
        text_put(&check->detail, "the baseline has no reply");
    else
        text_printf(&check->detail, "of %zu questions that the baseline answered, %zu have no answer and %zu failed%s%s%s", n_asked,
                    n_missing, n_failed, n_failed ? " (" : "", status, n_failed ? ")" : "");
    return false;
}

/* ---- accuracy ------------------------------------------------------------------------------------------------------------ */

/* The candidate's accuracy with its own interval, and the baseline's; percent. */
static int measure_accuracy(struct check *check)
{
    const struct pairing *pairing = &check->pairing;
    struct pair *alone = malloc((pairing->n + 1) * sizeof *alone);
    struct difference mean;
    if (!alone)
        return err_no_memory(check->err, "a gate");
    for (size_t i = 0; i < pairing->n; i++)
        alone[i] = (struct pair){pairing->pairs[i].cluster, pairing->pairs[i].a, 0};
    int rc = paired_difference(alone, pairing->n, pairing->n_videos, 0.95, &mean, check->err);
    free(alone);
    if (rc)
        return rc;
    struct interval interval = share_interval(mean.mean, mean.se, (int64_t)mean.n, (int64_t)mean.clusters, 0.95);
    check->out->low = 100 * interval.low;
    check->out->high = 100 * interval.high;
    return 0;
}

static void tell_accuracy(struct check *check, const struct difference *difference, const struct judged *judgement)
{
    const struct pairing *pairing = &check->pairing;
    text_printf(&check->detail,
                "%.1f %% against %.1f %%, %+.1f points (%+.1f to %+.1f); %lld lost and %lld won of %zu questions on %zu videos",
                check->out->value, check->out->expected, 100 * difference->mean, 100 * judgement->bounds.low, 100 * judgement->bounds.high,
                (long long)pairing->only_b, (long long)pairing->only_a, difference->n, difference->clusters);
    if (judgement->verdict == JUDGED_INCONCLUSIVE && judgement->questions > (double)difference->n)
        text_printf(&check->detail, "; of equals about %.0f would tell", judgement->questions);
    else if (judgement->verdict == JUDGED_INCONCLUSIVE)
        text_put(&check->detail, "; the loss is near the margin");
}

static int check_margin(struct check *check)
{
    const struct pairing *pairing = &check->pairing;
    struct difference difference;
    check->out->value = 100 * (double)pairing->n_a / (double)pairing->n;
    check->out->expected = 100 * (double)pairing->n_b / (double)pairing->n;
    int rc = paired_difference(pairing->pairs, pairing->n, pairing->n_videos, 1 - 2 * check->gate->alpha, &difference, check->err);
    if (rc == ERR_DATA) {
        text_put(&check->detail, check->err->text);
        return settle(check, JUDGED_INCONCLUSIVE);
    }
    if (rc || (rc = measure_accuracy(check)))
        return rc;
    struct judged judgement = difference_judge(&difference, check->gate->margin, check->gate->alpha);
    tell_accuracy(check, &difference, &judgement);
    return settle(check, judgement.verdict);
}

/* ---- question by question ------------------------------------------------------------------------------------------------ */

/* Appends what one side has to a question, as `metric` sees it. */
static void put_value(struct text *out, const struct gate_metric *metric, const struct stored_answer *answer)
{
    double value = gate_value(metric, &answer->answer);
    if (metric->source != GATE_ANSWER)
        text_printf(out, isnan(value) ? "none" : "%.9g", value);
    else if (!strcmp(metric->name, "replies") && answer->answer.raw)
        text_printf(out, "'%.40s'", answer->answer.raw);
    else if (answer->answer.extracted >= 0)
        text_printf(out, "%c", 'A' + answer->answer.extracted);
    else
        text_put(out, answer_status_name(answer->answer.status));
}

static bool is_equal(const struct gate *gate, const struct stored_answer *a, const struct stored_answer *b)
{
    const char *said_a = a->answer.raw ? a->answer.raw : "", *said_b = b->answer.raw ? b->answer.raw : "";
    if (!strcmp(gate->metric->name, "replies"))
        return a->answer.status == b->answer.status && !strcmp(said_a, said_b);
    if (gate->metric->source == GATE_ANSWER)
        return a->answer.status == b->answer.status && a->answer.extracted == b->answer.extracted;
    double x = gate_value(gate->metric, &a->answer), y = gate_value(gate->metric, &b->answer);
    if (isnan(x) || isnan(y))
        return isnan(x) && isnan(y);
    return gate->bound == BOUND_WITHIN ? fabs(x - y) <= gate->within : x == y;
}

/* The mean over questions that both answered, as far as known. */
static double mean_of(const struct check *check, const struct stored_cell *cell)
{
    double sum = 0;
    size_t n = 0;
    for (size_t i = 0; i < cell->manifest.n_samples; i++) {
        double value = gate_value(check->gate->metric, &cell->answers[i].answer);
        if (!pairing_replied(&check->a->cell->answers[i]) || !pairing_replied(&check->b->cell->answers[i]) || isnan(value))
            continue;
        sum += value;
        n++;
    }
    return n ? sum / (double)n : (double)NAN;
}

/* Answers that are failures on both sides are compared too. */
static int check_each(struct check *check)
{
    const struct stored_cell *a = check->a->cell, *b = check->b->cell;
    const struct gate_metric *metric = check->gate->metric;
    struct text named = {0};
    size_t n = 0, n_differing = 0;
    for (size_t i = 0; i < a->manifest.n_samples; i++) {
        if (!a->answers[i].id || !b->answers[i].id)
            continue;
        n++;
        if (is_equal(check->gate, &a->answers[i], &b->answers[i]) || n_differing++ >= MOST_NAMED)
            continue;
        text_printf(&named, "%s%s ", n_differing == 1 ? ": " : ", ", a->manifest.samples[i].id);
        put_value(&named, metric, &a->answers[i]);
        text_put(&named, " instead of ");
        put_value(&named, metric, &b->answers[i]);
    }
    bool counts = metric->source == GATE_ANSWER;
    check->out->value = counts ? (double)n_differing : mean_of(check, a);
    check->out->expected = counts ? 0 : mean_of(check, b);
    text_printf(&check->detail, "%zu of %zu questions differ%s%s", n_differing, n, named.bytes ? named.bytes : "",
                n_differing > MOST_NAMED ? ", ..." : "");
    check->detail.failed |= named.failed;
    text_free(&named);
    return settle(check, n_differing ? JUDGED_FAIL : JUDGED_PASS);
}

/* ---- sums ---------------------------------------------------------------------------------------------------------------- */

static int check_sums(struct check *check)
{
    const struct gate *gate = check->gate;
    struct gate_outcome *out = check->out;
    bool is_ratio = gate->bound == BOUND_RATIO, both_zero;
    out->value = mean_of(check, check->a->cell);
    out->expected = mean_of(check, check->b->cell);
    if (isnan(out->value) || (is_ratio && isnan(out->expected))) {
        text_printf(&check->detail, "%s of the %s is not known", gate->metric->name, isnan(out->value) ? "cell" : "baseline");
        return settle(check, JUDGED_INCOMPLETE);
    }
    both_zero = out->value == 0 && out->expected == 0;
    double judged = !is_ratio ? out->value : both_zero ? 1 : out->value / out->expected;
    text_printf(&check->detail, "%.6g %s a question", out->value, gate->metric->unit);
    if (check->a != check->b && !isnan(out->expected))
        text_printf(&check->detail, " against %.6g", out->expected);
    if (is_ratio)
        text_printf(&check->detail, ", ratio %.4g", judged);
    if (is_ratio && gate_metric_is_time(gate->metric) && (!*check->a->device || strcmp(check->a->device, check->b->device))) {
        text_printf(&check->detail, "; measured on different machines: '%s' and '%s'", check->a->device, check->b->device);
        return settle(check, JUDGED_INCONCLUSIVE);
    }
    return settle(check, judged < gate->least || judged > gate->most ? JUDGED_FAIL : JUDGED_PASS);
}

/* ---- one gate ------------------------------------------------------------------------------------------------------------ */

static int judge(struct check *check)
{
    int rc = pairing_make(&check->pairing, check->a->cell, check->b->cell, check->err);
    if (rc == ERR_CONFIG) {
        text_put(&check->detail, check->err->text);
        return settle(check, JUDGED_INCOMPLETE);
    }
    if (rc)
        return rc;
    if (!is_complete(check))
        return settle(check, JUDGED_INCOMPLETE);
    if (check->gate->bound == BOUND_MARGIN)
        return check_margin(check);
    if (check->gate->bound == BOUND_EXACT || check->gate->bound == BOUND_WITHIN)
        return check_each(check);
    return check_sums(check);
}

int gate_check(struct gate_outcome *out, const struct gate *gate, const struct gate_side *candidate, const struct gate_side *baseline,
               const char *why, struct err *err)
{
    bool alone = !baseline && gate->bound == BOUND_RANGE; /* which needs no baseline: the cell is its own */
    struct check check = {.gate = gate, .a = candidate, .b = alone ? candidate : baseline, .out = out, .err = err};
    int rc = 0;
    *out = (struct gate_outcome){.gate = gate, .cell = candidate->name, .baseline = baseline ? baseline->name : "none",
                                 .verdict = JUDGED_INCOMPLETE, .value = (double)NAN, .expected = (double)NAN, .low = (double)NAN,
                                 .high = (double)NAN};
    if (check.b)
        rc = judge(&check);
    else
        text_put(&check.detail, why);
    out->expected = alone ? (double)NAN : out->expected;
    pairing_free(&check.pairing);
    bool failed = check.detail.failed;
    out->detail = text_take(&check.detail);
    return rc ? rc : failed || !out->detail ? err_no_memory(err, "a gate") : 0;
}
