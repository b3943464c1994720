/* Profiles: the table. */
#include "core/profile.h"

#include <string.h>

#define COUNT(table) ((int)(sizeof(table) / sizeof *(table)))

static const struct protocol lmms_0_3_4[] = {
    {"videomme", EXTRACT_LEGACY, .max_new_tokens = 16},
    {"mvbench", EXTRACT_MVBENCH, .drop_empty = true, .macro = true, .max_new_tokens = 16},
};

static const struct protocol lmms_head[] = {
    {"videomme", EXTRACT_MCQ, .max_new_tokens = 16},
    {"mvbench", EXTRACT_MVBENCH, .drop_empty = true, .macro = true, .max_new_tokens = 16},
};

static const struct protocol own[] = {
    {"videomme", EXTRACT_MCQ, .max_new_tokens = 16},
    {"mvbench", EXTRACT_MCQ, .macro = true, .max_new_tokens = 16},
};

static const struct profile profiles[] = {
    {"toksweep", "lmms-eval's prompts, faults corrected: clip bounds honoured, empty replies counted, the article \"a\" is not answer A",
     .clip_bounds = true, .drops_reasoning = true, own, COUNT(own)},
    {"lmms-0.3.4", "lmms-eval 0.3.4 (May 2025), the release next to the DynTok paper", false, false, lmms_0_3_4, COUNT(lmms_0_3_4)},
    {"lmms-head", "lmms-eval as of August 2026 (75571cf)", .drops_reasoning = true, lmms_head, COUNT(lmms_head)},
};

const struct profile *profile_at(int i)
{
    return i >= 0 && i < COUNT(profiles) ? &profiles[i] : NULL;
}

const struct profile *profile_find(const char *name)
{
    for (int i = 0; i < COUNT(profiles); i++)
        if (!strcmp(profiles[i].name, name))
            return &profiles[i];
    return NULL;
}

const struct protocol *profile_protocol(const struct profile *profile, const char *benchmark)
{
    for (int i = 0; i < profile->n_protocols; i++)
        if (!strcmp(profile->protocols[i].benchmark, benchmark))
            return &profile->protocols[i];
    return NULL;
}

static const char *const rule_names[] = {"uniform", "1fps", "centre"};

const char *frame_rule_name(enum frame_rule rule)
{
    return rule_names[rule];
}

int frame_rule_find(const char *name)
{
    for (int i = 0; i < COUNT(rule_names); i++)
        if (!strcmp(rule_names[i], name))
            return i;
    return -1;
}
