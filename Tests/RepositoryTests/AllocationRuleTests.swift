import Foundation
import Testing
import _TestSupport

/// An array or a buffer that the system has no memory for ends the process. Where its size comes from a stranger, it must be charged first, or
/// taken with `malloc`, whose failure is seen. `Data/allocations.txt` lists every other place with the reason why its size is harmless.
@Suite("Allocations that end the process")
struct AllocationRuleTests {
  /// Rooms that no stranger's number reaches.
  private static let otherRooms: Set = ["Benchmarking", "BinderyCommand", "Charts", "InstructionDescription", "WasmScripts"]

  /// Whether a line of Swift takes memory of a size in a form that cannot fail.
  static func allocates(_ line: Substring) -> Bool {
    // Most lines need no regular expression, which is slow here, and cannot be kept: it is not Sendable.
    guard ["repeating: ", ".allocate(", "reserveCapacity(", "unsafeUninitializedCapacity:"].contains(where: { line.contains($0) }) else { return false }
    let form = /\(repeating: [^)]*count:|\.allocate\((capacity|byteCount):|reserveCapacity\(|unsafeUninitializedCapacity:/
    let code = line.firstRange(of: "//").map { line[..<$0.lowerBound] } ?? line
    return code.contains(form)
  }

  @Test("the forms are found in code, and not in comments")
  func forms() {
    for line in [
      "let a = [UInt8](repeating: 0, count: n)", "pointer = .allocate(capacity: n)", "list.reserveCapacity(n)",
      "String(unsafeUninitializedCapacity: n) { _ in 0 }", "UnsafeMutableRawPointer.allocate(byteCount: n, alignment: 1)",
    ] { #expect(Self.allocates(line[...]), "\(line)") }
    for line in ["// list.reserveCapacity(n)", "let memory = malloc(n)", "values.initialize(repeating: nil)"] {
      #expect(!Self.allocates(line[...]), "\(line)")
    }
  }

  @Test("every one is listed with the reason why its size is harmless")
  func allocationsAreListed() throws {
    var listed: [String: Int] = [:]
    let list = try String(contentsOf: Repository.path("Tests/RepositoryTests/Data/allocations.txt"), encoding: .utf8)
    for line in list.split(separator: "\n") where !line.hasPrefix("#") {
      let fields = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
      guard fields.count == 3, let count = Int(fields[1]), !fields[2].isEmpty else {
        Issue.record("expected 'file | number | reason': \(line)")
        continue
      }
      listed[fields[0]] = count
    }
    for file in try SourceTree.files(under: "Sources", extensions: ["swift"]) {
      let path = String(SourceTree.relative(file).dropFirst("Sources/".count))
      guard let room = path.split(separator: "/").first, !Self.otherRooms.contains(String(room)) else { continue }
      let text = try SourceTree.text(file)
      guard !SourceTree.isGenerated(text) else { continue }
      let count = text.split(separator: "\n").count { Self.allocates($0) }
      let expected = listed.removeValue(forKey: path) ?? 0
      #expect(
        count == expected,
        """
        \(path) has \(count) allocations that end the process where there is no memory, allocations.txt says \(expected): charge the size and \
        allocate so that failure is seen, or list the file with the reason why no stranger chooses the size
        """)
    }
    #expect(listed.isEmpty, "files that are listed and not there: \(listed.keys.sorted())")
  }
}
