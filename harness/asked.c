/* Asked: a prompt without a run. */
#include "harness/asked.h"

static const char *const forms[] = {[PROMPT_DEFAULT] = "default", [PROMPT_LLAVA_VID] = "llava_vid"};

enum { FORMS = sizeof forms / sizeof *forms };

const char *asked_form_name(int form)
{
    return form >= 0 && form < FORMS ? forms[form] : NULL;
}

int asked_prompt(const char **out, const struct benchmark *benchmark, const struct protocol *protocol, int form,
                 const struct manifest *manifest, size_t sample, struct arena *arena, struct err *err)
{
    const struct sample *asked = &manifest->samples[sample];
    struct prompting how = {.protocol = protocol, .form = (enum prompt_form)form, .video = &manifest->videos[asked->video]};
    struct prompt_text prompt = {0};
    bool known = asked_form_name(form) && !benchmark->needs_header && !benchmark->interleaves;
    int rc = known ? benchmark->prompt(&prompt, asked, &how, arena, err) : 0;
    *out = rc ? NULL : prompt.user;
    return rc;
}
