/* Asks for memory in known amounts, and for nothing else: 200 blocks of 1,000 bytes that it keeps, and
   20,000 of 64 bytes that it frees. With "fork" a child keeps 50 more and ends before it. */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void *kept[300];

__attribute__((noinline)) void *keep(int i) {
  kept[i] = malloc(1000);
  memset(kept[i], 1, 1000);
  return kept[i];
}

__attribute__((noinline)) void churn(void) {
  for (int i = 0; i < 100; i++) {
    void *volatile block = malloc(64);
    free(block);
  }
}

int main(int count, char **arguments) {
  for (int i = 0; i < 200; i++) {
    keep(i);
    churn();
  }
  if (count > 1 && strcmp(arguments[1], "fork") == 0) {
    if (fork() == 0) {
      for (int i = 200; i < 250; i++)
        keep(i);
      return 0;
    }
    wait(NULL);
  }
  return 0;
}
