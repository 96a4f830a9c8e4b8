/* Programs that make it hard to record them: faults MODE [NUMBER]
 *
 *   short             leaks three blocks and ends
 *   stacks DEPTH      a block on each of 2^DEPTH call stacks, kept
 *   pairs             500,000 pairs of a stack and a size, beside 128 MiB that stay
 *   sealed            after its start no file can be opened, allocated or mapped (seccomp)
 *   limited RESOURCE  starts itself again with 1 GiB of a resource (setrlimit(2)'s number)
 *   limits_itself     has 128 MiB of address space from its start on, and keeps 20 blocks of 1 MiB
 *   small_stacks      threads with the smallest stack there is
 *   mappings COUNT    so many mappings that cannot be merged
 *   unseen            20 rounds of 1,000 blocks that are freed by a function that nobody wraps
 *   undersized        the same by jemalloc's sdallocx and dallocx, if there are such
 *
 * Prints what must be the same without the shim, and on standard error its resident KiB where a test
 * asks for it. */
#include <errno.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

template <class T> __attribute__((always_inline)) static inline T *seen(T *block) {
    __asm__ volatile("" : "+r"(block) : : "memory");
    return block;
}

extern "C" __attribute__((noinline)) void *leak_three() {
    void *last = NULL;
    for (int number = 0; number < 3; number++) last = seen(malloc(1000));
    return last;
}

extern "C" __attribute__((noinline)) char *leaf(size_t bytes) {
    char *block = seen((char *)malloc(bytes));
    if (block) block[0] = 1;
    return block;
}

/* One call stack for each number of `depth` bits. */
extern "C" __attribute__((noinline)) char *walk(unsigned number, int depth, size_t bytes) {
    if (depth == 0) return seen(leaf(bytes));
    if (number & 1) return seen(walk(number >> 1, depth - 1, bytes));
    return seen(walk(number >> 1, depth - 1, bytes));
}

static long resident() {
    long pages = 0, size;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &size, &pages) != 2) exit(9);
    fclose(file);
    return pages * 4;
}

static void stacks(int depth) {
    long made = 0;
    for (unsigned number = 0; number < 1u << depth; number++) made += walk(number, depth, 16 + number % 128) != NULL;
    fprintf(stderr, "%ld\n", resident());
    printf("made %ld\n", made);
}

static void pairs() {
    enum { LARGE = 2048, LARGE_BYTES = 64 << 10, LIVE = 1000 };
    static char *large[LARGE], *live[LIVE];
    for (char *&block : large) memset(block = leaf(LARGE_BYTES), 1, LARGE_BYTES);
    long made = 0;
    for (size_t size = 0; size < 500; size++)
        for (unsigned number = 0; number < 1000; number++) {
            char *&block = live[made++ % LIVE];
            free(block);
            size_t bytes = 16 + size * 8;
            memset(block = walk(number, 10, bytes), 1, bytes);
        }
    fprintf(stderr, "%ld\n", resident());
    printf("made %ld\n", made);
}

static void seal() {
    static const int refused[] = {SYS_open, SYS_openat, SYS_creat, SYS_mmap, SYS_fallocate};
    enum { COUNT = sizeof refused / sizeof *refused };
    struct sock_filter filter[COUNT + 3];
    filter[0] = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int at = 0; at < COUNT; at++)
        filter[1 + at] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)refused[at], (unsigned char)(COUNT - at), 0);
    filter[COUNT + 1] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter[COUNT + 2] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    struct sock_fprog program = {COUNT + 3, filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
        puts("no seccomp here");
        exit(0);
    }
}

static void sealed() {
    free(leaf(100));
    seal();
    if (mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED) exit(9);
    long made = 0, whole = 0;
    for (unsigned number = 0; number < 1 << 15; number++) {
        char *block = walk(number, 15, 16 + number % 100);
        made += block != NULL;
        if (block) memset(block, 7, 16), whole += block[15] == 7;
        if (number % 3) free(block);
    }
    printf("made %ld, whole %ld\n", made, whole);
}

static void limited(const char *self, int resource) {
    if (!getenv("FAULTS_LIMITED")) {
        struct rlimit limit = {1u << 30, 1u << 30};
        setrlimit((__rlimit_resource)resource, &limit);
        setenv("FAULTS_LIMITED", "1", 1);
        execl(self, self, "limited", (char *)NULL);
    }
    /* What the limit leaves is the program's: as many blocks as without. */
    long made = 0;
    for (int number = 0; number < 900; number++) made += seen(malloc(1 << 20)) != NULL;
    printf("made %ld MiB\n", made);
}

extern "C" __attribute__((noinline)) long keep_twenty() {
    long made = 0;
    for (int number = 0; number < 20; number++) made += seen(malloc(1 << 20)) != NULL;
    return made;
}

static void limits_itself() {
    struct rlimit limit = {128u << 20, 128u << 20};
    setrlimit(RLIMIT_AS, &limit);
    printf("made %ld MiB\n", keep_twenty());
}

static void *small(void *number) {
    return walk((unsigned)(uintptr_t)number, 8, 100);
}

static void small_stacks() {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN);
    long made = 0;
    for (uintptr_t number = 0; number < 200; number++) {
        pthread_t thread;
        void *block;
        if (pthread_create(&thread, &attributes, small, (void *)number)) exit(9);
        pthread_join(thread, &block);
        made += block != NULL;
        free(block);
    }
    printf("made %ld\n", made);
}

extern "C" __attribute__((noinline)) void *map_one(int protection) {
    return seen(mmap(NULL, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

static void mappings(int count) {
    long made = 0;
    for (int number = 0; number < count; number++) made += map_one(number % 2 ? PROT_READ : PROT_READ | PROT_WRITE) != MAP_FAILED;
    for (unsigned number = 0; number < 1000; number++) free(walk(number, 10, 100));
    printf("made %ld\n", made);
}

extern "C" void __libc_free(void *);

extern "C" __attribute__((noinline)) void *make_unseen() {
    return seen(malloc(100));
}

/* What is freed behind everybody's back comes again, as the next round's. */
static void unseen() {
    static void *blocks[1000];
    for (int round = 0; round < 20; round++) {
        for (void *&block : blocks) block = make_unseen();
        if (round == 19) return;
        for (void *block : blocks) __libc_free(block);
    }
}

extern "C" void sdallocx(void *, size_t, int) __attribute__((weak));
extern "C" void dallocx(void *, int) __attribute__((weak));
extern "C" void *mallocx(size_t, int) __attribute__((weak));

static void undersized() {
    static void *blocks[1000];
    for (int round = 0; round < 20; round++) {
        for (void *&block : blocks) block = make_unseen();
        for (int at = 0; at < 1000; at++) {
            if (!sdallocx || !dallocx) free(blocks[at]);
            else if (at % 2) sdallocx(blocks[at], 100, 0);
            else dallocx(blocks[at], 0);
        }
    }
    /* A program that asks for it must hear the truth. */
    puts(mallocx ? "mallocx" : "no mallocx");
}

int main(int count, char **arguments) {
    const char *mode = count > 1 ? arguments[1] : "";
    int number = count > 2 ? atoi(arguments[2]) : 0;
    if (!strcmp(mode, "short")) return leak_three() == NULL;
    if (!strcmp(mode, "stacks")) stacks(number);
    else if (!strcmp(mode, "pairs")) pairs();
    else if (!strcmp(mode, "sealed")) sealed();
    else if (!strcmp(mode, "limited")) limited(arguments[0], number);
    else if (!strcmp(mode, "limits_itself")) limits_itself();
    else if (!strcmp(mode, "small_stacks")) small_stacks();
    else if (!strcmp(mode, "mappings")) mappings(number);
    else if (!strcmp(mode, "unseen")) unseen();
    else if (!strcmp(mode, "undersized")) undersized();
    else return 2;
    return 0;
}
