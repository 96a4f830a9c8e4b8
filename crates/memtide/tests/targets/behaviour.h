/* What the parts of `behaviour` share: printing facts, and blocks that are checked. */
#pragma once
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>
#include <atomic>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>


extern "C" char **environ;

/* Written at once: children of fork must not write their parent's buffer again. */
__attribute__((format(printf, 1, 2))) inline void say(const char *form, ...) {
    char text[512];
    va_list rest;
    va_start(rest, form);
    int bytes = vsnprintf(text, sizeof text, form, rest);
    va_end(rest);
    if (write(1, text, bytes) != bytes) _exit(9);
}

/* The compiler must not know what happens to a block. */
template <class T> T *seen(T *block) {
    __asm__ volatile("" : "+r"(block) : : "memory");
    return block;
}

inline uint64_t draw(uint64_t *state) {
    *state ^= *state << 13, *state ^= *state >> 7, *state ^= *state << 17;
    return *state;
}

/* A few calls deep, so that stacks differ. */
__attribute__((noinline)) inline void *deep(int depth, size_t bytes) {
    if (depth > 0) return seen(deep(depth - 1, bytes));
    char *block = (char *)seen(malloc(bytes));
    if (block && bytes) block[0] = 1, block[bytes - 1] = 2;
    return block;
}

/* Allocates and frees so many times, with a few blocks alive; true if no block was damaged. */
inline bool churn(int rounds, uint64_t seed) {
    struct Block { unsigned char *start; size_t bytes; unsigned char mark; } blocks[64] = {};
    bool whole = true;
    uint64_t state = seed * 2654435761u + 1;
    for (int round = 0; round < rounds; round++) {
        uint64_t number = draw(&state);
        Block &block = blocks[number % 64];
        for (size_t at = 0; at < block.bytes; at++) whole = whole && block.start[at] == block.mark;
        size_t bytes = 1 + (number >> 8) % 700;
        if (block.start && number >> 60 == 1) {
            block.start = (unsigned char *)realloc(block.start, bytes);
        } else {
            free(block.start);
            block.start = (unsigned char *)deep(number >> 32 & 7, bytes);
        }
        block.bytes = bytes, block.mark = (unsigned char)number;
        memset(block.start, block.mark, bytes);
    }
    for (Block &block : blocks) free(block.start);
    return whole;
}

inline void *churning(void *seed) {
    return (void *)(uintptr_t)churn(2000, (uint64_t)(uintptr_t)seed);
}

/* SIGALRM again and again; 0 for no more. */
inline void alarm_every(int microseconds) {
    struct itimerval every = {{0, microseconds}, {0, microseconds}};
    setitimer(ITIMER_REAL, &every, NULL);
}

/* Throws over many frames, and jumps. */
void exceptions();

/* The scenarios of behaviour_process.cpp; `arguments` as main has them. True if there is one of that name. */
bool run_of_process(const std::string &scenario, char **arguments);

/* The same of behaviour_intruder.cpp. */
bool run_of_intruder(const std::string &scenario);
