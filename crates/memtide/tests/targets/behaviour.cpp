/* What a program can see of its allocator: behaviour SCENARIO [ARGUMENT...]
 *
 * Each scenario prints what it observed, one fact a line, and nothing that depends on addresses or on
 * time. The test runs it with and without the shim, and wants the same lines. */
#include "behaviour.h"

static const char *error(int number) {
    switch (number) {
        case 0: return "0";
        case EINVAL: return "EINVAL";
        case ENOMEM: return "ENOMEM";
        case EBADF: return "EBADF";
        case 12345: return "kept";
        default: return "another";
    }
}

/* --- Errors and errno -------------------------------------------------------------------------- */

#define OBSERVE(call) do { \
        errno = 12345; \
        void *block = seen((void *)(call)); \
        int number = errno; \
        say("%s: %s, errno %s\n", #call, block ? "a block" : "null", error(number)); \
        free(block); \
    } while (0)

static char nothing;

static void errors() {
    size_t most = (size_t)-1;
    OBSERVE(malloc(0));
    OBSERVE(malloc(1));
    OBSERVE(malloc(100000));
    OBSERVE(malloc(300 << 20));
    OBSERVE(malloc(most));
    OBSERVE(malloc(most / 2 + 1));
    OBSERVE(calloc(0, 10));
    OBSERVE(calloc(10, 0));
    OBSERVE(calloc(100, 100));
    OBSERVE(calloc(most / 2, 3));
    OBSERVE(calloc(3, most / 2));
    OBSERVE(calloc(most, most));
    OBSERVE(reallocarray(NULL, 10, 10));
    OBSERVE(reallocarray(NULL, most / 2, 3));
    OBSERVE(reallocarray(NULL, 0, 3));
    OBSERVE(realloc(NULL, 0));
    OBSERVE(realloc(NULL, 10));
    OBSERVE(realloc(NULL, most));
    OBSERVE(aligned_alloc(64, 640));
    OBSERVE(aligned_alloc(64, most - 4096));
    OBSERVE(aligned_alloc(3, 640));
    OBSERVE(aligned_alloc(0, 640));
    OBSERVE(memalign(4096, 10));
    OBSERVE(memalign(4096, most - 8192));
    OBSERVE(valloc(10));
    for (size_t align : {0, 1, 3, 4, 8, 24, 4096, 1 << 21}) {
        void *block = &nothing;
        errno = 12345;
        int result = posix_memalign(&block, align, 100);
        bool aligned = result == 0 && (uintptr_t)block % align == 0;
        say("posix_memalign %zu: %s, %s, errno %s\n", align, error(result), aligned ? "aligned" : "-", error(errno));
        if (result == 0) free(block);
        else say("untouched: %d\n", block == &nothing);
    }
    void *block = NULL;
    errno = 12345;
    int result = posix_memalign(&block, 64, most - 8192);
    say("posix_memalign of too much: %s, errno %s\n", error(result), error(errno));
}

/* A block that cannot grow stays, with what is in it. */
static void reallocs() {
    char *block = (char *)malloc(100);
    strcpy(block, "still here");
    errno = 12345;
    void *moved = seen(realloc(block, (size_t)-1));
    say("realloc of too much: %s, errno %s, %s\n", moved ? "a block" : "null", error(errno), block);
    errno = 12345;
    moved = seen(reallocarray(block, (size_t)-1 / 2, 4));
    say("reallocarray of too much: %s, errno %s, %s\n", moved ? "a block" : "null", error(errno), block);
    errno = 12345;
    block = (char *)realloc(block, 1 << 20);
    say("grown: errno %s, %s\n", error(errno), block);
    block = (char *)realloc(block, 20);
    say("shrunk: %s\n", block);
    errno = 12345;
    moved = seen(realloc(block, 0));
    say("realloc to 0: errno %s\n", error(errno));
    free(moved);
    errno = 12345;
    free(NULL);
    say("free(NULL): errno %s\n", error(errno));
    say("usable_size(NULL): %zu\n", malloc_usable_size(NULL));
    bool enough = true, writable = true;
    for (size_t bytes = 1; bytes < 5000; bytes += 37) {
        char *block = (char *)malloc(bytes);
        size_t usable = malloc_usable_size(block);
        enough = enough && usable >= bytes;
        memset(block, 1, usable);
        writable = writable && block[usable - 1] == 1;
        errno = 12345;
        free(block);
        enough = enough && errno == 12345;
    }
    say("usable sizes: enough %d, writable %d\n", enough, writable);
    bool zero = true;
    for (int round = 0; round < 200; round++) {
        unsigned char *dirty = (unsigned char *)malloc(3000);
        memset(dirty, 0xaa, 3000);
        free(dirty);
        unsigned char *clean = (unsigned char *)calloc(30, 100);
        for (int at = 0; at < 3000; at++) zero = zero && clean[at] == 0;
        free(clean);
    }
    say("calloc zeroes: %d\n", zero);
    say("churn: %d\n", churn(20000, 7));
}

/* --- Operators --------------------------------------------------------------------------------- */

template <class Make> static void throws(const char *what, Make make) {
    try {
        void *block = seen((void *)make());
        say("%s: %s\n", what, block ? "a block" : "null");
    } catch (const std::bad_array_new_length &) {
        say("%s: bad_array_new_length\n", what);
    } catch (const std::bad_alloc &) {
        say("%s: bad_alloc\n", what);
    }
}

struct Angry {
    char room[40];
    Angry() { throw std::runtime_error("in the constructor"); }
};

struct alignas(128) Wide { char room[256]; };

/* Some allocators abort here, with the shim and without. */
static void failing_operators() {
    volatile size_t huge = (size_t)1 << 62;
    volatile size_t negative = (size_t)-5;
    std::align_val_t align{256};
    throws("new of too much", [&] { return operator new(huge); });
    throws("new[] of too much", [&] { return operator new[](huge); });
    throws("aligned new of too much", [&] { return operator new(huge, align); });
    throws("aligned new[] of too much", [&] { return operator new[](huge, align); });
    throws("nothrow new of too much", [&] { return operator new(huge, std::nothrow); });
    throws("nothrow new[] of too much", [&] { return operator new[](huge, std::nothrow); });
    throws("aligned nothrow new of too much", [&] { return operator new(huge, align, std::nothrow); });
    throws("aligned nothrow new[] of too much", [&] { return operator new[](huge, align, std::nothrow); });
    throws("new of a negative length", [&] { return new int[negative]; });
    std::set_new_handler([] { say("new handler\n"); std::set_new_handler(nullptr); });
    throws("new with a handler", [&] { return operator new(huge); });
    int caught = 0;
    for (int round = 0; round < 100; round++) {
        try { seen(operator new(huge)); } catch (const std::bad_alloc &) { caught++; }
        free(deep(round % 5, 77));
        std::vector<int> longer;
        try { longer.reserve((size_t)1 << 60); } catch (const std::bad_alloc &) { caught++; }
    }
    say("caught: %d\n", caught);
}

static void operators() {
    std::align_val_t align{256};
    throws("new", [] { return new char; });
    throws("delete of null", [] { delete (int *)nullptr; delete[] (int *)nullptr; return (void *)0; });
    int aligned = 0;
    for (int round = 0; round < 100; round++) {
        delete seen(new int(round));
        delete[] seen(new int[round + 1]);
        operator delete(seen(operator new(50)), (size_t)50);
        operator delete[](seen(operator new[](50)), (size_t)50);
        operator delete(seen(operator new(50, std::nothrow)), std::nothrow);
        operator delete[](seen(operator new[](50, std::nothrow)), std::nothrow);
        void *one = operator new(70, align), *two = operator new[](70, align, std::nothrow);
        aligned += (uintptr_t)one % 256 == 0 && (uintptr_t)two % 256 == 0;
        operator delete(one, (size_t)70, align);
        operator delete[](two, align, std::nothrow);
        two = operator new[](70, align), one = operator new(70, align, std::nothrow);
        operator delete[](two, (size_t)70, align);
        operator delete(one, align, std::nothrow);
        operator delete[](seen(operator new[](70, align)), align);
        Wide *wide = seen(new Wide);
        aligned += (uintptr_t)wide % 128 == 0;
        delete wide;
        delete[] seen(new Wide[3]);
    }
    say("aligned: %d of 200\n", aligned);
    int caught = 0;
    for (int round = 0; round < 100; round++) {
        try { seen(new Angry); } catch (const std::runtime_error &error) { caught += strlen(error.what()) == 18; }
        try { seen(new Angry[3]); } catch (const std::runtime_error &) { caught++; }
    }
    say("caught: %d\n", caught);
}

__attribute__((noinline)) static int thrower(int depth) {
    std::vector<std::string> strings(3, std::string(50 + depth, 'x'));
    if (depth == 0) throw std::string(100, 'y');
    return thrower(depth - 1) + (int)strings.size();
}

void exceptions() {
    int strings = 0;
    for (int round = 0; round < 300; round++) {
        try { thrower(round % 40); } catch (const std::string &text) { strings += text.size() == 100; }
    }
    say("caught %d strings\n", strings);
    jmp_buf there;
    static volatile int jumps = 0;
    static char *kept;
    if (setjmp(there) < 50) {
        kept = (char *)deep(jumps % 9, 100);
        free(kept);
        jumps = jumps + 1;
        longjmp(there, jumps);
    }
    say("jumped %d times\n", jumps);
}

/* --- Signals and stacks of other kinds --------------------------------------------------------- */

static std::atomic<int> handled;
static void *from_handler[16];

static void handler(int) {
    /* Not allowed by the standard for malloc, and done by many: only while the main thread is not in it. */
    int at = handled++ % 16;
    free(from_handler[at]);
    from_handler[at] = deep(at % 4, 100 + at);
}

/* The thread's own flag says that it is outside of the allocator, as careful programs do. */
static volatile sig_atomic_t outside;
static void careful_handler(int) {
    if (outside) handler(0);
    else handled++;
}

static void set_handler(void (*with)(int), int flags) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = with;
    action.sa_flags = flags;
    sigaction(SIGALRM, &action, NULL);
}

/* Handlers of a fast timer, some of which come while the shim itself is at work. */
static void signals() {
    set_handler(careful_handler, SA_RESTART);
    alarm_every(1000);
    bool whole = true;
    for (int round = 0; handled < 300; round++) {
        whole = churn(300, round) && whole;
        outside = 1;
        for (volatile int wait = 0; wait < 100000; wait = wait + 1) {}
        outside = 0;
    }
    alarm_every(0);
    say("whole: %d\n", whole);
}

static void mapping_handler(int) {
    void *place = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    place = mremap(place, 4096, 8192, MREMAP_MAYMOVE);
    if (place != MAP_FAILED) munmap(place, 8192), handled++;
}

/* Handlers that map memory, which is a system call and nothing that a program must be careful with. */
static void mapping_signals() {
    /* Those before with access, those between without: no two become one. */
    for (int kept = 0; kept < 2000; kept++)
        mmap(NULL, 4096, kept % 2 ? PROT_NONE : PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    set_handler(mapping_handler, SA_RESTART);
    alarm_every(200);
    while (handled < 2000) {
        void *place = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        munmap(place, 8192);
    }
    alarm_every(0);
    say("mapped\n");
}

static void alternate() {
    static char room[64 << 10];
    stack_t other = {room, 0, sizeof room};
    sigaltstack(&other, NULL);
    set_handler(handler, SA_ONSTACK);
    for (int round = 0; round < 500; round++) {
        free(deep(round % 6, 50));
        raise(SIGALRM);
    }
    say("handled: %d\n", handled.load());
}

static ucontext_t home, fibers[8];
static int turns;

static void fiber(int number) {
    for (int turn = 0; turn < 100; turn++) {
        void *block = deep((number + turn) % 12, 200);
        swapcontext(&fibers[number], &home);
        try { thrower(turn % 10); } catch (...) { turns++; }
        free(block);
    }
}

static void contexts() {
    for (int number = 0; number < 8; number++) {
        getcontext(&fibers[number]);
        /* Some on the heap, some in mappings of their own: nothing may be read beyond those. */
        size_t bytes = 64 << 10;
        void *stack = number % 2 ? malloc(bytes) : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        fibers[number].uc_stack.ss_sp = stack;
        fibers[number].uc_stack.ss_size = bytes;
        fibers[number].uc_link = &home;
        makecontext(&fibers[number], (void (*)())fiber, 1, number);
    }
    for (int turn = 0; turn <= 100; turn++)
        for (int number = 0; number < 8; number++) { free(deep(turn % 7, 60)); swapcontext(&home, &fibers[number]); }
    say("turns: %d\n", turns);
}

/* --- Before main and after --------------------------------------------------------------------- */

static void *before_main;
static bool was_whole;
__attribute__((constructor)) static void early() {
    before_main = deep(3, 500);
    was_whole = churn(300, 5);
}
struct Global {
    std::string text = std::string(200, 'g');
    ~Global() { if (getenv("BEHAVIOUR_END")) say("end: %zu, churn %d\n", text.size(), churn(300, 6)); }
};
static Global global;

static void start_and_end() {
    setenv("BEHAVIOUR_END", "1", 1);
    say("before main: whole %d, %d\n", was_whole, ((char *)before_main)[0]);
    free(before_main);
    atexit([] { say("atexit: churn %d\n", churn(300, 7)); });
    on_exit([](int code, void *block) { free(block); say("on_exit %d\n", code); }, deep(2, 100));
}

int main(int count, char **arguments) {
    std::string scenario = count > 1 ? arguments[1] : "";
    if (scenario == "errors") errors();
    else if (scenario == "pvalloc") OBSERVE(pvalloc(10));
    else if (scenario == "failing_operators") failing_operators();
    else if (scenario == "reallocs") reallocs();
    else if (scenario == "operators") operators();
    else if (scenario == "exceptions") exceptions();
    else if (scenario == "signals") signals();
    else if (scenario == "mapping_signals") mapping_signals();
    else if (scenario == "alternate") alternate();
    else if (scenario == "contexts") contexts();
    else if (scenario == "start_and_end") start_and_end();
    else if (run_of_intruder(scenario)) {}
    else if (!run_of_process(scenario, arguments)) { say("no scenario %s\n", scenario.c_str()); return 2; }
    return 0;
}
