/* Export of what a cell answered, in a table that a repository can keep and a diff can show: the expected results of `toksweep gate`. */
#include "results/export_impl.h"

#include <math.h>

static void put_count(struct text *out, const struct cost *cost, int32_t count)
{
    if (cost->frames >= 0)
        text_printf(out, "%d", count);
    text_put(out, ",");
}

static void put_row(struct text *out, const struct sample *sample, const struct answer *answer)
{
    const struct cost *cost = &answer->cost;
    export_put_field(out, sample->id, ",");
    text_printf(out, "%s,", answer_status_name(answer->status));
    if (answer->extracted >= 0)
        text_printf(out, "%c", 'A' + answer->extracted);
    text_printf(out, ",%d,", answer->correct);
    if (!isnan(answer->margin))
        text_printf(out, "%.17g", answer->margin);
    text_put(out, ",");
    put_count(out, cost, cost->frames);
    put_count(out, cost, cost->tokens_before);
    put_count(out, cost, cost->tokens_visual);
    put_count(out, cost, cost->tokens_marker);
    put_count(out, cost, cost->tokens_text);
    put_count(out, cost, cost->tokens_generated);
    export_put_field(out, answer->raw, "\n");
}

int export_answers(struct text *out, const struct export_source *source, const char *task, struct err *err)
{
    (void)task;
    const struct stored_cell *cell = source->cell;
    text_put(out, "sample,status,letter,correct,margin,frames,tokens_before,tokens_visual,tokens_marker,tokens_text,tokens_generated,reply\n");
    for (size_t i = 0; i < cell->manifest.n_samples; i++)
        if (cell->answers[i].id)
            put_row(out, &cell->manifest.samples[i], &cell->answers[i].answer);
    return out->failed ? err_no_memory(err, "an export") : 0;
}
