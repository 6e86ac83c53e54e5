import Charts
import Foundation
import Tensors

/// The other side of binding: what it costs to *use* weights, by the kind of pages that hold them. Pages of a file against anonymous
/// and huge pages; what the alignment to 2 MiB, the folios of the page cache and advice to the system give.
///
/// Each kind is measured in a process of its own, in turns; figures are medians over rounds. Within a round, what happens once (getting
/// ready, the first product) is measured once, and of what can be repeated (later products, passes, loads) the best counts.
public struct PageBenchmark: Sendable {
  public struct Result: Codable, Sendable {
    let kind: PageKind
    let title: String
    let explanation: String
    /// Why this is not what the kind says, on this machine; nil if it is.
    var shortfall: String?
    let readySeconds: Double
    let copiedBytes: UInt64
    /// Page faults until the guest is ready, and during the first product.
    let readyFaultCount: Int
    let firstProductFaultCount: Int
    /// A product of all weights (Q8_0) with one vector by the native kernel: the first, and those after it.
    let firstProductSeconds: Double
    let productSeconds: Double
    let productGigabytesPerSecond: Double
    /// A sum over all weights by a guest in the interpreter.
    let sumGigabytesPerSecond: Double
    /// Dequantising a random row of 2176 bytes, native.
    let rowNanoseconds: Double
    /// Loads at random places, each of which waits for the one before, by the bytes they go over.
    let walks: [Walk]
    /// What was added to the process in the end.
    let added: ProcessProbe

    struct Walk: Codable, Sendable {
      let byteCount: Int
      let nanosecondsPerLoad: Double
    }
  }

  public struct Report: Codable, Sendable {
    public let fileBytes: Int
    public let results: [Result]
  }

  let byteCount: Int
  let rounds: Int
  let folder: String
  let workerArguments: [String]
  let progress: @Sendable (String) -> Void

  public func run() throws -> Report {
    var state: UInt32 = 2_463_534_242
    let floats = (0..<(32 * PageWorker.columnCount)).map { _ -> Float in
      state ^= state << 13
      state ^= state >> 17
      state ^= state << 5
      return Float(Int32(bitPattern: state)) / 2_147_483_648
    }
    let weights = try BlockEncoding.encode(floats, as: PageWorker.elementType)
    let large = 2 << 20
    func file(_ piece: Int) throws -> WeightFile {
      try WeightFile(byteCount: byteCount, folder: folder, isSparse: false, contents: weights, pieceByteCount: piece)
    }
    let (written, small, reread) = (try file(large), try file(4096), try file(large))

    var measured: [PageKind: [PageWorker.Response]] = [:]
    for round in 1...rounds {
      for kind in PageKind.allCases where !exceedsMemory(kind) {
        progress("pages: \(kind.title), round \(round) of \(rounds)")
        let file: WeightFile
        switch kind {
        case .anonymousSmall, .anonymousHuge, .fileHuge, .fileShifted: file = written
        case .fileSmall, .fileSmallPopulated: file = small
        case .fileReread, .cold, .coldHuge, .coldWillNeed: file = reread
        }
        if kind.isCold || kind == .fileReread { file.evict() }
        if !kind.isCold { try file.warm() }
        let worker = try WorkerProcess(arguments: workerArguments, request: PageWorker.Request(kind: kind, path: file.path))
        measured[kind, default: []].append(try worker.response(PageWorker.Response.self))
        worker.finish()
      }
    }
    guard Set(measured.values.joined().map(\.checksum)).count <= 1 else {
      throw WorkerProcess.Failure(description: "guests that read the same weights in different kinds of pages found different bytes")
    }
    return Report(fileBytes: written.byteCount, results: PageKind.allCases.compactMap { result($0, measured[$0] ?? [], written.byteCount) })
  }

  private func exceedsMemory(_ kind: PageKind) -> Bool {
    guard kind.isAnonymous, let available = availableMemoryByteCount() else { return false }
    return byteCount > available / 10 * 8
  }

  private func result(_ kind: PageKind, _ responses: [PageWorker.Response], _ byteCount: Int) -> Result? {
    guard let first = responses.first, let added = ProcessProbe.median(responses.map(\.added)) else { return nil }
    func middle(_ figure: (PageWorker.Response) -> Double) -> Double { median(responses.map(figure)) }
    func middleCount(_ figure: (PageWorker.Response) -> Int) -> Int { Int(middle { Double(figure($0)) }) }
    let product = middle(\.productSeconds)
    return Result(
      kind: kind, title: kind.title, explanation: kind.explanation,
      shortfall: kind.shortfall(
        largePageBytes: added.largePageBytes, of: byteCount, adviceWasTaken: responses.allSatisfy(\.adviceWasTaken)),
      readySeconds: middle(\.readySeconds), copiedBytes: first.copiedBytes, readyFaultCount: middleCount(\.readyFaultCount),
      firstProductFaultCount: middleCount(\.firstProductFaultCount), firstProductSeconds: middle(\.firstProductSeconds),
      productSeconds: product, productGigabytesPerSecond: Double(first.productBytes) / product / 1e9,
      sumGigabytesPerSecond: Double(byteCount) / middle(\.sumSeconds) / 1e9, rowNanoseconds: middle(\.rowNanoseconds),
      walks: first.walks.indices.map { index in
        Result.Walk(byteCount: first.walks[index].byteCount, nanosecondsPerLoad: middle { $0.walks[index].nanoseconds })
      }, added: added)
  }
}
