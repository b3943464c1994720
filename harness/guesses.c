/* Guesses: the draws, in the order of the manifest. */
#include "harness/guesses.h"

#include "metrics/guess.h"

#include <string.h>

struct drawing {
    struct guesser guesser;
    struct guesses *sum;
    const char *kind, *group;
};

static bool is_in_group(const struct unread_row *row, const char *kind, const char *group)
{
    const struct { const char *kind, *group; } groups[] = {
        {"task_type", row->task_type}, {"duration", row->duration}, {"domain", row->domain}, {"sub_category", row->sub_category}};
    for (size_t i = 0; kind && i < sizeof groups / sizeof *groups; i++)
        if (!strcmp(groups[i].kind, kind))
            return !strcmp(groups[i].group, group);
    return !kind;
}

static int draw(const struct unread_row *row, void *context)
{
    struct drawing *drawing = context;
    int letter = row->n_options > 0 ? guesser_choose(&drawing->guesser, row->n_options) : -1;
    if (!is_in_group(row, drawing->kind, drawing->group))
        return 0;
    drawing->sum->n++;
    drawing->sum->seeded += letter >= 0 && letter == row->answer;
    drawing->sum->expected += row->n_options > 0 && row->answer >= 0 ? 1.0 / row->n_options : 0;
    return 0;
}

int guesses_of_cell(struct guesses *out, struct store *store, int64_t cell, const char *kind, const char *group, struct err *err)
{
    struct drawing drawing = {.sum = out, .kind = kind, .group = group};
    *out = (struct guesses){0};
    guesser_seed(&drawing.guesser, 0);
    return store_each_unread(store, cell, draw, &drawing, err);
}
