/* usage FILE [NAME=VALUE...] COMMAND...: runs a command with these variables and writes what it and the children it waited for took into FILE:
 * `pid N` when it starts, `status N cpu_us N peak_kb N` when it has ended (wait4(2)).
 *
 * A script cannot ask for itself: Linux counts the memory of who calls exec into the peak of what it
 * becomes, and a script is larger than many a program. The variables are for the command alone: a recorder
 * that is preloaded is not in here. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    FILE *file = fopen(argv[1], "we");
    if (!file) return 2;
    pid_t child = fork();
    if (child < 0) return 2;
    if (child == 0) {
        char **words = argv + 2;
        while (*words && strchr(*words, '=')) putenv(*words++);
        if (*words) execvp(*words, words);
        _exit(127);
    }
    fprintf(file, "pid %d\n", (int)child);
    fflush(file);
    int status;
    struct rusage usage;
    while (wait4(child, &status, 0, &usage) < 0)
        if (errno != EINTR) return 2;
    long long cpu = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000LL;
    cpu += usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    fprintf(file, "status %d cpu_us %lld peak_kb %ld\n", code, cpu, usage.ru_maxrss);
    return fclose(file) ? 2 : 0;
}
