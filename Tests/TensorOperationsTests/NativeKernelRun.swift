import CTensorKernels
import TensorOperations
import Tensors
import _TestSupport

/// Runs native kernels on arrays, at a level of instructions, with operands at odd addresses.
enum NativeKernelRun {
  /// The level is one for the whole process: suites that use this are serialised. Other suites get the same results at any level.
  static func at(level: Int, _ body: () throws -> Void) rethrows {
    let before = tk_level()
    _ = tk_set_level(CInt(level))
    defer { _ = tk_set_level(before) }
    try body()
  }

  /// What `body` writes to `count` floats that lie at an address that is no multiple of 8.
  static func output(_ count: Int, _ body: (UnsafeMutablePointer<Float>) -> Void) -> [Float] {
    // SAFETY: the buffer has one element more than is used, the first; all elements are initialised, and read before it is freed.
    unsafe withUnsafeTemporaryAllocation(of: Float.self, capacity: count + 1) { buffer in
      unsafe buffer.initialize(repeating: .nan)
      unsafe body(buffer.baseAddress! + 1)
      return unsafe Array(buffer[1...])
    }
  }

  /// The columns of all slices of x · Wᵀ; elements outside them stay NaN. The weights lie at an odd address.
  static func matmul(
    x: [Float], weight: [UInt8], type: ElementType, rows: Int, columnsIn: Int, columnsOut: Int, slices: [Range<Int>]
  ) -> [Float] {
    let byteCount = NativeKernels.matmulWorkspaceByteCount(
      type: type.rawValue, rows: rows, columnsIn: columnsIn, columnsOut: columnsOut)
    var workspace = [UInt8](repeating: 0, count: byteCount + 1)
    let oddWeight = [0] + weight
    return unsafe output(rows * columnsOut) { out in
      // SAFETY: all operands have the shape's sizes; the workspace has byteCount bytes after its first, the weights follow the
      // first byte of oddWeight.
      unsafe workspace.withUnsafeMutableBytes { workspace in
        unsafe oddWeight.withUnsafeBytes { weight in
          let prepared = unsafe workspace.baseAddress! + 1
          // In two parts, as two threads would.
          let half = rows / 2
          unsafe NativeKernels.matmulPrepare(
            x: x, rows: rows, columnsIn: columnsIn, type: type.rawValue, into: prepared, firstRow: 0, rowCount: half)
          unsafe NativeKernels.matmulPrepare(
            x: x, rows: rows, columnsIn: columnsIn, type: type.rawValue, into: prepared, firstRow: half)
          for slice in slices {
            unsafe NativeKernels.matmulSlice(
              out: out, x: x, prepared: prepared, weights: weight.baseAddress! + 1, type: type.rawValue, rows: rows,
              columnsIn: columnsIn, columnsOut: columnsOut, first: slice.lowerBound, count: slice.count)
          }
        }
      }
    }
  }
}

extension SeededGenerator {
  /// Numbers that quantisation to 8 bits keeps: in each block of 32 the first has the largest magnitude, 127 / 32, and the
  /// others are multiples of 1 / 32. So a product is compared without the rounding of its activations.
  mutating func exactActivations(_ count: Int) -> [Float] {
    (0..<count).map { index in
      index % 32 == 0 ? (next() % 2 == 0 ? 127.0 / 32 : -127.0 / 32) : Float(Int.random(in: -127...127, using: &self)) / 32
    }
  }

  /// Roughly normal numbers: sums of uniform ones.
  mutating func normals(_ count: Int) -> [Float] {
    (0..<count).map { _ in (0..<4).reduce(Float(0)) { sum, _ in sum + Float.random(in: -0.87...0.87, using: &self) } }
  }
}
