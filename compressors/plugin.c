/* Plugins: loading. What a stranger's object says of itself is checked before anything in it is called. */
#include "compressors/plugin.h"

#include "compressors/methods.h"
#include "core/digest.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static int check_abi(const char *path, const struct compressor_plugin *plugin, struct err *err)
{
    if (plugin->abi != COMPRESSOR_ABI)
        return err_set(err, ERR_CONFIG, "plugin '%s' is built for interface %u, this program has %d; build it with this program's headers", path,
                       (unsigned)plugin->abi, COMPRESSOR_ABI);
    if (plugin->compressor_bytes != sizeof(struct compressor) || plugin->video_bytes != sizeof(struct vid_view) ||
        plugin->plan_bytes != sizeof(struct tok_plan))
        return err_set(err, ERR_CONFIG, "plugin '%s' is built with other headers of interface %d; build it with this program's", path, COMPRESSOR_ABI);
    return 0;
}

static int check_compressor(const char *path, const struct compressor *compressor, struct err *err)
{
    if (!compressor || !compressor->name || !*compressor->name || !compressor->summary || !compressor->source)
        return err_set(err, ERR_CONFIG, "plugin '%s' has no compressor with a name, a summary and a source", path);
    if (compressor->n_options < 0 || compressor->n_options > COMPRESSOR_MOST_OPTIONS)
        return err_set(err, ERR_CONFIG, "plugin '%s': compressor %s has %d options, %d are possible", path, compressor->name, compressor->n_options,
                       COMPRESSOR_MOST_OPTIONS);
    if (compressor->tokens && (!compressor->needs || !compressor->domain || !compressor->expected_ratio))
        return err_set(err, ERR_CONFIG, "plugin '%s': compressor %s chooses tokens, and so needs 'needs', 'domain' and 'expected_ratio'", path,
                       compressor->name);
    if (compressor_find(compressor->name))
        return err_set(err, ERR_CONFIG, "plugin '%s': there is a compressor %s already; give it another name", path, compressor->name);
    return 0;
}

static int load_one(const char *path, struct err *err)
{
    char digest[DIGEST_HEX];
    int rc = digest_of_file(path, digest, err);
    if (rc)
        return rc;
    char *full = realpath(path, NULL); /* a bare name would be looked for elsewhere */
    void *object = full ? dlopen(full, RTLD_NOW | RTLD_LOCAL) : NULL;
    free(full);
    if (!object)
        return err_set(err, ERR_CONFIG, "plugin '%s' cannot be loaded: %s", path, dlerror());
    const struct compressor_plugin *plugin = dlsym(object, "toksweep_plugin");
    if (!plugin)
        rc = err_set(err, ERR_CONFIG, "'%s' is no plugin of this program: it has no 'toksweep_plugin'; see COMPRESSOR_PLUGIN in compressors/plugin.h",
                     path);
    if (!rc)
        rc = check_abi(path, plugin, err);
    if (!rc)
        rc = check_compressor(path, plugin->compressor, err);
    if (!rc)
        rc = compressor_add(plugin->compressor, digest, err);
    if (rc)
        dlclose(object);
    return rc;
}

int compressors_load(const char *const *paths, struct err *err)
{
    int rc = 0;
    for (; *paths && !rc; paths++)
        rc = load_one(*paths, err);
    return rc;
}
