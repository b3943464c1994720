/* Bench: the parts of the benchmark suite. Each adds its figures to a record; the first repeat of each is a warm-up and left out. */
#ifndef TOKSWEEP_HARNESS_BENCH_H
#define TOKSWEEP_HARNESS_BENCH_H

#include "harness/bench_record.h"
#include "harness/cli.h"

#include "engine/model.h"

struct bench {
    const struct cli_args *args;
    struct model *model;       /* random weights of a published shape; NULL for parts that compute nothing */
    int threads, repeats;
    size_t rows, frames;       /* of the prefill; of the sample */
    bool by_processor;         /* seconds are of this process's processors, a thread's share of them, and not of the clock */
    struct bench_record record;
    struct arena arena;        /* of the part that runs */
    void *tensors[16];         /* of the figure that is taken: bench_take */
    int n_tensors;
};

/* One figure of bench->repeats times. */
int bench_add(struct bench *bench, const char *part, const char *name, const char *unit, double amount, double flops, const double *seconds,
              struct err *err);

/* Seconds from some moment on, by the clock that was asked for. */
double bench_now(const struct bench *bench);

/* Tensor memory of the model's table, zeroed; NULL when there is no more. bench_release gives back all, and the arena. */
void *bench_take(struct bench *bench, size_t bytes);
void bench_release(struct bench *bench);

/* Writes numbers between -1 and 1 that look like nothing to a tensor. */
int bench_fill(struct bench *bench, float *tensor, size_t n, struct err *err);

/* Seconds of one frame through tower and projector. */
int bench_time_vision(struct bench *bench, double *seconds, struct err *err);

int bench_kernels(struct bench *bench, struct err *err); /* products and attention at the model's shapes */
int bench_stages(struct bench *bench, struct err *err);  /* tower, prefill, generation, and with --video its reading */
int bench_sample(struct bench *bench, struct err *err);  /* frames to text ids, stage by stage */
int bench_sweep(struct bench *bench, struct err *err);   /* a sweep file, shared and not, by this program as a process of its own */
int bench_harness(struct bench *bench, struct err *err); /* what is left when nothing is computed: starts, answers of the mock runner, reports */

#endif
