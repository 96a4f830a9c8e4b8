/* The suspect of the recording: a MiB each so many microseconds, so many of them (0: without end), and a pause. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    long pause_us = atol(argv[1]), most = atol(argv[2]);
    for (long i = 0; most == 0 || i < most; i++) {
        char *block = malloc(1 << 20);
        if (!block) return 1;
        memset(block, 1, 1 << 20);
        usleep((useconds_t)pause_us);
    }
    pause();
}
