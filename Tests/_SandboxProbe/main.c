// Enters the sandbox and tries what a stranger's code would try. Prints a line for each attempt: its name, and `done` or the error
// number. For the tests of the sandbox alone.
//
// Arguments: a folder that may be written to, a file that may be read, a file that may not; and as a fourth, if at all, `late`: a second
// thread runs before the sandbox is entered.
#define _GNU_SOURCE
#include <bindery_sandbox.h>

#if defined(__linux__)

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TRY(name, call)                                             \
  do {                                                              \
    errno = 0;                                                      \
    if ((long)(call) == -1) {                                       \
      printf("%s: %d\n", name, errno);                              \
    } else {                                                        \
      printf("%s: done\n", name);                                   \
    }                                                               \
    fflush(stdout);                                                 \
  } while (0)

static char path_buffer[4096];
static const char *in(const char *folder, const char *name) {
  snprintf(path_buffer, sizeof path_buffer, "%s/%s", folder, name);
  return path_buffer;
}

static void *sleep_forever(void *nothing) {
  (void)nothing;
  for (;;) sleep(1);
  return NULL;
}

static void *open_in_thread(void *path) {
  TRY("thread opens secret", open(path, O_RDONLY));
  TRY("thread makes socket", socket(AF_INET, SOCK_STREAM, 0));
  return NULL;
}

static void try_files(const char *folder, const char *readable, const char *secret) {
  char renamed[4096], outside[4096], parent[64];
  snprintf(renamed, sizeof renamed, "%s/renamed", folder);
  snprintf(outside, sizeof outside, "%s.new", secret);
  snprintf(parent, sizeof parent, "/proc/%d/environ", (int)getppid());
  TRY("create in folder", open(in(folder, "new"), O_CREAT | O_RDWR, 0600));
  TRY("rename in folder", rename(in(folder, "new"), renamed));
  TRY("make folder in folder", mkdir(in(folder, "sub"), 0700));
  TRY("link to secret", symlink(secret, in(folder, "link")));
  TRY("open link to secret", open(in(folder, "link"), O_RDONLY));
  TRY("rename out of folder", rename(renamed, outside));
  TRY("hard link to secret", link(secret, in(folder, "hard")));
  TRY("make pipe", mkfifo(in(folder, "pipe"), 0600));
  TRY("make device", mknod(in(folder, "device"), S_IFCHR | 0600, 0x103));
  TRY("remove in folder", unlink(renamed));
  TRY("open readable", open(readable, O_RDONLY));
  TRY("write readable", open(readable, O_WRONLY));
  TRY("truncate readable", truncate(readable, 0));
  TRY("open secret", open(secret, O_RDONLY));
  TRY("remove secret", unlink(secret));
  TRY("change secret", chmod(secret, 0777));
  TRY("open passwords", open("/etc/passwd", O_RDONLY));
  TRY("list root", open("/", O_RDONLY | O_DIRECTORY));
  TRY("open own status", open("/proc/self/status", O_RDONLY));
  TRY("write own memory", open("/proc/self/mem", O_RDWR));
  TRY("open passwords through own root", open("/proc/self/root/etc/passwd", O_RDONLY));
  TRY("open environment of parent", open(parent, O_RDONLY));
  TRY("change root", chroot(folder));
  TRY("mount", syscall(SYS_mount, "none", folder, "tmpfs", 0L, NULL));
}

static void try_processes(void) {
  TRY("socket", socket(AF_INET, SOCK_STREAM, 0));
  TRY("local socket", socket(AF_UNIX, SOCK_STREAM, 0));
  TRY("pair of sockets", socketpair(AF_UNIX, SOCK_STREAM, 0, (int[2]){0, 0}));
  TRY("signal parent", kill(getppid(), 0));
  TRY("signal itself", kill(getpid(), 0));
  TRY("signal parent by way of a file", fcntl(1, F_SETOWN, getppid()));
  TRY("ask flags", fcntl(1, F_GETFL));
  TRY("trace parent", ptrace(PTRACE_SEIZE, getppid(), 0, 0));
  TRY("read memory of parent", syscall(SYS_process_vm_readv, getppid(), NULL, 0L, NULL, 0L, 0L));
  TRY("new namespace", unshare(CLONE_NEWUSER));
  TRY("fork", fork());
  TRY("start program", execl("/bin/true", "true", (char *)NULL));
  TRY("ring", syscall(SYS_io_uring_setup, 1L, NULL));
  TRY("kernel program", syscall(SYS_bpf, 0L, NULL, 0L));
  TRY("keys", syscall(SYS_keyctl, 0L, 0L, 0L));
  struct rlimit limit;
  TRY("ask limit", getrlimit(RLIMIT_NOFILE, &limit));
  TRY("set limit", setrlimit(RLIMIT_NOFILE, &limit));
}

static void try_memory(void) {
  const size_t size = 1 << 16;
  TRY("map pages", mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  TRY("map executable pages", mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  TRY("make pages executable", mprotect(pages, size, PROT_READ | PROT_EXEC));
}

int main(int count, char **arguments) {
  if (count < 4) return 64;
  pthread_t thread;
  if (count > 4 && pthread_create(&thread, NULL, sleep_forever, NULL) != 0) return 1;
  const bindery_sandbox_rule rules[] = {
      {arguments[1], BINDERY_SANDBOX_WRITE, false}, {arguments[2], BINDERY_SANDBOX_READ, false}, {"/proc/self", BINDERY_SANDBOX_READ, true},
      {"/nowhere/at/all", BINDERY_SANDBOX_READ, true}};
  bindery_sandbox_step step;
  size_t rule;
  int failure = bindery_sandbox_enter(rules, sizeof rules / sizeof *rules, &step, &rule);
  if (failure != 0) {
    printf("refused: step %d, rule %zu, error %d\n", (int)step, rule, failure);
    return 3;
  }
  printf("entered: done\n");
  try_files(arguments[1], arguments[2], arguments[3]);
  try_processes();
  try_memory();
  int created = pthread_create(&thread, NULL, open_in_thread, arguments[3]);
  errno = created;
  printf("thread: %s\n", created == 0 ? "done" : strerror(created));
  if (created == 0) pthread_join(thread, NULL);
  return 0;
}

#else

int main(void) { return 3; }

#endif
