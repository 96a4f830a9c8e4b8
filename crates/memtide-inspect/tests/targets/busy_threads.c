/* Threads that count in a shared file, and a sender that counts its signals.
 *
 * busy_threads FILE THREADS SIGNALS MODE
 *
 * FILE is one page of 64-bit words, see `words`. SIGNALS real-time signals go to the threads in turn
 * (queued, so each one counts), and SIGUSR1 every tenth time, the next one only after it arrived.
 * MODE: plain; churn (a thread starts short-lived threads); vfork (a thread waits in vfork for good);
 * leaderless (the main thread ends, the others stay). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOST_THREADS 64

struct words {
    uint64_t ready, sent, got, sent_usr1, got_usr1, done, churned, unused;
    uint64_t counted[MOST_THREADS];
    uint64_t tid[MOST_THREADS];
};

static struct words *words;

static void add(uint64_t *word) { __atomic_fetch_add(word, 1, __ATOMIC_SEQ_CST); }
static uint64_t get(uint64_t *word) { return __atomic_load_n(word, __ATOMIC_SEQ_CST); }

static void on_signal(int number) { add(number == SIGUSR1 ? &words->got_usr1 : &words->got); }

static void *count(void *slot) {
    uint64_t index = (uint64_t)(uintptr_t)slot;
    words->tid[index] = (uint64_t)syscall(SYS_gettid);
    add(&words->ready);
    for (;;)
        add(&words->counted[index]);
}

static void *nothing(void *unused) { return unused; }

static void *churn(void *unused) {
    for (;;) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, nothing, NULL) == 0) {
            pthread_join(thread, NULL);
            add(&words->churned);
        }
    }
    return unused;
}

static void *wait_in_vfork(void *unused) {
    if (vfork() == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            syscall(SYS_pause);
    }
    return unused;
}

static void send_signals(pid_t to, uint64_t threads, uint64_t signals) {
    for (uint64_t i = 0; i < signals; i++) {
        pid_t tid = (pid_t)words->tid[i % threads];
        while (syscall(SYS_tgkill, to, tid, SIGRTMIN + 1) != 0 && errno == EAGAIN)
            usleep(100);
        add(&words->sent);
        if (i % 10 == 0) {
            add(&words->sent_usr1);
            syscall(SYS_tgkill, to, tid, SIGUSR1);
            while (get(&words->got_usr1) < get(&words->sent_usr1))
                usleep(20);
        }
    }
    add(&words->done);
}

int main(int argc, char **argv) {
    if (argc != 5)
        return 2;
    uint64_t threads = strtoull(argv[2], NULL, 10), signals = strtoull(argv[3], NULL, 10);
    int file = open(argv[1], O_RDWR | O_CREAT, 0600);
    if (threads == 0 || threads > MOST_THREADS || file < 0 || ftruncate(file, 4096) != 0)
        return 2;
    words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (words == MAP_FAILED)
        return 2;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGRTMIN + 1, &action, NULL);

    pthread_t thread;
    for (uint64_t i = 0; i < threads; i++)
        if (pthread_create(&thread, NULL, count, (void *)(uintptr_t)i) != 0)
            return 2;
    while (get(&words->ready) < threads)
        usleep(1000);
    pid_t self = getpid();
    if (signals > 0 && fork() == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        send_signals(self, threads, signals);
        _exit(0);
    }
    if (strcmp(argv[4], "churn") == 0)
        pthread_create(&thread, NULL, churn, NULL);
    if (strcmp(argv[4], "vfork") == 0)
        pthread_create(&thread, NULL, wait_in_vfork, NULL);
    if (strcmp(argv[4], "leaderless") == 0) {
        add(&words->ready);
        pthread_exit(NULL);
    }
    add(&words->ready);
    for (;;)
        pause();
}
