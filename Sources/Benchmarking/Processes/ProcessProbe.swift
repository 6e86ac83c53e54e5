import Foundation
import VirtualMemory
import WasmRuntime
import WebAssembly

/// What a process holds and has cost so far, at one moment.
struct ProcessProbe: Codable, Sendable {
  var rssAnonBytes: Int
  var rssFileBytes: Int
  var pssBytes: Int
  /// What of it is mapped as large pages of the processor.
  var largePageBytes: Int
  /// What the system needs to map all that, which no share counts: 8 bytes for each page that was touched.
  var pageTableBytes: Int
  /// Page faults served without reading from a device, and with.
  var minorFaultCount: Int
  var majorFaultCount: Int

  static func now() throws(VirtualMemoryError) -> ProcessProbe {
    let memory = try ProcessMemory.current()
    return ProcessProbe(
      rssAnonBytes: memory.residentAnonymousByteCount, rssFileBytes: memory.residentFileByteCount,
      pssBytes: memory.proportionalByteCount, largePageBytes: memory.largePageByteCount, pageTableBytes: memory.pageTableByteCount,
      minorFaultCount: memory.minorFaultCount, majorFaultCount: memory.majorFaultCount)
  }

  /// What has been added since another probe.
  static func - (later: ProcessProbe, earlier: ProcessProbe) -> ProcessProbe { combine([later, earlier]) { $0[0] - $0[1] } }

  /// The mean of a probe of so many.
  static func / (sum: ProcessProbe, count: Int) -> ProcessProbe { combine([sum]) { $0[0] / count } }

  /// Figure by figure, the middle one of several probes.
  static func median(_ probes: [ProcessProbe]) -> ProcessProbe? {
    probes.isEmpty ? nil : combine(probes) { $0.sorted()[$0.count / 2] }
  }

  /// What several processes hold together.
  static func sum(_ probes: [ProcessProbe]) -> ProcessProbe { combine(probes) { $0.reduce(0, +) } }

  private static func combine(_ probes: [ProcessProbe], _ body: ([Int]) -> Int) -> ProcessProbe {
    func figure(_ path: KeyPath<ProcessProbe, Int>) -> Int { body(probes.map { $0[keyPath: path] }) }
    return ProcessProbe(
      rssAnonBytes: figure(\.rssAnonBytes), rssFileBytes: figure(\.rssFileBytes), pssBytes: figure(\.pssBytes),
      largePageBytes: figure(\.largePageBytes), pageTableBytes: figure(\.pageTableBytes), minorFaultCount: figure(\.minorFaultCount),
      majorFaultCount: figure(\.majorFaultCount))
  }

  var faultCount: Int { minorFaultCount + majorFaultCount }
}

/// The bytes of memory that the system could give out without swapping, from /proc/meminfo; nil where there is no such file.
func availableMemoryByteCount() -> Int? {
  guard let text = try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8) else { return nil }
  let line = text.split(separator: "\n").first { $0.hasPrefix("MemAvailable:") }
  return line?.split(separator: " ").dropFirst().first.flatMap { Int($0) }.map { $0 * 1024 }
}

/// Takes memory and gives it back at once, so that what is measured next finds it: the host of a virtual machine may have taken free
/// memory away, and that it takes its time to bring some is no cost of a copy.
func primeMemory(byteCount: UInt64) throws {
  let pageCount = (byteCount + 0xFFFF) >> 16
  let memory = try Memory(type: MemoryType(addressType: .i64, limits: Limits(minimum: pageCount, maximum: pageCount)))
  try memory.advise(.hugePages, address: 0, byteCount: memory.byteCount)
  try memory.advise(.populateWrite, address: 0, byteCount: memory.byteCount)
}

func seconds<Result>(_ body: () throws -> Result) rethrows -> (seconds: Double, result: Result) {
  let clock = ContinuousClock()
  let start = clock.now
  let result = try body()
  let duration = start.duration(to: clock.now)
  return (Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18, result)
}
