/* A library that is loaded and unloaded: which one it is, NUMBER says. With operators of its own, so
 * that it needs no C++ runtime, and so that those of a library that has gone must not be used.
 *
 * The two are equally large and have their code at different places: where one lay the other's return
 * addresses mean something else. */
#include <stdlib.h>

#ifdef WITH_OPERATORS
void *operator new(size_t bytes) { return malloc(bytes); }
void operator delete(void *block) noexcept { free(block); }
void operator delete(void *block, size_t) noexcept { free(block); }
#endif

#if NUMBER == 2
extern "C" __attribute__((noinline, used)) int padding(int a) {
    int sum = 0;
    for (int at = 0; at < a; at++) sum += (at * a) ^ (sum >> 3);
    return sum;
}
#endif

struct Made { char room[40 + NUMBER]; };

#define JOINED(a, b) a##b
#define NAMED(a, b) JOINED(a, b)

extern "C" __attribute__((noinline)) void *NAMED(inner_, NUMBER)() {
    Made *made = new Made;
    __asm__ volatile("" : "+r"(made) : : "memory");
    return made;
}

extern "C" void *plugin_make(size_t) {
    void *made = NAMED(inner_, NUMBER)();
    __asm__ volatile("" : "+r"(made) : : "memory");
    return made;
}

extern "C" void plugin_drop(void *made) { delete (Made *)made; }
