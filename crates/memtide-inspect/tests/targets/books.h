/* books.h - a program's own books of its heap: every block that anybody in the process has, counted as it is
 * handed out and taken back, and malloc's own figures, printed without a single allocation.
 *
 * malloc and its family are defined here and pass on to glibc's: so blocks of the C library itself (tables of
 * thread-local storage, for example) are counted as well. One kind of block is not, because malloc makes it for
 * itself: the cache of each thread that has ever allocated. `caches` counts those threads.
 */
#ifndef BOOKS_H
#define BOOKS_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);
#pragma weak mallinfo2

#define CHUNK_MAPPED 2
static atomic_long blocks, block_bytes, mapped_blocks, mapped_bytes, caches;
/* Counting costs something; the program that is timed does without. */
static int counting = 1;
static __thread char has_cache;

static void book(void *p, long sign) {
  if (!p) return;
  if (!has_cache) { has_cache = 1; caches++; }
  if (!counting) return;
  size_t header = ((size_t *)p)[-1];
  /* What malloc adds to a block: one word, and two where the block has a mapping of its own. */
  if (header & CHUNK_MAPPED) { mapped_blocks += sign; mapped_bytes += sign * (long)(malloc_usable_size(p) + 16); }
  else { blocks += sign; block_bytes += sign * (long)(malloc_usable_size(p) + 8); }
}
void *malloc(size_t n) { void *p = __libc_malloc(n); book(p, 1); return p; }
void *calloc(size_t n, size_t m) { void *p = __libc_calloc(n, m); book(p, 1); return p; }
void free(void *p) { if (p) { book(p, -1); __libc_free(p); } }
void *realloc(void *p, size_t n) { book(p, -1); void *q = __libc_realloc(p, n); book(q, 1); return q; }
void *memalign(size_t a, size_t n) { void *p = __libc_memalign(a, n); book(p, 1); return p; }
void *aligned_alloc(size_t a, size_t n) { return memalign(a, n); }
int posix_memalign(void **p, size_t a, size_t n) { *p = memalign(a, n); return *p ? 0 : ENOMEM; }

/* Output without stdio, which would allocate. */
static char out_text[8192];
static size_t out_length;
static void put_text(const char *s) { size_t n = strlen(s); if (out_length + n < sizeof out_text) { memcpy(out_text + out_length, s, n); out_length += n; } }
static void put(const char *key, long value) {
  char digits[24], *d = digits + sizeof digits; unsigned long v = value < 0 ? -(unsigned long)value : (unsigned long)value;
  *--d = 0; *--d = '\n'; do *--d = '0' + v % 10; while (v /= 10);
  if (value < 0) *--d = '-';
  put_text(key); put_text(" "); put_text(d);
}
static void put_end(void) {
  put_text("end\n");
  for (size_t done = 0; done < out_length;) { ssize_t n = write(1, out_text + done, out_length - done); if (n <= 0) _exit(3); done += (size_t)n; }
  out_length = 0;
}

/* Resident bytes, exact: statm may lag by what each processor has not yet added up. */
static inline long resident(void) {
  static char text[4096]; int f = open("/proc/self/smaps_rollup", O_RDONLY); if (f < 0) return -1;
  ssize_t n = read(f, text, sizeof text - 1); close(f); if (n <= 0) return -1;
  text[n] = 0; char *rss = strstr(text, "\nRss:"); return rss ? atol(rss + 5) * 1024 : -1;
}

static void put_books(void) {
  put("blocks", blocks); put("block_bytes", block_bytes); put("mapped_blocks", mapped_blocks); put("mapped_bytes", mapped_bytes); put("caches", caches);
#define FIELDS(m) put("arena", (long)m.arena); put("ordblks", (long)m.ordblks); put("smblks", (long)m.smblks); put("hblks", (long)m.hblks); put("hblkhd", (long)m.hblkhd); \
  put("fsmblks", (long)m.fsmblks); put("uordblks", (long)m.uordblks); put("fordblks", (long)m.fordblks); put("keepcost", (long)m.keepcost)
  if (mallinfo2) { struct mallinfo2 m = mallinfo2(); FIELDS(m); }
  else {  /* before glibc 2.33: fields of 32 bits, enough below 2 GiB */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    struct mallinfo m = mallinfo(); FIELDS(m);
#pragma GCC diagnostic pop
  }
}

static __thread uint64_t state = 88172645463325252ull;
static inline unsigned rnd(void) { state ^= state << 13; state ^= state >> 7; state ^= state << 17; return (unsigned)(state >> 11); }
/* Sizes as servers ask for them: half of them small, a few of them large. */
static inline size_t mixed_size(void) {
  unsigned r = rnd() % 100;
  return r < 50 ? 16 + rnd() % 112 : r < 80 ? 128 + rnd() % 896 : r < 97 ? 1024 + rnd() % 7168 : 8192 + rnd() % 57344;
}
static inline void *filled(size_t n) { char *p = malloc(n); if (!p) _exit(4); memset(p, 0x5a, n); return p; }
/* A table that is none of malloc's. */
static inline void *table(size_t bytes) {
  void *p = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) _exit(5);
  return p;
}
#endif
