// A server that forgets to end its sessions, while requests come and go as they should.
//
// leaky_server SESSIONS_PER_SECOND
//
// Four threads answer requests: each keeps 2,000 `net::Request` and replaces one at random, for ever.
// So many times a second, all together, one opens a `net::TlsSession` (a `net::Session`), which stays.
// For every line that it reads it prints "sessions N bytes B requests N": sessions that are open, the
// bytes of their own blocks with headers, and requests that were answered. Strip it: its classes can
// be told by their vtables alone.
#include <malloc.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace net {
struct Session {
    long id;
    explicit Session(long id) : id(id) {}
    virtual ~Session() = default;
    virtual long age() const { return id; }
};

struct TlsSession final : Session {
    unsigned char keys[200];
    std::unique_ptr<char[]> buffer;
    explicit TlsSession(long id) : Session(id), keys{}, buffer(new char[1000]()) {}
    long age() const override { return id + keys[0]; }
};

struct Request {
    std::string path;
    std::vector<int> headers;
    Request(size_t length, size_t headers) : path(length, '/'), headers(headers, 1) {}
    virtual ~Request() = default;
    virtual size_t answer() const { return path.size() + headers.size(); }
};
}  // namespace net

static std::atomic<long> sessions, session_bytes, requests;

static void serve(unsigned seed, double sessions_per_second) {
    using Clock = std::chrono::steady_clock;
    std::mt19937 random(seed);
    std::vector<std::unique_ptr<net::Request>> open(2000);
    std::vector<net::Session *> forgotten;
    const auto start = Clock::now();
    size_t answered = 0;
    for (;;) {
        for (int i = 0; i < 50; i++) {
            auto &slot = open[random() % open.size()];
            slot = std::make_unique<net::Request>(20 + random() % 500, random() % 40);
            answered += slot->answer();
            requests++;
        }
        const std::chrono::duration<double> since = Clock::now() - start;
        while (static_cast<double>(forgotten.size()) < since.count() * sessions_per_second) {
            forgotten.push_back(new net::TlsSession(static_cast<long>(answered)));
            session_bytes += static_cast<long>(malloc_usable_size(forgotten.back()) + 8);
            sessions++;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

int main(int argc, char **argv) {
    const double rate = argc > 1 ? atof(argv[1]) : 1000;
    for (unsigned seed = 1; seed <= 4; seed++)
        std::thread(serve, seed, rate / 4).detach();
    while (getchar() != EOF) {
        printf("sessions %ld bytes %ld requests %ld\n", sessions.load(), session_bytes.load(),
               requests.load());
        fflush(stdout);
    }
}
