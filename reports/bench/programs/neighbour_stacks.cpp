// neighbour_stacks PAIRS THREADS: malloc/free pairs of 16 to 1,024 bytes whose stacks, 15 frames above the
// thread's own, share all but the lowest few with the one before. A thread holds at most 64 blocks, so the
// heap stays in the processor's cache and the recorder's own work shows.
#include <cstdint>
#include <cstdlib>
#include <thread>
#include <vector>

extern "C" void nofp_walk(int depth, long walks, uint64_t seed, void (*leaf)(void *), void *argument);

struct State {
    uint64_t random;
    void *ring[64];
};

static void pair(void *argument) {
    State *state = static_cast<State *>(argument);
    uint64_t x = state->random;
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    state->random = x;
    void *&slot = state->ring[(x >> 20) & 63];
    free(slot);
    slot = malloc(16 + (x & 1008));
}

static void work(uint64_t number, long walks) {
    State *state = static_cast<State *>(calloc(1, sizeof(State)));
    state->random = 88172645463325252ull + number;
    nofp_walk(12, walks, 777 + number, pair, state);
    for (void *block : state->ring) free(block);
    free(state);
}

int main(int argc, char **argv) {
    long pairs = argc > 1 ? atol(argv[1]) : 20000000;
    int count = argc > 2 ? atoi(argv[2]) : 2;
    std::vector<std::thread> threads;
    // A walk calls its leaf 16 times.
    for (int i = 0; i < count; i++) threads.emplace_back(work, i, pairs / count / 16);
    for (auto &thread : threads) thread.join();
}
