/* `serve`: the engine behind OpenAI's protocol, so that other harnesses and clients can drive it. */
#include "harness/cli.h"
#include "harness/serve.h"
#include "harness/sweep.h"

#include "build_facts.h"
#include "compressors/plugin.h"
#include "core/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const struct cli_option options[] = {
    {"host", "ADDRESS", "127.0.0.1", "numeric address to listen on; those that others can reach need TOKSWEEP_SERVE_TOKEN", false},
    {"port", "N", "8000", "0 takes any that is free", false},
    {"name", "NAME", NULL, "by which requests call the model (MODEL)", false},
    {"assistant", "MODEL", NULL, "a second checkpoint, for compressors that one guides", false},
    {"plugin", "FILE.so", NULL, "a compressor in a shared object; may be repeated", true},
    {"jobs", "N", "1", "requests computed at once", false},
    {"threads", "N", NULL, "threads per job (processors divided by jobs)", false},
    {"most-frames", "N", "512", "most pictures of a request", false},
    {"most-held", "N", "256", "most requests that wait or are computed; more are told to come again", false},
    {"most-body", "SIZE", "256M", "largest body of a request", false},
    {"memory", "SIZE", "1G", "most memory for the bodies of requests that wait", false},
    {"idle", "SECONDS", "60", "after which a silent connection is closed", false},
    {"device", "NAME", "cpu", "where it computes", false},
    {"dtype", "NAME", "bf16", "f32, bf16 or int8", false},
    {"isa", "NAME", "auto", "a kernel table of 'toksweep list devices'", false},
    {0},
};

static int read_options(const struct cli_args *args, struct serve_options *out, size_t *most_frames, struct err *err)
{
    int64_t port = 0, jobs = 1, held = 1, idle = 60, frames = 1, threads;
    int rc = cli_integer(args, "port", 0, 65535, &port, err);
    if (rc || (rc = cli_integer(args, "jobs", 1, 1024, &jobs, err)) || (rc = cli_integer(args, "most-held", 1, 60000, &held, err)) ||
        (rc = cli_integer(args, "most-frames", 1, 4096, &frames, err)) || (rc = cli_integer(args, "idle", 1, 86400, &idle, err)) ||
        (rc = cli_bytes(args, "most-body", &out->most_body, err)) || (rc = cli_bytes(args, "memory", &out->most_bytes, err)))
        return rc;
    threads = sysconf(_SC_NPROCESSORS_ONLN) / jobs;
    threads = threads > 1 ? threads : 1;
    if ((rc = cli_integer(args, "threads", 1, 1024, &threads, err)))
        return rc;
    if (out->most_bytes < out->most_body)
        return err_set(err, ERR_CONFIG, "--memory should be at least --most-body, or no body of that size could ever be held");
    const char *token = getenv("TOKSWEEP_SERVE_TOKEN");
    out->host = cli_text(args, "host");
    out->port = (int)port;
    out->token = token && *token ? token : NULL;
    out->jobs = (int)jobs;
    out->threads = (int)threads;
    out->most_held = (size_t)held;
    out->idle_s = (int)idle;
    out->stop = &cli_stopped;
    *most_frames = (size_t)frames;
    return 0;
}

/* The address goes to standard output, where scripts look for it. */
static void say_address(const char *url, void *context)
{
    const struct chat_model *model = context;
    log_say(LOG_NOTE, "serving '%s', %s, %s, until Ctrl-C", model->name, model->dtype, model->facts.device);
    printf("%s\n", url);
    fflush(stdout);
}

static int open_model(void **self, struct chat_model *model, const struct cli_args *args, struct arena *arena, struct err *err)
{
    const char *assistant = cli_text(args, "assistant"), *name = cli_text(args, "name");
    struct runner_options how = {.dtype = cli_text(args, "dtype"), .isa = cli_text(args, "isa"), .device = cli_text(args, "device")};
    int rc = model_folder(args->operands[0], NULL, arena, &how.model, err);
    if (!rc && assistant)
        rc = model_folder(assistant, NULL, arena, &how.assistant, err);
    if (!rc)
        rc = runner_native.open(self, &how, &model->facts, err);
    model->name = name ? name : args->operands[0];
    model->dtype = how.dtype;
    model->build = BUILD_DIGEST;
    model->started = (int64_t)time(NULL);
    return rc;
}

static int serve_command(const struct cli_args *args, struct err *err)
{
    struct serve_options how = {.listening = say_address};
    struct chat_model model = {0};
    struct arena arena = {0};
    void *self = NULL;
    int rc = read_options(args, &how, &model.most_frames, err);
    how.context = &model;
    if (!rc)
        rc = compressors_load(cli_texts(args, "plugin"), err);
    if (!rc)
        rc = open_model(&self, &model, args, &arena, err);
    if (!rc)
        rc = serve(&runner_native, self, &model, &how, err);
    if (self)
        runner_native.close(self);
    arena_free(&arena);
    return rc;
}

const struct cli_command command_serve = {
    .name = "serve",
    .operands = "MODEL",
    .least_operands = 1,
    .most_operands = 1,
    .summary = "answers requests of OpenAI's chat completions",
    .options = options,
    .run = serve_command,
};
