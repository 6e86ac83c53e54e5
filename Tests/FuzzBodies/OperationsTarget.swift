import TensorOperations
import Tensors
import WasmRuntime

extension FuzzTarget {
  /// Protections of pages, then up to four calls, each by two providers.
  static let operations = FuzzTarget(
    "operations", "tensor operations with arguments of a stranger, by two providers", inputByteCountMax: 768, dictionary: [],
    bytes: [[0xFF], [0xFE, 0xFE], [0x00, 0x00, 0x00, 0x00]],
    seeds: { _ in
      // Every operation by every pair of providers, with small numbers.
      (0..<TensorOperation.imports.count * 6).map { number in
        let head: [UInt8] = [UInt8(number % 6), 0, UInt8(number / 6)]
        let rest: [UInt8] = (0..<60).map { place in UInt8((place + 1) * (number * 7 + 3) & 0x3F) }
        return head + rest
      }
    }
  ) { (input) throws(BrokenPromise) in
    var reader = InputReader(input)
    let pair = OperationPairs.pairs[reader.integer(0...OperationPairs.pairs.count - 1)]
    let seeds = reader.byte()
    let protections: [PageProtection] = (0..<7).map { page in
      seeds < 200 ? .readWrite : reader.element(of: [.readWrite, .readWrite, .read, .none])
    }
    let first = unsafe OperationPairs.sets[pair.0.rawValue]
    let second = unsafe OperationPairs.sets[pair.1.rawValue]
    do {
      try first.reset(protections)
      try second.reset(protections)
    } catch { throw BrokenPromise("memories cannot be reset: \(error)") }
    for _ in 0..<4 {
      let call = OperationCall(&reader)
      try OperationPairs.compare(call, first, second)
      if reader.isAtEnd { return }
    }
  }
}

enum OperationPairs {
  static let pairs: [(OperationMemorySet.Provider, OperationMemorySet.Provider)] = [
    (.native, .nativeOnThreads), (.wasm, .wasmOnThreads), (.native, .wasm), (.nativeOnThreads, .native), (.wasmOnThreads, .native),
    (.native, .nativeOnThreads),
  ]

  // Inputs are run one after another, on one thread.
  nonisolated(unsafe) static let sets: [OperationMemorySet] = OperationMemorySet.Provider.allCases.map { provider in
    do { return try OperationMemorySet(provider) } catch { preconditionFailure("no memories: \(error)") }
  }

  static func compare(_ call: OperationCall, _ first: OperationMemorySet, _ second: OperationMemorySet) throws(BrokenPromise) {
    let what = "tensor.\(call.operation.name) \(call.arguments)"
    let (a, b) = (try perform(call, first, what), try perform(call, second, what))
    defer { second.copyOutputs(of: call, from: first) }
    // Native kernels refuse such calls where it matters, those of the sandbox do as the guest says.
    if call.readsOutputs, !first.provider.isNative || !second.provider.isNative { return }
    let isSameKind = first.provider.isNative == second.provider.isNative
    switch (a, b) {
    case (.stopped, _), (_, .stopped): return
    case (.done, .done): break
    case (.refused(let reason), .refused(let other)):
      if isSameKind, first.provider.isNative {
        try promise(reason == other, "\(what): refused because '\(reason)' by \(first.provider), '\(other)' by \(second.provider)")
      }
      return
    case (.done, .refused(let reason)), (.refused(let reason), .done):
      // The kernels of the sandbox take fewer shapes, and find some misuse of their own accord only.
      // Several lanes are not asked at all where there is nothing to do.
      let isEmpty = call.outputs.allSatisfy(\.range.isEmpty)
      try promise(!isSameKind || (isEmpty && !first.provider.isNative), "\(what): one of \(first.provider) and \(second.provider) refuses it: \(reason)")
      return
    }
    for output in call.outputs {
      let (found, expected) = (bytes(first, output), bytes(second, output))
      if found == expected { continue }
      try promise(!isSameKind, "\(what): \(first.provider) and \(second.provider) give different bits")
      // Ids of equal values, and roundings, depend on sums that may differ in the last place.
      guard output.isFloats else { continue }
      let error = normalizedError(floats(found), floats(expected))
      try promise(
        error <= max(1e-6, call.operation.tolerance.normalizedSquaredErrorMax * 20),
        "\(what): \(first.provider) and \(second.provider) differ by \(error)\(firstDifference(floats(found), floats(expected)))")
    }
  }

  private static func firstDifference(_ found: [Float], _ expected: [Float]) -> String {
    guard let index = zip(found, expected).enumerated().first(where: { !(abs($1.0 - $1.1) <= 1e-3 * abs($1.1)) })?.offset else { return "" }
    return ": element \(index) of \(found.count) is \(found[index]) and \(expected[index])"
  }

  /// Calls, and checks that nothing was written but the outputs, and nothing at all where native kernels refused.
  private static func perform(
    _ call: OperationCall, _ set: OperationMemorySet, _ what: String
  ) throws(BrokenPromise) -> OperationMemorySet.Outcome {
    set.prepare(call)
    let started = ContinuousClock.now
    let outcome = set.call(call)
    let time = ContinuousClock.now - started
    try promise(time < .seconds(6), "\(what): \(set.provider) took \(time), with two seconds to do it")
    var outputs = call.outputs
    if case .refused = outcome, set.provider.isNative { outputs = [] }
    if let (memory, address) = set.unexpectedChange(outputs), set.provider.isNative || call.knowsOutputs {
      throw BrokenPromise("\(what): \(set.provider) (\(outcome)) has written byte \(address) of memory \(memory.rawValue), which is no output")
    }
    return outcome
  }

  private static func bytes(_ set: OperationMemorySet, _ output: OperationCall.Output) -> [UInt8] {
    (try? set.memories[output.memory].read(
      address: output.range.lowerBound, byteCount: output.range.upperBound - output.range.lowerBound)) ?? []
  }

  private static func floats(_ bytes: [UInt8]) -> [Float] {
    stride(from: 0, to: bytes.count - 3, by: 4).map { start in
      Float(bitPattern: (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[start + $1]) << UInt32(8 * $1) })
    }
  }

  /// Σ(a - b)² over Σ b²; 0 where there is nothing to compare: numbers that are not finite, or so few that sums may cancel.
  private static func normalizedError(_ a: [Float], _ b: [Float]) -> Double {
    guard a.count >= 8, a.allSatisfy({ $0.isFinite && abs($0) < 1e15 }), b.allSatisfy({ $0.isFinite && abs($0) < 1e15 }) else { return 0 }
    // Activations of next to nothing are quantised to nothing by some kernels.
    guard a.contains(where: { abs($0) > 1e-20 }) || b.contains(where: { abs($0) > 1e-20 }) else { return 0 }
    return KernelTolerance.normalizedSquaredError(of: a, against: b)
  }
}
