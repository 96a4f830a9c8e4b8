/* The scenarios of `behaviour` that are about threads, children, libraries, descriptors and directories. */
#include "behaviour.h"

/* --- Threads ----------------------------------------------------------------------------------- */

static std::atomic<int> destroyed;
static pthread_key_t keys[3];

struct Local {
    char *text = nullptr;
    ~Local() { free(text); delete seen(new std::string(300, 'z')); destroyed++; }
};
static thread_local Local local;

/* Sets itself once more, so that destructors run in several rounds. */
static void at_exit_of_thread(void *value) {
    char *block = (char *)value;
    destroyed++;
    if (block[0]-- > 1) pthread_setspecific(keys[0], block);
    else free(block);
    free(deep(2, 333));
}

static void *short_thread(void *number) {
    local.text = (char *)malloc(200);
    for (pthread_key_t key : keys) {
        char *block = (char *)malloc(64);
        block[0] = key == keys[0] ? 1 + (uintptr_t)number % 3 : 1;
        pthread_setspecific(key, block);
    }
    return malloc(48);
}

static void threads() {
    for (pthread_key_t &key : keys) pthread_key_create(&key, at_exit_of_thread);
    for (int round = 0; round < 200; round++) {
        pthread_t threads[8];
        for (int number = 0; number < 8; number++) pthread_create(&threads[number], NULL, short_thread, (void *)(uintptr_t)number);
        for (pthread_t thread : threads) {
            void *block;
            pthread_join(thread, &block);
            free(block);
        }
    }
    say("destroyed %d\n", destroyed.load());
    pthread_t four[4];
    for (int number = 0; number < 4; number++) pthread_create(&four[number], NULL, churning, (void *)(uintptr_t)(number + 1));
    for (pthread_t thread : four) {
        void *whole;
        pthread_join(thread, &whole);
        say("whole: %d\n", (int)(intptr_t)whole);
    }
}

static void *to_be_cancelled(void *ready) {
    std::vector<std::string> kept(5, std::string(100, 'c'));
    Local *counted = new Local;
    pthread_cleanup_push([](void *local) { delete (Local *)local; }, counted);
    ((std::atomic<int> *)ready)->store(1);
    for (;;) { free(deep(3, 99)); pthread_testcancel(); }
    pthread_cleanup_pop(1);
    return NULL;
}

static void cancelled() {
    int count = 0;
    for (int round = 0; round < 50; round++) {
        std::atomic<int> ready{0};
        pthread_t thread;
        pthread_create(&thread, NULL, to_be_cancelled, &ready);
        while (!ready) sched_yield();
        pthread_cancel(thread);
        void *result;
        pthread_join(thread, &result);
        count += result == PTHREAD_CANCELED;
    }
    say("cancelled %d, destroyed %d\n", count, destroyed.load());
}

/* --- Children ---------------------------------------------------------------------------------- */

static int ended(pid_t child) {
    int status;
    if (waitpid(child, &status, 0) != child) return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* Twenty children, each of which frees what its parent made, allocates, and ends in one of two ways. */
static void forks() {
    for (int number = 0; number < 20; number++) {
        void *parents[50];
        for (int at = 0; at < 50; at++) parents[at] = deep(at % 5, 100 + at * 40);
        pid_t child = fork();
        if (child == 0) {
            for (void *block : parents) free(block);
            bool whole = churn(3000, number);
            int code = whole ? number + 1 : 99;
            if (number % 2) _exit(code);
            exit(code);
        }
        for (void *block : parents) free(block);
        say("child %d: %d, parent whole %d\n", number, ended(child), churn(500, number));
    }
    pid_t child = fork();
    if (child == 0) {
        pid_t grandchild = fork();
        if (grandchild == 0) { bool whole = churn(3000, 3); exit(whole ? 5 : 99); }
        int code = ended(grandchild);
        bool whole = churn(3000, 4);
        exit(whole ? code + 1 : 99);
    }
    say("grandchild: %d\n", ended(child));
}

static std::atomic<bool> stop;
static void *until_stopped(void *seed) {
    bool whole = true;
    for (uint64_t round = 0; !stop; round++) whole = churn(200, (uint64_t)(uintptr_t)seed + round) && whole;
    return (void *)(uintptr_t)whole;
}

static void fork_and_churn(int number) {
    pid_t child = fork();
    if (child == 0) {
        bool whole = churn(3000, number);
        pthread_t thread;
        pthread_create(&thread, NULL, churning, (void *)11);
        void *result;
        pthread_join(thread, &result);
        exit(whole && result ? number : 99);
    }
    say("child %d: %d\n", number, ended(child));
}

static void *forking_thread(void *) {
    fork_and_churn(50);
    return NULL;
}

static void fork_among_threads() {
    pthread_t threads[4], another;
    for (int number = 0; number < 4; number++) pthread_create(&threads[number], NULL, until_stopped, (void *)(uintptr_t)(number + 1));
    for (int number = 0; number < 20; number++) fork_and_churn(number);
    pthread_create(&another, NULL, forking_thread, NULL);
    pthread_join(another, NULL);
    stop = true;
    for (pthread_t thread : threads) {
        void *whole;
        pthread_join(thread, &whole);
        say("whole: %d\n", (int)(intptr_t)whole);
    }
}

static void spawn(const char *self) {
    for (int number = 0; number < 10; number++) {
        void *block = deep(4, 1000);
        pid_t child = vfork();
        if (child == 0) {
            execl(self, self, "exit", "7", (char *)NULL);
            _exit(98);
        }
        int code = ended(child);
        char *arguments[] = {(char *)self, (char *)"exit", (char *)"8", NULL};
        pid_t spawned;
        int failed = posix_spawn(&spawned, self, NULL, NULL, arguments, environ);
        free(block);
        say("vfork %d, posix_spawn %d %d, churn %d\n", code, failed, ended(spawned), churn(500, number));
        child = vfork();
        if (child == 0) _exit(3);
        say("vfork without exec %d, system %d\n", ended(child), WEXITSTATUS(system("exit 4")));
    }
}

/* --- Libraries that come and go ---------------------------------------------------------------- */

typedef void *(*Plugin)(size_t);

static void plugins(char **names) {
    int calls = 0, failures = 0;
    for (int round = 0; round < 60; round++) {
        void *library = dlopen(names[round % 2], RTLD_NOW | RTLD_LOCAL);
        if (!library) { say("dlopen: %s\n", dlerror()); return; }
        Plugin make = (Plugin)dlsym(library, "plugin_make");
        void (*drop)(void *) = (void (*)(void *))dlsym(library, "plugin_drop");
        void *blocks[100];
        for (int at = 0; at < 100; at++) blocks[at] = make(32 + at), calls += blocks[at] != NULL;
        /* One of each round is never given back. */
        for (int at = 1; at < 100; at++) drop(blocks[at]);
        free(deep(3, 10));
        failures += dlclose(library) != 0;
    }
    say("%d calls, %d failures, %d\n", calls, failures, dlopen("/nonexistent.so", RTLD_NOW) != NULL);
}

static void late(char *shim) {
    void *before = deep(1, 100);
    void *library = dlopen(shim, RTLD_NOW | RTLD_GLOBAL);
    say("churn %d\n", churn(3000, 1));
    free(before);
    void *after = deep(1, 100);
    if (library) dlclose(library);
    free(after);
    say("churn %d, exceptions:\n", churn(3000, 2));
    exceptions();
}

/* --- Descriptors and directories --------------------------------------------------------------- */

static void descriptors() {
    int first = open("/dev/null", O_RDONLY);
    say("first free descriptor: %d\n", first);
    say("churn %d\n", churn(3000, 1));
    closefrom(3);
    first = open("/dev/null", O_RDONLY);
    int second = open("/dev/null", O_RDONLY);
    say("after closing all: %d %d\n", first, second);
    /* Enough new stacks and blocks to make the region grow several times. */
    std::vector<void *> kept;
    for (int at = 0; at < 40000; at++) kept.push_back(deep(at % 200, 20));
    for (void *block : kept) free(block);
    say("after growth: %d %d\n", fcntl(first, F_GETFD) >= 0, fcntl(second, F_GETFD) >= 0);
    for (int at = 3; at < 1100; at++) dup2(first, at);
    for (int at = 0; at < 40000; at++) kept[at] = deep(at % 200, 2000);
    for (void *block : kept) free(block);
    char text[4];
    say("reads nothing: %d\n", (int)read(1005, text, 4));
}

static void few_descriptors(const char *self) {
    if (!getenv("BEHAVIOUR_FEW")) {
        struct rlimit few = {40, 40};
        setrlimit(RLIMIT_NOFILE, &few);
        setenv("BEHAVIOUR_FEW", "1", 1);
        execl(self, self, "few_descriptors", (char *)NULL);
    }
    int first = open("/dev/null", O_RDONLY);
    say("first free descriptor: %d\n", first);
    std::vector<void *> kept;
    for (int at = 0; at < 40000; at++) kept.push_back(deep(at % 200, 20));
    int count = 0;
    while (open("/dev/null", O_RDONLY) >= 0) count++;
    say("then %d more\n", count);
    for (void *block : kept) free(block);
}

static void directories(const char *folder) {
    say("chdir %d, churn %d\n", chdir("/"), churn(3000, 1));
    fork_and_churn(1);
    int result = chroot(folder);
    say("chroot %d, churn %d\n", result, churn(3000, 2));
    fork_and_churn(2);
    std::vector<void *> kept;
    for (int at = 0; at < 40000; at++) kept.push_back(deep(at % 200, 20));
    for (void *block : kept) free(block);
    say("whole %d\n", churn(3000, 3));
}

bool run_of_process(const std::string &scenario, char **arguments) {
    if (scenario == "threads") threads();
    else if (scenario == "cancelled") cancelled();
    else if (scenario == "forks") forks();
    else if (scenario == "fork_among_threads") fork_among_threads();
    else if (scenario == "spawn") spawn(arguments[0]);
    else if (scenario == "exit") { free(deep(2, 30)); exit(atoi(arguments[2])); }
    else if (scenario == "plugins") plugins(arguments + 2);
    else if (scenario == "late") late(arguments[2]);
    else if (scenario == "descriptors") descriptors();
    else if (scenario == "few_descriptors") few_descriptors(arguments[0]);
    else if (scenario == "directories") directories(arguments[2]);
    else return false;
    return true;
}
