/* The manifests of all benchmarks on any bytes, through a file, as their loaders read them; then the checks and the prompts. */
#include "datasets/manifest.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* Named after an MVBench task, which says what the file is, and as CSV; other benchmarks take any name. */
static const char *const names[] = {"episodic_reasoning.json", "test.csv"};

enum { NAMES = sizeof names / sizeof *names };

static char folder[] = "/tmp/toksweep-fuzz-XXXXXX", paths[NAMES][64];

static void files_remove(void)
{
    for (int i = 0; i < NAMES; i++)
        remove(paths[i]);
    remove(folder);
}

static void files_write(const uint8_t *bytes, size_t length)
{
    if (!**paths) {
        if (!mkdtemp(folder))
            abort();
        for (int i = 0; i < NAMES; i++)
            snprintf(paths[i], sizeof paths[i], "%s/%s", folder, names[i]);
        atexit(files_remove);
    }
    for (int i = 0; i < NAMES; i++) {
        FILE *file = fopen(paths[i], "wb");
        if (!file || fwrite(bytes, 1, length, file) != length || fclose(file))
            abort();
    }
}

static void finding_ignore(const struct finding *finding, void *context)
{
    *(size_t *)context += strlen(finding->text);
}

/* What every profile says to a model about every row; a file that a prompt needs is not there. */
static void prompts_make(struct manifest *manifest, const struct benchmark *benchmark)
{
    for (int i = 0; profile_at(i); i++)
        for (size_t s = 0; s < manifest->n_samples; s++) {
            const struct protocol *protocol = profile_protocol(profile_at(i), benchmark->name);
            const struct sample *sample = &manifest->samples[s];
            struct prompting how = {.protocol = protocol, .video = &manifest->videos[sample->video]};
            struct prompt_text prompt;
            struct err err = {0};
            if (protocol && !sample->flaw && benchmark->prompt(&prompt, sample, &how, &manifest->arena, &err) && !benchmark->interleaves)
                abort();
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    files_write(bytes, length);
    for (int i = 0; benchmark_at(i / NAMES); i++) {
        const struct benchmark *benchmark = benchmark_at(i / NAMES);
        const struct manifest_source source = {.path = paths[i % NAMES], .videos = folder};
        struct manifest manifest;
        struct err err = {0};
        size_t total = 0;
        if (manifest_read(&manifest, benchmark, &source, &err))
            continue;
        manifest_check(&manifest, benchmark, finding_ignore, &total);
        prompts_make(&manifest, benchmark);
        manifest_free(&manifest);
    }
    return 0;
}
