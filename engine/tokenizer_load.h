/* The files of a tokenizer, in either layout. Internal to tokenizer.c. */
#ifndef TOKSWEEP_ENGINE_TOKENIZER_LOAD_H
#define TOKSWEEP_ENGINE_TOKENIZER_LOAD_H

#include "engine/tokenizer_vocab.h"

/* From tokenizer.json when the folder has one, else from vocab.json, merges.txt, and where they exist added_tokens.json and
 * tokenizer_config.json. Refuses tokenizers that work otherwise than Qwen2's. On failure `vocab` is empty. */
int tokenizer_load(struct vocab *vocab, const char *folder, struct err *err);

#endif
