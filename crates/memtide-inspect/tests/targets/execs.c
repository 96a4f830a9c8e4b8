/* A program with busy threads that becomes itself anew every few milliseconds.
 *
 * execs NUMBER
 *
 * NUMBER is one more each time. A thread that is not the main thread execs; every other time the main
 * thread has ended before. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char *program;
static long number;

static void *spin(void *unused) {
    for (volatile long i = 0;; i++)
        ;
    return unused;
}

static void *exec_anew(void *unused) {
    char text[32];
    char *arguments[] = {program, text, NULL};
    snprintf(text, sizeof text, "%ld", number + 1);
    usleep((useconds_t)(number * 7919 % 3000));
    execv(program, arguments);
    return unused;
}

int main(int argc, char **argv) {
    if (argc != 2)
        return 2;
    program = argv[0];
    number = atol(argv[1]);
    pthread_t thread;
    for (int i = 0; i < 3; i++)
        pthread_create(&thread, NULL, spin, NULL);
    pthread_create(&thread, NULL, exec_anew, NULL);
    if (number % 2)
        pthread_exit(NULL);
    for (;;)
        pause();
}
