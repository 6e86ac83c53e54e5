#define _GNU_SOURCE
#include "bindery_sandbox.h"

#include <errno.h>

#if defined(__linux__) && (defined(__x86_64__) || defined(__aarch64__))

#include <dirent.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

// MARK: Landlock

// Newer than the headers of some systems. Source: the kernel's Documentation/userspace-api/landlock.rst.
#define ACCESS_REFER (1ULL << 13)      // Version 2: renaming and linking from one folder to another.
#define ACCESS_TRUNCATE (1ULL << 14)   // Version 3.
#define ACCESS_IOCTL_DEV (1ULL << 15)  // Version 5.
#define NETWORK_BIND_TCP (1ULL << 0)   // Version 4.
#define NETWORK_CONNECT_TCP (1ULL << 1)
#define SCOPE_ABSTRACT_SOCKET (1ULL << 0)  // Version 6.
#define SCOPE_SIGNAL (1ULL << 1)

/// As the kernel of version 6 has it. Older ones accept it too, as long as what they do not know is zero.
struct ruleset {
  uint64_t files, network, scopes;
};

static const uint64_t access_file_read = LANDLOCK_ACCESS_FS_READ_FILE;
static const uint64_t access_file_write = LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_TRUNCATE;
static const uint64_t access_folder_read = LANDLOCK_ACCESS_FS_READ_DIR;
static const uint64_t access_folder_write = LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR
    | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SYM | ACCESS_REFER;

/// Everything that a version can refuse: what no rule allows is refused.
static struct ruleset everything(int version) {
  // Version 1 has the rights up to making symbolic links.
  uint64_t files = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
  if (version >= 2) files |= ACCESS_REFER;
  if (version >= 3) files |= ACCESS_TRUNCATE;
  if (version >= 5) files |= ACCESS_IOCTL_DEV;
  return (struct ruleset){
      .files = files,
      .network = version >= 4 ? NETWORK_BIND_TCP | NETWORK_CONNECT_TCP : 0,
      .scopes = version >= 6 ? SCOPE_ABSTRACT_SOCKET | SCOPE_SIGNAL : 0};
}

int bindery_sandbox_landlock_version(void) {
  long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return version > 0 ? (int)version : 0;
}

static int add_rule(int ruleset, uint64_t handled, const bindery_sandbox_rule *rule) {
  int descriptor = open(rule->path, O_PATH | O_CLOEXEC);
  if (descriptor < 0) return rule->is_optional ? 0 : errno;
  struct stat status;
  int failure = fstat(descriptor, &status) == 0 ? 0 : errno;
  if (failure == 0) {
    bool is_folder = S_ISDIR(status.st_mode);
    uint64_t access = access_file_read | (is_folder ? access_folder_read : 0);
    if (rule->access & BINDERY_SANDBOX_WRITE) access |= access_file_write | (is_folder ? access_folder_write : 0);
    struct landlock_path_beneath_attr beneath = {.allowed_access = access & handled, .parent_fd = descriptor};
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) != 0) failure = errno;
  }
  close(descriptor);
  return failure;
}

// MARK: seccomp

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#else
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

/// System calls that may be made with any arguments.
static const int allowed_calls[] = {
    // Open files.
    SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64, SYS_pwrite64, SYS_preadv, SYS_pwritev, SYS_preadv2, SYS_pwritev2,
    SYS_lseek, SYS_close, SYS_fstat, SYS_dup, SYS_dup3, SYS_fsync, SYS_fdatasync, SYS_ftruncate, SYS_fallocate,
    SYS_fadvise64, SYS_getdents64, SYS_pipe2, SYS_fstatfs, SYS_flock,
    // Paths: Landlock says which.
    SYS_openat, SYS_newfstatat, SYS_statx, SYS_faccessat, SYS_readlinkat, SYS_mkdirat, SYS_unlinkat, SYS_renameat, SYS_linkat,
    SYS_symlinkat, SYS_utimensat, SYS_getcwd, SYS_statfs,
#if defined(SYS_openat2)
    SYS_openat2,
#endif
#if defined(SYS_faccessat2)
    SYS_faccessat2,
#endif
#if defined(SYS_renameat2)
    SYS_renameat2,
#endif
    // Waiting.
    SYS_ppoll, SYS_pselect6, SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait, SYS_eventfd2, SYS_timerfd_create, SYS_timerfd_settime,
    SYS_timerfd_gettime, SYS_signalfd4, SYS_nanosleep, SYS_clock_nanosleep, SYS_futex, SYS_restart_syscall,
    // Memory: mmap and mprotect are below.
    SYS_munmap, SYS_mremap, SYS_madvise, SYS_mincore, SYS_brk, SYS_memfd_create, SYS_msync,
    // Threads and signals of this process: clone, kill and tgkill are below.
    SYS_exit, SYS_exit_group, SYS_gettid, SYS_getpid, SYS_getppid, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_sched_yield,
    SYS_sched_getaffinity, SYS_sched_getparam, SYS_sched_getscheduler, SYS_sched_get_priority_max, SYS_sched_get_priority_min,
    SYS_getcpu, SYS_set_robust_list, SYS_get_robust_list, SYS_membarrier, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn,
    SYS_rt_sigpending, SYS_rt_sigtimedwait, SYS_rt_sigsuspend, SYS_sigaltstack,
#if defined(SYS_rseq)
    SYS_rseq,
#endif
    // Facts.
    SYS_clock_gettime, SYS_clock_getres, SYS_gettimeofday, SYS_getrandom, SYS_getrusage, SYS_times, SYS_sysinfo, SYS_uname,
#if defined(__x86_64__)
    // What arm64 has no separate calls for.
    SYS_open, SYS_stat, SYS_lstat, SYS_access, SYS_readlink, SYS_mkdir, SYS_rmdir, SYS_unlink, SYS_rename, SYS_link, SYS_symlink,
    SYS_poll, SYS_select, SYS_epoll_wait, SYS_dup2, SYS_pipe, SYS_time, SYS_getdents,
#endif
};

/// A filter under construction.
struct filter {
  struct sock_filter code[512];
  unsigned short count;
};

static void emit(struct filter *filter, uint16_t code, uint32_t operand, uint8_t if_true, uint8_t if_false) {
  if (filter->count == sizeof filter->code / sizeof *filter->code) __builtin_trap();
  filter->code[filter->count++] = (struct sock_filter)BPF_JUMP(code, operand, if_true, if_false);
}

static void load(struct filter *filter, size_t offset) { emit(filter, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0); }
static void load_argument(struct filter *filter, int index) {
  // The low half: both architectures are little-endian.
  load(filter, offsetof(struct seccomp_data, args) + (size_t)index * 8);
}
static void load_argument_high(struct filter *filter, int index) {
  load(filter, offsetof(struct seccomp_data, args) + (size_t)index * 8 + 4);
}
static void answer(struct filter *filter, uint32_t action) { emit(filter, BPF_RET | BPF_K, action, 0, 0); }

static const uint32_t allow = SECCOMP_RET_ALLOW;
static const uint32_t refuse = SECCOMP_RET_ERRNO | EPERM;

/// Where the accumulator has one of the values: allow; otherwise refuse.
static void allow_values(struct filter *filter, const uint32_t *values, size_t count) {
  for (size_t index = 0; index < count; index++) {
    emit(filter, BPF_JMP | BPF_JEQ | BPF_K, values[index], 0, 1);
    answer(filter, allow);
  }
  answer(filter, refuse);
}

/// What follows, up to the same number of `end_call`, is for one system call. Returns the place to be mended there.
static unsigned short begin_call(struct filter *filter, int number) {
  load(filter, offsetof(struct seccomp_data, nr));
  emit(filter, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 0);
  return (unsigned short)(filter->count - 1);
}

static void end_call(struct filter *filter, unsigned short place) {
  int distance = filter->count - place - 1;
  if (distance > 255) __builtin_trap();
  filter->code[place].jf = (uint8_t)distance;
}

static void build(struct filter *filter) {
  load(filter, offsetof(struct seccomp_data, arch));
  emit(filter, BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
  answer(filter, SECCOMP_RET_KILL_PROCESS);
  load(filter, offsetof(struct seccomp_data, nr));
#if defined(__x86_64__)
  // The calls of x32: other numbers for the same.
  emit(filter, BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1);
  answer(filter, SECCOMP_RET_KILL_PROCESS);
#endif
  for (size_t index = 0; index < sizeof allowed_calls / sizeof *allowed_calls; index++) {
    emit(filter, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)allowed_calls[index], 0, 1);
    answer(filter, allow);
  }

  // No page becomes executable.
  const int protecting[] = {SYS_mmap, SYS_mprotect};
  for (size_t index = 0; index < 2; index++) {
    unsigned short place = begin_call(filter, protecting[index]);
    load_argument(filter, 2);
    emit(filter, BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1);
    answer(filter, refuse);
    answer(filter, allow);
    end_call(filter, place);
  }

  // Threads, no processes and no namespaces.
  unsigned short place = begin_call(filter, SYS_clone);
  load_argument(filter, 0);
  emit(
      filter, BPF_JMP | BPF_JSET | BPF_K,
      CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET, 0, 1);
  answer(filter, refuse);
  emit(filter, BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1);
  answer(filter, allow);
  answer(filter, refuse);
  end_call(filter, place);
#if defined(SYS_clone3)
  // Its flags lie in memory, where no filter sees them. The C library takes clone where this one does not exist.
  place = begin_call(filter, SYS_clone3);
  answer(filter, SECCOMP_RET_ERRNO | ENOSYS);
  end_call(filter, place);
#endif

  // Signals to this process alone.
  const int signalling[] = {SYS_kill, SYS_tgkill};
  const uint32_t self = (uint32_t)getpid();
  for (size_t index = 0; index < 2; index++) {
    place = begin_call(filter, signalling[index]);
    load_argument(filter, 0);
    allow_values(filter, &self, 1);
    end_call(filter, place);
  }

  // Flags and copies of descriptors; no owner, to whom the kernel would send signals.
  static const uint32_t commands[] = {F_GETFL, F_SETFL, F_GETFD, F_SETFD, F_DUPFD, F_DUPFD_CLOEXEC, F_ADD_SEALS, F_GET_SEALS};
  place = begin_call(filter, SYS_fcntl);
  load_argument(filter, 1);
  allow_values(filter, commands, sizeof commands / sizeof *commands);
  end_call(filter, place);

  // What a terminal and a pipe are asked; nothing is typed into a terminal.
  static const uint32_t requests[] = {TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIOCLEX, FIONCLEX};
  place = begin_call(filter, SYS_ioctl);
  load_argument(filter, 1);
  allow_values(filter, requests, sizeof requests / sizeof *requests);
  end_call(filter, place);

  // Names of threads and of memory.
  static const uint32_t options[] = {PR_SET_NAME, PR_GET_NAME, 0x53564D41 /* PR_SET_VMA */};
  place = begin_call(filter, SYS_prctl);
  load_argument(filter, 0);
  allow_values(filter, options, sizeof options / sizeof *options);
  end_call(filter, place);

  // Limits are asked, not set: no new value.
  place = begin_call(filter, SYS_prlimit64);
  load_argument(filter, 2);
  emit(filter, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0);
  answer(filter, refuse);
  load_argument_high(filter, 2);
  emit(filter, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0);
  answer(filter, refuse);
  answer(filter, allow);
  end_call(filter, place);
#if defined(SYS_getrlimit)
  place = begin_call(filter, SYS_getrlimit);
  answer(filter, allow);
  end_call(filter, place);
#endif

  answer(filter, refuse);
}

// MARK: Entering

/// The threads of this process, 0 if that cannot be known.
static int thread_count(void) {
  DIR *tasks = opendir("/proc/self/task");
  if (tasks == NULL) return 0;
  int count = 0;
  for (struct dirent *entry = readdir(tasks); entry != NULL; entry = readdir(tasks)) count += entry->d_name[0] != '.';
  closedir(tasks);
  return count;
}

int bindery_sandbox_enter(const bindery_sandbox_rule *rules, size_t count, bindery_sandbox_step *step, size_t *rule) {
  *step = BINDERY_SANDBOX_LANDLOCK;
  *rule = 0;
  long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (version < 1) return version < 0 ? errno : ENOSYS;

  *step = BINDERY_SANDBOX_THREADS;
  if (thread_count() != 1) return EBUSY;

  *step = BINDERY_SANDBOX_PRIVILEGES;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;

  *step = BINDERY_SANDBOX_LANDLOCK;
  struct ruleset handled = everything((int)version);
  int ruleset = (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0);
  if (ruleset < 0) return errno;
  for (size_t index = 0; index < count; index++) {
    int failure = add_rule(ruleset, handled.files, &rules[index]);
    if (failure != 0) {
      close(ruleset);
      *step = BINDERY_SANDBOX_PATH;
      *rule = index;
      return failure;
    }
  }
  int failure = syscall(SYS_landlock_restrict_self, ruleset, 0) == 0 ? 0 : errno;
  close(ruleset);
  if (failure != 0) return failure;

  *step = BINDERY_SANDBOX_SECCOMP;
  struct filter filter = {.count = 0};
  build(&filter);
  struct sock_fprog program = {.len = filter.count, .filter = filter.code};
  // All threads, should the library have started one meanwhile.
  long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
  return result == 0 ? 0 : result > 0 ? EBUSY : errno;
}

#else

int bindery_sandbox_landlock_version(void) { return 0; }

int bindery_sandbox_enter(const bindery_sandbox_rule *rules, size_t count, bindery_sandbox_step *step, size_t *rule) {
  (void)rules, (void)count;
  *step = BINDERY_SANDBOX_LANDLOCK;
  *rule = 0;
  return ENOSYS;
}

#endif
