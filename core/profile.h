/* Profiles: named evaluation protocols. A profile fixes how a question is put, how a letter is found in the
 * reply and how letters become a score, so that a number can be compared with published ones. */
#ifndef TOKSWEEP_CORE_PROFILE_H
#define TOKSWEEP_CORE_PROFILE_H

#include <stdbool.h>

/* How frame indices are chosen from a video of N frames at `fps`, at most M wanted. Source: lmms_eval/models/simple/. */
enum frame_rule {
    FRAMES_UNIFORM, /* linspace_int(0, N-1, M): always M, short videos repeat (llava_onevision) */
    FRAMES_1FPS,    /* every round(fps)-th frame; uniform when there are more than M (llava_vid) */
    FRAMES_CENTRE,  /* centres of M equal segments (MVBench's own scripts, honours clip bounds) */
};

/* How a letter is found in a reply. */
enum extractor {
    EXTRACT_MCQ,            /* shared multiple-choice extractor */
    EXTRACT_LEGACY,         /* first capital letter A-D after known prefixes are deleted */
    EXTRACT_PARENTHESIS,    /* the character before the first ')' */
    EXTRACT_LONGVIDEOBENCH, /* as EXTRACT_LEGACY, with A-E and other prefixes */
    EXTRACT_MMMU,           /* MMMU's: letters in brackets, between blanks, before a period; in longer replies the options' own words */
    EXTRACT_MVBENCH,        /* a letter alone, else the first a-e that is a word of its own, in either case */
    EXTRACT_STANDALONE,     /* first capital A-D that is a word of its own */
    EXTRACT_FIRST_WORD,     /* MVBench's own script: the reply's first word */
};

/* Which words go round a question, where a benchmark's have changed or differ from its authors'. Every benchmark has the first. */
enum wording {
    WORDING_LMMS,     /* lmms-eval's present ones */
    WORDING_EARLY,    /* lmms-eval's before: up to 0.2.3, of MLVU up to 0.3.2 */
    WORDING_OWN,      /* lmms-eval's with their faults corrected */
    WORDING_OFFICIAL, /* of the benchmark's authors */
};

/* Which adapter's words go round a question where a benchmark has several. */
enum prompt_form { PROMPT_DEFAULT, PROMPT_LLAVA_VID };

struct protocol { /* one benchmark under one profile */
    const char *benchmark;
    enum wording wording;
    enum extractor extractor;
    int letters;          /* that a reply may name, however many options there are; 0: those of the question's options */
    bool drop_empty;      /* empty replies leave the denominator (MVBench upstream) */
    bool drop_unread;     /* so do all replies without a letter (Video-MME's own script) */
    bool guesses;         /* upstream draws a letter where it finds none; here it is no answer, and the draw is
                           * told beside the score */
    bool macro;           /* headline is the mean over task types, not over questions */
    int macro_types;      /* so many types: those without an answer count as 0 in it; 0: only types with answers count */
    int max_new_tokens;
};

struct profile {
    const char *name;     /* "lmms-0.3.4" */
    const char *summary;  /* one line for `list profiles` */
    bool clip_bounds;     /* honours start and end of a sample */
    bool drops_reasoning; /* <think> and <analysis> blocks go before a letter is looked for */
    const struct protocol *protocols;
    int n_protocols;
};

const struct profile *profile_find(const char *name); /* NULL if there is none */
const struct profile *profile_at(int i);              /* NULL past the end */
const struct protocol *profile_protocol(const struct profile *profile, const char *benchmark); /* NULL if it has none */

const char *frame_rule_name(enum frame_rule rule);    /* "uniform", "1fps", "centre" */
int frame_rule_find(const char *name);                /* a frame_rule, or -1 */

#endif
