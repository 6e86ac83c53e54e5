import GuestImports

/// A model family: what a program must say to become a model program.
///
/// `GuestKit/Program` does the rest: the exported functions, the catalog, sequences and their cache, the layout of a pass.
/// A program names its type `Program` and is compiled together with GuestKit.
protocol Architecture {
  /// Addresses of the activations of one pass in `scratch`.
  associatedtype Activations

  /// Reads hyper-parameters and finds the weights; refuses with a sentence what it does not compute.
  init(_ catalog: inout Catalog) throws(ProgramError)

  var vocabularySize: Int { get }
  var contextLength: Int { get }
  var embeddingSize: Int { get }
  var cacheLayout: CacheLayout { get }

  /// Lays out the activations of a pass.
  func layOut(_ plan: inout ScratchPlan, rows: Int, outputs: Int) -> Activations

  /// Runs a pass; the result is the scratch address of f32 [outputs, vocabularySize].
  func forward(_ request: PassRequest, _ activations: Activations) -> UInt64
}

/// What a pass computes: rows (tokens at positions of sequences), and the rows whose logits are wanted.
struct PassRequest {
  var rows: Int, outputs: Int
  /// i32 [rows] in scratch, written by the host.
  var tokens: UInt64, positions: UInt64, sequences: UInt64
  /// i32 [outputs]: row numbers, ascending.
  var outputIDs: UInt64
  /// i64 [rows]: where the cache of each row's sequence begins.
  var bases: UInt64

  init(_ plan: inout ScratchPlan, rows: Int, outputs: Int) {
    self.rows = rows
    self.outputs = outputs
    tokens = plan.integers(rows)
    positions = plan.integers(rows)
    sequences = plan.integers(rows)
    outputIDs = plan.integers(outputs)
    bases = plan.longIntegers(rows)
  }

  func check(vocabularySize: Int) throws(ProgramError) {
    for row in 0..<rows {
      let token = scratch_i32_load(tokens &+ 4 &* UInt64(row))
      if token >= 0, token < vocabularySize { continue }
      throw ProgramError {
        $0.append("row ")
        $0.append(row)
        $0.append(": expected a token below ")
        $0.append(vocabularySize)
        $0.append(", found ")
        $0.append(Int(token))
      }
    }
    var next: Int32 = 0
    for output in 0..<outputs {
      let id = scratch_i32_load(outputIDs &+ 4 &* UInt64(output))
      guard id >= next, id < rows else {
        throw ProgramError {
          $0.append("output ")
          $0.append(output)
          $0.append(": expected rows below ")
          $0.append(rows)
          $0.append(" in ascending order, found ")
          $0.append(Int(id))
        }
      }
      next = id + 1
    }
  }
}

// MARK: - Exported functions

private struct Configured {
  var program: Program
  var sequences: SequenceCache
  var pass: (request: PassRequest, activations: Program.Activations)?
}

private nonisolated(unsafe) var configured: Configured?
private nonisolated(unsafe) var lastError = TextBuffer()
/// The text of the last error where the host can read it.
private nonisolated(unsafe) var errorText: UnsafeMutableRawPointer?

/// Runs `body`; on an error keeps its text and returns nil.
private func reporting<Value>(_ body: () throws(ProgramError) -> Value) -> Value? {
  do {
    return try body()
  } catch {
    lastError = error.text
    return nil
  }
}

private func withConfigured<Value>(_ body: (inout Configured) throws(ProgramError) -> Value) throws(ProgramError) -> Value {
  guard configured != nil else { throw ProgramError { $0.append("the program has not been configured") } }
  return try body(&configured!)
}

@_expose(wasm, "program_abi")
@_cdecl("program_abi")
public func program_abi() -> Int32 { 1 }

@_expose(wasm, "allocate")
@_cdecl("allocate")
public func allocate(_ byteCount: Int32) -> UInt32 {
  guard byteCount >= 0, let pointer = malloc(Int(byteCount)) else { return 0 }
  return UInt32(UInt(bitPattern: pointer))
}

@_expose(wasm, "error_address")
@_cdecl("error_address")
public func error_address() -> UInt32 {
  if errorText == nil { errorText = malloc(TextBuffer.byteCountMax) }
  guard let errorText else { return 0 }
  for index in 0..<lastError.byteCount { errorText.storeBytes(of: lastError[index], toByteOffset: index, as: UInt8.self) }
  return UInt32(UInt(bitPattern: errorText))
}

@_expose(wasm, "error_byte_count")
@_cdecl("error_byte_count")
public func error_byte_count() -> Int32 { Int32(lastError.byteCount) }

@_expose(wasm, "configure")
@_cdecl("configure")
public func configure(_ catalogAddress: UInt32, _ catalogByteCount: Int32) -> Int32 {
  let done: Void? = reporting { () throws(ProgramError) in
    guard configured == nil else { throw ProgramError { $0.append("the program has been configured before") } }
    guard catalogByteCount >= 0, let start = UnsafeRawPointer(bitPattern: UInt(catalogAddress)) else {
      throw ProgramError { $0.append("catalog: no address") }
    }
    var catalog = try Catalog(UnsafeRawBufferPointer(start: start, count: Int(catalogByteCount)))
    let program = try Program(&catalog)
    try catalog.checkAllUsed()
    configured = Configured(
      program: program, sequences: SequenceCache(layout: program.cacheLayout, contextLengthMax: program.contextLength))
  }
  return done == nil ? 1 : 0
}

@_expose(wasm, "vocabulary_size")
@_cdecl("vocabulary_size")
public func vocabulary_size() -> Int32 { Int32(configured?.program.vocabularySize ?? 0) }

@_expose(wasm, "context_length")
@_cdecl("context_length")
public func context_length() -> Int32 { Int32(configured?.program.contextLength ?? 0) }

@_expose(wasm, "embedding_size")
@_cdecl("embedding_size")
public func embedding_size() -> Int32 { Int32(configured?.program.embeddingSize ?? 0) }

@_expose(wasm, "sequence_open")
@_cdecl("sequence_open")
public func sequence_open(_ contextLength: Int32) -> Int32 {
  let number = reporting { () throws(ProgramError) in
    try withConfigured { (state) throws(ProgramError) in try state.sequences.open(contextLength: Int(contextLength)) }
  }
  return Int32(number ?? -1)
}

@_expose(wasm, "sequence_trim")
@_cdecl("sequence_trim")
public func sequence_trim(_ number: Int32, _ position: Int32) -> Int32 {
  let done: Void? = reporting { () throws(ProgramError) in
    try withConfigured { (state) throws(ProgramError) in try state.sequences.trim(Int(number), to: Int(position)) }
  }
  return done == nil ? -1 : 0
}

@_expose(wasm, "sequence_close")
@_cdecl("sequence_close")
public func sequence_close(_ number: Int32) -> Int32 {
  let done: Void? = reporting { () throws(ProgramError) in
    try withConfigured { (state) throws(ProgramError) in try state.sequences.close(Int(number)) }
  }
  return done == nil ? -1 : 0
}

@_expose(wasm, "pass_begin")
@_cdecl("pass_begin")
public func pass_begin(_ rowCount: Int32, _ outputCount: Int32) -> Int64 {
  let address = reporting { () throws(ProgramError) in
    try withConfigured { (state) throws(ProgramError) -> UInt64 in
      guard rowCount > 0, outputCount >= 0, outputCount <= rowCount else {
        throw ProgramError {
          $0.append("pass: expected at least one row and no more outputs than rows, found ")
          $0.append(Int(rowCount))
          $0.append(" rows and ")
          $0.append(Int(outputCount))
          $0.append(" outputs")
        }
      }
      state.pass = nil
      var plan = ScratchPlan()
      let request = PassRequest(&plan, rows: Int(rowCount), outputs: Int(outputCount))
      let activations = state.program.layOut(&plan, rows: Int(rowCount), outputs: Int(outputCount))
      try plan.commit()
      state.pass = (request, activations)
      return request.tokens
    }
  }
  return address.map { Int64(bitPattern: $0) } ?? -1
}

@_expose(wasm, "forward")
@_cdecl("forward")
public func forward() -> Int64 {
  let address = reporting { () throws(ProgramError) in
    try withConfigured { (state) throws(ProgramError) -> UInt64 in
      guard let (request, activations) = state.pass else {
        throw ProgramError { $0.append("pass: forward without pass_begin") }
      }
      state.pass = nil
      try request.check(vocabularySize: state.program.vocabularySize)
      try state.sequences.begin(
        rows: request.rows, positions: request.positions, sequences: request.sequences, bases: request.bases)
      let logits = state.program.forward(request, activations)
      state.sequences.commit()
      return logits
    }
  }
  return address.map { Int64(bitPattern: $0) } ?? -1
}
