/* The manifests of all benchmarks on any bytes, through a file, as their loaders read them; then the checks and the prompts. */
#include "datasets/manifest.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static char folder[] = "/tmp/toksweep-fuzz-XXXXXX", path[64];

static void file_remove(void)
{
    remove(path);
    remove(folder);
}

/* Named after an MVBench task, which says what the file is; other benchmarks take any name. */
static void file_write(const uint8_t *bytes, size_t length)
{
    if (!*path) {
        if (!mkdtemp(folder))
            abort();
        snprintf(path, sizeof path, "%s/episodic_reasoning.json", folder);
        atexit(file_remove);
    }
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, length, file) != length || fclose(file))
        abort();
}

static void finding_ignore(const struct finding *finding, void *context)
{
    *(size_t *)context += strlen(finding->text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    file_write(bytes, length);
    const struct manifest_source source = {.path = path, .videos = folder};
    for (int i = 0; benchmark_at(i); i++) {
        const struct benchmark *benchmark = benchmark_at(i);
        struct manifest manifest;
        struct err err = {0};
        size_t total = 0;
        if (manifest_read(&manifest, benchmark, &source, &err))
            continue;
        manifest_check(&manifest, benchmark, finding_ignore, &total);
        for (size_t s = 0; s < manifest.n_samples; s++)
            if (!benchmark->prompt(&manifest.samples[s], profile_at(0), PROMPT_DEFAULT, &manifest.arena))
                abort();
        manifest_free(&manifest);
    }
    return 0;
}
