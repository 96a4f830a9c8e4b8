/* The part of `behaviour` with signal handlers, and threads of a real-time class, that come just while the shim is at work, and do there what
 * it cannot have finished: allocate, leave by a jump, fork. With glibc the allocator itself is not at work
 * then, as the shim calls it and not the other way round. Without the shim these handlers do nothing. */
#include "behaviour.h"

/* Where the shim's code lies; nowhere without it. */
static uintptr_t shim_low, shim_high;

static int find_shim(dl_phdr_info *info, size_t, void *) {
    if (!strstr(info->dlpi_name, "memtide_shim")) return 0;
    for (int index = 0; index < info->dlpi_phnum; index++) {
        const ElfW(Phdr) *part = info->dlpi_phdr + index;
        if (part->p_type != PT_LOAD || !(part->p_flags & PF_X)) continue;
        shim_low = info->dlpi_addr + part->p_vaddr, shim_high = shim_low + part->p_memsz;
    }
    return 1;
}

static volatile sig_atomic_t met;

static bool in_shim(void *context) {
    uintptr_t at = ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    return at >= shim_low && at < shim_high;
}

static void intrude(void (*with)(int, siginfo_t *, void *), int microseconds) {
    dl_iterate_phdr(find_shim, NULL);
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = with;
    action.sa_flags = SA_RESTART | SA_SIGINFO;
    sigaction(SIGALRM, &action, NULL);
    alarm_every(microseconds);
}

/* Goes on until the shim was met so often, or for so many seconds. */
struct Meeting {
    timespec start;
    int wanted, seconds;
    Meeting(int wanted, int seconds) : wanted(wanted), seconds(seconds) { clock_gettime(CLOCK_MONOTONIC, &start); }
    bool goes_on() const {
        timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return met < wanted && now.tv_sec < start.tv_sec + seconds;
    }
    /* Nothing was tried where the shim was never met. */
    void end() const {
        alarm_every(0);
        if (shim_low && met == 0) say("the shim was never met\n");
    }
};

static void allocating_handler(int, siginfo_t *, void *context) {
    static void *blocks[16];
    if (!in_shim(context)) return;
    int at = met++ % 16;
    free(blocks[at]);
    blocks[at] = deep(at % 4, 100 + at);
}

static void allocating_intruders() {
    intrude(allocating_handler, 40);
    Meeting meeting(5000, 2);
    bool whole = true;
    while (meeting.goes_on()) whole = churn(300, met) && whole;
    meeting.end();
    say("whole: %d\n", whole);
}

static sigjmp_buf outside;

static void jumping_handler(int, siginfo_t *, void *context) {
    if (in_shim(context)) met++, siglongjmp(outside, 1);
}

static void map_and_unmap() {
    void *place = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(place, 8192);
}

static void *maps_from_a_thread(void *) {
    for (int round = 0; round < 1000; round++) map_and_unmap();
    return NULL;
}

/* Mapping is a system call, which may be left by a jump; whoever comes after finds the shim as it was left. */
static void jumping_intruders() {
    intrude(jumping_handler, 40);
    Meeting meeting(200, 2);
    sigsetjmp(outside, 1);
    while (meeting.goes_on()) map_and_unmap();
    meeting.end();
    pthread_t thread;
    pthread_create(&thread, NULL, maps_from_a_thread, NULL);
    pthread_join(thread, NULL);
    maps_from_a_thread(NULL);
    say("mapped\n");
}

static volatile sig_atomic_t is_child, children, failed;

static void forking_handler(int, siginfo_t *, void *context) {
    if (is_child || !in_shim(context)) return;
    met++;
    /* The kernel begins a fork anew when a signal comes meanwhile. */
    alarm_every(0);
    pid_t child = fork();
    if (child == 0) {
        is_child = 1;
        /* Before it goes back to what was interrupted, which is its parent's. */
        free(deep(3, 100));
        return;
    }
    int status = 1;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    if (status) failed++;
    alarm_every(300);
}

static void forking_intruders() {
    pthread_t thread;
    pthread_create(&thread, NULL, churning, (void *)5);
    intrude(forking_handler, 300);
    Meeting meeting(40, 4);
    bool whole = true;
    while (meeting.goes_on() && !is_child) whole = churn(300, met) && whole;
    if (is_child) {
        whole = churn(3000, 11) && whole;
        _exit(whole ? 0 : 3);
    }
    meeting.end();
    pthread_join(thread, NULL);
    say("whole: %d, failed: %d\n", whole, (int)failed);
}

static std::atomic<bool> over;

static void *maps_meanwhile(void *) {
    while (!over) map_and_unmap();
    return NULL;
}

/* Comes when it likes, on the processor of one that maps all the time, which may have the shim's lock. */
static void *maps_in_real_time(void *) {
    sched_param priority = {10};
    if (pthread_setschedparam(pthread_self(), SCHED_FIFO, &priority)) say("no real time\n");
    for (int round = 0; round < 3000; round++) {
        timespec pause = {0, 100000};
        nanosleep(&pause, NULL);
        map_and_unmap();
    }
    over = true;
    return NULL;
}

static void realtime_intruders() {
    cpu_set_t one;
    CPU_ZERO(&one);
    sched_getaffinity(0, sizeof one, &one);
    int first = 0;
    while (!CPU_ISSET(first, &one)) first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    sched_setaffinity(0, sizeof one, &one);
    /* The longer the list of mappings, the longer the lock is held. */
    for (int kept = 0; kept < 3000; kept++)
        mmap(NULL, 4096, kept % 2 ? PROT_READ : PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_t threads[2];
    pthread_create(&threads[0], NULL, maps_meanwhile, NULL);
    pthread_create(&threads[1], NULL, maps_in_real_time, NULL);
    for (pthread_t thread : threads) pthread_join(thread, NULL);
    say("mapped\n");
}

bool run_of_intruder(const std::string &scenario) {
    if (scenario == "allocating_intruders") allocating_intruders();
    else if (scenario == "jumping_intruders") jumping_intruders();
    else if (scenario == "forking_intruders") forking_intruders();
    else if (scenario == "realtime_intruders") realtime_intruders();
    else return false;
    return true;
}
