/* The tiny world's questions as a manifest with Video-MME's columns, and the two manifests that show whether pictures are needed. */
#ifndef TOKSWEEP_WORLD_MANIFEST_H
#define TOKSWEEP_WORLD_MANIFEST_H

#include "core/err.h"
#include "core/text.h"

enum world_control {
    CONTROL_NONE,
    CONTROL_SHUFFLED, /* each video's questions are put about another one of its length */
    CONTROL_BLANK,    /* all are put about a grey picture: what the words alone give away */
    N_CONTROLS
};
extern const char *const world_control_names[N_CONTROLS]; /* "", "shuffled", "blank" */

enum { WORLD_MOST_NAME = 16 };

/* What a video's file is called, without its ending; v < 0: the grey one. */
void world_video_name(int v, char name[WORLD_MOST_NAME]);

/* Adds the first n_videos' questions, a JSON list with a row per line. ERR_MEMORY. */
int world_manifest_write(struct text *out, int n_videos, enum world_control control, struct err *err);

#endif
