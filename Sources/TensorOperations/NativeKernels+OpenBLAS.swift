#if OpenBLAS
  import COpenBLAS
#endif

// OpenBLAS by itself, for benchmarks: the same products in f32, with its own threads.

extension NativeKernels {
  /// The kernels that OpenBLAS has chosen for this processor, e.g. `SkylakeX`; nil in a build without it.
  package static var openBLASCore: String? {
    #if OpenBLAS
      // SAFETY: a string of the library that stays where it is.
      unsafe openblas_get_corename().map { unsafe String(cString: $0) }
    #else
      nil
    #endif
  }

  /// out[rows, columnsOut] = x[rows, columnsIn] · Wᵀ in f32 by OpenBLAS: sgemv for one row, sgemm for more.
  /// - Parameters:
  ///   - weights: holds W, row-major [columnsOut, columnsIn], from element `first` on.
  ///   - threadCount: OpenBLAS's own threads, for this call.
  /// - Returns: false, and nothing done, in a build without OpenBLAS.
  package static func openBLASProduct(
    out: inout [Float], x: [Float], weights: [Float], first: Int, rows: Int, columnsIn: Int, columnsOut: Int, threadCount: Int
  ) -> Bool {
    #if OpenBLAS
      precondition(
        out.count >= rows * columnsOut && x.count >= rows * columnsIn && first >= 0
          && weights.count >= first + columnsOut * columnsIn, "the operands hold the shape")
      let (m, k, n) = (blasint(rows), blasint(columnsIn), blasint(columnsOut))
      openblas_set_num_threads(CInt(threadCount))
      defer { openblas_set_num_threads(1) }
      // SAFETY: the sizes were checked above.
      unsafe weights.withUnsafeBufferPointer { weights in
        let w = unsafe weights.baseAddress! + first
        if rows == 1 {
          unsafe cblas_sgemv(CblasRowMajor, CblasNoTrans, n, k, 1, w, k, x, 1, 0, &out, 1)
        } else {
          unsafe cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1, x, k, w, k, 0, &out, n)
        }
      }
      return true
    #else
      return false
    #endif
  }
}
