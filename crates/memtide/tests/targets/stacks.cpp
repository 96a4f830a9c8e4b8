/* Random calls through frames of every shape: stacks SEED RECORDS
 *
 * Each block is asked for by `record`, which prints its size and what glibc's backtrace() says of the stack:
 * return addresses of its callers, innermost first. The test compares them with the shim's. What
 * differs by intention is made equal here: the address at which a signal came is printed plus one,
 * as the shim keeps it. */
#include <execinfo.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include <functional>

static const int MOST_FRAMES = 1000;
static const int MOST_JUMPS = 16;
static const size_t STACK = 256 << 10;

struct Thread {
    uint64_t random;
    /* Blocks to come, in all and before it begins anew. */
    long left, now;
    int depth, deepest, catchers, handlers, jumps;
    /* On the coroutine's stack; and how deep it is there. */
    bool aside;
    int depth_aside;
    jmp_buf places[MOST_JUMPS];
    ucontext_t inside, outside;
};

static thread_local Thread self;
static void *restorer;

extern "C" void record();
static void go_on();

static uint32_t below(uint32_t limit) {
    self.random = self.random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(self.random >> 33) % limit;
}

/* The return addresses into this function differ between the allocator's and backtrace's: it is left out. */
extern "C" __attribute__((noinline, noclone)) void record() {
    size_t size = 16 + 16 * below(8);
    void *volatile block;
    switch (below(5)) {
        case 0: block = malloc(size); break;
        case 1: block = calloc(1, size); break;
        case 2: block = realloc(NULL, size); break;
        case 3: block = aligned_alloc(64, size); break;
        default: block = ::operator new(size); break;
    }
    void *frames[MOST_FRAMES];
    int count = backtrace(frames, MOST_FRAMES);
    flockfile(stdout);
    printf("%zu", size);
    for (int i = 1; i < count; i++)
        printf(" %zx", (size_t)frames[i] + (frames[i - 1] == restorer));
    putchar('\n');
    funlockfile(stdout);
    self.left--;
    self.now--;
    if (below(2)) free(block);
}

/* --- Frames ------------------------------------------------------------------------------------ */

#define NOINLINE __attribute__((noinline, noclone)) static

NOINLINE void small() { go_on(); asm volatile(""); }

/* Needs all registers that calls preserve, rbp among them where it is free. */
NOINLINE uint64_t registers(uint64_t a, uint64_t b) {
    uint64_t c = a * 3, d = b ^ a, e = a + b, f = b * 7;
    go_on();
    a ^= b + c;
    go_on();
    return (a + f) * (c ^ d) + e * (f - b);
}

NOINLINE void with_alloca() {
    volatile char *some = (char *)__builtin_alloca(below(400));
    some[0] = 1;
    go_on();
    volatile char *more = (char *)__builtin_alloca(16 + below(200));
    more[0] = some[0];
    go_on();
}

NOINLINE void with_array() {
    for (int i = 0; i < 2; i++) {
        volatile char array[1 + below(300)];
        array[0] = 1;
        go_on();
        array[0] = array[0] + 1;
    }
}

/* Arguments on the stack. */
NOINLINE int many(int a, int b, int c, int d, int e, int f, int g, int h, int i) {
    go_on();
    return a + b + c + d + e + f + g + h + i;
}

NOINLINE int pushes(int n) {
    int first = many(n, 1, 2, 3, 4, 5, 6, 7, 8);
    return many(first, 1, 2, 3, 4, 5, 6, 7, n) + first;
}

NOINLINE int aligned() {
    alignas(64) volatile char array[64];
    array[below(64)] = 1;
    go_on();
    return array[0];
}

NOINLINE int aligned_more() {
    alignas(32) volatile char array[96];
    volatile char *some = (char *)__builtin_alloca(16 + below(100));
    some[0] = array[below(96)] = 1;
    go_on();
    return array[0] + some[0];
}

NOINLINE int aligned_arguments(int a, int b, int c, int d, int e, int f, int g, int h) {
    alignas(64) volatile int array[16];
    array[below(16)] = a;
    go_on();
    return array[0] + b + c + d + e + f + g + h;
}

struct Guard {
    ~Guard() { record(); }
};

NOINLINE void guarded() {
    Guard guard;
    go_on();
}

NOINLINE void catches() {
    int depth = self.depth, jumps = self.jumps;
    self.catchers++;
    try {
        go_on();
    } catch (int) {
        self.depth = depth;
        self.jumps = jumps;
        record();
    }
    self.catchers--;
    go_on();
}

NOINLINE void throws() {
    if (self.catchers > 0 && self.handlers == 0) throw 1;
}

/* To come back here what lies between must have no destructors: it may have catchers. */
NOINLINE void lands() {
    int depth = self.depth, jumps = self.jumps, catchers = self.catchers;
    if (jumps < MOST_JUMPS && self.handlers == 0 && !self.aside) {
        if (setjmp(self.places[jumps]) == 0) {
            self.jumps = jumps + 1;
            go_on();
        } else {
            self.depth = depth;
            self.catchers = catchers;
            record();
        }
        self.jumps = jumps;
    }
    go_on();
}

NOINLINE void jumps() {
    if (self.jumps > 0 && self.handlers == 0) longjmp(self.places[below(self.jumps)], 1);
}

static int compare(const void *a, const void *b) {
    if (below(4) == 0) go_on();
    return *(const int *)a - *(const int *)b;
}

NOINLINE void sorts() {
    int numbers[] = {3, 1, 2};
    int catchers = self.catchers;
    /* libc's frames have no rules for exceptions in all builds. */
    self.catchers = 0;
    qsort(numbers, 3, sizeof *numbers, compare);
    self.catchers = catchers;
}

NOINLINE void through_object() {
    std::function<void()> function = [] { go_on(); };
    function();
}

/* Far from the 512 frames that the shim follows: it sees one more where libstdc++ calls malloc. */
NOINLINE void deep(int n) {
    volatile char local[16];
    local[0] = 1;
    if (n > 0) deep(n - 1);
    else record();
    local[1] = local[0];
}

/* --- Signals and stacks ------------------------------------------------------------------------ */

static void handler(int) {
    self.handlers++;
    record();
    go_on();
    self.handlers--;
}

NOINLINE void signalled() {
    if (!self.aside && self.handlers < 2) raise(SIGUSR1);
}

NOINLINE void signalled_aside() {
    if (!self.aside && self.handlers == 0) {
        int deepest = self.deepest;
        self.deepest = self.depth + 6;
        raise(SIGUSR2);
        self.deepest = deepest;
    }
}

static void coroutine() {
    for (;;) {
        go_on();
        swapcontext(&self.inside, &self.outside);
    }
}

NOINLINE void switches() {
    if (self.aside || self.handlers > 0) return;
    int depth = self.depth, deepest = self.deepest, catchers = self.catchers, places = self.jumps;
    self.aside = true;
    self.depth = self.depth_aside;
    self.deepest = 8;
    self.catchers = 0;
    self.jumps = 0;
    swapcontext(&self.outside, &self.inside);
    self.aside = false;
    self.depth_aside = self.depth;
    self.depth = depth;
    self.deepest = deepest;
    self.catchers = catchers;
    self.jumps = places;
}

NOINLINE void switches_in_the_middle() {
    if (self.aside) swapcontext(&self.inside, &self.outside);
}

/* --- The program ------------------------------------------------------------------------------- */

__attribute__((noinline, noclone)) static void act() {
    switch (below(24)) {
        case 0: return small();
        case 1: case 2: self.random ^= registers(self.random, self.depth); return;
        case 3: return with_alloca();
        case 4: return with_array();
        case 5: case 6: pushes(self.depth); return;
        case 7: aligned(); return;
        case 8: aligned_more(); return;
        case 9: aligned_arguments(1, 2, 3, 4, 5, 6, 7, 8); return;
        case 10: case 11: return catches();
        case 12: return throws();
        case 13: case 14: return lands();
        case 15: return jumps();
        case 16: return sorts();
        case 17: return through_object();
        case 18: return signalled();
        case 19: return signalled_aside();
        case 20: return switches();
        case 21: return switches_in_the_middle();
        case 22: if (below(20) == 0 && !self.aside && self.handlers == 0) deep(below(2) ? 300 : 600); return;
        default: if (self.jumps == 0) guarded(); return;
    }
}

static void go_on() {
    if (self.left <= 0 || self.now <= 0) return;
    record();
    if (self.depth >= self.deepest) return;
    self.depth++;
    int times = 1 + below(3);
    for (int i = 0; i < times; i++) act();
    self.depth--;
}

static void *run(void *seed) {
    self.random = (uintptr_t)seed;
    self.deepest = 14;
    stack_t stack = {};
    stack.ss_sp = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack.ss_size = STACK;
    sigaltstack(&stack, NULL);
    getcontext(&self.inside);
    self.inside.uc_stack.ss_sp = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    self.inside.uc_stack.ss_size = STACK;
    makecontext(&self.inside, coroutine, 0);
    deep(300);
    deep(600);
    while (self.left > 0) {
        self.depth = self.jumps = self.catchers = 0;
        self.now = 60;
        go_on();
    }
    return NULL;
}

static long records;

static void *run_thread(void *seed) {
    self.left = records;
    return run(seed);
}

int main(int, char **arguments) {
    uintptr_t seed = strtoul(arguments[1], NULL, 0);
    records = strtol(arguments[2], NULL, 0);
    /* Loads what backtrace needs, before it is called in a handler. */
    void *none[1];
    backtrace(none, 1);
    struct sigaction action = {};
    action.sa_handler = handler;
    action.sa_flags = SA_NODEFER;
    sigaction(SIGUSR1, &action, NULL);
    action.sa_flags = SA_NODEFER | SA_ONSTACK;
    sigaction(SIGUSR2, &action, NULL);
    struct { void *handler; unsigned long flags; void *restorer; uint64_t mask; } kernels;
    syscall(SYS_rt_sigaction, SIGUSR1, NULL, &kernels, sizeof kernels.mask);
    restorer = kernels.restorer;
    pthread_t thread;
    pthread_create(&thread, NULL, run_thread, (void *)(seed + 1000));
    run_thread((void *)seed);
    pthread_join(thread, NULL);
    return 0;
}
