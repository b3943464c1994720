/* Opening shared libraries late. */
#include "core/library.h"

#include <dlfcn.h>
#include <string.h>

int library_bind(const char *soname, const char *package, const char *purpose, const struct library_function *functions, size_t n,
                 struct err *err)
{
    void *library = dlopen(soname, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *why = dlerror();
        return err_set(err, ERR_LIBRARY, "%s needs the library %s, which does not open (%s); install the package %s, or build toksweep again with "
                       "the version that is here", purpose, soname, why ? why : "no reason given", package);
    }
    for (size_t i = 0; i < n; i++) {
        void *function = dlsym(library, functions[i].name);
        if (!function)
            return err_set(err, ERR_LIBRARY, "the library %s has no function %s: it is not the one that toksweep was built with; build it again",
                           soname, functions[i].name);
        memcpy(functions[i].slot, &function, sizeof function);
    }
    return 0;
}
