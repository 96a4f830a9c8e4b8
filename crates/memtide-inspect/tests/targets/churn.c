/* churn THREADS MIB - threads that replace blocks at random, at full speed once they are told to. How many blocks
 * there are never changes, but for the one that each thread is about to replace.
 *   c  start     l  how long an allocation took since the last l: operations, median and p99 in nanoseconds
 * Before they start, the program prints its books (see books.h).
 */
#include "books.h"

#define THREADS 16
#define BINS 65536
static size_t share;
static pthread_barrier_t filled_all, started;
static int timed;
/* By thread: how often an allocation took so many nanoseconds. The last bin is "or more". */
static unsigned (*taken)[BINS];

static inline unsigned long clock_now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return (unsigned long)t.tv_sec * 1000000000ul + (unsigned long)t.tv_nsec; }
static void replace(void **slot, long n) {
  long k = rnd() % n;
  free(slot[k]);
  size_t s = mixed_size(); char *p = malloc(s); if (!p) _exit(4);
  memset(p, 0x5a, s < 256 ? s : 256);
  slot[k] = p;
}
static void *worker(void *a) {
  long id = (long)a, n = 0;
  void **slot = table(sizeof(void *) * (4 << 20));
  state += 7919ull * (unsigned)(id + 1) * 1000003;
  for (size_t total = 0; total < share; n++) { size_t s = mixed_size(); slot[n] = filled(s); total += s; }
  pthread_barrier_wait(&filled_all);
  pthread_barrier_wait(&started);
  for (;;) {
    if (!timed) { replace(slot, n); continue; }
    unsigned long begin = clock_now(); replace(slot, n); unsigned long took = clock_now() - begin;
    taken[id][took < BINS ? took : BINS - 1]++;
  }
  return 0;
}
static long percentile(const unsigned *now, const unsigned *then, unsigned long all, double part) {
  unsigned long seen = 0;
  for (long i = 0; i < BINS; i++) { seen += now[i] - then[i]; if ((double)seen >= (double)all * part) return i; }
  return BINS;
}
static void latency(int threads) {
  static unsigned now[BINS], then[BINS]; unsigned long all = 0;
  for (long i = 0; i < BINS; i++) { unsigned sum = 0; for (int t = 0; t < threads; t++) sum += taken[t][i]; now[i] = sum; all += sum - then[i]; }
  put("operations", (long)all); put("median", percentile(now, then, all, 0.5)); put("p99", percentile(now, then, all, 0.99));
  memcpy(then, now, sizeof then); put_end();
}
int main(int count, char **argument) {
  if (count < 3) return 2;
  int threads = atoi(argument[1]); if (threads < 1 || threads > THREADS) return 2;
  share = ((size_t)atol(argument[2]) << 20) / (unsigned)threads; timed = count > 3;
  taken = table(sizeof(unsigned) * BINS * THREADS);
  pthread_barrier_init(&filled_all, 0, (unsigned)threads + 1); pthread_barrier_init(&started, 0, (unsigned)threads + 1);
  static pthread_t thread[THREADS];
  for (long i = 0; i < threads; i++) pthread_create(&thread[i], 0, worker, (void *)i);
  pthread_barrier_wait(&filled_all);
  counting = 0;
  put("pid", getpid()); put_books(); put_end();
  for (char c; read(0, &c, 1) == 1;) switch (c) {
    case 'c': pthread_barrier_wait(&started); put_end(); break;
    case 'l': latency(threads); break;
    default: return 2;
  }
  return 0;
}
