#if OpenBLAS
  import COpenBLAS
#endif

// OpenBLAS by itself, for benchmarks: the same products in f32, with its own threads.

extension NativeKernels {
  /// The kernels that OpenBLAS has chosen for this processor, e.g. `SkylakeX`; nil without it.
  package static var openBLASCore: String? {
    #if OpenBLAS
      // SAFETY: a string of the library that stays where it is, once the library is there.
      hasOpenBLAS ? unsafe bindery_openblas_core_name().map { unsafe String(cString: $0) } : nil
    #else
      nil
    #endif
  }

  /// out[rows, columnsOut] = x[rows, columnsIn] · Wᵀ in f32 by OpenBLAS: sgemv for one row, sgemm for more.
  /// - Parameters:
  ///   - weights: holds W, row-major [columnsOut, columnsIn], from element `first` on.
  ///   - threadCount: OpenBLAS's own threads, for this call.
  /// - Returns: false, and nothing done, without OpenBLAS.
  package static func openBLASProduct(
    out: inout [Float], x: [Float], weights: [Float], first: Int, rows: Int, columnsIn: Int, columnsOut: Int, threadCount: Int
  ) -> Bool {
    #if OpenBLAS
      precondition(
        out.count >= rows * columnsOut && x.count >= rows * columnsIn && first >= 0
          && weights.count >= first + columnsOut * columnsIn, "the operands hold the shape")
      guard hasOpenBLAS else { return false }
      let (m, k, n) = (Int32(rows), Int32(columnsIn), Int32(columnsOut))
      bindery_openblas_set_thread_count(Int32(threadCount))
      defer { bindery_openblas_set_thread_count(1) }
      // SAFETY: the sizes were checked above.
      unsafe weights.withUnsafeBufferPointer { weights in
        let w = unsafe weights.baseAddress! + first
        if rows == 1 {
          unsafe bindery_openblas_multiply_vector(n, k, w, x, &out)
        } else {
          unsafe bindery_openblas_multiply(m, n, k, x, k, w, k, &out, n)
        }
      }
      return true
    #else
      return false
    #endif
  }
}
