/* The time instruction of a cell: which moments its frames show. */
#include "runners/runner.h"

#include "engine/prompt.h"

#include <math.h>

int job_time_instruction(const char **out, const struct job *job, const struct job_cell *shown, struct arena *arena, struct err *err)
{
    *out = NULL;
    if (!shown->run->cell.time_instruction)
        return 0;
    double *times = arena_alloc(arena, shown->n, sizeof *times);
    double fps = job->facts.fps > 0 ? job->facts.fps : 1, stride = nearbyint(fps) < 1 ? 1 : nearbyint(fps);
    bool uniform = shown->run->cell.sampling != FRAMES_1FPS || shown->n == (size_t)shown->run->cell.frames;
    for (size_t i = 0; i < shown->n && times; i++) /* frame_time of LLaVA-Video */
        times[i] = shown->index[i] / (uniform ? fps : stride);
    *out = times ? time_instruction(job->facts.n_frames / fps, times, shown->n, arena) : NULL;
    return *out ? 0 : err_no_memory(err, "a prompt");
}
