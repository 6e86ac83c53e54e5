import CPlatform
import WasmRuntime

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

// Reading and writing, straight to and from the pages of the guest. A transfer may be as long as the guest likes, and no longer
// than a piece without a look at its deadline.
extension WASI {
  /// What one call of the system moves of a regular file: about a millisecond's worth.
  private static let filePieceByteCount = 1 << 20
  /// Of everything else: a pipe that is ready takes this much without waiting.
  private static let streamPieceByteCount = 4096

  /// readv or preadv.
  func descriptorRead(_ call: GuestCall, isPositioned: Bool) throws {
    let descriptor = try descriptors.descriptor(call.u32(0))
    try descriptor.require(isPositioned ? [.read, .seek] : .read)
    guard descriptor.type != .directory else { throw WASIErrno.isDirectory }
    let result = call.address(isPositioned ? 4 : 3)
    try call.checkWritable(result, byteCount: 4)
    var transfer = unsafe Transfer(try call.vectors(1, writable: true), offset: isPositioned ? try Self.offset(call.u64(3)) : nil)
    if descriptor.type == .regularFile || isPositioned {
      try unsafe transfer.run(pieceByteCount: Self.filePieceByteCount, call) { vectors, offset in
        // SAFETY: every vector was checked to be writable in the guest's memory; no page state changes during the call.
        unsafe bindery_read_vectors(descriptor.host, vectors.baseAddress, vectors.count, offset)
      }
    } else {
      // What is there, once: more would have to be waited for.
      try waitUntilReady(descriptor, events: CInt(POLLIN), call)
      try unsafe transfer.runOnce(pieceByteCount: Self.filePieceByteCount) { vectors, offset in
        // SAFETY: as above.
        unsafe bindery_read_vectors(descriptor.host, vectors.baseAddress, vectors.count, offset)
      }
    }
    try call.store(UInt32(transfer.doneByteCount), at: result)
  }

  /// writev or pwritev.
  func descriptorWrite(_ call: GuestCall, isPositioned: Bool) throws {
    let descriptor = try descriptors.descriptor(call.u32(0))
    try descriptor.require(isPositioned ? [.write, .seek] : .write)
    guard descriptor.type != .directory else { throw WASIErrno.isDirectory }
    let result = call.address(isPositioned ? 4 : 3)
    try call.checkWritable(result, byteCount: 4)
    var transfer = unsafe Transfer(try call.vectors(1, writable: false), offset: isPositioned ? try Self.offset(call.u64(3)) : nil)
    if descriptor.type == .regularFile || isPositioned {
      try unsafe transfer.run(pieceByteCount: Self.filePieceByteCount, call) { vectors, offset in
        // SAFETY: every vector was checked to be readable in the guest's memory; no page state changes during the call.
        unsafe bindery_write_vectors(descriptor.host, vectors.baseAddress, vectors.count, offset)
      }
    } else {
      let isWaiting = try Self.waits(descriptor)
      try unsafe transfer.run(pieceByteCount: Self.streamPieceByteCount, call) { vectors, offset in
        if isWaiting { try waitUntilReady(descriptor, events: CInt(POLLOUT), call) }
        if descriptor.filter != nil { return unsafe Self.writeFiltered(vectors, to: descriptor) }
        // SAFETY: as above.
        return unsafe bindery_write_vectors(descriptor.host, vectors.baseAddress, vectors.count, offset)
      }
    }
    // What a truncated bound file gave is not to be taken for its bytes.
    try call.memory.checkNotLost()
    try call.store(UInt32(transfer.doneByteCount), at: result)
  }

  /// Writes the bytes of the vectors, at most a piece, to a terminal that must not obey them.
  /// - Returns: how many bytes of the guest's were taken, or the negative errno.
  private static func writeFiltered(_ vectors: UnsafeBufferPointer<iovec>, to descriptor: Descriptor) -> Int {
    var bytes: [UInt8] = []
    for unsafe vector in unsafe vectors {
      // SAFETY: every vector was checked to be readable in the guest's memory.
      unsafe bytes.append(contentsOf: UnsafeRawBufferPointer(start: vector.iov_base, count: vector.iov_len))
    }
    let shown = descriptor.filter?.filter(bytes) ?? bytes
    // SAFETY: the bytes live for the call.
    let failure = unsafe shown.withUnsafeBytes { unsafe bindery_descriptor_write(descriptor.host, $0.baseAddress, $0.count) }
    return failure == 0 ? bytes.count : -Int(failure)
  }

  static func offset(_ value: UInt64) throws(WASIErrno) -> Int64 {
    guard let offset = Int64(exactly: value) else { throw .invalid }
    return offset
  }
}

/// A vectored read or write on its way, piece by piece.
@safe
private struct Transfer {
  private var vectors: [iovec]
  /// The first vector that is not done.
  private var index = 0
  /// Where in a file; nil: where its position is.
  private var offset: Int64?
  private(set) var doneByteCount = 0

  init(_ vectors: [iovec], offset: Int64?) {
    unsafe self.vectors = vectors
    self.offset = offset
  }

  /// Moves piece after piece until all is done, one is short, or the guest's time is over. A failure after the first piece is
  /// left for the next call to find, as the system does.
  mutating func run(
    pieceByteCount: Int, _ call: GuestCall, _ move: (UnsafeBufferPointer<iovec>, Int64) throws -> Int
  ) throws {
    repeat {
      try call.store.checkInterrupt()
      guard try unsafe runOnce(pieceByteCount: pieceByteCount, move) else { return }
    } while unsafe index < vectors.count
  }

  /// - Parameter move: is given vectors of the piece and an offset (-1: none), and returns a count or the negative errno.
  /// - Returns: whether the whole piece was moved.
  @discardableResult
  mutating func runOnce(pieceByteCount: Int, _ move: (UnsafeBufferPointer<iovec>, Int64) throws -> Int) throws -> Bool {
    var piece: [iovec] = unsafe []
    var wanted = 0
    var next = index
    // The results of 32 bits hold no more.
    let byteCountMax = min(pieceByteCount, Int(UInt32.max) - doneByteCount)
    while unsafe next < vectors.count, wanted < byteCountMax {
      var vector = unsafe vectors[next]
      unsafe vector.iov_len = min(vector.iov_len, byteCountMax - wanted)
      unsafe piece.append(vector)
      unsafe wanted += vector.iov_len
      next += 1
    }
    // SAFETY: the piece lives for the call.
    let count = try unsafe piece.withUnsafeBufferPointer { try unsafe move($0, offset ?? -1) }
    if count < 0 {
      if doneByteCount > 0 { return false }
      throw WASIErrno(host: CInt(-count))
    }
    doneByteCount += count
    if let start = offset {
      let (end, overflow) = start.addingReportingOverflow(Int64(count))
      offset = end
      if overflow { return false }
    }
    advance(count)
    return count == wanted && wanted > 0 && doneByteCount < Int(UInt32.max)
  }

  private mutating func advance(_ byteCount: Int) {
    var rest = byteCount
    while unsafe index < vectors.count {
      let length = unsafe vectors[index].iov_len
      guard rest >= length else { break }
      rest -= length
      index += 1
    }
    if rest > 0 {
      // SAFETY: fewer bytes than the vector has.
      unsafe vectors[index].iov_base = vectors[index].iov_base.map { unsafe $0 + rest }
      unsafe vectors[index].iov_len -= rest
    }
  }
}
