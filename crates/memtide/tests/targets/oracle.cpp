/* Allocates through forty known call paths, counts what it does by itself, and prints the counts as
 * JSON: oracle MODE [NUMBER...]
 *
 *   single BLOCKS SEED INTERVAL            one thread; the peak is exact
 *   threads BLOCKS SEED INTERVAL THREADS   blocks are freed by other threads than made them
 *   endless BLOCKS SEED INTERVAL THREADS   as `threads`, until it is killed; prints "ready" and no counts
 *   throwing                               a failing operator new in each thread, then as `threads`
 *   maps                                   mappings of known sizes; prints nothing
 *
 * A path is a site, the function that calls the allocator, in a caller, which has a frame of its
 * own shape. The peak of a path is what it has live when everything together is at its maximum. For
 * sampling by bytes with mean INTERVAL it also prints the variance of an unbiased estimate. */
#include <atomic>
#include <fcntl.h>
#include <malloc.h>
#include <math.h>
#include <new>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SITES = 10, CALLERS = 4, PATHS = SITES * CALLERS, MOST_BLOCKS = 1 << 18, MOST_THREADS = 16 };

struct Account {
    uint64_t allocs, bytes, frees, freed;
    double bytes_variance, blocks_variance;
};

/* Written by one thread each. */
static Account accounts[MOST_THREADS][PATHS];
static std::atomic<int64_t> live[PATHS], total;
static int64_t at_peak[PATHS], peak;
static bool is_single;
static double interval = 1;

struct Block {
    std::atomic_flag busy = ATOMIC_FLAG_INIT;
    void *start;
    size_t bytes;
    int path;
};
static Block blocks[MOST_BLOCKS];
static size_t block_count;

/* The compiler must not know what happens to a block, and must come back after a call. */
template <class T> __attribute__((always_inline)) static inline T *seen(T *block) {
    __asm__ volatile("" : "+r"(block) : : "memory");
    return block;
}

static uint64_t draw(uint64_t *state) {
    *state ^= *state << 13, *state ^= *state >> 7, *state ^= *state << 17;
    return *state;
}

/* --- Sites: `old` is a block that may be reallocated, else null -------------------------------- */

#define SITE extern "C" __attribute__((noinline)) void *
static const std::align_val_t wide{64};

SITE site_malloc(void *, size_t bytes) { return seen(malloc(bytes)); }
SITE site_calloc(void *, size_t bytes) { return seen(calloc(1, bytes)); }
SITE site_realloc(void *old, size_t bytes) { return seen(realloc(old, bytes)); }
SITE site_reallocarray(void *old, size_t bytes) { return seen(reallocarray(old, bytes, 1)); }
SITE site_posix_memalign(void *, size_t bytes) {
    void *block = NULL;
    if (posix_memalign(&block, 64, bytes)) abort();
    return seen(block);
}
SITE site_memalign(void *, size_t bytes) { return seen(memalign(32, bytes)); }
SITE site_new(void *, size_t bytes) { return seen(operator new(bytes)); }
SITE site_array(void *, size_t bytes) { return seen(operator new[](bytes)); }
SITE site_nothrow(void *, size_t bytes) { return seen(operator new(bytes, std::nothrow)); }
SITE site_wide(void *, size_t bytes) { return seen(operator new(bytes, wide)); }

typedef void *(*Site)(void *, size_t);
static const Site sites[SITES] = {site_malloc, site_calloc, site_realloc, site_reallocarray, site_posix_memalign,
                                  site_memalign, site_new, site_array, site_nothrow, site_wide};
static const char *const site_names[SITES] = {"malloc", "calloc", "realloc", "reallocarray", "posix_memalign",
                                              "memalign", "new", "array", "nothrow", "wide"};

static void give_back(const Block &block) {
    switch (block.path / CALLERS) {
        case 6: operator delete(block.start); break;
        case 7: operator delete[](block.start); break;
        case 8: operator delete(block.start, std::nothrow); break;
        case 9: operator delete(block.start, wide); break;
        default: free(block.start);
    }
}

/* --- Callers: frames of four shapes ------------------------------------------------------------ */

SITE caller_plain(int site, void *old, size_t bytes) { return seen(sites[site](old, bytes)); }
SITE caller_alloca(int site, void *old, size_t bytes) {
    char *room = (char *)__builtin_alloca(16 + bytes % 256);
    room[0] = (char)bytes;
    seen(room);
    return seen(sites[site](old, bytes));
}
SITE caller_large(int site, void *old, size_t bytes) {
    volatile char room[9000];
    seen(room)[bytes % 9000] = 1;
    return seen(sites[site](old, bytes));
}
SITE caller_recursive(int site, void *old, size_t bytes) {
    /* The depth is kept above the site's number: up to seven calls of itself. */
    if (site < SITES) site += (bytes & 7) * SITES;
    if (site >= 2 * SITES) return seen(caller_recursive(site - SITES, old, bytes));
    alignas(64) volatile char room[64];
    seen(room)[bytes % 64] = 1;
    return seen(sites[site % SITES](old, bytes));
}

typedef void *(*Caller)(int, void *, size_t);
static const Caller callers[CALLERS] = {caller_plain, caller_alloca, caller_large, caller_recursive};
static const char *const caller_names[CALLERS] = {"plain", "alloca", "large", "recursive"};

/* --- What is done, and counted ----------------------------------------------------------------- */

static void count_made(int thread, const Block &block) {
    Account &account = accounts[thread][block.path];
    account.allocs++;
    account.bytes += block.bytes;
    double chance = -expm1(-(double)block.bytes / interval);
    if (block.bytes) {
        account.bytes_variance += (double)block.bytes * block.bytes * (1 / chance - 1);
        account.blocks_variance += 1 / chance - 1;
    }
    live[block.path] += block.bytes;
    int64_t now = total += block.bytes;
    if (is_single && now > peak) {
        peak = now;
        for (int path = 0; path < PATHS; path++) at_peak[path] = live[path];
    }
}

static void count_gone(int thread, const Block &block) {
    Account &account = accounts[thread][block.path];
    account.frees++;
    account.freed += block.bytes;
    live[block.path] -= block.bytes;
    total -= block.bytes;
}

/* From 0 to 16 KiB; small ones are as frequent as large ones. */
static size_t draw_bytes(uint64_t *state, size_t least) {
    size_t bytes = draw(state) % ((size_t)1 << (1 + draw(state) % 14));
    return bytes < least ? least : bytes;
}

static void make(int thread, Block &block, uint64_t *state) {
    int path = draw(state) % PATHS;
    /* No bytes cannot be drawn by bytes, and libstdc++ asks for one where a program asks for none. */
    size_t bytes = draw_bytes(state, interval > 1 || path / CALLERS >= 6);
    /* It rounds up, too. */
    if (path / CALLERS == 9) bytes = (bytes + 63) / 64 * 64;
    bool can_move = block.start && block.path / CALLERS < 6 && bytes > 0;
    bool moves = path / CALLERS == 2 || path / CALLERS == 3;
    void *old = NULL;
    if (block.start) {
        count_gone(thread, block);
        if (moves && can_move) old = block.start;
        else give_back(block);
    }
    block.start = callers[path % CALLERS](path / CALLERS, old, bytes);
    if (!block.start) abort();
    block.bytes = bytes, block.path = path;
    count_made(thread, block);
}

static void drop(int thread, Block &block) {
    if (!block.start) return;
    count_gone(thread, block);
    give_back(block);
    block.start = NULL;
}

static uint64_t seed;
static int thread_count = 1;
static bool is_endless, is_throwing;
static pthread_barrier_t barrier;

static void fails() {
    volatile size_t huge = (size_t)1 << 62;
    try { seen(operator new(huge)); } catch (const std::bad_alloc &) {}
}

static void churn(int thread, uint64_t *state, size_t rounds) {
    size_t half = block_count / 2;
    for (size_t round = 0; round < rounds; round++) {
        Block &block = blocks[draw(state) % half];
        while (block.busy.test_and_set(std::memory_order_acquire)) {}
        if (block.start && draw(state) % 4 == 0) drop(thread, block);
        else make(thread, block, state);
        block.busy.clear(std::memory_order_release);
    }
}

/* Churns among shared blocks, then grows to a maximum with blocks of its own, then frees its neighbour's. */
static void *work(void *number) {
    int thread = (int)(intptr_t)number;
    uint64_t state = seed * 0x9E3779B97F4A7C15ull + thread * 977 + 1;
    if (is_throwing) fails();
    do churn(thread, &state, block_count / thread_count * 2); while (is_endless);
    pthread_barrier_wait(&barrier);
    size_t first = block_count / 2;
    for (size_t at = first + thread; at < block_count; at += thread_count) make(thread, blocks[at], &state);
    pthread_barrier_wait(&barrier);
    if (thread == 0 && !is_single)
        for (int path = 0; path < PATHS; path++) at_peak[path] = live[path];
    pthread_barrier_wait(&barrier);
    size_t neighbour = (thread + 1) % thread_count;
    /* One in sixteen is never freed. */
    for (size_t at = neighbour; at < block_count; at += thread_count)
        if (at % 16) drop(thread, blocks[at]);
    return NULL;
}

static void print() {
    char text[512];
    for (int path = 0; path < PATHS; path++) {
        Account sum = {};
        for (Account *thread : accounts) {
            sum.allocs += thread[path].allocs, sum.bytes += thread[path].bytes;
            sum.frees += thread[path].frees, sum.freed += thread[path].freed;
            sum.bytes_variance += thread[path].bytes_variance, sum.blocks_variance += thread[path].blocks_variance;
        }
        int bytes = snprintf(text, sizeof text,
            "%s\"site_%s < caller_%s\": {\"allocs\": %lu, \"bytes\": %lu, \"frees\": %lu, \"freed\": %lu, \"peak\": %ld, "
            "\"bytes_variance\": %.17g, \"blocks_variance\": %.17g}%s\n",
            path ? " " : "{", site_names[path / CALLERS], caller_names[path % CALLERS], sum.allocs, sum.bytes,
            sum.frees, sum.freed, at_peak[path], sum.bytes_variance, sum.blocks_variance, path + 1 < PATHS ? "," : "}");
        if (write(1, text, bytes) != bytes) exit(9);
    }
}

/* --- Mappings ---------------------------------------------------------------------------------- */

enum { PAGE = 4096 };
__attribute__((always_inline)) static inline char *map_at(void *place, size_t bytes, int protection, int flags) {
    char *start = (char *)mmap(place, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    return start == MAP_FAILED ? (abort(), start) : start;
}
/* In line, so that the named functions call mmap themselves. */
#define MAP(pages) map_at(NULL, (pages) * PAGE, PROT_READ | PROT_WRITE, 0)
#define MAPPED extern "C" __attribute__((noinline)) char *

MAPPED map_cut() { return seen(MAP(10)); }
MAPPED map_kept() { return seen(MAP(20)); }
MAPPED map_under() { return seen(MAP(16)); }
MAPPED map_over(char *place) { return seen(map_at(place, 4 * PAGE, PROT_READ, MAP_FIXED)); }
MAPPED map_grown() { return seen(MAP(4)); }
MAPPED map_grow(char *old) { return seen((char *)mremap(old, 4 * PAGE, 64 * PAGE, MREMAP_MAYMOVE)); }
MAPPED map_shrink(char *old) { return seen((char *)mremap(old, 64 * PAGE, 8 * PAGE, 0)); }
MAPPED map_reserved() { return seen(map_at(NULL, 1000 * PAGE, PROT_NONE, MAP_NORESERVE)); }
MAPPED map_shared() { return seen((char *)mmap(NULL, 6 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)); }
MAPPED map_odd() { return seen(map_at(NULL, 5000, PROT_READ | PROT_WRITE, 0)); }
MAPPED map_stubborn() { return seen(MAP(5)); }
MAPPED map_large() { return seen((char *)mmap64(NULL, 300 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)); }
MAPPED map_file(int file) { return seen((char *)mmap(NULL, 3 * PAGE, PROT_READ, MAP_PRIVATE, file, 0)); }
MAPPED map_covered() { return seen(MAP(7)); }

static void maps() {
    char *start = map_cut();
    if (munmap(start + 3 * PAGE, 2 * PAGE) || munmap(start, 10 * PAGE)) abort();
    start = map_kept();
    if (munmap(start + 18 * PAGE, 2 * PAGE)) abort();
    map_over(map_under() + 4 * PAGE);
    start = map_grow(map_grown());
    map_shrink(start);
    mprotect(map_reserved(), PAGE, PROT_READ | PROT_WRITE);
    map_shared();
    map_odd();
    if (munmap(map_stubborn() + 1, PAGE) == 0) abort();
    map_large();
    int file = open("/proc/self/exe", O_RDONLY);
    map_file(file);
    start = map_covered();
    if (mmap(start, 7 * PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, file, 0) != start) abort();
    /* What the allocator maps for itself is its own. */
    for (int round = 0; round < 20; round++) seen(malloc(1 << 20));
}

int main(int count, char **arguments) {
    const char *mode = count > 1 ? arguments[1] : "";
    if (!strcmp(mode, "maps")) return maps(), 0;
    if (count < 5) return 2;
    block_count = strtoul(arguments[2], NULL, 10);
    if (block_count > MOST_BLOCKS) return 2;
    seed = strtoul(arguments[3], NULL, 10);
    interval = strtod(arguments[4], NULL);
    is_single = !strcmp(mode, "single");
    is_endless = !strcmp(mode, "endless");
    is_throwing = !strcmp(mode, "throwing");
    thread_count = count > 5 ? atoi(arguments[5]) : 1;
    pthread_barrier_init(&barrier, NULL, thread_count);
    if (is_endless && write(1, "ready\n", 6) != 6) return 9;
    pthread_t threads[MOST_THREADS];
    for (int thread = 1; thread < thread_count; thread++) pthread_create(&threads[thread], NULL, work, (void *)(intptr_t)thread);
    work(0);
    for (int thread = 1; thread < thread_count; thread++) pthread_join(threads[thread], NULL);
    print();
    return 0;
}
