# neighbour_walk.py: writes nofp_walk in C to standard output: 16 functions of different frame size that call
# each other through a table; on the lowest levels a random bit chooses which, and three of them call twice.
# It is built with -fomit-frame-pointer: only .eh_frame tells how the stack is walked.
FRAME_BYTES = [0, 0, 16, 0, 48, 0, 136, 0, 24, 0, 0, 264, 0, 8, 0, 72]

HEAD = """#include <stdint.h>
typedef void (*leaf_t)(void *);
typedef uint64_t (*level_t)(int, uint64_t *, leaf_t, void *, uint64_t);
static const volatile level_t table[16];
static inline uint64_t next(uint64_t *r) {
    uint64_t x = *r;
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    return *r = x;
}"""

LEVEL = """
__attribute__((noinline, noclone)) static uint64_t
n%(i)d(int depth, uint64_t *random, leaf_t leaf, void *argument, uint64_t x) {%(frame)s
    if (depth <= 0) {
        if (x & 1) { leaf(argument); x += 3; leaf(argument); }
        else { leaf(argument); x ^= 5; leaf(argument); }
        return x + %(i)d;
    }
    int calls = depth <= 3 ? 2 : 1;
    uint64_t sum = x, before = x * %(factor)d, mixed = sum ^ %(i)d;
    for (int j = 0; j < calls; j++) {
        unsigned t = depth <= 6 ? (unsigned)((depth * 5 + %(i)d + (next(random) & 1)) & 15)
                                : (unsigned)((depth * 7 + %(i)d * 3 + 1) & 15);
        sum += table[t](depth - 1, random, leaf, argument, sum + before) + mixed;
    }
    return sum + before%(used)s;
}"""

TAIL = """
static const volatile level_t table[16] = {%s};
void nofp_walk(int depth, long walks, uint64_t seed, leaf_t leaf, void *argument) {
    uint64_t random = seed;
    for (long i = 0; i < walks; i++)
        table[(next(&random) >> 7) & 15](depth, &random, leaf, argument, random);
}"""

print(HEAD)
for i, size in enumerate(FRAME_BYTES):
    frame = f"\n    volatile char buffer[{size}]; buffer[0] = (char)x; buffer[{size} - 1] = 1;" if size else ""
    print(LEVEL % {"i": i, "factor": i + 3, "frame": frame, "used": " + buffer[0]" if size else ""})
print(TAIL % ", ".join(f"n{i}" for i in range(16)))
