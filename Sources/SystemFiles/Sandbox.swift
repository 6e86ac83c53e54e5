import CPlatform

/// A second wall around the whole process, on Linux: no new privileges, Landlock, seccomp.
///
///     guest  |  checks of the interpreter and of the kernels  |  this process  |  sandbox  |  system
///
/// The first wall is the boundary that guests meet. This one is for the day on which it has a hole: whatever runs in the process
/// then still opens no file but those that the rules name, talks to no network and to no other process, starts none, and makes no page
/// executable. Source: the kernel's Documentation/userspace-api/landlock.rst and seccomp_filter.rst.
public enum Sandbox {
  public enum Access: Sendable {
    case read
    /// Also writing, making, renaming and removing files, folders and symbolic links; neither devices, pipes nor sockets.
    case readWrite
  }

  /// A file or everything beneath a folder, and what may be done with it.
  public struct Rule: Sendable {
    /// Links are followed; what is at their end counts.
    public var path: SystemString
    public var access: Access
    /// Whether the rule is left out where there is nothing at the path.
    public var isOptional: Bool

    public init(_ path: SystemString, _ access: Access, isOptional: Bool = false) {
      self.path = path
      self.access = access
      self.isOptional = isOptional
    }
  }

  /// Why the process is not in the sandbox. It may be held in part, and should end.
  public struct Failure: Error, Sendable, CustomStringConvertible {
    public let description: String
  }

  /// What a process reads of the system about itself: memory, processors, time zone. No file of a user is among it.
  private static let systemPaths: [SystemString] = [
    "/proc/self", "/proc/meminfo", "/proc/cpuinfo", "/proc/stat", "/proc/sys/vm/overcommit_memory", "/proc/sys/vm/max_map_count",
    "/sys/devices/system/cpu", "/sys/devices/system/node", "/sys/kernel/mm/transparent_hugepage", "/sys/fs/cgroup/cpu.max",
    "/sys/fs/cgroup/memory.max", "/dev/null", "/dev/urandom", "/usr/share/zoneinfo", "/etc/localtime",
  ]

  /// Enters the sandbox, for good.
  ///
  /// Call it while the process has one thread: those that start later are held as well. What is open stays open. System calls
  /// that nothing here needs fail with EPERM; there are about 110 that may be made. Libraries that are loaded later are not: no page
  /// becomes executable.
  /// - Throws: where the system is not Linux on x86-64 or arm64, the kernel has no Landlock (before 5.13, or switched off) or no
  ///   seccomp, the process has several threads, or a path that is not optional is not there.
  public static func enter(_ rules: [Rule]) throws(Failure) {
    // What stands for a descriptor is open already.
    let all = rules.filter { descriptorNumber(of: $0.path.bytes) == nil } + systemPaths.map { Rule($0, .read, isOptional: true) }
    if let bad = all.first(where: { $0.path.containsZero }) { throw Failure(description: "the path '\(bad.path)' contains a zero byte") }
    var step = BINDERY_SANDBOX_LANDLOCK
    var place = 0
    // All paths in one buffer that does not move while C has pointers into it.
    var text: [CChar] = []
    var starts: [Int] = []
    for rule in all {
      starts.append(text.count)
      text += rule.path.bytes.map { CChar(bitPattern: $0) } + [0]
    }
    // SAFETY: each path begins within the buffer and ends with a zero; the results are plain values of this function.
    let failure = unsafe text.withUnsafeBufferPointer { text in
      let list = unsafe zip(all, starts).map { rule, start in
        unsafe bindery_sandbox_rule(
          path: text.baseAddress! + start, access: CInt(rule.access == .read ? BINDERY_SANDBOX_READ : BINDERY_SANDBOX_WRITE),
          is_optional: rule.isOptional)
      }
      return unsafe bindery_sandbox_enter(list, list.count, &step, &place)
    }
    guard failure != 0 else { return }
    let reason = SystemFileError.text(of: failure)
    throw Failure(
      description: step == BINDERY_SANDBOX_PATH && place < all.count
        ? "'\(all[place].path)' cannot be opened: \(reason)" : sentence(step, reason))
  }

  private static func sentence(_ step: bindery_sandbox_step, _ reason: String) -> String {
    switch step {
    case BINDERY_SANDBOX_LANDLOCK: "this kernel has no Landlock (Linux 5.13 or later, switched on at start): \(reason)"
    case BINDERY_SANDBOX_THREADS: "the process has more than one thread already: \(reason)"
    case BINDERY_SANDBOX_PRIVILEGES: "privileges cannot be given up: \(reason)"
    default: "system calls cannot be filtered: \(reason)"
    }
  }

  /// The version of the kernel's Landlock; nil where there is none.
  public static var landlockVersion: Int? {
    let version = bindery_sandbox_landlock_version()
    return version > 0 ? Int(version) : nil
  }
}
