/* Maps memory as the preload shim does, and some of its own; says where, and waits for its input to end.
 *
 * own.c FILE
 *   prints "own START BYTES" for each of three private ranges that touch each other, one of which is
 *   closed, "other START BYTES" for a range of the program's own right behind them, and "file START
 *   BYTES" for a shared mapping of FILE, which it deletes. All but the closed range are written to.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* As large as a guard may be, and as small as a stack may be. */
#define PART (64 * 1024)

static void *must(void *address)
{
    if (address == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return address;
}

static void tell(const char *what, const void *address)
{
    printf("%s %lu %d\n", what, (unsigned long)address, PART);
}

int main(int count, char **arguments)
{
    if (count != 2)
        return 2;
    /* A hole of four parts and a page on each side, so that nothing else lies beside them. */
    char *hole = must(mmap(NULL, 6 * PART, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    munmap(hole, 6 * PART);
    char *base = hole + PART;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    for (int part = 0; part < 3; part++) {
        char *at = must(mmap(base + part * PART, PART, PROT_READ | PROT_WRITE, flags, -1, 0));
        if (madvise(at, PART, MADV_DONTDUMP) || madvise(at, PART, MADV_NOHUGEPAGE))
            perror("madvise");
        memset(at, 1, PART);
        tell("own", at);
    }
    /* The kernel has joined the three; this splits them again. */
    mprotect(base + 2 * PART, PART, PROT_NONE);
    char *other = must(mmap(base + 3 * PART, PART, PROT_READ | PROT_WRITE, flags, -1, 0));
    memset(other, 1, PART);
    tell("other", other);

    int file = open(arguments[1], O_RDWR | O_CREAT | O_EXCL, 0600);
    if (file < 0 || ftruncate(file, PART)) {
        perror(arguments[1]);
        return 1;
    }
    char *region = must(mmap(NULL, PART, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
    memset(region, 1, PART);
    unlink(arguments[1]);
    tell("file", region);
    puts("ready");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    return 0;
}
