/* books MODE MIB THREADS - fills its heap in a known way, prints its books, and does what standard input says:
 *   b  books again                      t  malloc_trim(0), and what it gave back
 *   g  50,000 blocks more               f  a fork child that waits; prints its pid
 *   x  exec itself as `books empty`     q  end
 * Each answer is "key value" lines and then "end". See books.h for what is counted.
 */
#include "books.h"

static const char *mode;
static size_t share;
static int threads;
static pthread_barrier_t barrier;
static int is_mode(const char *m) { return !strcmp(mode, m); }
#define SLOTS (16 << 20)

/* What each thread does before the books are taken. */
static void fill(int id, void **slot) {
  state += 7919ull * (unsigned)(id + 1) * 1000003;
  size_t total = 0; long n = 0; unsigned freed = is_mode("frag") ? 80 : is_mode("mix") || is_mode("joined") ? 30 : 0;
  /* By malloc, so that the thread has its cache: memalign does not make one. */
  slot[n++] = filled(100);
  while (total < share && n < SLOTS) {
    size_t s = is_mode("small") ? 24 + rnd() % 100 : is_mode("big") ? 200000 + rnd() % 3000000 : mixed_size();
    /* Alignments: of a cache line, of a page, and of a mebibyte, which gets a mapping of its own. */
    if (is_mode("aligned")) { size_t a = (size_t[]){64, 4096, 1 << 20}[n % 3]; if (a > 4096) s = 300000; slot[n] = memalign(a, s); memset(slot[n], 1, s); }
    else slot[n] = filled(s);
    total += s; n++;
    if (is_mode("big") && rnd() % 4 == 0) { long k = rnd() % n; free(slot[k]); slot[k] = 0; }
  }
  for (long i = 0; i < n; i++) if (rnd() % 100 < freed) { free(slot[i]); slot[i] = 0; }
  /* Some are in the caches and the fastbins, and stay there. */
  if (is_mode("fast")) for (long i = 0; i < n; i += 3) { free(slot[i]); slot[i] = 0; }
  if (is_mode("shrink")) for (long i = 0; i < n; i++) slot[i] = realloc(slot[i], 40);
}
static void *worker(void *a) {
  void **slot = table(sizeof(void *) * SLOTS);
  fill((int)(long)a, slot);
  pthread_barrier_wait(&barrier);
  if (is_mode("joined")) return 0;
  for (;;) pause();
}
/* Somebody else takes memory by sbrk, between the pieces of the heap. */
static void foreign_sbrk(void **slot) {
  long n = 0;
  for (int i = 0; i < 20000; i++) slot[n++] = filled(100);
  memset(sbrk(12345 * 16), 0xff, 12345 * 16);
  for (int i = 0; i < 20000; i++) slot[n++] = filled(200);
  if (sbrk(4096) == (void *)-1) _exit(6);
  for (int i = 0; i < 1000; i++) slot[n++] = filled(5000);
}
/* The heap cannot grow where it is: a mapping lies behind it. malloc goes on elsewhere. */
static void blocked_brk(void **slot) {
  long n = 0;
  for (int i = 0; i < 20000; i++) slot[n++] = filled(100);
  char *end = (char *)(((size_t)sbrk(0) + 4095) & ~4095ul);
  mmap(end + 4096, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  for (int i = 0; i < 200000; i++) slot[n++] = filled(200);
  long first = n;
  for (int i = 0; i < 1000; i++) slot[n++] = filled(5000);
  for (long i = first; i < n; i += 2) free(slot[i]);
}
/* The heap cannot be had from brk at all: a mapping lies where it would begin. */
static void forbidden_brk(void) {
  char *end = (char *)(((size_t)sbrk(0) + 4095) & ~4095ul);
  mmap(end, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}
/* A thread ends, and what it had cached goes back to its arena with the cache's marks still on it. Another
 * thread takes the arena over, gets the same blocks and does not write to them. */
static void *reborn_thread(void *again) {
  static void *slot[6000];
  for (int i = 0; i < 6000; i++) slot[i] = malloc(24 + 16 * (i % 60));
  if (!again) { for (int i = 0; i < 6000; i++) free(slot[i]); return 0; }
  pthread_barrier_wait(&barrier);
  for (;;) pause();
}
static void reborn(void) {
  pthread_t thread; pthread_barrier_init(&barrier, 0, 2);
  pthread_create(&thread, 0, reborn_thread, 0); pthread_join(thread, 0); caches--;
  pthread_create(&thread, 0, reborn_thread, (void *)1); pthread_barrier_wait(&barrier);
}
/* Five blocks are written past their ends: five headers make no sense. */
static void smash(void **slot) {
  for (int i = 0; i < 100000; i++) slot[i] = filled(200);
  for (int k = 0; k < 5; k++) memset(slot[20000 * k + 5], 'Z', 240);
}
static void build(void) {
  void **slot = table(sizeof(void *) * SLOTS);
  if (is_mode("empty") || is_mode("untouched")) return;
  if (is_mode("sbrk")) { foreign_sbrk(slot); return; }
  if (is_mode("brk")) { blocked_brk(slot); return; }
  if (is_mode("reborn")) { reborn(); return; }
  if (is_mode("nobrk")) forbidden_brk();
  if (is_mode("smash")) { smash(slot); return; }
  if (is_mode("fast")) mallopt(M_MXFAST, 160);
  if (!threads) { fill(0, slot); return; }
  pthread_barrier_init(&barrier, 0, (unsigned)threads + 1);
  static pthread_t thread[64];
  for (long i = 0; i < threads; i++) pthread_create(&thread[i], 0, worker, (void *)i);
  pthread_barrier_wait(&barrier);
  if (is_mode("joined")) for (int i = 0; i < threads; i++) { pthread_join(thread[i], 0); caches--; }
}

static void fork_child(void) {
  int pid = fork();
  if (pid) { put("child", pid); put_end(); return; }
  prctl(PR_SET_PDEATHSIG, 9);
  for (;;) pause();
}
static void trim(void) {
  long before = resident(); int released = malloc_trim(0); long after = resident();
  put("before", before); put("after", after); put("released", released); put_books(); put_end();
}
int main(int count, char **argument) {
  if (count < 4) return 2;
  mode = argument[1]; threads = atoi(argument[3]); share = (size_t)atol(argument[2]) << 20; if (threads) share /= (unsigned)threads;
  if (threads > 64) return 2;
  if (is_mode("undumpable")) prctl(PR_SET_DUMPABLE, 0);
  build();
  put("pid", getpid());
  /* mallinfo2 sets malloc up. */
  if (!is_mode("untouched")) put_books();
  put_end();
  for (char c; read(0, &c, 1) == 1;) switch (c) {
    case 'b': put_books(); put_end(); break;
    case 't': trim(); break;
    case 'g': for (int i = 0; i < 50000; i++) filled(300); put_books(); put_end(); break;
    case 'f': fork_child(); break;
    case 'x': execl("/proc/self/exe", argument[0], "empty", "0", "0", (char *)0); return 7;
    case 'q': return 0;
    default: return 2;
  }
  return 0;
}
