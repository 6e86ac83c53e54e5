import BinaryReading
import CPlatform
import SystemFiles
import WasmRuntime
import WebAssembly

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// WASI preview 1 for one command program: arguments, environment, clocks, random numbers, streams, files.
///
/// The program has what the configuration names and nothing else. Paths resolve below the folders it was given, out of which
/// no path leads. Reads and writes of files go straight to and from the pages of the guest's memory.
///
/// One object serves one program, on one thread. Specification: `wasi_snapshot_preview1`.
public final class WASI {
  public let configuration: WASIConfiguration
  var descriptors: DescriptorTable
  /// False to resolve paths without the kernel's help: for tests.
  package var resolvesPathsInKernel = true

  /// Opens the streams and folders that the configuration names.
  public init(_ configuration: WASIConfiguration) throws(WASISetupError) {
    self.configuration = configuration
    self.descriptors = DescriptorTable(countMax: max(configuration.descriptorCountMax, 3 + configuration.preopens.count))
    for string in configuration.arguments + configuration.environment.flatMap({ [$0.name, $0.value] })
    where string.containsZero {
      throw WASISetupError(
        description: "an argument or environment variable contains a zero byte: \(string.bytes.escapedForTerminal)")
    }
    let streams = [configuration.standardInput, configuration.standardOutput, configuration.standardError]
    for (number, stream) in streams.enumerated() {
      let descriptor = try Self.openStream(stream, number: CInt(number))
      if configuration.escapesTerminals, number > 0, isatty(descriptor.host) == 1 { descriptor.filter = TerminalFilter() }
      try insert(descriptor)
    }
    for preopen in configuration.preopens { try insert(Self.openFolder(preopen)) }
  }

  /// Defines every function of `wasi_snapshot_preview1`.
  public func define(in imports: inout Imports, store: Store) {
    for function in Self.functions {
      let type = FunctionType(parameters: function.parameters, results: function.name == "proc_exit" ? [] : [.i32])
      let host = Function(store: store, type: type, name: "\(Self.moduleName).\(function.name)") {
        [self] caller, arguments, results in
        guard let memory = caller.instance?.memory("memory") ?? caller.memory() else {
          throw WASISetupError(description: "a program that calls WASI must have a memory")
        }
        let call = GuestCall(memory: memory, arguments: arguments, store: caller.store)
        do {
          try function.body(self, call)
          if results.count > 0 { results.set(UInt32(0)) }
        } catch let errno as WASIErrno {
          results.set(UInt32(errno.rawValue))
        }
      }
      imports.define(module: Self.moduleName, name: function.name, .function(host))
    }
  }

  /// Runs a command program: calls `_start`.
  /// - Returns: its exit status: 0 if it returns.
  /// - Throws: `.trap` if it fails; `.argumentMismatch` if it exports no `_start`.
  public func run(_ instance: Instance) throws(WasmError) -> UInt32 {
    guard let start = instance.function("_start"), start.type == FunctionType(parameters: [], results: []) else {
      throw .argumentMismatch("the module exports no function _start without parameters and results: it is not a command program")
    }
    do throws(WasmError) {
      try start()
      return 0
    } catch {
      if case .trap(let trap) = error, let exit = trap.cause as? WASIExit { return exit.status }
      throw error
    }
  }

  static let moduleName = "wasi_snapshot_preview1"

  // MARK: Setting up

  private func insert(_ descriptor: Descriptor) throws(WASISetupError) {
    do throws(WASIErrno) {
      _ = try descriptors.insert(descriptor)
    } catch {
      preconditionFailure("the table has room for the streams and the granted folders")
    }
  }

  private static func openStream(_ stream: WASIConfiguration.Stream, number: CInt) throws(WASISetupError) -> Descriptor {
    var host: CInt = -1
    let failure: CInt =
      switch stream {
      case .inherited: unsafe bindery_inherited_duplicate(number, &host)
      case .descriptor(let descriptor): unsafe bindery_file_duplicate(descriptor, &host)
      case .null: unsafe withPath(Array("/dev/null".utf8)) { unsafe bindery_open_at(AT_FDCWD, $0, O_RDWR, 0, &host) }
      }
    guard failure == 0 else {
      throw WASISetupError(description: "cannot open standard stream \(number): \(SystemFileError.text(of: failure))")
    }
    let type = status(of: host).map { FileType(mode: $0.st_mode) } ?? .unknown
    var rights: WASIRights = type == .regularFile ? .ofFile : .ofStream
    // The file behind a stream is the caller's: its length, times and flags are not the program's to change, and what others have
    // written to it before is not to be written over.
    rights.subtract([.setSize, .allocate, .setTimes])
    if type == .regularFile { rights.remove(.setFlags) }
    rights.subtract(number == 0 ? .write : [.read, .seek])
    return Descriptor(host: host, type: type, rights: rights)
  }

  private static func openFolder(_ preopen: WASIConfiguration.Preopen) throws(WASISetupError) -> Descriptor {
    guard !preopen.hostPath.containsZero, !preopen.guestPath.containsZero else {
      throw WASISetupError(description: "the name of a folder contains a zero byte: \(preopen.hostPath.bytes.escapedForTerminal)")
    }
    var host: CInt = -1
    let failure = unsafe withPath(preopen.hostPath.bytes) {
      unsafe bindery_open_at(AT_FDCWD, $0, O_RDONLY | O_DIRECTORY, 0, &host)
    }
    guard failure == 0 else {
      throw WASISetupError(description: "cannot open the folder '\(preopen.hostPath.bytes.escapedForTerminal)': \(SystemFileError.text(of: failure))")
    }
    var rights = WASIRights.ofDirectory
    var inheriting = WASIRights.ofDirectory.union(.ofFile)
    if preopen.access == .readOnly {
      rights.subtract(.changes)
      inheriting.subtract(.changes)
    }
    return Descriptor(host: host, type: .directory, rights: rights, inheriting: inheriting, preopenName: preopen.guestPath)
  }

  /// The status of an open descriptor, nil if the system has none.
  static func status(of descriptor: CInt) -> stat? {
    var status = stat()
    // SAFETY: the result is written only on success.
    return unsafe fstat(descriptor, &status) == 0 ? status : nil
  }
}
