/* A program with a malloc of its own, which leaks 1,000 blocks: own_malloc
 *
 * With -DPASSES_ON its malloc only counts, and asks the next one. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

static unsigned long calls;

#ifdef PASSES_ON
void *malloc(size_t bytes) {
    static void *(*next)(size_t);
    if (!next) next = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
    calls++;
    return next(bytes);
}
#else
static char room[1 << 24];
static size_t used;

void *malloc(size_t bytes) {
    bytes = (bytes + 31) & ~(size_t)15;
    if (used + bytes > sizeof room) return NULL;
    used += bytes, calls++;
    return room + used - bytes;
}

void free(void *block) { (void)block; }

void *calloc(size_t count, size_t bytes) { return malloc(count * bytes); }

void *realloc(void *old, size_t bytes) {
    void *block = malloc(bytes);
    if (old && block) memmove(block, old, bytes);
    return block;
}
#endif

__attribute__((noinline)) void *leak_own(void) {
    void *block = malloc(300);
    if (block) memset(block, 1, 300);
    return block;
}

int main(void) {
    for (int count = 0; count < 1000; count++)
        if (!leak_own()) return 1;
    return calls < 1000;
}
