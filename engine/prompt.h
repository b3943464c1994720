/* Prompts: the conversation template round a question, split where the video goes. */
#ifndef TOKSWEEP_ENGINE_PROMPT_H
#define TOKSWEEP_ENGINE_PROMPT_H

#include "core/arena.h"
#include "core/err.h"
#include "core/sample.h"
#include "engine/tokenizer.h"

/* Text ids before and after the visual tokens. */
struct prompt {
    int32_t *before, *after;
    size_t n_before, n_after;
};

/* Names of the templates, NULL-terminated: "qwen_1_5", "qwen_2_5". */
const char *const *conversation_names(void);

/* User text = placeholder, LF, (time instruction, LF,) text->user. Each side of the placeholder is tokenized alone. `time` may be NULL.
 * Ids in `arena`. ERR_MEMORY; ERR_CONFIG for an unknown template. */
int prompt_make(struct prompt *out, const struct tokenizer *tokenizer, const char *conversation, const char *time,
                const struct prompt_text *text, struct arena *arena, struct err *err);

/* LLaVA-Video's time instruction for frames at times_s[n] of a video of duration_s seconds; in `arena`, NULL when memory is out. */
char *time_instruction(double duration_s, const double *times_s, size_t n, struct arena *arena);

#endif
