/* A target of the live tests: does one thing, prints "ready" and its pid, obeys lines on its input.
 *
 *   target map FILE...     maps one page of each file, shared
 *   target fds             opens descriptors of every kind, see main
 *   target threads N       N threads besides the first; a line "end" ends one of them
 *   target takepid PID     forks until a child has this pid; prints "ready PID", or "no" after some rounds
 *   target name            the first thread is called  a) b \n ( \xff
 * Ends at the end of its input. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

static sem_t ending;
static sem_t ended;

static void *thread(void *unused) {
    (void)unused;
    sem_wait(&ending);
    sem_post(&ended);
    return NULL;
}

static void must(int ok, const char *what) {
    if (!ok) {
        perror(what);
        exit(1);
    }
}

static void map_files(int count, char **names) {
    for (int i = 0; i < count; i++) {
        int fd = open(names[i], O_RDWR);
        must(fd >= 0, names[i]);
        char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        must(page != MAP_FAILED, "mmap");
        page[0] = 1;
        close(fd);
    }
}

/* Besides 0, 1, 2: 3 files, 2 deleted, 4 sockets, 6 pipe ends, 5 eventfd, 1 epoll, 2 timerfd, 3 memfd-like. */
static void open_descriptors(const char *directory) {
    char path[4096];
    int ends[2];
    for (int i = 0; i < 3; i++)
        must(open("/dev/null", O_RDONLY) >= 0, "null");
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/deleted%d", directory, i);
        must(open(path, O_CREAT | O_RDWR, 0600) >= 0, path);
        unlink(path);
    }
    for (int i = 0; i < 2; i++)
        must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "socketpair");
    for (int i = 0; i < 3; i++)
        must(pipe(ends) == 0, "pipe");
    for (int i = 0; i < 5; i++)
        must(eventfd(0, 0) >= 0, "eventfd");
    must(epoll_create1(0) >= 0, "epoll");
    for (int i = 0; i < 2; i++)
        must(timerfd_create(CLOCK_MONOTONIC, 0) >= 0, "timerfd");
    for (int i = 0; i < 3; i++)
        must(memfd_create("x", 0) >= 0, "memfd");
}

static pid_t take_pid(pid_t wanted) {
    for (int tries = 0; tries < 200000; tries++) {
        int last = open("/proc/sys/kernel/ns_last_pid", O_WRONLY);
        if (last >= 0) {
            if (dprintf(last, "%d", wanted - 1) < 0)
                perror("ns_last_pid");
            close(last);
        }
        pid_t parent = getpid();
        pid_t child = fork();
        must(child >= 0, "fork");
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            /* The parent may have ended before the line above. */
            if (getpid() != wanted || getppid() != parent)
                _exit(0);
            for (;;)
                pause();
        }
        if (child == wanted)
            return child;
        waitpid(child, NULL, 0);
    }
    return 0;
}

int main(int argc, char **argv) {
    const char *mode = argc > 1 ? argv[1] : "";
    pid_t taken = 0;
    char line[64];
    /* What the test itself inherited is not to be counted. */
    for (int fd = 3; fd < 4096; fd++)
        close(fd);
    if (!strcmp(mode, "map"))
        map_files(argc - 2, argv + 2);
    if (!strcmp(mode, "name"))
        prctl(PR_SET_NAME, "a) b\n(\xff");
    if (!strcmp(mode, "fds"))
        open_descriptors(argv[2]);
    if (!strcmp(mode, "threads")) {
        sem_init(&ending, 0, 0);
        sem_init(&ended, 0, 0);
        for (int i = 0; i < atoi(argv[2]); i++) {
            pthread_t handle;
            pthread_attr_t attributes;
            pthread_attr_init(&attributes);
            pthread_attr_setstacksize(&attributes, 64 << 10);
            must(pthread_create(&handle, &attributes, thread, NULL) == 0, "thread");
            pthread_detach(handle);
        }
    }
    if (!strcmp(mode, "takepid") && !(taken = take_pid(atoi(argv[2])))) {
        printf("no\n");
        return 0;
    }
    printf("ready %d\n", taken ? taken : getpid());
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        if (!strcmp(line, "end\n")) {
            sem_post(&ending);
            sem_wait(&ended);
        }
        if (!strncmp(line, "exit ", 5))
            _exit(atoi(line + 5));
    }
    if (taken)
        kill(taken, SIGKILL);
    return 0;
}
