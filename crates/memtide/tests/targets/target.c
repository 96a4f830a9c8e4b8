/* The target of the end-to-end tests: target MODE [NUMBER...]
 *
 *   leak BYTES_PER_SECOND      forgets written 1 KiB blocks at an even rate
 *   layout                     a known amount of each class of mapping; the amounts are below
 *   many MAPPINGS THREADS      that many mappings and threads, all idle
 *   threads PER_SECOND         starts threads that never end
 *   fds PER_SECOND             opens pipes and forgets them
 *   children PER_SECOND        forks children that end at once and are never reaped
 *   several BYTES FDS THREADS  forgets blocks, pipes and threads, each at its rate per second
 *   worker BYTES_PER_SECOND    three threads, worker-1 to -3; worker-2 forgets blocks, in an arena of its own
 *   churn BYTES BYTES          thread leaker forgets blocks at the first rate; churner maps, touches and unmaps
 *                              at the second
 *   odd DIR                    a name and mapped files whose names are no text (files made in DIR)
 *   exec MILLISECONDS DIR      sleeps, then becomes `layout`
 *   exit MILLISECONDS CODE     sleeps, then exits
 *   hide                       makes itself unreadable for its own user
 *
 * Prints "ready" when it is set up, and ends when its standard input is closed, so that it never
 * outlives the test. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static void nap(long ms) { nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, 0); }
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec * 1e-9; }
static void *keep(void *p) { __asm__ volatile("" : : "r"(p) : "memory"); return p; }
static void *idle(void *a) { for (;;) pause(); return a; }

static void *until_closed(void *a) {
    char c;
    while (read(0, &c, 1) > 0) {}
    _exit(0);
    return a;
}

static void ready(void) { puts("ready"); fflush(stdout); }

static void start_thread(size_t stack, void *(*run)(void *)) {
    pthread_attr_t attr; pthread_t thread;
    pthread_attr_init(&attr); pthread_attr_setstacksize(&attr, stack);
    if (pthread_create(&thread, &attr, run, 0)) { perror("thread"); exit(1); }
}

static void *map(size_t bytes, int flags, int fd) {
    char *p = mmap(0, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (p == MAP_FAILED) { perror("mmap"); exit(1); }
    return p;
}

/* Uses 256 KiB of its stack. */
static void *deep(void *a) {
    volatile char stack[256 << 10];
    for (size_t i = 0; i < sizeof stack; i += 4096) stack[i] = 1;
    return idle(a);
}

static void layout(void) {
    for (int i = 0; i < 4; i++) start_thread(1 << 20, deep);              /* 4 stacks, 1 MiB in all */
    memset(map(24 << 20, MAP_PRIVATE | MAP_ANONYMOUS, -1), 1, 24 << 20);  /* anonymous, 24 MiB */
    int fd = memfd_create("pool", 0);
    if (ftruncate(fd, 8 << 20)) exit(1);
    memset(map(8 << 20, MAP_SHARED, fd), 1, 8 << 20);                     /* shared, 8 MiB */
    for (int i = 0; i < 16 << 10; i++) memset(keep(malloc(1024)), 1, 1024); /* heap, 16 MiB and overhead */
    nap(200);
    ready();
    idle(0);
}

static void many(int mappings, int threads) {
    size_t page = sysconf(_SC_PAGESIZE), length = (size_t)mappings * page;
    char *p = map(length, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    memset(p, 1, length);
    for (int i = 0; i < mappings; i += 2) mprotect(p + (size_t)i * page, page, PROT_READ);
    for (int i = 2; i < threads; i++) start_thread(64 << 10, idle);
    ready();
    idle(0);
}

static void odd(const char *dir) {
    static const char *names[] = {"/SYSVx", "/a b (deleted)", "/new\nline", "/no\xff\xfetext"};
    for (int i = 0; i < 4; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s%s", dir, names[i]);
        int fd = open(path, O_RDWR | O_CREAT, 0600);
        if (fd < 0 || ftruncate(fd, 1 << 20)) { perror(path); exit(1); }
        memset(map(1 << 20, MAP_PRIVATE, fd), 1, 1 << 20);
        close(fd);
    }
    prctl(PR_SET_NAME, "a) b\n(\xff");
    ready();
    idle(0);
}

/* Calls each step so many times a second, evenly. */
static void at_rates(int count, const double *per_second, void (**steps)(void)) {
    double start = now(), done[8] = {0};
    for (;; nap(5))
        for (int i = 0; i < count; i++)
            while (done[i] < per_second[i] * (now() - start)) { steps[i](); done[i] += 1; }
}

static void pace(double per_second, void (*step)(void)) {
    ready();
    at_rates(1, &per_second, &step);
}

static void lose_block(void) { memset(keep(malloc(1024)), 1, 1024); }
static void lose_thread(void) { start_thread(64 << 10, idle); }
static void lose_pipe(void) { int fds[2]; if (pipe(fds)) exit(1); close(fds[1]); }
static void lose_child(void) { if (fork() == 0) _exit(0); }
static void touch_and_unmap(void) {
    char *p = map(1 << 20, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    madvise(p, 1 << 20, MADV_NOHUGEPAGE);
    memset(p, 1, 1 << 20);
    munmap(p, 1 << 20);
}

static void several(double bytes, double fds, double threads) {
    ready();
    at_rates(3, (double[]){bytes / 1024, fds, threads}, (void (*[])(void)){lose_block, lose_pipe, lose_thread});
}

static double leak_rate, churn_rate;

static void *leak_as(const char *name) {
    prctl(PR_SET_NAME, name);
    at_rates(1, (double[]){leak_rate / 1024}, (void (*[])(void)){lose_block});
    return 0;
}
static void *leaker(void *a) { (void)a; return leak_as("leaker"); }
static void *worker_2(void *a) { (void)a; return leak_as("worker-2"); }
static void *worker_1(void *a) { prctl(PR_SET_NAME, "worker-1"); return idle(a); }
static void *worker_3(void *a) { prctl(PR_SET_NAME, "worker-3"); return idle(a); }
static void *churner(void *a) {
    prctl(PR_SET_NAME, "churner");
    at_rates(1, (double[]){churn_rate / (1 << 20)}, (void (*[])(void)){touch_and_unmap});
    return a;
}

static void together(int count, void *(**threads)(void *)) {
    for (int i = 0; i < count; i++) start_thread(256 << 10, threads[i]);
    ready();
    idle(0);
}

int main(int count, char **argument) {
    if (count < 2) return 2;
    const char *mode = argument[1];
    double first = count > 2 ? atof(argument[2]) : 0;
    int second = count > 3 ? atoi(argument[3]) : 0;
    start_thread(64 << 10, until_closed);
    if (!strcmp(mode, "leak")) pace(first / 1024, lose_block);
    if (!strcmp(mode, "threads")) pace(first, lose_thread);
    if (!strcmp(mode, "fds")) pace(first, lose_pipe);
    if (!strcmp(mode, "children")) pace(first, lose_child);
    if (!strcmp(mode, "several")) several(first, second, count > 4 ? atof(argument[4]) : 0);
    leak_rate = first, churn_rate = second;
    if (!strcmp(mode, "worker")) together(3, (void *(*[])(void *)){worker_1, worker_2, worker_3});
    if (!strcmp(mode, "churn")) together(2, (void *(*[])(void *)){leaker, churner});
    if (!strcmp(mode, "layout")) layout();
    if (!strcmp(mode, "many")) many((int)first, second);
    if (!strcmp(mode, "odd")) odd(argument[2]);
    if (!strcmp(mode, "hide")) { prctl(PR_SET_DUMPABLE, 0); ready(); idle(0); }
    if (!strcmp(mode, "exit")) { ready(); nap((long)first); return second; }
    if (!strcmp(mode, "exec")) { ready(); nap((long)first); execl("/proc/self/exe", "another", "layout", (char *)0); }
    return 2;
}
