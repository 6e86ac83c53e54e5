import CAllocationCounter
import Foundation
import Testing
import _TestSupport

/// The gates on allocations hold nothing unless the counter counts. So it is shown known numbers.
@Suite("The counter of allocations")
struct ThreadCountsTests {
  private final class Node {
    var value: Int
    init(_ value: Int) { self.value = value }
  }

  /// Keeps the optimiser from leaving out what it could see is not used.
  @inline(never) private static func use<T>(_ value: T) { withExtendedLifetime(value) {} }

  @Test("where nothing is counted, that is said")
  func obstacle() {
    #if os(Linux) && !DEBUG
      // SAFETY: only compared with nil.
      let isSanitized = unsafe allocation_counter_obstacle() != nil
      #expect(isSanitized || ThreadCounts.areCounted)
    #endif
    if let obstacle = ThreadCounts.obstacle { print("Allocations are not counted: \(obstacle).") }
  }

  @Test("objects, arrays, aligned memory and releases are counted one by one", .enabled(if: ThreadCounts.areCounted))
  func knownNumbers() throws {
    let (objects, nodes) = ThreadCounts.of {
      var nodes: [Node] = []
      nodes.reserveCapacity(1000)
      for index in 0..<1000 { nodes.append(Node(index)) }
      return nodes
    }
    #expect(objects.allocations == 1001, "1000 objects and the array that holds them")
    #expect(objects.releases == 0)
    // 16 bytes of header and 8 of value an object, 8 a reference: what the C library adds is not asked for.
    #expect(objects.allocatedBytes >= 1000 * (24 + 8) && objects.allocatedBytes < 1000 * (48 + 16))
    Self.use(nodes)

    var list: [Node]? = nodes
    _ = consume nodes
    let (release, _) = ThreadCounts.of { list = nil }
    #expect(release.releases == 1001 && release.allocations == 0)
    Self.use(list)

    let (arrays, _) = ThreadCounts.of { for count in 1...100 { Self.use([UInt8](repeating: 1, count: count)) } }
    #expect(arrays.allocations == 100 && arrays.releases == 100)

    let (aligned, _) = ThreadCounts.of {
      for _ in 0..<10 {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: 4096, alignment: 4096)
        // SAFETY: allocated above, used by nobody else.
        unsafe memory.storeBytes(of: 1, as: UInt8.self)
        unsafe Self.use(memory)
        unsafe memory.deallocate()
      }
    }
    #expect(aligned.allocations == 10 && aligned.releases == 10 && aligned.allocatedBytes >= 40960)

    // calloc, and realloc, which is one more allocation and one release.
    // SAFETY: what is allocated is what is grown, and then freed, once.
    let (grown, memory) = unsafe ThreadCounts.of { unsafe realloc(calloc(10, 10), 1 << 20) }
    let (freed, _) = ThreadCounts.of { unsafe free(memory) }
    #expect(grown.allocations == 2 && grown.releases == 1 && grown.allocatedBytes == 100 + 1 << 20)
    #expect(freed.allocations == 0 && freed.releases == 1)

    let (nothing, _) = ThreadCounts.of { Self.use(0) }
    #expect(nothing.allocations == 0 && nothing.releases == 0 && nothing.pageCalls == 0)
  }

  @Test("what other threads allocate does not count", .enabled(if: ThreadCounts.areCounted))
  func otherThreads() {
    let (go, done) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
    Thread.detachNewThread {
      go.wait()
      var nodes: [Node] = []
      for count in 0..<10_000 { nodes.append(Node(count)) }
      Self.use(nodes)
      done.signal()
    }
    let (counts, _) = ThreadCounts.of {
      go.signal()
      done.wait()
    }
    #expect(counts.allocations == 0, "\(counts)")
  }

  @Test("steady counts leave out the first time, and nothing else", .enabled(if: ThreadCounts.areCounted))
  func steady() {
    var nodes: [Node] = []
    let counts = ThreadCounts.steady(count: 50) {
      if nodes.isEmpty { nodes = (0..<100).map(Node.init) }
      nodes[0] = Node(nodes.count)
    }
    #expect(counts.allocations == 50 && counts.releases == 50)
  }

  @Test("every recorded count has its test")
  func noStaleCounts() throws {
    let sources = try SourceTree.files(under: "Tests", extensions: ["swift"]).map(SourceTree.text).joined()
    for name in try RecordedCounts.names() where !sources.contains("\"\(name)\"") {
      Issue.record("\(name): no test counts this any more; take it out of Tests/Fixtures/counts.json")
    }
  }
}
