import CPlatform

/// What this process holds in memory now, from /proc/self. All in bytes, rounded to KiB by the system.
public struct ProcessMemory: Hashable, Sendable {
  /// Resident pages that belong to no file: heaps, stacks, guest memories.
  public var residentAnonymousByteCount = 0
  /// Resident pages of files, shared with whoever maps them: executables and bound weights.
  public var residentFileByteCount = 0
  /// What of all that is mapped as large pages of the processor.
  public var largePageByteCount = 0
  /// Every resident page divided by the number of processes that hold it: what adds up over processes.
  public var proportionalByteCount = 0
  /// What the system needs to map all this: 8 bytes for each page that was touched, not part of any other figure here.
  public var pageTableByteCount = 0
  /// The highest total of resident pages so far.
  public var residentPeakByteCount = 0
  /// Page faults since the process began: those served from memory, and those that read from a device.
  public var minorFaultCount = 0
  public var majorFaultCount = 0

  public var residentByteCount: Int { residentAnonymousByteCount + residentFileByteCount }

  /// Measures. Walks the page tables of the process for the proportional share: about a millisecond per resident GB.
  /// - Throws: `.measureResidency` where the system has no /proc (then there is no portable source).
  public static func current() throws(VirtualMemoryError) -> ProcessMemory {
    var memory = ProcessMemory()
    let status = try fields(of: "/proc/self/status")
    memory.residentAnonymousByteCount = status["RssAnon"] ?? 0
    memory.residentFileByteCount = (status["RssFile"] ?? 0) + (status["RssShmem"] ?? 0)
    memory.residentPeakByteCount = status["VmHWM"] ?? 0
    memory.pageTableByteCount = status["VmPTE"] ?? 0
    (memory.minorFaultCount, memory.majorFaultCount) = try faultCounts()
    let sums = try fields(of: "/proc/self/smaps_rollup")
    memory.proportionalByteCount = sums["Pss"] ?? 0
    memory.largePageByteCount = ["AnonHugePages", "FilePmdMapped", "ShmemPmdMapped"].reduce(0) { $0 + (sums[$1] ?? 0) }
    return memory
  }

  /// Resident pages that belong to no file, alone: cheap enough to be asked a hundred times a second.
  public static func residentAnonymousByteCount() throws(VirtualMemoryError) -> Int { try fields(of: "/proc/self/status")["RssAnon"] ?? 0 }

  /// Page faults of all threads so far that needed no device: for counting around a single call.
  public static func minorFaultCount() throws(VirtualMemoryError) -> Int { try faultCounts().minor }

  /// Fields 10 and 12 of /proc/self/stat. The name of the program, field 2, stands in parentheses and may hold spaces.
  private static func faultCounts() throws(VirtualMemoryError) -> (minor: Int, major: Int) {
    let text = String(decoding: try contents(of: "/proc/self/stat"), as: UTF8.self)
    let fields = text[(text.lastIndex(of: ")") ?? text.startIndex)...].split(separator: " ").dropFirst()
    let numbers = fields.map { Int($0) ?? 0 }
    return numbers.count > 9 ? (numbers[7], numbers[9]) : (0, 0)
  }

  /// The number of mappings of this process: what the system limits per process (vm.max_map_count, 65530 by default).
  public static func mappingCount() throws(VirtualMemoryError) -> Int {
    try contents(of: "/proc/self/maps").count { $0 == UInt8(ascii: "\n") }
  }

  /// The most mappings that a process may have: vm.max_map_count. Read once; 65530, the system's default, where it does not tell.
  public static let mappingCountMax: Int = {
    let text = (try? contents(of: "/proc/sys/vm/max_map_count")).map { String(decoding: $0, as: UTF8.self) }
    return text.flatMap { Int($0.prefix { $0.isNumber }) } ?? 65530
  }()

  /// Lines of the form `Name:   123 kB`, as bytes by name.
  private static func fields(of path: String) throws(VirtualMemoryError) -> [String: Int] {
    var result: [String: Int] = [:]
    for line in try contents(of: path).split(separator: UInt8(ascii: "\n")) {
      guard let colon = line.firstIndex(of: UInt8(ascii: ":")), line.suffix(3).elementsEqual(" kB".utf8) else { continue }
      let digits = line[colon...].filter { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
      result[String(decoding: line[..<colon], as: UTF8.self)] = (Int(String(decoding: digits, as: UTF8.self)) ?? 0) * 1024
    }
    return result
  }

  /// A file of /proc, whole: its length is not known before it has been read, and a read gives less than asked for.
  package static func contents(of path: String) throws(VirtualMemoryError) -> [UInt8] {
    var descriptor: CInt = -1
    // SAFETY: the path is zero-terminated and lives for the call.
    var failure = unsafe path.withCString { unsafe bindery_file_open($0, &descriptor) }
    guard failure == 0 else { throw VirtualMemoryError(operation: .measureResidency, errno: failure, path: path) }
    defer { bindery_file_close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      var done = 0
      // SAFETY: at most the array's count is written.
      failure = unsafe chunk.withUnsafeMutableBytes { buffer in
        unsafe bindery_file_read(descriptor, buffer.baseAddress, buffer.count, UInt64(bytes.count), &done)
      }
      guard failure == 0 else { throw VirtualMemoryError(operation: .measureResidency, errno: failure, path: path) }
      guard done > 0 else { return bytes }
      bytes += chunk[..<done]
    }
  }
}

/// True in builds with AddressSanitizer: tests that count the memory of the process, or let it end by a signal, do not apply.
package var isAddressSanitized: Bool { bindery_is_address_sanitized() }
