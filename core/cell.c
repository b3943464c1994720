/* Cell: its identity. */
#include "core/cell.h"

#include <stdio.h>
#include <string.h>

void cell_identify(struct cell *cell)
{
    char text[4096];
    char numbers[256]; /* and of a control the digest of the cell that it matches */
    snprintf(numbers, sizeof numbers, "%d|%d|%d|%d|%.17g|%d%s%s", cell->frames, (int)cell->sampling, cell->image_size,
             cell->time_instruction, cell->repetition_penalty, cell->max_new_tokens, cell->match_digest ? "|" : "",
             cell->match_digest ? cell->match_digest : "");
    const char *const parts[] = {"cell-1", cell->benchmark, cell->profile, cell->compressor, cell->params, cell->pooling, cell->newline,
                                 cell->conversation, cell->prompt_form, cell->dtype, cell->runner, cell->isa, cell->model_digest, cell->manifest_digest,
                                 cell->build_digest, numbers, cell->assistant_digest, cell->body};
    size_t used = 0;
    /* Each part is digested on its own first, so that no text can imitate a boundary between parts. */
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char part[DIGEST_HEX];
        if (!parts[i])
            continue; /* the last two may be missing: a digest is no JSON, so that either alone is told from the other */
        digest_of(parts[i], strlen(parts[i]), part);
        memcpy(text + used, part, DIGEST_HEX - 1);
        used += DIGEST_HEX - 1;
    }
    digest_of(text, used, cell->digest);
}
