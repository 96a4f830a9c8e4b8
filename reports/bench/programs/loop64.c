/* loop64 PAIRS: one malloc(64) and its free, PAIRS times: what every block costs that is not recorded.
 * The block comes from the allocator's own front cache, so next to nothing hides the recorder. */
#include <stdlib.h>

int main(int argc, char **argv) {
    long pairs = argc > 1 ? atol(argv[1]) : 100000000;
    for (long i = 0; i < pairs; i++) {
        void *block = malloc(64);
        if (!block) return 1;
        /* The compiler must believe that the block is used, or it drops the pair. */
        __asm__ volatile("" : "+r"(block) : : "memory");
        free(block);
    }
    return 0;
}
