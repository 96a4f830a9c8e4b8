/* Threads that are left unjoined, joined, detached, and alive, with stacks of several sizes; says how many there are
 * and how much the stacks of the first kind take, by pthread_getattr_np. Then it waits for the end of its input.
 * threads UNJOINED JOINED DETACHED ALIVE */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <semaphore.h>

static sem_t ready, ended;
static size_t stack_of_last;

static void *run(void *lives) {
  pthread_attr_t attr;
  void *start;
  size_t size, guard;
  pthread_getattr_np(pthread_self(), &attr);
  pthread_attr_getstack(&attr, &start, &size);
  pthread_attr_getguardsize(&attr, &guard);
  pthread_attr_destroy(&attr);
  stack_of_last = size + guard;
  sem_post(&ready);
  while (lives) pause();
  return NULL;
}

static pthread_t start(int number, int detached, int lives) {
  pthread_attr_t attr;
  pthread_t thread;
  pthread_attr_init(&attr);
  pthread_attr_setstacksize(&attr, (size_t)(number % 3 + 1) << 18);
  if (detached) pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  if (pthread_create(&thread, &attr, run, lives ? "" : NULL)) exit(1);
  sem_wait(&ready);
  return thread;
}

int main(int count, char **values) {
  if (count < 5) return 2;
  sem_init(&ready, 0, 0);
  sem_init(&ended, 0, 0);
  size_t kept = 0;
  /* All at once, so that none gets the stack of one before it. */
  int joined = atoi(values[2]);
  pthread_t *threads = malloc(sizeof *threads * (joined + 1));
  for (int i = 0; i < joined; i++) threads[i] = start(i, 0, 0);
  for (int i = 0; i < joined; i++) pthread_join(threads[i], NULL);
  for (int i = 0; i < atoi(values[3]); i++) start(i, 1, 0);
  for (int i = 0; i < atoi(values[1]); i++) start(i, 0, 0), kept += stack_of_last;
  for (int i = 0; i < atoi(values[4]); i++) start(i, 0, 1);
  usleep(200000);
  printf("pid %d\nunjoined %s\nkept %zu\nalive %s\nend\n", (int)getpid(), values[1], kept, values[4]);
  fflush(stdout);
  for (char c; read(0, &c, 1) > 0;) {}
  _exit(0);
}
