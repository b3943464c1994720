/* Scoring: what a run, an import and a rescore do with a reply. */
#include "metrics/score.h"

#include "metrics/extract.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int score_reply(struct answer *answer, const char *reply, const struct sample *sample, const struct profile *profile,
                const struct protocol *protocol, int most_letters, struct err *err)
{
    int letters = protocol->letters ? protocol->letters : sample->n_options < most_letters ? sample->n_options : most_letters;
    char *bare = NULL; /* the reply itself is kept as it was said */
    if (profile->drops_reasoning) {
        if (!(bare = strdup(reply)))
            return err_no_memory(err, "scoring a reply");
        text_drop_reasoning(bare);
    }
    const char *said = bare ? bare : reply;
    answer->extracted = extract_letter(protocol->extractor, said, letters, sample->options);
    answer->empty = !*said;
    answer->status = answer->extracted < 0 ? ANSWER_NO_ANSWER : ANSWER_OK;
    answer->correct = answer->extracted >= 0 && answer->extracted == sample->answer;
    free(bare);
    return 0;
}

bool score_counts(const struct answer *answer, const struct protocol *protocol)
{
    return !(protocol->drop_empty && answer->empty) && !(protocol->drop_unread && answer->extracted < 0);
}
