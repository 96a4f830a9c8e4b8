/* A program on whatever C library it is built with: blocks, its pid, and waiting for the end of its input. */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(void) {
  for (int i = 0; i < 10000; i++) memset(malloc(100 + i % 1000), 1, 100);
  printf("pid %d\nend\n", (int)getpid());
  fflush(stdout);
  for (char c; read(0, &c, 1) > 0;) {}
  return 0;
}
