/* A program without a C++ runtime that loads and unloads two libraries in turn: host FIRST SECOND. */
#include <dlfcn.h>
#include <stdio.h>

int main(int count, char **arguments) {
    int calls = 0;
    for (int round = 0; count == 3 && round < 60; round++) {
        void *library = dlopen(arguments[1 + round % 2], RTLD_NOW | RTLD_LOCAL);
        if (!library) { puts(dlerror()); return 1; }
        void *(*make)(size_t) = (void *(*)(size_t))dlsym(library, "plugin_make");
        void (*drop)(void *) = (void (*)(void *))dlsym(library, "plugin_drop");
        void *blocks[100];
        for (int at = 0; at < 100; at++) blocks[at] = make(32), calls += blocks[at] != NULL;
        /* One of each round is never given back. */
        for (int at = 1; at < 100; at++) drop(blocks[at]);
        dlclose(library);
    }
    printf("%d calls\n", calls);
    return 0;
}
