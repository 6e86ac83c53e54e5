// Costs of memory operations: median, lowest and 90th percentile of many calls, in microseconds. `--quick` for a short run.
import Foundation
import VirtualMemory
import WasmRuntime
import WebAssembly

let page: UInt64 = 65536
let isQuick = CommandLine.arguments.contains("--quick")
let clock = ContinuousClock()

/// Times `body` once per element of a run; `prepare` is not timed.
func measure<State>(
  _ name: String, repeats: Int, per unit: (count: Double, name: String)? = nil,
  prepare: () throws -> State, _ body: (State) throws -> Void
) throws {
  var times: [Double] = []
  for _ in 0..<(isQuick ? max(3, repeats / 10) : repeats) {
    let state = try prepare()
    let start = clock.now
    try body(state)
    let time = clock.now - start
    times.append(Double(time.components.attoseconds) / 1e12 + Double(time.components.seconds) * 1e6)
  }
  times.sort()
  let divisor = unit?.count ?? 1
  func text(_ value: Double) -> String { String(format: "%10.2f", value / divisor) }
  print(
    name.padding(toLength: 58, withPad: " ", startingAt: 0), text(times[times.count / 2]), text(times[0]),
    text(times[times.count * 9 / 10]), unit.map { "us per \($0.name)" } ?? "us")
}

func virtualMemory(_ pageCount: UInt64, mapped: UInt64 = 0) throws -> Memory {
  let memory = try Memory(
    type: MemoryType(
      addressType: .i64, limits: Limits(minimum: pageCount, maximum: pageCount), attributes: MemoryAttributes(isVirtual: true)))
  if mapped > 0 { _ = try memory.map(address: 0, byteCount: mapped * page, protection: .readWrite) }
  return memory
}

/// Writes one byte of each host page.
func touch(_ memory: Memory, _ byteCount: UInt64) throws {
  try unsafe memory.withUnsafeWritableBytes(address: 0, byteCount: byteCount) { bytes in
    for offset in stride(from: 0, to: bytes.count, by: hostPageByteCount) { unsafe bytes[offset] = 1 }
  }
}

print("operation".padding(toLength: 58, withPad: " ", startingAt: 0), "    median        min        p90")
let plainType = MemoryType(limits: Limits(minimum: 1))
try measure("create and destroy, plain 32-bit (4 GiB reserved)", repeats: 2000, prepare: {}) { _ = try Memory(type: plainType) }
try measure("create and destroy, virtual 64-bit (1 TiB reserved)", repeats: 2000, prepare: {}) { _ = try virtualMemory(1 << 24) }
try measure("grow by 1 page", repeats: 2000, prepare: { try Memory(type: plainType) }) { _ = $0.grow(by: 1) }

let plain = try Memory(type: plainType)
let shared = try virtualMemory(1 << 20)
try measure("map 64 KiB", repeats: 2000, prepare: { try shared.unmap(address: 0, byteCount: page) }) {
  _ = try shared.map(address: 0, byteCount: page, protection: .readWrite)
}
try measure(
  "unmap 64 KiB, resident", repeats: 2000,
  prepare: {
    try shared.unmap(address: 0, byteCount: page)
    _ = try shared.map(address: 0, byteCount: page, protection: .readWrite)
    try touch(shared, page)
  }
) { try shared.unmap(address: 0, byteCount: page) }
try measure("unmap 64 KiB, unmapped before", repeats: 2000, prepare: {}) { try shared.unmap(address: 0, byteCount: page) }

let pair = try virtualMemory(64, mapped: 64)
for (name, protection) in [("read", PageProtection.read), ("readwrite", .readWrite)] {
  try measure(
    "protect 64 KiB in the middle: \(name)", repeats: 2000,
    prepare: { try pair.protect(address: 8 * page, byteCount: page, protection: protection == .read ? .readWrite : .read) }
  ) { try pair.protect(address: 8 * page, byteCount: page, protection: protection) }
}
try measure("discard 64 KiB, resident", repeats: 2000, prepare: { try touch(pair, page) }) {
  try pair.discard(address: 0, byteCount: page)
}
try measure("discard 64 KiB, discarded before", repeats: 2000, prepare: {}) { try pair.discard(address: 0, byteCount: page) }
var zeroing = MemoryLimits()
zeroing.discardPolicy = { _ in .zeroOnly }
let zeroed = try Memory(type: plainType, limits: zeroing)
try measure("discard 64 KiB, resident, policy zeroes in place", repeats: 2000, prepare: { try touch(zeroed, page) }) {
  try zeroed.discard(address: 0, byteCount: page)
}

let big = try virtualMemory(4096, mapped: 4096)
for megabytes in [1, 16, 256] as [UInt64] {
  try measure(
    "discard \(megabytes) MiB, resident", repeats: 20, per: (Double(megabytes), "MiB"),
    prepare: { try touch(big, megabytes << 20) }
  ) { try big.discard(address: 0, byteCount: megabytes << 20) }
}
try measure(
  "discard 256 MiB, discarded before", repeats: 20, prepare: { try big.discard(address: 0, byteCount: 256 << 20) }
) { try big.discard(address: 0, byteCount: 256 << 20) }
try measure(
  "unmap 256 MiB, resident", repeats: 10, per: (256, "MiB"),
  prepare: {
    try big.unmap(address: 0, byteCount: 256 << 20)
    _ = try big.map(address: 0, byteCount: 256 << 20, protection: .readWrite)
    try touch(big, 256 << 20)
  }
) { try big.unmap(address: 0, byteCount: 256 << 20) }
try measure(
  "map 256 MiB", repeats: 200, prepare: { try big.unmap(address: 0, byteCount: 256 << 20) }
) { _ = try big.map(address: 0, byteCount: 256 << 20, protection: .readWrite) }
try measure(
  "touch after discard, 256 MiB", repeats: 10, per: (65536, "4 KiB page"),
  prepare: { try big.discard(address: 0, byteCount: 256 << 20) }
) { try touch(big, 256 << 20) }
try big.discard(address: 0, byteCount: 256 << 20)

let url = FileManager.default.temporaryDirectory.appending(path: "bindery-memory-benchmark-\(getpid())")
let megabytes = 256
try Data(repeating: 3, count: megabytes << 20).write(to: url)
defer { try? FileManager.default.removeItem(at: url) }
let file = try RegularFile(path: url.path)
let weights = try virtualMemory(8192)
try measure("bind and unbind a file of 256 MiB", repeats: 2000, prepare: {}) { try weights.bind(file, at: 0).unbind() }
try measure("bind and unbind a slice of it (two edges copied)", repeats: 2000, prepare: {}) {
  try weights.bind(FileRegion(file: file, offset: 1000, byteCount: 1 << 20), at: 0).unbind()
}
// Files without contents: what a binding costs does not depend on them.
let wide = try virtualMemory(1 << 18)
for size in [1, 100, 10_240] as [UInt64] {
  let sparse = url.path + "-\(size)"
  guard FileManager.default.createFile(atPath: sparse, contents: nil), let handle = FileHandle(forWritingAtPath: sparse) else {
    fatalError("cannot write \(sparse)")
  }
  try handle.truncate(atOffset: size << 20)
  let file = try RegularFile(path: sparse)
  try FileManager.default.removeItem(atPath: sparse)
  var binding: MemoryBinding?
  try measure("bind a file of \(size) MiB", repeats: 2000, prepare: { try binding?.unbind() }) { binding = try wide.bind(file, at: 0) }
  try binding?.unbind()
  try measure("unbind a file of \(size) MiB", repeats: 2000, prepare: { try wide.bind(file, at: 0) }) { try $0.unbind() }
}
func sum(_ memory: Memory, stride step: Int) throws -> Int {
  try unsafe memory.withUnsafeReadableBytes(address: 0, byteCount: UInt64(megabytes) << 20) { bytes in
    var sum = 0
    for offset in stride(from: 0, to: bytes.count, by: step) { unsafe sum &+= Int(bytes[offset]) }
    return sum
  }
}
try measure(
  "touch every page of a bound file, in the page cache", repeats: 10, per: (Double(megabytes), "MiB"),
  prepare: { try weights.bind(file, at: 0) }
) {
  guard try sum(weights, stride: 4096) == 3 * megabytes << 8 else { fatalError("the file's bytes are not those of the file") }
  try $0.unbind()
}
try measure(
  "read() of the same file into fresh memory", repeats: 5, per: (Double(megabytes), "MiB"),
  prepare: { try virtualMemory(8192, mapped: 8192) }
) { memory in
  try unsafe memory.withUnsafeWritableBytes(address: 0, byteCount: UInt64(megabytes) << 20) { bytes in
    do { try unsafe file.read(at: 0, into: bytes) } catch { fatalError("\(error)") }
  }
}
// What a guest of 2022 does instead: the bytes come into a memory of the host's choice, and are copied to where it can use them.
let source = try Memory(type: MemoryType(limits: Limits(minimum: 4096)))
let target = try Memory(type: MemoryType(limits: Limits(minimum: 4096)))
try touch(source, UInt64(megabytes) << 20)
try measure(
  "copy from one memory into another, fresh one", repeats: 5, per: (Double(megabytes), "MiB"),
  prepare: { try target.clearPages(start: 0, count: 4096) }
) { _ in
  let byteCount = UInt64(megabytes) << 20
  try unsafe source.withUnsafeReadableBytes(address: 0, byteCount: byteCount) { (from) throws(MemoryAccessError) in
    try unsafe target.withUnsafeWritableBytes(address: 0, byteCount: byteCount) { (to) throws(MemoryAccessError) in
      unsafe to.copyMemory(from: from)
    }
  }
}

let many = try virtualMemory(1 << 14)
for index in 0..<4000 as Range<UInt64> { _ = try many.map(address: index * 2 * page, byteCount: page, protection: .readWrite) }
try measure(
  "map 64 KiB among 4000 extents", repeats: 500, prepare: { try many.unmap(address: 2000 * page, byteCount: page) }
) { _ = try many.map(address: 2000 * page, byteCount: page, protection: .readWrite) }
try measure("checked read of 4 bytes by the host, plain, 1000 times", repeats: 200, per: (1000, "read"), prepare: {}) {
  for _ in 0..<1000 { try unsafe plain.withUnsafeReadableBytes(address: 64, byteCount: 4) { _ in } }
}
try measure("checked read of 4 bytes by the host, 4000 extents, 1000 times", repeats: 200, per: (1000, "read"), prepare: {}) {
  for _ in 0..<1000 { try unsafe many.withUnsafeReadableBytes(address: 6000 * page, byteCount: 4) { _ in } }
}

for (is64, writes) in [(true, false), (true, true), (false, false), (false, true)] {
  let what = "\(writes ? "four loads and a store" : "four loads"), \(is64 ? 64 : 32)-bit addresses: "
  var kinds = [
    try AccessBenchmark(what + "plain", isVirtual: false, is64: is64, writes: writes),
    try AccessBenchmark(what + "virtual", isVirtual: true, is64: is64, writes: writes),
  ]
  try AccessBenchmark.compare(&kinds, turns: isQuick ? 101 : 2001, rounds: 1)
}
