/* Opening shared libraries late. */
#include "core/library.h"

#include <dlfcn.h>
#include <string.h>

int library_open(void **library, const char *soname, const char *package, const char *purpose, struct err *err)
{
    *library = dlopen(soname, RTLD_NOW | RTLD_LOCAL);
    if (*library)
        return 0;
    const char *why = dlerror();
    return err_set(err, ERR_LIBRARY, "%s needs the library %s, which does not open (%s); install the package %s, or build toksweep again with "
                   "the version that is here", purpose, soname, why ? why : "no reason given", package);
}

int library_find(void *library, const char *soname, const char *name, void *slot, struct err *err)
{
    void *function = dlsym(library, name);
    if (!function)
        return err_set(err, ERR_LIBRARY, "the library %s has no function %s: it is not the one that toksweep was built with; build it again",
                       soname, name);
    memcpy(slot, &function, sizeof function);
    return 0;
}
