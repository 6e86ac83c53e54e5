import CTensorKernels

#if OpenBLAS
  import COpenBLAS
#endif

/// The native kernels over raw pointers: what the host functions of the native provider call after checking their arguments.
///
///     guest's call -> arguments checked against page states -> NativeKernels -> own kernels (CTensorKernels)
///                                                                            \-> OpenBLAS: f32 products of many rows
///
/// Nothing here allocates, throws or starts a thread. Work is split by the caller: `matmulSlice` by output columns,
/// `attentionSlice` by rows and heads, `matmulPrepare` by rows; everything else by calling it on parts of the rows or elements.
/// Disjoint parts may run on several threads at once. Pointers may have any alignment. A call uses at most 64 KiB of its thread's
/// stack. Shapes, units and tolerances of each operation: `CTensorKernels.h`.
package enum NativeKernels {
  /// The instructions in use: `portable`, `avx2` or `avx512`; and whether OpenBLAS takes large f32 products. Loads it to find out.
  package static var description: String {
    // SAFETY: a string literal of the C library.
    let level = unsafe String(cString: tk_level_name(tk_level()))
    return hasOpenBLAS ? "\(level), OpenBLAS" : level
  }

  /// For benchmarks: runs `body` with the plain C kernels in the whole process.
  package static func withPlainC<Result>(_ body: () throws -> Result) rethrows -> Result {
    let level = tk_level()
    tk_set_level(CInt(TK_LEVEL_PORTABLE))
    defer { tk_set_level(level) }
    return try body()
  }

  /// Whether f32 products of many rows go to OpenBLAS: the build allows it (package trait `OpenBLAS`), and the system has the library. It is
  /// loaded when this is first asked, which the first such product does.
  package static var hasOpenBLAS: Bool {
    #if OpenBLAS
      bindery_openblas_is_available()
    #else
      false
    #endif
  }

  /// Whether `type` (its ggml number) can be a weight type of `matmulSlice` and `getRows`.
  package static func supports(_ type: UInt32) -> Bool { tk_type_is_supported(type) }

  // MARK: Matrix products

  /// Bytes of workspace that `matmulPrepare` fills: 0 where the product reads x itself (f32, f16, bf16), otherwise about
  /// 1.5 bytes per element of x. Alignment: any, 64 is fastest.
  package static func matmulWorkspaceByteCount(type: UInt32, rows: Int, columnsIn: Int, columnsOut: Int) -> Int {
    tk_activations_byte_count(type, rows, columnsIn)
  }

  /// Quantises x[rows, columnsIn] to 8 bits per block of 32, for every product of this x with weights of a quantised type, and
  /// any number of threads. A no-op for the float types. `firstRow` and `rowCount` select rows, so that several threads can
  /// share it.
  package static func matmulPrepare(
    x: UnsafePointer<Float>, rows: Int, columnsIn: Int, type: UInt32, into workspace: UnsafeMutableRawPointer, firstRow: Int = 0,
    rowCount: Int? = nil
  ) {
    guard tk_activations_byte_count(type, 1, columnsIn) > 0 else { return }
    // SAFETY: the caller's x has rows · columnsIn elements, the workspace matmulWorkspaceByteCount bytes; the rows lie within.
    unsafe tk_quantize_activations(workspace, x, columnsIn, firstRow, rowCount ?? rows - firstRow)
  }

  /// Columns [first, first + count) of out[rows, columnsOut] = x · Wᵀ, W row-major [columnsOut, columnsIn] of `type`.
  /// - Parameter prepared: what `matmulPrepare` made of x; not read for the float types.
  package static func matmulSlice(
    out: UnsafeMutablePointer<Float>, x: UnsafePointer<Float>, prepared: UnsafeRawPointer?, weights: UnsafeRawPointer,
    type: UInt32, rows: Int, columnsIn: Int, columnsOut: Int, first: Int, count: Int
  ) {
    if columnsIn == 0 {
      // A sum of nothing. The kernels expect a block at least.
      // SAFETY: as below.
      for row in 0..<rows { unsafe (out + row * columnsOut + first).update(repeating: 0, count: count) }
      return
    }
    #if OpenBLAS
      let addressBits = UInt(bitPattern: out) | UInt(bitPattern: x) | UInt(bitPattern: weights)
      if addressBits % 4 == 0, isForOpenBLAS(type: type, rows: rows, columnsIn: columnsIn, columnsOut: columnsOut, count: count) {
        // SAFETY: operands as below, aligned to 4 bytes and of 31-bit dimensions, as checked here. Row r of the result is written
        // at out + r · columnsOut + first, within out because first + count <= columnsOut.
        unsafe bindery_openblas_multiply(
          Int32(rows), Int32(count), Int32(columnsIn), x, Int32(columnsIn),
          weights.assumingMemoryBound(to: Float.self) + first * columnsIn, Int32(columnsIn), out + first, Int32(columnsOut))
        return
      }
    #endif
    // SAFETY: the caller checked that out, x and weights hold the elements that the shape says, and first + count <= columnsOut;
    // prepared holds matmulWorkspaceByteCount bytes for a quantised type.
    unsafe tk_matmul(out, x, prepared, weights, type, rows, columnsIn, columnsOut, first, count)
  }

  /// Slices of `matmulSlice` should start at multiples of this many columns, which are whole tiles. A ragged slice is right, but repeats or
  /// wastes lanes; slices below 16 columns are slow.
  package static func matmulSliceGranularity(type: UInt32, rows: Int) -> Int {
    return Int(tk_level()) == TK_LEVEL_AVX2 ? 16 : 32
  }

  #if OpenBLAS
    /// Where OpenBLAS 0.3.21 overtakes our f32 kernel. Measured on one core (K 384...1536, N 384...2048, GFLOP/s of OpenBLAS and
    /// ours at 8, 64 and 256 rows): AVX2 31 40, 65 60, 70 60; AVX-512 33 50, 85 90, 100 90.
    private static var openBLASRowCountMin: Int {
      switch Int(tk_level()) {
      case TK_LEVEL_PORTABLE: 4
      case TK_LEVEL_AVX2: 64
      default: 256
      }
    }

    /// OpenBLAS rounds by the shape that it is given, so products that it may do are cut alike whatever the number of threads.
    static func mayUseOpenBLAS(type: UInt32, rows: Int) -> Bool {
      type == UInt32(TK_TYPE_F32) && rows >= openBLASRowCountMin && bindery_openblas_is_available()
    }

    private static func isForOpenBLAS(type: UInt32, rows: Int, columnsIn: Int, columnsOut: Int, count: Int) -> Bool {
      mayUseOpenBLAS(type: type, rows: rows) && count >= 16 && columnsIn >= 16 && max(rows, columnsIn, columnsOut) <= Int(Int32.max)
    }
  #else
    static func mayUseOpenBLAS(type: UInt32, rows: Int) -> Bool { false }
  #endif

  /// OpenBLAS starts a thread for each processor when it is loaded, and they spin for a tenth of a second. This keeps it from that, unless the
  /// environment says otherwise. For the start of a program, before it has threads: it changes the environment.
  package static func startNoOpenBLASThreads() {
    #if OpenBLAS
      bindery_openblas_start_no_threads()
    #endif
  }
}
