/* Gates: the table of what can be bounded, in the words of docs/numbers.md. */
#include "harness/gate.h"

#include <math.h>
#include <string.h>

enum { COUNTED = BOUND_EXACT | BOUND_RANGE | BOUND_RATIO, SUMMED = BOUND_RANGE | BOUND_RATIO };

#define COUNT(name, unit, summary, bounds) {#name, unit, summary, bounds, GATE_COUNT, offsetof(struct cost, name)}
#define TIME(name, summary, stage) {name "_ms", "ms", summary, SUMMED, GATE_STAGE, stage}

static const struct gate_metric metrics[] = {
    {"accuracy", "%", "questions answered right, of those that both answered", BOUND_MARGIN, GATE_ANSWER, 0},
    {"answers", "questions", "letter and status of every question", BOUND_EXACT, GATE_ANSWER, 0},
    {"replies", "questions", "the whole reply to every question", BOUND_EXACT, GATE_ANSWER, 0},
    {"margin", "logits", "best minus second logit at the first generated text id", BOUND_EXACT | BOUND_WITHIN, GATE_MARGIN, 0},
    {"tokens", "tokens", "visual tokens and markers that entered the language model", COUNTED, GATE_TOKENS, 0},
    {"tokens_mean", "tokens", "visual tokens and markers per layer of the language model", COUNTED, GATE_MEAN,
     offsetof(struct cost, tokens_mean)},
    COUNT(tokens_before, "tokens", "visual tokens without compression", COUNTED),
    COUNT(tokens_text, "tokens", "text ids of the prompt", COUNTED),
    COUNT(tokens_generated, "tokens", "generation steps", COUNTED),
    COUNT(tokens_guide, "tokens", "rows that a guide ran through", COUNTED),
    COUNT(tokens_prefilled, "tokens", "rows run through the language model for this answer, paid", SUMMED),
    COUNT(frames, "frames", "frames shown", COUNTED),
    COUNT(frames_encoded, "frames", "frames run through the vision tower for this answer, paid", SUMMED),
    TIME("open", "opening the video", STAGE_OPEN),
    TIME("decode", "decoding", STAGE_DECODE),
    TIME("resize", "resizing", STAGE_RESIZE),
    TIME("vision", "tower, projector and pooling", STAGE_VISION),
    TIME("guide", "an allocator's guide", STAGE_GUIDE),
    TIME("compress", "the token plan", STAGE_COMPRESS),
    TIME("prefill", "prefill", STAGE_PREFILL),
    TIME("generate", "generation", STAGE_GENERATE),
    {"total_ms", "ms", "all stages, as if run alone", SUMMED, GATE_TOTAL, 0},
};

const struct gate_metric *gate_metric_at(int i)
{
    return i >= 0 && (size_t)i < sizeof metrics / sizeof *metrics ? &metrics[i] : NULL;
}

const struct gate_metric *gate_metric_find(const char *name)
{
    for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++)
        if (!strcmp(metrics[i].name, name))
            return &metrics[i];
    return NULL;
}

bool gate_metric_is_time(const struct gate_metric *metric)
{
    return metric->source == GATE_STAGE || metric->source == GATE_TOTAL;
}

/* Of the stages that were measured; NaN when none was. */
static double total_ms(const struct cost *cost)
{
    double sum = (double)NAN;
    for (int stage = 0; stage < STAGES; stage++)
        if (!isnan(cost->alone_ms[stage]))
            sum = (isnan(sum) ? 0 : sum) + cost->alone_ms[stage];
    return sum;
}

/* Negative: not known. */
static double count_of(const struct cost *cost, size_t place)
{
    int32_t count = *(const int32_t *)((const char *)cost + place);
    return count < 0 ? (double)NAN : count;
}

double gate_value(const struct gate_metric *metric, const struct answer *answer)
{
    const struct cost *cost = &answer->cost;
    if (metric->source == GATE_MARGIN)
        return answer->margin;
    if (metric->source == GATE_ANSWER || cost->frames < 0)
        return (double)NAN;
    switch (metric->source) {
    case GATE_TOKENS:
        return cost->tokens_visual + cost->tokens_marker;
    case GATE_COUNT:
        return count_of(cost, metric->place);
    case GATE_MEAN:
        return *(const double *)((const char *)cost + metric->place);
    case GATE_STAGE:
        return cost->alone_ms[metric->place];
    default:
        return total_ms(cost);
    }
}
