/* Pairing: manifests held against each other, then answers. */
#include "harness/pairing.h"

#include <stdlib.h>
#include <string.h>

bool pairing_replied(const struct stored_answer *answer)
{
    return answer->id && answer_is_reply(answer->answer.status);
}

static int check_same_questions(const struct stored_cell *a, const struct stored_cell *b, struct err *err)
{
    const struct manifest *x = &a->manifest, *y = &b->manifest;
    bool same = !strcmp(x->benchmark, y->benchmark) && x->n_samples == y->n_samples;
    for (size_t i = 0; same && i < x->n_samples; i++)
        same = !strcmp(x->samples[i].id, y->samples[i].id);
    return same ? 0
                : err_set(err, ERR_CONFIG,
                          "'%s' answers %zu questions of %s and '%s' %zu of %s, which are not the same; compare cells of one manifest",
                          a->label, x->n_samples, x->benchmark, b->label, y->n_samples, y->benchmark);
}

int pairing_make(struct pairing *out, const struct stored_cell *a, const struct stored_cell *b, struct err *err)
{
    const struct manifest *manifest = &a->manifest;
    *out = (struct pairing){.n_videos = manifest->n_videos};
    int rc = check_same_questions(a, b, err);
    if (rc)
        return rc;
    if (!(out->pairs = malloc((manifest->n_samples + 1) * sizeof *out->pairs)))
        return err_no_memory(err, "a comparison");
    for (size_t i = 0; i < manifest->n_samples; i++) {
        if (!pairing_replied(&a->answers[i]) || !pairing_replied(&b->answers[i])) {
            out->n_unpaired++;
            continue;
        }
        bool right_a = a->answers[i].answer.correct, right_b = b->answers[i].answer.correct;
        out->pairs[out->n++] = (struct pair){manifest->samples[i].video, right_a, right_b};
        out->n_a += right_a;
        out->n_b += right_b;
        out->only_a += right_a && !right_b;
        out->only_b += right_b && !right_a;
    }
    return 0;
}

void pairing_free(struct pairing *pairing)
{
    free(pairing->pairs);
    *pairing = (struct pairing){0};
}
