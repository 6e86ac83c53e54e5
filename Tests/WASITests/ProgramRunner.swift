import Foundation
import SystemFiles
import WASI
import WasmRuntime
import WebAssembly
import _TestSupport

/// Runs command programs in a folder of their own.
struct ProgramRunner {
  let folder: TemporaryFolder
  let engine = Engine()

  init() throws { folder = try TemporaryFolder() }

  struct Outcome {
    var status: UInt32
    var output: String
    var error: String
  }

  static func fixture(_ name: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: Repository.fixture("wasi/\(name)")))
  }

  static func expectedOutput(_ name: String) throws -> String {
    String(decoding: try fixture("\(name).txt"), as: UTF8.self)
  }

  /// Runs `bytes` with the folder `run` of the runner as its root.
  func run(
    _ bytes: [UInt8], arguments: [String] = [], input: [UInt8] = [], access: WASIConfiguration.Preopen.Access = .readWrite,
    root: String = "run", usesKernel: Bool = true, limit: Duration? = nil, configure: (inout WASIConfiguration) -> Void = { _ in }
  ) throws -> Outcome {
    try FileManager.default.createDirectory(at: folder.url.appending(path: root), withIntermediateDirectories: true)
    let input = try FileHandle(forReadingFrom: URL(filePath: folder.write(input, to: "stdin")))
    let output = try FileHandle(forUpdating: URL(filePath: folder.write([], to: "stdout")))
    let error = try FileHandle(forUpdating: URL(filePath: folder.write([], to: "stderr")))
    var configuration = WASIConfiguration()
    configuration.arguments = ["program"] + arguments.map { SystemString($0) }
    configuration.environment = [("GREETING", "hello")]
    configuration.preopens = [.init(guestPath: "/", hostPath: folder.url.appending(path: root).path, access: access)]
    configuration.standardInput = .descriptor(input.fileDescriptor)
    configuration.standardOutput = .descriptor(output.fileDescriptor)
    configuration.standardError = .descriptor(error.fileDescriptor)
    configure(&configuration)
    let store = Store(engine: engine)
    if let limit { store.setTimeLimit(limit) }
    let wasi = try WASI(configuration)
    wasi.resolvesPathsInKernel = usesKernel
    var imports = Imports()
    wasi.define(in: &imports, store: store)
    let instance = try Instance(store: store, module: CompiledModule(engine: engine, bytes: bytes), imports: imports)
    let status = try wasi.run(instance)
    func text(_ handle: FileHandle) throws -> String {
      try handle.seek(toOffset: 0)
      return String(decoding: try handle.readToEnd() ?? Data(), as: UTF8.self)
    }
    return Outcome(status: status, output: try text(output), error: try text(error))
  }
}
