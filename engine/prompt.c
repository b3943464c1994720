/* Prompts: literal templates (LLaVA-VL/LLaVA-NeXT llava/conversation.py). */
#include "engine/prompt.h"

#include "core/text.h"

#include <string.h>

static const char *const names[] = {"qwen_1_5", "qwen_2_5", NULL};
static const char *const systems[] = {"You are a helpful assistant.", "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."};

const char *const *conversation_names(void)
{
    return names;
}

int prompt_make(struct prompt *out, const struct tokenizer *tokenizer, const char *conversation, const char *time,
                const struct prompt_text *text, struct arena *arena, struct err *err)
{
    int which = 0;
    while (names[which] && strcmp(names[which], conversation))
        which++;
    if (!names[which])
        return err_set(err, ERR_CONFIG, "no conversation template '%s'; known: qwen_1_5, qwen_2_5", conversation);
    struct text before = {0}, after = {0};
    text_printf(&before, "<|im_start|>system\n%s<|im_end|>\n<|im_start|>user\n", text->system ? text->system : systems[which]);
    text_printf(&after, "\n%s%s", time ? time : "", time ? "\n" : "");
    text_printf(&after, "%s<|im_end|>\n<|im_start|>assistant\n%s", text->user, text->prefill ? text->prefill : "");
    int rc = before.failed || after.failed ? err_no_memory(err, "a prompt") : 0;
    if (!rc)
        rc = tokenizer_encode(tokenizer, before.bytes, before.length, arena, &out->before, &out->n_before, err);
    if (!rc)
        rc = tokenizer_encode(tokenizer, after.bytes, after.length, arena, &out->after, &out->n_after, err);
    text_free(&before);
    text_free(&after);
    return rc;
}

char *time_instruction(double duration_s, const double *times_s, size_t n, struct arena *arena)
{
    struct text text = {0};
    text_printf(&text, "The video lasts for %.2f seconds, and %zu frames are uniformly sampled from it. These frames are located at ", duration_s, n);
    for (size_t i = 0; i < n; i++)
        text_printf(&text, "%s%.2fs", i ? "," : "", times_s[i]);
    text_put(&text, ".Please answer the following questions related to this video.");
    char *out = text.failed ? NULL : arena_strndup(arena, text.bytes, text.length);
    text_free(&text);
    return out;
}
