/* Controls: cells that leave as many tokens as another cell did on the same video, and question where that one depends on it. */
#include "runners/native_impl.h"

#include "compressors/match.h"

#include <string.h>

bool native_pays_for_match(const struct work *work, size_t c)
{
    size_t n = work->job->n_samples, other = work->cells[c].match;
    bool wanted = other == SIZE_MAX;
    for (size_t s = 0; s < n && !wanted; s++)
        wanted = work->job->wanted[other * n + s];
    return !wanted;
}

static size_t distance(size_t a, size_t b)
{
    return a < b ? b - a : a - b;
}

/* By budgets. The first guess is exact for methods whose markers are those of their grid; others are told their difference. */
static int plan_by_budget(struct work *work, size_t c, const struct vid_view *view, size_t wanted, struct token_set *set, struct err *err)
{
    enum { TRIES = 4 };
    const struct run_cell *run = work->job->cells[c].run;
    const struct method *method = native_token_method(run);
    enum src_dom dom = method->compressor->domain(method->values);
    enum newline native = (enum newline)newline_find(run->cell.newline);
    size_t content = match_content(dom, view, native, wanted), most = match_content(dom, view, native, SIZE_MAX), tried = SIZE_MAX;
    double spent_ms = 0;
    for (int i = 0; i < TRIES && content != tried; i++) {
        struct token_set made = {0};
        struct budget budget;
        int rc = match_budget(dom, view, content, &work->arena, &budget) ? 0 : err_no_memory(err, "the budgets of frames");
        if (!rc)
            rc = native_plan_tokens(work, c, view, method->values, &budget, &made, err);
        if (rc)
            return rc;
        spent_ms += made.compress_ms;
        size_t n = made.plan.n_tok, off = distance(n, wanted);
        if (i == 0 || off < distance(set->plan.n_tok, wanted))
            *set = made;
        tried = content;
        content = n < wanted ? (content + off < most ? content + off : most) : content > off ? content - off : 0;
    }
    set->compress_ms = set->owed_compress_ms = spent_ms;
    return 0;
}

int native_plan_control(struct work *work, size_t c, size_t s, const struct vid_view *view, struct token_set *set, struct err *err)
{
    const struct run_cell *run = work->job->cells[c].run;
    const struct method *method = native_token_method(run);
    struct token_set *other = native_tokens(work, work->cells[c].match, s);
    size_t wanted = other->plan.n_tok;
    double values[COMPRESSOR_MOST_OPTIONS];
    memcpy(values, method->values, sizeof values);
    int rc = match_setting(method->compressor, values, view, (enum newline)newline_find(run->cell.newline), wanted)
                 ? native_plan_tokens(work, c, view, values, NULL, set, err)
                 : plan_by_budget(work, c, view, wanted, set, err);
    set->match = wanted;
    if (!rc && native_pays_for_match(work, c)) {
        set->owed_compress_ms += other->owed_compress_ms;
        other->owed_compress_ms = 0;
    }
    return rc;
}

/* Questions that the guide of the matched cell refused have no number of tokens. */
static void refuse_with_match(struct work *work, size_t c)
{
    size_t n = work->job->n_samples;
    for (size_t s = 0; s < n && !work->stopped; s++) {
        const char *refusal = native_guide_refusal(work, work->cells[c].match, s);
        if (refusal && work->open[c * n + s])
            native_fail(work, c, s, ANSWER_TOO_LONG, refusal);
    }
}

int native_meet_match(struct work *work, size_t c, struct err *err)
{
    struct cell_work *cell = &work->cells[c], *other = &work->cells[cell->match];
    const char *label = work->job->cells[cell->match].run->cell.label;
    if (other->failure.code)
        return err_set(err, other->failure.code, "the cell to match, '%s', has no tokens: %s", label, other->failure.text);
    cell->per_question = other->per_question;
    if (cell->per_question)
        refuse_with_match(work, c);
    if (native_pays_for_match(work, c)) {
        cell->owed_vision_ms += other->owed_vision_ms;
        cell->owed_frames += other->owed_frames;
        other->owed_vision_ms = 0;
        other->owed_frames = 0;
    }
    return 0;
}
