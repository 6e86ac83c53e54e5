// A second wall around the whole process, on Linux: no new privileges, Landlock (which files), seccomp (which system calls).
//
// Guests are held by the interpreter's checks. This is for the day on which one of these checks, or a native kernel, is wrong: code
// of a stranger that runs in this process then still finds no file but those it was given, no network, no other process, and no page
// that can be made executable.
#pragma once
#include <stdbool.h>
#include <stddef.h>

/// What a process may do beneath a folder, or with a file.
enum {
  BINDERY_SANDBOX_READ = 1,
  /// Reading, writing, making and removing files, folders and symbolic links; neither devices, pipes nor sockets.
  BINDERY_SANDBOX_WRITE = 2,
};

typedef struct bindery_sandbox_rule {
  /// Links are followed; what is at their end counts.
  const char *path;
  int access;
  /// Whether the rule is left out where there is nothing at the path.
  bool is_optional;
} bindery_sandbox_rule;

/// Where entering failed.
typedef enum bindery_sandbox_step {
  /// The system is not Linux, or the kernel has no Landlock (ENOSYS), or it is switched off (EOPNOTSUPP).
  BINDERY_SANDBOX_LANDLOCK,
  /// The process has more than one thread (EBUSY): Landlock would hold the calling one alone.
  BINDERY_SANDBOX_THREADS,
  /// A rule's path cannot be opened.
  BINDERY_SANDBOX_PATH,
  BINDERY_SANDBOX_PRIVILEGES,
  BINDERY_SANDBOX_SECCOMP,
} bindery_sandbox_step;

/// Enters the sandbox, for good: this thread and all that it will start. To be called while the process has one thread.
///
/// Files that are open stay open, standard streams among them; nothing else can be opened than the rules say. System calls
/// that are not on the list fail with EPERM; one of another architecture ends the process.
/// Returns 0, or an errno, with the step in *step and, for BINDERY_SANDBOX_PATH, the rule's place in *rule. After a failure the process
/// may be held in part, and should end.
int bindery_sandbox_enter(const bindery_sandbox_rule *rules, size_t count, bindery_sandbox_step *step, size_t *rule);

/// The version of the kernel's Landlock, 0 where there is none.
int bindery_sandbox_landlock_version(void);
