import Foundation
import TensorOperations
import Tensors
import VirtualMemory
import WasmRuntime
import WebAssembly
import WebAssemblyText

/// The part of the measurement of page kinds that runs in a process of its own: weights in one kind of pages, gone through by a kernel,
/// by a guest in order, and by a guest at random.
enum PageWorker {
  struct Request: Codable, Sendable {
    var kind: PageKind
    var path: String
  }

  /// Loads that depend on each other, at random places of the first `byteCount` bytes.
  struct Walk: Codable, Sendable {
    var byteCount: Int
    var nanoseconds: Double
  }

  struct Response: Codable, Sendable {
    var adviceWasTaken = true
    var readySeconds: Double
    var copiedBytes: UInt64
    var readyFaultCount: Int
    var firstProductSeconds: Double
    var firstProductFaultCount: Int
    var productSeconds: Double
    var productBytes: Int
    var sumSeconds: Double
    var rowNanoseconds: Double
    var walks: [Walk]
    /// Of the weights and what the guest read: alike for all kinds.
    var checksum: UInt64
    var added: ProcessProbe
  }

  /// Columns of the matrix of weights, Q8_0: rows of 2176 bytes.
  static let columnCount = 2048
  static let elementType = ElementType.q8_0
  static var rowByteCount: Int { columnCount / elementType.blockElementCount * elementType.blockByteCount }

  static func run(_ request: Request) throws -> Response {
    let kind = request.kind
    // All that is not the weights comes before the first probe.
    let engine = Engine()
    let module = try CompiledModule(engine: engine, bytes: try WebAssemblyText.binary(of: Array(text(kind).utf8)))
    if kind.isAnonymous { try primeMemory(byteCount: RegularFile(path: request.path).byteCount) }
    let before = try ProcessProbe.now()

    var adviceWasTaken = true
    var copied: UInt64 = 0
    let (ready, (memory, instance, byteCount)) = try seconds {
      let file = try RegularFile(path: request.path)
      let pageCount = (file.byteCount + kind.address + 0xFFFF) >> 16
      let memory = try Memory(
        type: MemoryType(
          addressType: .i64, limits: Limits(minimum: pageCount, maximum: pageCount),
          attributes: MemoryAttributes(isVirtual: !kind.isAnonymous)))
      var imports = Imports()
      imports.define(module: "bench", name: "weights", .memory(memory))
      let instance = try Instance(store: Store(engine: engine), module: module, imports: imports)
      func advise(_ advice: MemoryAdvice) throws {
        adviceWasTaken = try memory.advise(advice, address: kind.address, byteCount: file.byteCount)
      }
      if kind.isAnonymous {
        try advise(kind == .anonymousHuge ? .hugePages : .noHugePages)
        try memory.readFile(FileRegion(file), at: 0)
        copied = file.byteCount
      } else {
        try memory.bind(file, at: kind.address)
        copied = memory.copiedByteCount
        switch kind {
        case .coldHuge: try advise(.hugePages)
        case .coldWillNeed: try advise(.willNeed)
        case .fileSmallPopulated: try advise(.populateRead)
        default: break
        }
      }
      return (memory, instance, Int(file.byteCount))
    }
    let atReady = try ProcessProbe.now()

    let stage = try PageStage(weights: memory, address: kind.address, byteCount: byteCount)
    let atStage = try ProcessProbe.now()
    let (firstProduct, _) = try seconds { try stage.multiply() }
    let atFirst = try ProcessProbe.now()

    // From here on nothing is new to the process: of short runs the best, which the rest of the machine disturbs least.
    let start = kind.address
    var checksum: UInt64 = 0
    let product = try best(of: 8) { try stage.multiply() }
    let sum = try best(of: 3) { checksum = try call(instance, "sum", [.i64(start), .i64(start + UInt64(byteCount))]) }
    let rows = try best(of: 3) { try stage.gatherRandomRows() } / Double(stage.gatheredRowCount) * 1e9
    var walks: [Walk] = []
    let largest = Int.bitWidth - 1 - byteCount.leadingZeroBitCount
    for log2 in Array(stride(from: 18, to: largest, by: 2)) + [largest] {
      let (span, count) = (1 << log2, 200_000)
      let arguments: [Value] = [.i64(start), .i64(UInt64(span - 64)), .i64(UInt64(count))]
      checksum &+= try call(instance, "walk", arguments)
      let time = try best(of: 3) { _ = try call(instance, "walk", arguments) }
      walks.append(Walk(byteCount: span, nanoseconds: time / Double(count) * 1e9))
    }
    let added = try ProcessProbe.now() - before
    return Response(
      adviceWasTaken: adviceWasTaken, readySeconds: ready, copiedBytes: copied, readyFaultCount: (atReady - before).faultCount,
      firstProductSeconds: firstProduct, firstProductFaultCount: (atFirst - atStage).faultCount, productSeconds: product,
      productBytes: stage.productByteCount, sumSeconds: sum, rowNanoseconds: rows, walks: walks, checksum: checksum, added: added)
  }

  private static func best(of count: Int, _ body: () throws -> Void) rethrows -> Double {
    var least = Double.infinity
    for _ in 0..<count { least = min(least, try seconds(body).seconds) }
    return least
  }

  private static func call(_ instance: Instance, _ name: String, _ arguments: [Value]) throws -> UInt64 {
    guard let function = instance.function(name) else { preconditionFailure("the guest below exports '\(name)'") }
    guard case .i64(let result) = try function(arguments).first else { return 0 }
    return result
  }

  /// `walk` goes to a place that follows from the bytes at the last one, so that no two loads overlap; each starts a line of the cache.
  private static func text(_ kind: PageKind) -> String {
    """
    (module
      (import "bench" "weights" (memory i64 \(kind.isAnonymous ? "" : "virtual") 0 16777216))
      (func (export "sum") (param $at i64) (param $end i64) (result i64)
        (local $a v128) (local $b v128) (local $c v128) (local $d v128)
        loop $next
          (local.set $a (i32x4.add (local.get $a) (v128.load (local.get $at))))
          (local.set $b (i32x4.add (local.get $b) (v128.load offset=16 (local.get $at))))
          (local.set $c (i32x4.add (local.get $c) (v128.load offset=32 (local.get $at))))
          (local.set $d (i32x4.add (local.get $d) (v128.load offset=48 (local.get $at))))
          (br_if $next (i64.lt_u (local.tee $at (i64.add (local.get $at) (i64.const 64))) (local.get $end)))
        end
        (local.set $a (i32x4.add (i32x4.add (local.get $a) (local.get $b)) (i32x4.add (local.get $c) (local.get $d))))
        (i64.add (i64x2.extract_lane 0 (local.get $a)) (i64x2.extract_lane 1 (local.get $a))))
      (func (export "walk") (param $start i64) (param $mask i64) (param $left i64) (result i64) (local $state i64)
        loop $next
          (local.set $state
            (i64.add
              (i64.mul (local.get $state) (i64.const 6364136223846793005))
              (i64.or
                (i64.load (i64.add (local.get $start) (i64.and (i64.shr_u (local.get $state) (i64.const 20)) (local.get $mask))))
                (i64.const 1))))
          (br_if $next (i64.ne (local.tee $left (i64.sub (local.get $left) (i64.const 1))) (i64.const 0)))
        end
        local.get $state))
    """
  }
}

/// The native kernels over weights in one kind of pages: a product of a decode step, and rows at random.
private final class PageStage {
  private let multiplication: Function
  private let rowGathering: Function
  private let productArguments: [Value]
  private let rowArguments: [[Value]]
  private let batchRowCount = 64
  /// Of all batches.
  var gatheredRowCount: Int { rowArguments.count * batchRowCount }
  /// Bytes of weights that a product goes through.
  let productByteCount: Int

  init(weights: Memory, address: UInt64, byteCount: Int) throws {
    let rowCount = byteCount / PageWorker.rowByteCount / 64 * 64
    let columnCount = PageWorker.columnCount
    let pageCount = UInt64(4 * (rowCount + columnCount + batchRowCount * columnCount) + (1 << 20)) >> 16 + 1
    let limits = Limits(minimum: pageCount, maximum: pageCount)
    let scratch = try Memory(type: MemoryType(addressType: .i64, limits: limits))
    let cache = try Memory(type: MemoryType(addressType: .i64, limits: Limits(minimum: 0, maximum: 1)))
    var imports = Imports()
    try TensorModule.define(
      in: &imports, store: Store(engine: Engine()), memories: ProgramMemories(weights: weights, cache: cache, scratch: scratch),
      provider: .native, workers: WorkerPool(threadCount: 1))
    guard case .function(let multiplication)? = imports["tensor", "matmul"], case .function(let rowGathering)? = imports["tensor", "get_rows"]
    else { preconditionFailure("the module of tensor operations defines its own operations") }
    self.multiplication = multiplication
    self.rowGathering = rowGathering
    productByteCount = rowCount * PageWorker.rowByteCount

    // Scratch: the row x, the product, row numbers, gathered rows.
    try scratch.write(elements: (0..<columnCount).map { Float($0 % 17) / 16 - 0.5 }, address: 0)
    let product = UInt64(4 * columnCount)
    let ids = product + UInt64(4 * rowCount)
    let (batchCount, batch) = (256, batchRowCount)
    var state: UInt64 = 88_172_645_463_325_252
    let numbers = (0..<(batchCount * batch)).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int32((state >> 33) % UInt64(rowCount))
    }
    try scratch.write(elements: numbers, address: ids)
    let gathered = (ids + UInt64(4 * numbers.count) + 63) & ~63
    let type = Value.i32(UInt32(PageWorker.elementType.rawValue))
    productArguments = [
      .i64(product), .i64(UInt64(0)), .i64(address), type, .i32(UInt32(1)), .i32(UInt32(columnCount)), .i32(UInt32(rowCount)),
    ]
    rowArguments = (0..<batchCount).map { index in
      [
        .i64(gathered), .i64(address), type, .i64(ids + UInt64(4 * index * batch)), .i32(UInt32(batch)), .i32(UInt32(columnCount)),
        .i32(UInt32(rowCount)),
      ]
    }
    // What the scratch memory costs is not the weights': its pages are touched here.
    try scratch.write([UInt8](repeating: 0, count: 4 * rowCount), address: product)
    try scratch.write([UInt8](repeating: 0, count: 4 * batch * columnCount), address: gathered)
  }

  /// All rows of the weights times one vector.
  func multiply() throws { _ = try multiplication(productArguments) }

  /// Dequantises rows at random, 64 a call.
  func gatherRandomRows() throws { for arguments in rowArguments { _ = try rowGathering(arguments) } }
}
