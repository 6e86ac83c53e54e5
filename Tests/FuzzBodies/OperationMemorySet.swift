import Foundation
import ModelPrograms
import TensorOperations
import WasmRuntime
import WebAssembly

/// The three memories of a model program and a provider that works on them, for calls of single operations.
final class OperationMemorySet {
  enum Provider: Int, CaseIterable {
    case native, nativeOnThreads, wasm, wasmOnThreads

    var isNative: Bool { self == .native || self == .nativeOnThreads }
  }

  let provider: Provider
  let memories: ProgramMemories
  private let workers: WorkerPool
  private var store: Store
  private var imports: Imports
  /// What the memories held when it was compared last.
  private var copies: [TensorOperation.MemoryName: [UInt8]] = [:]
  private var protections = [PageProtection](repeating: .readWrite, count: 7)
  private var dirtyPages: Set<DirtyPage> = []
  private var isFilled = false

  private struct DirtyPage: Hashable {
    let name: TensorOperation.MemoryName
    let page: UInt64
  }

  static let pageByteCount: UInt64 = 65536

  static func byteCount(_ memory: TensorOperation.MemoryName) -> UInt64 {
    switch memory {
    case .weights: 3 * pageByteCount
    case .cache: 4 * pageByteCount
    case .scratch: 4 * pageByteCount
    }
  }

  private static let kernels: CompiledModule? = ModelProgram.kernels.bytes.flatMap { try? CompiledModule(engine: Engine(), bytes: $0) }

  init(_ provider: Provider) throws {
    self.provider = provider
    func memory(_ name: TensorOperation.MemoryName, isVirtual: Bool) throws -> Memory {
      let pages = Self.byteCount(name) / Self.pageByteCount
      return try Memory(
        type: MemoryType(
          addressType: .i64, limits: Limits(minimum: pages, maximum: pages), attributes: MemoryAttributes(isVirtual: isVirtual)))
    }
    memories = ProgramMemories(
      weights: try memory(.weights, isVirtual: true), cache: try memory(.cache, isVirtual: true),
      scratch: try memory(.scratch, isVirtual: false))
    for name in [TensorOperation.MemoryName.weights, .cache] {
      guard try memories[name].map(address: 0, byteCount: Self.byteCount(name), protection: .readWrite) else {
        preconditionFailure("the system has seven pages")
      }
    }
    workers = WorkerPool(threadCount: provider == .nativeOnThreads || provider == .wasmOnThreads ? 3 : 1)
    (store, imports) = try Self.instantiate(provider, memories, workers)
    for name in TensorOperation.MemoryName.allCases { copies[name] = Array(Self.pattern.prefix(Int(Self.byteCount(name)))) }
  }

  private static func instantiate(
    _ provider: Provider, _ memories: ProgramMemories, _ workers: WorkerPool
  ) throws -> (Store, Imports) {
    guard let kernels else { preconditionFailure("this build has no kernel module") }
    let store = Store(engine: kernels.engine)
    var imports = Imports()
    try TensorModule.define(
      in: &imports, store: store, memories: memories, provider: provider.isNative ? .native : .wasm(try KernelModule(kernels)),
      workers: workers)
    return (store, imports)
  }

  // MARK: Contents

  /// Numbers of modest size, whatever they are read as: every 16-bit word is 0.5 to 2 as a half-precision number and 3e-5 to 2 as
  /// the upper half of a float.
  private static let pattern: [UInt8] = {
    var state: UInt32 = 1
    return (0..<Int(4 * pageByteCount)).map { index in
      state = state &* 1_664_525 &+ 1_013_904_223
      let byte = UInt8(truncatingIfNeeded: state >> 16)
      return index & 1 == 0 ? byte : 0x38 | byte & 0x87
    }
  }()

  /// Fills all memories anew and gives the pages of weights and cache these protections.
  func reset(_ protections: [PageProtection]) throws {
    for (page, protection) in protections.enumerated() where self.protections[page] != protection || protection != .readWrite {
      let (name, index) = Self.place(ofPage: page)
      try memories[name].protect(address: index * Self.pageByteCount, byteCount: Self.pageByteCount, protection: .readWrite)
    }
    for name in TensorOperation.MemoryName.allCases {
      for page in 0..<Self.byteCount(name) / Self.pageByteCount where isDirty(name, page) {
        let range = Int(page * Self.pageByteCount)..<Int((page + 1) * Self.pageByteCount)
        try memories[name].write(Array(Self.pattern[range]), address: page * Self.pageByteCount)
        copies[name]?.replaceSubrange(range, with: Self.pattern[range])
      }
    }
    dirtyPages = []
    isFilled = true
    for (page, protection) in protections.enumerated() where protection != .readWrite {
      let (name, index) = Self.place(ofPage: page)
      try memories[name].protect(address: index * Self.pageByteCount, byteCount: Self.pageByteCount, protection: protection)
    }
    self.protections = protections
  }

  private static func place(ofPage page: Int) -> (TensorOperation.MemoryName, UInt64) {
    let weightPageCount = Int(byteCount(.weights) / pageByteCount)
    return page < weightPageCount ? (.weights, UInt64(page)) : (.cache, UInt64(page - weightPageCount))
  }

  private func isDirty(_ name: TensorOperation.MemoryName, _ page: UInt64) -> Bool {
    !isFilled || dirtyPages.contains(DirtyPage(name: name, page: page))
  }

  /// Whether a page is not what it was when this was asked last, or when the memories were reset. Pages that nobody may read
  /// have not changed.
  private func hasChanged(_ name: TensorOperation.MemoryName, _ page: UInt64) -> Bool {
    let offset = Int(page * Self.pageByteCount)
    let hasChanged = try? unsafe memories[name].withUnsafeReadableBytes(address: page * Self.pageByteCount, byteCount: Self.pageByteCount) {
      bytes throws(MemoryAccessError) in
      unsafe copies[name, default: []].withUnsafeBytes { copy in
        // SAFETY: both hold a page.
        unsafe memcmp(bytes.baseAddress!, copy.baseAddress! + offset, Int(Self.pageByteCount)) != 0
      }
    }
    return hasChanged ?? false
  }

  /// The first byte that changed since this was asked last and lies in none of the ranges; nil where there is none.
  /// Afterwards what is in the memories counts as known.
  func unexpectedChange(_ outputs: [OperationCall.Output]) -> (memory: TensorOperation.MemoryName, address: UInt64)? {
    var found: (memory: TensorOperation.MemoryName, address: UInt64)?
    for name in TensorOperation.MemoryName.allCases {
      for page in 0..<Self.byteCount(name) / Self.pageByteCount where hasChanged(name, page) {
        dirtyPages.insert(DirtyPage(name: name, page: page))
        let start = page * Self.pageByteCount
        guard let bytes = try? memories[name].read(address: start, byteCount: Self.pageByteCount) else { continue }
        for output in outputs where output.memory == name {
          let range = output.range.clamped(to: start..<start + Self.pageByteCount)
          guard !range.isEmpty else { continue }
          let local = Int(range.lowerBound - start)..<Int(range.upperBound - start)
          copies[name]?.replaceSubrange(Int(range.lowerBound)..<Int(range.upperBound), with: bytes[local])
        }
        if found == nil, hasChanged(name, page), let place = bytes.indices.first(where: { bytes[$0] != copies[name]?[Int(start) + $0] }) {
          found = (name, start + UInt64(place))
        }
        copies[name]?.replaceSubrange(Int(start)..<Int(start) + bytes.count, with: bytes)
      }
    }
    return found
  }

  /// Takes over the outputs of a call from another set, in whose memories everything else is the same.
  func copyOutputs(of call: OperationCall, from other: OperationMemorySet) {
    for output in call.outputs {
      let range = output.range.clamped(to: 0..<Self.byteCount(output.memory))
      guard !range.isEmpty, let bytes = try? other.memories[output.memory].read(address: range.lowerBound, byteCount: UInt64(range.count))
      else { continue }
      try? memories[output.memory].write(bytes, address: range.lowerBound)
    }
    _ = unexpectedChange(call.outputs)
  }

  // MARK: Calls

  /// Puts the index operands of a call into scratch.
  func prepare(_ call: OperationCall) {
    for write in call.writes where (try? memories.scratch.write(write.bytes, address: write.address)) != nil {
      let pages = write.address / Self.pageByteCount...(write.address + UInt64(max(1, write.bytes.count)) - 1) / Self.pageByteCount
      for page in pages { dirtyPages.insert(DirtyPage(name: .scratch, page: page)) }
      copies[.scratch]?.replaceSubrange(Int(write.address)..<Int(write.address) + write.bytes.count, with: write.bytes)
    }
  }

  enum Outcome: Equatable {
    case done
    case refused(String)
    case stopped
  }

  func call(_ call: OperationCall) -> Outcome {
    guard case .function(let function)? = imports[TensorModule.name, call.operation.name] else {
      preconditionFailure("the module defines all its operations")
    }
    let values: [Value] = zip(call.arguments, function.type.parameters).map { argument, type in
      switch type {
      case .i64: .i64(argument)
      case .f32: .f32(UInt32(truncatingIfNeeded: argument))
      default: .i32(UInt32(truncatingIfNeeded: argument))
      }
    }
    store.setTimeLimit(.seconds(2))
    do throws(WasmError) {
      try function(values)
      return .done
    } catch {
      // Kernels of the sandbox that were stopped in the middle are not used again, as in the product: their stack is where they left it.
      if !provider.isNative, let renewed = try? Self.instantiate(provider, memories, workers) { (store, imports) = renewed }
      guard case .trap(let trap) = error else { return .refused("\(error)") }
      switch trap.kind {
      case .deadlineExceeded, .cancelled: return .stopped
      default: return .refused(provider.isNative ? trap.message : "\(trap)")
      }
    }
  }
}
