/* loaded.c TIMES LIBRARY...: loads each library, lets it change `counter`, and unloads it again, so many times; ends at
 * once. With -1 it deletes the library's file. Prints whether two libraries in a row were at the same address. */
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static long counter;

/* Where it was loaded; 0 if it could not be. */
static unsigned long use(const char *path)
{
    void *library = dlopen(path, RTLD_NOW);
    void (*touch)(long *) = library ? (void (*)(long *))dlsym(library, "touch") : NULL;
    struct link_map *map = library;
    if (!touch)
        return 0;
    const unsigned long at = map->l_addr;
    touch(&counter);
    dlclose(library);
    return at;
}

int main(int count, char **arguments)
{
    unsigned long last = 0;
    int same = 0;
    const int wanted = atoi(arguments[1]);
    for (int times = abs(wanted); times > 0; times--)
        for (int i = 2; i < count; i++) {
            const unsigned long at = use(arguments[i]);
            if (!at)
                return 1;
            same |= count > 3 && at == last;
            last = at;
            if (wanted < 0)
                unlink(arguments[i]);
        }
    puts(same ? "same" : "apart");
    return 0;
}
