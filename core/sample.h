/* Manifest, video and sample: what a benchmark asks. Made by datasets/, read by every later stage, owned by the manifest. */
#ifndef TOKSWEEP_CORE_SAMPLE_H
#define TOKSWEEP_CORE_SAMPLE_H

#include "core/arena.h"
#include "core/digest.h"

#include <stdbool.h>
#include <stddef.h>

enum { SAMPLE_MOST_OPTIONS = 26 };

/* A video, or a part of one, or a folder of frames. Samples with equal path and bounds share one entry. */
struct video_ref {
    const char *id;       /* what the manifest calls it */
    const char *path;     /* where it is; where it was looked for first when it is missing */
    bool missing;         /* no file under any of the names the benchmark's rule tries */
    bool is_folder;       /* a folder of frames, in the order of their names */
    double folder_fps;    /* frames per second of a folder (3 in MVBench), 0 for files */
    double start_s, end_s; /* the part that is asked about, in seconds; start_s < 0: the whole video */
};

/* What is said during a video, for the benchmarks that show it. Times count from the start of the video as it is on disk. */
struct subtitle {
    double start_s, end_s;
    const char *text;
};

struct subtitles {
    const char *path;         /* of their file; where it was looked for when it is missing */
    bool missing;
    const char *flaw;         /* why they cannot be read; NULL if they can */
    struct subtitle *entries; /* [n] in the file's order */
    size_t n;
    double video_s;           /* length of the video as the manifest tells it, 0 if it does not */
};

/* A group that a sample is counted in beside those it has a member for; it can be in several of one kind. */
struct sample_tag {
    const char *kind, *name; /* "area", "physics" */
};

/* One question on one video. Text is UTF-8 and kept byte for byte, unless the benchmark's loader says otherwise. */
struct sample {
    const char *id;      /* unique in its manifest */
    size_t row;          /* 0-based place in the manifest, as it was before samples were excluded */
    size_t video;        /* index into manifest.videos */
    const char *question;
    const char *const *options; /* texts as the manifest has them, with or without letters */
    int n_options;
    int answer;          /* index of the right option, -1 when the manifest does not tell */
    const char *task_type; /* these four are NULL where the benchmark has none */
    const char *duration;
    const char *domain;
    const char *sub_category;
    const struct sample_tag *tags;
    size_t n_tags;
    const struct subtitles *subtitles; /* NULL where the benchmark shows none */
    const char *flaw;    /* why it cannot be asked or scored as the manifest has it; NULL if it can */
};

/* What reading a manifest had to decide: rows left out, answers that were taken for another text. */
struct manifest_note {
    const char *kind;      /* "empty_row" */
    const char *sample_id; /* NULL for notes on what became no sample */
    const char *text;
};

struct manifest {
    const char *benchmark; /* "videomme", "mvbench", ... */
    const char *path;
    char digest[DIGEST_HEX]; /* of all bytes that samples come from: the manifest's (several files: their digests in order), and of
                              * subtitles and an exclusion list where there are any */
    struct video_ref *videos;
    size_t n_videos;
    struct sample *samples; /* in manifest order */
    size_t n_samples;
    size_t n_excluded;      /* left out by an exclusion list */
    struct manifest_note *notes;
    size_t n_notes;
    struct arena arena; /* owns everything above */
};

/* What is said to the model about a sample. The video comes at the start of `user`, or at its "<image>"s. */
struct prompt_text {
    const char *system;  /* instead of the conversation's own; NULL: that one */
    const char *user;    /* without the placeholder of the video */
    const char *prefill; /* how the reply is made to begin, no part of it; NULL: not at all */
};

#endif
