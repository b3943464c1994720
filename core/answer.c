/* Answer: names. */
#include "core/answer.h"

const char *answer_status_name(enum answer_status status)
{
    static const char *const names[ANSWER_STATUSES] = {"ok",       "no_answer",     "ambiguous",     "decode_failed", "missing_video",
                                                       "too_long", "out_of_memory", "runner_failed", "timeout"};
    return names[status];
}

bool answer_is_reply(enum answer_status status)
{
    return status == ANSWER_OK || status == ANSWER_NO_ANSWER || status == ANSWER_AMBIGUOUS;
}

const char *stage_name(enum stage stage)
{
    static const char *const names[STAGES] = {"open", "decode", "resize", "vision", "guide", "compress", "prefill", "generate"};
    return names[stage];
}
