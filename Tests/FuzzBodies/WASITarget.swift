import Foundation
import SystemFiles
import WASI
import WasmRuntime
import WebAssembly
import WebAssemblyText

extension FuzzTarget {
  /// Up to twelve calls of a program that was given one folder, beside which lies another that it must not see.
  static let wasi = FuzzTarget(
    "wasi", "calls of WASI with arguments of a stranger, in a folder out of which no path leads", inputByteCountMax: 512,
    bytes: [[0xFF], [0x03], [0x00, 0x00]],
    seeds: { _ in
      // Open something, call each function on it, read back.
      (0..<UInt8(WASIFuzzGuest.functions.count)).map { number in
        let opening: [UInt8] = [30, 0, number % 14, 0, 0xC0, 0xC0, 0, 200]
        let arguments: [UInt8] = (0..<24).map { place in UInt8(truncatingIfNeeded: place * (Int(number) + 3)) }
        let reading: [UInt8] = [20, 1, 0, 1, 0]
        return opening + [number] + arguments + reading
      }
    }
  ) { (input) throws(BrokenPromise) in
    let sandbox: WASISandbox
    do { sandbox = try WASISandbox() } catch { throw BrokenPromise("no temporary folder: \(error)") }
    defer { sandbox.remove() }
    var reader = InputReader(input)
    guard let guest = try? WASIFuzzGuest(folder: sandbox.inside) else { throw BrokenPromise("the program cannot be set up") }
    try? guest.prepare(&reader)
    for _ in 0..<12 where !reader.isAtEnd {
      if let sentence = guest.call(&reader) { throw BrokenPromise(sentence) }
    }
    if let sentence = sandbox.violation(guest.memoryBytes) { throw BrokenPromise(sentence) }
  }
}

/// A folder with a program's folder and another beside it.
struct WASISandbox {
  let root: URL
  var inside: URL { root.appending(path: "inside") }
  private var outside: URL { root.appending(path: "outside") }

  static let secret = "what only the host may read"
  static let secretName = "name-outside"

  init() throws {
    root = FileManager.default.temporaryDirectory.appending(path: "bindery-fuzz-\(UUID().uuidString)")
    let manager = FileManager.default
    try manager.createDirectory(at: inside.appending(path: "folder"), withIntermediateDirectories: true)
    try manager.createDirectory(at: outside, withIntermediateDirectories: true)
    try Data(Self.secret.utf8).write(to: outside.appending(path: Self.secretName))
    try Data("contents of a file".utf8).write(to: inside.appending(path: "file"))
    try manager.createSymbolicLink(atPath: inside.appending(path: "out").path, withDestinationPath: "../outside")
    try manager.createSymbolicLink(atPath: inside.appending(path: "root").path, withDestinationPath: "/")
    try manager.createSymbolicLink(atPath: inside.appending(path: "link").path, withDestinationPath: "file")
  }

  func remove() { try? FileManager.default.removeItem(at: root) }

  /// What a program has done or seen that it must not, nil if nothing.
  /// - Parameter memory: its memory, without the paths that it was given.
  func violation(_ memory: [UInt8]) -> String? {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: root.path))?.sorted() ?? []
    if names != ["inside", "outside"] { return "beside the program's folder there is now \(names)" }
    let others = (try? FileManager.default.contentsOfDirectory(atPath: outside.path)) ?? []
    if others != [Self.secretName] { return "outside the program's folder there is now \(others)" }
    let file = outside.appending(path: Self.secretName)
    if (try? Data(contentsOf: file)) != Data(Self.secret.utf8) { return "a file outside the program's folder has changed" }
    for text in [Self.secret, Self.secretName] where Data(memory).range(of: Data(text.utf8)) != nil { return "the program has read '\(text)'" }
    return nil
  }
}

/// A program that passes calls on.
struct WASIFuzzGuest {
  /// Names, and what each parameter is: d descriptor, p path (l: its length), a address, v vectors, n their count, f flags or small
  /// number, r rights, o offset, s size, x any i64, c clock.
  static let functions: [(name: String, parameters: String)] = [
    ("args_get", "aa"), ("args_sizes_get", "aa"), ("environ_get", "aa"), ("environ_sizes_get", "aa"), ("clock_res_get", "ca"),
    ("clock_time_get", "cxa"), ("fd_advise", "dosf"), ("fd_allocate", "dos"), ("fd_close", "d"), ("fd_datasync", "d"),
    ("fd_fdstat_get", "da"), ("fd_fdstat_set_flags", "df"), ("fd_fdstat_set_rights", "drr"), ("fd_filestat_get", "da"),
    ("fd_filestat_set_size", "ds"), ("fd_filestat_set_times", "dxxf"), ("fd_pread", "dvnoa"), ("fd_prestat_get", "da"),
    ("fd_prestat_dir_name", "dal"), ("fd_pwrite", "dvnoa"), ("fd_read", "dvna"), ("fd_readdir", "dalxa"), ("fd_renumber", "dd"),
    ("fd_seek", "dofa"), ("fd_sync", "d"), ("fd_tell", "da"), ("fd_write", "dvna"), ("path_create_directory", "dpl"),
    ("path_filestat_get", "dfpla"), ("path_filestat_set_times", "dfplxxf"), ("path_open", "dfplfrrfa"), ("path_link", "dfpldpl"),
    ("path_readlink", "dplala"), ("path_remove_directory", "dpl"), ("path_rename", "dpldpl"), ("path_symlink", "pldpl"),
    ("path_unlink_file", "dpl"), ("poll_oneoff", "vana"), ("proc_raise", "f"), ("sched_yield", ""), ("random_get", "al"),
    ("sock_accept", "dfa"), ("sock_recv", "dvnfaa"), ("sock_send", "dvnfa"), ("sock_shutdown", "df"), ("proc_exit", "f"),
  ]

  private static let paths = [
    "file", "folder", "folder/new", "out", "out/name-outside", "../outside/name-outside", "root/etc/passwd", "/etc/passwd", "link", ".", "..",
    "folder/../../outside/name-outside", "./folder/../file", "new", "", "file/", "folder//inner", "link/x",
  ]

  private let instance: Instance
  private let store: Store
  private let wasi: WASI

  private static let engine = Engine()
  private static let module: CompiledModule? = {
    var text = "(module\n"
    let types = functions.map { function in function.parameters.map { "orsx".contains($0) ? "i64" : "i32" }.joined(separator: " ") }
    for (function, type) in zip(functions, types) {
      text += "(import \"wasi_snapshot_preview1\" \"\(function.name)\" (func $\(function.name) (param \(type))"
        + (function.name == "proc_exit" ? "" : " (result i32)") + "))\n"
    }
    text += "(memory (export \"memory\") 2)\n"
    for (function, type) in zip(functions, types) {
      let arguments = function.parameters.indices.map { "(local.get \(function.parameters.distance(from: function.parameters.startIndex, to: $0)))" }
      text += "(func (export \"\(function.name)\") (param \(type)) (result i32) (call $\(function.name) \(arguments.joined(separator: " ")))"
        + (function.name == "proc_exit" ? " unreachable" : "") + ")\n"
    }
    return (try? WebAssemblyText.binary(of: Array((text + ")").utf8))).flatMap { try? CompiledModule(engine: engine, bytes: $0) }
  }()

  init(folder: URL) throws(WASISetupError) {
    var configuration = WASIConfiguration()
    configuration.arguments = ["program", "argument"]
    configuration.environment = [("NAME", "value")]
    configuration.standardInput = .null
    configuration.standardOutput = .null
    configuration.standardError = .null
    configuration.descriptorCountMax = 16
    configuration.preopens = [.init(guestPath: "/", hostPath: folder.path)]
    wasi = try WASI(configuration)
    store = Store(engine: Self.engine)
    var imports = Imports()
    wasi.define(in: &imports, store: store)
    guard let module = Self.module, let instance = try? Instance(store: store, module: module, imports: imports) else {
      preconditionFailure("the program that passes calls on is valid")
    }
    self.instance = instance
  }

  private var memory: Memory {
    guard let memory = instance.memory("memory") else { preconditionFailure("the program exports its memory") }
    return memory
  }

  /// The memory behind the paths.
  var memoryBytes: [UInt8] { (try? memory.read(address: 4096, byteCount: memory.byteCount - 4096)) ?? [] }

  /// Paths at 1024 + 64 i; vectors at 512, which lead to 8192 and on.
  func prepare(_ reader: inout InputReader) throws {
    for (index, path) in Self.paths.enumerated() { try memory.write(Array(path.utf8), address: 1024 + 64 * UInt64(index)) }
    var vectors: [UInt32] = []
    for index in UInt32(0)..<8 { vectors += [8192 + index * 100, index * 7] }
    try memory.write(elements: vectors, address: 512)
    if reader.chance(40) { try memory.write(reader.take(48), address: 512) }
  }

  /// One call, decoded. What is wrong with its end, nil if nothing.
  func call(_ reader: inout InputReader) -> String? {
    let (name, parameters) = Self.functions[reader.integer(0...Self.functions.count - 1)]
    guard let function = instance.function(name) else { preconditionFailure("the program exports \(name)") }
    var values: [Value] = []
    var pathLength: UInt32 = 0
    for kind in parameters {
      switch kind {
      case "d": values.append(.i32(reader.chance(10) ? UInt32(truncatingIfNeeded: reader.border()) : [3, 3, 4, 4, 5, 6, 0, 1, 2, 7][Int(reader.byte() % 10)]))
      case "p":
        let index = Int(reader.byte()) % Self.paths.count
        pathLength = UInt32(Self.paths[index].utf8.count)
        values.append(.i32(reader.chance(5) ? UInt32(truncatingIfNeeded: reader.border()) : UInt32(1024 + 64 * index)))
      case "l":
        values.append(.i32(reader.chance(8) ? UInt32(truncatingIfNeeded: reader.border()) : pathLength > 0 ? pathLength : UInt32(reader.byte())))
        pathLength = 0
      case "a": values.append(.i32(reader.chance(10) ? UInt32(truncatingIfNeeded: reader.border()) : 16384 + UInt32(reader.byte()) * 8))
      case "v": values.append(.i32(reader.chance(10) ? UInt32(truncatingIfNeeded: reader.border()) : 512))
      case "n": values.append(.i32(reader.chance(6) ? UInt32(truncatingIfNeeded: reader.border()) : UInt32(reader.byte() % 9)))
      case "f", "c": values.append(.i32(reader.chance(6) ? UInt32(truncatingIfNeeded: reader.border()) : UInt32(reader.byte() % 32)))
      case "r": values.append(.i64(reader.chance(60) ? reader.u64() : .max))
      // Sizes that a disk could hold, and those that none can: not the ones that would fill this one.
      case "s", "o": values.append(.i64(reader.chance(20) ? reader.u64() | 1 << 62 : UInt64(reader.u16())))
      default: values.append(.i64(reader.chance(20) ? reader.u64() : UInt64(reader.byte())))
      }
    }
    store.setTimeLimit(.milliseconds(100))
    let started = ContinuousClock.now
    var sentence: String?
    do throws(WasmError) {
      let results = try function(values)
      if case .i32(let errno)? = results.first, errno > 76 { sentence = "\(name) returns \(errno), which is no errno" }
    } catch {
      if case .trap = error {} else { sentence = "\(name) ends with \(error)" }
    }
    let time = ContinuousClock.now - started
    return time > .seconds(3) ? "\(name)\(values) took \(time), with 100 ms to do it" : sentence
  }
}
