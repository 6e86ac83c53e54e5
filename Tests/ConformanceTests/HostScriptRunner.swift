import Foundation
import Synchronization
import Testing
import VirtualMemory
import WasmRuntime
import WebAssembly
import WebAssemblyText
import _TestSupport

/// Runs one case of a host script: a store, the case's memories with a guest each, its files, its steps.
@safe
final class HostScriptRunner: @unchecked Sendable {
  // SAFETY (of the unchecked conformance): threads take turns (see `whileGuestRuns`).

  /// One memory and the guests over it.
  private struct Guest {
    let memory: Memory
    let instances: [Instance]
    let type: String

    func function(_ name: String) -> Function? { instances.lazy.compactMap { $0.function(name) }.first }
  }

  private let engine = Engine()
  private let store: Store
  private let files: HostScriptFiles
  private var guests: [String: Guest] = [:]
  private var bindings: [String: MemoryBinding] = [:]
  private let calls: PolicyCalls

  static func run(_ test: HostScript.Case) throws {
    let fields = try test.fields
    try HostScriptRunner(fields).perform(fields.objects("steps"))
  }

  private init(_ fields: HostScriptObject) throws {
    files = try HostScriptFiles(fields)
    var limits = ResourceLimits()
    var decision: MemoryLimits.DiscardDecision?
    if fields.has("limits") {
      let given = try fields.object("limits")
      limits.memoryLimits.mappedByteCountMax = try given.number("mappedByteCountMax", default: .max)
      limits.memoryLimits.extentCountMax = Int(try given.number("extentCountMax", default: 4096))
      decision = ["zeroOnly": .zeroOnly, "refuse": .refuse, "release": .release][try given.string("discardPolicy", default: "")]
    }
    let box = PolicyCalls()
    calls = box
    if let decision {
      limits.memoryLimits.discardPolicy = { byteCount in
        box.list.withLock { $0.append(byteCount) }
        return decision
      }
    }
    store = Store(engine: engine, limits: limits)
    let types = fields.has("memories") ? try fields.object("memories").values : ["": try fields.string("memory")]
    for (name, type) in types {
      guard let type = type as? String else { throw HostScriptError(description: "memory `\(name)`: no type") }
      guests[name] = try makeGuest(type, fields)
    }
  }

  /// The byte counts that the discard policy was asked with.
  private final class PolicyCalls: Sendable {
    let list = Mutex<[UInt64]>([])
  }

  private func makeGuest(_ type: String, _ fields: HostScriptObject) throws -> Guest {
    let first = try instantiate("guest", type, Imports())
    guard let memory = first.memory("memory") else { throw HostScriptError(description: "the guest exports no memory") }
    var instances = [first]
    if type.contains("virtual") || type.contains("mappable") {
      instances.append(try instantiate("mapping", type, imports(of: memory)))
    }
    if fields.has("regions") {
      var imports = imports(of: memory)
      let regions = try fields.objects("regions").map { try files.region($0.string("file"), $0) }
      MemoryImports(regions: regions).define(in: &imports, store: store)
      instances.append(try instantiate("binding", type, imports))
    }
    return Guest(memory: memory, instances: instances, type: type)
  }

  private func imports(of memory: Memory) -> Imports {
    var imports = Imports()
    imports.define(module: "guest", name: "memory", .memory(memory))
    return imports
  }

  private func instantiate(_ name: String, _ type: String, _ imports: Imports) throws -> Instance {
    let url = Repository.fixture("memory-control/host/\(name).wat")
    let text = try String(contentsOf: url, encoding: .utf8).replacing("${memory}", with: type)
    return try instantiate(text, imports)
  }

  private func instantiate(_ text: String, _ imports: Imports) throws -> Instance {
    let module = try CompiledModule(engine: engine, bytes: WebAssemblyText.binary(of: Array(text.utf8)))
    return try Instance(store: store, module: module, imports: imports)
  }

  // MARK: Steps

  private func perform(_ steps: [HostScriptObject]) throws {
    for step in steps {
      do {
        if step.has("invoke") { try invoke(step) } else { try command(step) }
      } catch {
        Issue.record("\(step.place): \(error)")
      }
    }
  }

  private func guest(_ step: HostScriptObject) throws -> Guest {
    guard let guest = guests[try step.string("in", default: "")] else { throw HostScriptError(description: "no such memory") }
    return guest
  }

  private func invoke(_ step: HostScriptObject) throws {
    let name = try step.string("invoke")
    guard let function = try guest(step).function(name) else { throw HostScriptError(description: "no function `\(name)`") }
    let arguments = try step.numbers("args")
    let values = zip(function.type.parameters, arguments).map { type, number -> Value in
      type == .i32 ? .i32(UInt32(truncatingIfNeeded: number)) : .i64(number)
    }
    do {
      let results = try function(values)
      if step.has("traps") { throw HostScriptError(description: "`\(name)` did not trap") }
      guard step.has("returns") else { return }
      let found: UInt64? =
        switch results.first {
        case .i32(let value)?: UInt64(value)
        case .i64(let value)?: value
        default: nil
        }
      let expected = try expectedNumber(step)
      if found != expected { throw HostScriptError(description: "`\(name)` gave \(String(describing: found)), not \(expected)") }
    } catch WasmError.trap(let trap) {
      try check(trap.message, step, "traps")
    }
  }

  private func expectedNumber(_ step: HostScriptObject) throws -> UInt64 {
    guard step.values["returns"] is [String: Any] else { return try step.number("returns") }
    let source = try step.object("returns")
    if source.has("byteOf") { return UInt64(try files.contents(source.string("byteOf"))[Int(source.number("at"))]) }
    if source.has("sumOf") { return try files.contents(source.string("sumOf")).reduce(0) { $0 + UInt64($1) } }
    let start = Int(try source.number("at"))
    return try files.contents(source.string("wordOf"))[start..<(start + 8)].reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// Compares what went wrong with what is expected to: the beginning of the text.
  private func check(_ found: String, _ step: HostScriptObject, _ key: String) throws {
    guard step.has(key), found.hasPrefix(try step.string(key)) else { throw HostScriptError(description: "unexpected: \(found)") }
  }

  private func command(_ step: HostScriptObject) throws {
    do {
      try execute(step)
    } catch let error as MemoryAccessError {
      return try check(error.description, step, "error")
    } catch let error as MemoryBindError {
      return try check(Self.name(of: error), step, "error")
    } catch let error as VirtualMemoryError where error.isNotRegularFile {
      return try check("notRegularFile", step, "error")
    } catch WasmError.trap(let trap) {
      return try check(trap.message, step, "traps")
    } catch WasmError.limit(let reason) {
      return try check(reason, step, "fails")
    }
    for key in ["error", "traps", "fails"] where step.has(key) {
      throw HostScriptError(description: "went well, but `\(try step.string(key))` was expected")
    }
  }

  /// The name of a bind error, as the note's section 5.1 and the README have it.
  private static func name(of error: MemoryBindError) -> String {
    switch error {
    case .notVirtual: "notVirtual"
    case .unaligned, .unalignedBuffer: "unaligned"
    case .emptyRegion: "emptyRegion"
    case .outOfBounds: "outOfBounds"
    case .alreadyMapped: "alreadyMapped"
    case .pastEndOfFile: "pastEndOfFile"
    case .notRegularFile: "notRegularFile"
    case .limitReached: "limitReached"
    case .system: "system"
    case .notBound: "notBound"
    case .pinned: "pinned"
    case .busy: "busy"
    case .notCopyOnWrite: "notCopyOnWrite"
    case .sharedFile: "sharedFile"
    }
  }

  private func execute(_ step: HostScriptObject) throws {
    switch try step.string("do") {
    case "bind": try bind(step)
    case "unbind": try binding(step).unbind()
    case "evict": try binding(step).evict()
    case "revert": try binding(step).revert()
    case "isLost": try expect(binding(step).isLost == step.flag("is"), "isLost")
    case "map":
      let isMapped = try guest(step).memory.map(
        address: step.number("at"), byteCount: step.number("size"), protection: protection(step))
      if step.has("returns") { try expect(isMapped == step.flag("returns"), "map") }
    case "unmap": try guest(step).memory.unmap(address: step.number("at"), byteCount: step.number("size"))
    case "protect":
      try guest(step).memory.protect(
        address: step.number("at"), byteCount: step.number("size"), protection: protection(step))
    case "discard":
      try expect(guest(step).memory.discard(address: step.number("at"), byteCount: step.number("size")), step)
    case "clearPages": try expect(guest(step).memory.clearPages(start: step.number("start"), count: step.number("count")), step)
    case "read": try read(step)
    case "slice": try checkSlice(step)
    case "pageState": try checkPageState(step)
    case "resident": try checkResidency(step)
    case "policyCalls":
      let found = calls.list.withLock { $0 }
      try expect(found == step.numbers("are"), "the policy was asked with \(found)")
    case "fileIsUnchanged":
      let name = try step.string("file")
      try expect([UInt8](Data(contentsOf: URL(filePath: files.path(name)))) == files.contents(name), "the file changed")
    case "close": try files.close(step.string("file"))
    case "unlink": try FileManager.default.removeItem(atPath: files.path(step.string("file")))
    case "truncate":
      let handle = try FileHandle(forWritingTo: URL(filePath: files.path(step.string("file"))))
      try handle.truncate(atOffset: step.number("length"))
      try handle.close()
    case "pinned": try pinned(step)
    case "whileGuestRuns": try whileGuestRuns(step)
    case "instantiate": _ = try instantiate(step.string("text"), Imports())
    case let command: throw HostScriptError(description: "unknown command `\(command)`")
    }
  }

  private func expect(_ condition: Bool, _ what: String) throws {
    if !condition { throw HostScriptError(description: what) }
  }

  private func expect(_ result: DiscardResult, _ step: HostScriptObject) throws {
    guard step.has("returns") else { return }
    try expect("\(result)" == step.string("returns"), "discard gave \(result)")
  }

  private func protection(_ step: HostScriptObject) throws -> PageProtection {
    switch try step.string("protection") {
    case "none": .none
    case "read": .read
    case "readwrite": .readWrite
    case let other: throw HostScriptError(description: "unknown protection `\(other)`")
    }
  }

  private func binding(_ step: HostScriptObject) throws -> MemoryBinding {
    guard let binding = bindings[try step.string("binding")] else { throw HostScriptError(description: "no such binding") }
    return binding
  }

  private func bind(_ step: HostScriptObject) throws {
    let memory = try guest(step).memory
    let name = try step.string("file")
    let before = memory.copiedByteCount
    let address = try step.number("at")
    let binding: MemoryBinding
    switch try step.string("mode", default: "readOnly") {
    case "shared":
      if let buffer = files.buffer(name) {
        binding = try memory.bind(buffer, at: address)
      } else {
        binding = try memory.bind(files.region(name, step), at: address, mode: .shared)
      }
    case "copyOnWrite": binding = try memory.bind(files.region(name, step), at: address, mode: .copyOnWrite)
    case "readOnly": binding = try memory.bind(files.region(name, step), at: address, mode: .readOnly)
    case let mode: throw HostScriptError(description: "unknown mode `\(mode)`")
    }
    if step.has("as") { bindings[try step.string("as")] = binding }
    if step.has("guestAddress") { try expect(binding.guestAddress == step.number("guestAddress"), "guestAddress") }
    if step.has("guestLength") { try expect(binding.guestByteCount == step.number("guestLength"), "guestLength") }
    if step.has("pages") {
      let pages = try step.numbers("pages")
      try expect(binding.pageRange == pages[0]..<pages[1], "pages \(binding.pageRange)")
    }
    if step.has("copiedAtMost") {
      let copied = memory.copiedByteCount - before
      try expect(copied <= step.number("copiedAtMost"), "\(copied) bytes were copied")
    }
  }

  private func read(_ step: HostScriptObject) throws {
    let size = try step.number("size")
    let found = try guest(step).memory.read(address: step.number("at"), byteCount: size)
    let source = try step.object("equals")
    let start = Int(try source.number("offset", default: 0))
    let expected = try files.contents(source.string("file"))[start..<(start + Int(size))]
    try expect(found.elementsEqual(expected), "the bytes differ")
  }

  /// The pages from `at` hold the slice where 5.2 puts it, and zeroes else.
  private func checkSlice(_ step: HostScriptObject) throws {
    let (offset, length) = (Int(try step.number("offset")), Int(try step.number("length")))
    let all = try guest(step).memory.read(address: step.number("at"), byteCount: step.number("pageCount") * 65536)
    var expected = [UInt8](repeating: 0, count: all.count)
    let start = offset % hostPageByteCount
    expected.replaceSubrange(start..<(start + length), with: try files.contents(step.string("file"))[offset..<(offset + length)])
    try expect(all == expected, "the bytes differ")
  }

  private func checkPageState(_ step: HostScriptObject) throws {
    let memory = try guest(step).memory
    let found: String
    switch memory.pageState(at: try step.number("at") / memory.pageByteCount) {
    case .unmapped: found = "unmapped"
    case .mapped(let backing, let protection):
      let what =
        switch backing {
        case .anonymous: "anonymous"
        case .host(_, let mode): "\(mode)"
        }
      found = what + " " + (protection == .readWrite ? "readwrite" : "\(protection)")
    }
    try expect(found == step.string("is"), "the page is \(found)")
  }

  private func checkResidency(_ step: HostScriptObject) throws {
    #if os(Linux)
    let found = try guest(step).memory.residentByteCount()
    if step.has("atMost") { try expect(found <= step.number("atMost"), "\(found) bytes are resident") }
    if step.has("atLeast") { try expect(found >= step.number("atLeast"), "\(found) bytes are resident") }
    #endif
  }

  private func pinned(_ step: HostScriptObject) throws {
    let memory = try guest(step).memory
    let (address, size) = (try step.number("at"), try step.number("size"))
    let steps = step.has("steps") ? try step.objects("steps") : []
    func body() { try? perform(steps) }
    if step.has("write") {
      try unsafe memory.withUnsafeWritableBytes(address: address, byteCount: size) { _ in body() }
    } else {
      try unsafe memory.withUnsafeReadableBytes(address: address, byteCount: size) { _ in body() }
    }
  }

  /// Runs the steps while a guest of the memory is inside a host function: on this thread in that function, or on another one.
  private func whileGuestRuns(_ step: HostScriptObject) throws {
    let (guest, steps) = (try guest(step), try step.objects("steps"))
    let isElsewhere = try step.flag("onOtherThread")
    let (entered, finished, ended) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
    var imports = imports(of: guest.memory)
    let pause = Function(store: store, type: FunctionType(parameters: [], results: []), name: "pause") { [self] _, _, _ in
      guard isElsewhere else { return try perform(steps) }
      entered.signal()
      finished.wait()
    }
    imports.define(module: "host", name: "pause", .function(pause))
    let text = """
      (module (import "guest" "memory" (memory \(guest.type))) (import "host" "pause" (func $pause))
        (func (export "run") (call $pause)))
      """
    guard let run = try instantiate(text, imports).function("run") else { throw HostScriptError(description: "no `run`") }
    guard isElsewhere else {
      _ = try run()
      return
    }
    nonisolated(unsafe) let function = run
    Thread.detachNewThread {
      _ = try? unsafe function()
      ended.signal()
    }
    entered.wait()
    try perform(steps)
    finished.signal()
    ended.wait()
  }
}
