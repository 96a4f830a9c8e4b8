/* small_blocks MIB: fills MIB mebibytes with blocks of 16 to 256 bytes, all touched and all live at once.
 *
 * Prints `start_kb A peak_kb B`: VmRSS before the first block, VmHWM after the last (proc(5)). The difference
 * without a recorder is the touched heap of small blocks. Nothing else of size is allocated: the blocks
 * form a list through their first word. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A field of /proc/self/status in kB, read without a buffer on the heap; -1 if it is not there. */
static long status_kb(const char *field) {
    char text[4096];
    int file = open("/proc/self/status", O_RDONLY);
    ssize_t length = file < 0 ? -1 : read(file, text, sizeof text - 1);
    if (file >= 0) close(file);
    if (length < 0) return -1;
    text[length] = 0;
    const char *line = strstr(text, field);
    return line ? atol(line + strlen(field)) : -1;
}

int main(int argc, char **argv) {
    size_t wanted = (argc > 1 ? strtoull(argv[1], 0, 10) : 256) << 20, held = 0;
    uint64_t random = 88172645463325252u;
    void **blocks = NULL;
    long start = status_kb("VmRSS:");
    while (held < wanted) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        size_t size = 16 + (random >> 20) % 241;
        void **block = malloc(size);
        if (!block) return 1;
        memset(block, 1, size);
        *block = blocks;
        blocks = block;
        held += size;
    }
    long peak = status_kb("VmHWM:");
    while (blocks) {
        void **next = *blocks;
        free(blocks);
        blocks = next;
    }
    printf("start_kb %ld peak_kb %ld\n", start, peak);
    return start < 0 || peak < 0;
}
