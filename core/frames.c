/* Frames: how they are given back. */
#include "core/frames.h"

#include <stdlib.h>

void frames_free(struct frames *frames)
{
    free(frames->index);
    free(frames->time_s);
    free(frames->rgb);
    *frames = (struct frames){0};
}
