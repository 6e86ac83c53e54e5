import Foundation

/// A child process of this executable that measures and answers in JSON.
final class WorkerProcess {
  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  private let process = Process()
  private let input = Pipe()
  private let output = Pipe()
  private let errors = Pipe()
  private var received = Data()

  /// - Parameter arguments: of the executable; the request comes last.
  init(arguments: [String], request: some Encodable) throws {
    process.executableURL = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
    process.arguments = arguments + [String(decoding: try JSONEncoder().encode(request), as: UTF8.self)]
    process.standardInput = input
    process.standardOutput = output
    process.standardError = errors
    try process.run()
  }

  /// The next line that the child writes.
  func readLine() throws -> String {
    let newline = UInt8(ascii: "\n")
    while true {
      if let end = received.firstIndex(of: newline) {
        let line = String(decoding: received[..<end], as: UTF8.self)
        received = Data(received[received.index(after: end)...])
        return line
      }
      let more = output.fileHandleForReading.availableData
      guard !more.isEmpty else {
        process.waitUntilExit()
        let text = String(decoding: errors.fileHandleForReading.availableData, as: UTF8.self)
          .trimmingCharacters(in: .whitespacesAndNewlines)
        // The child is this program: its sentence is the reason.
        let reason = text.hasPrefix("bindery: ") ? String(text.dropFirst(9)) : text
        throw Failure(
          description: reason.isEmpty ? "a measuring process ended with status \(process.terminationStatus)" : reason)
      }
      received += more
    }
  }

  func response<Response: Decodable>(_ type: Response.Type) throws -> Response {
    try JSONDecoder().decode(type, from: Data(try readLine().utf8))
  }

  /// Lets a child that waits for a line go on.
  func go() throws { try input.fileHandleForWriting.write(contentsOf: Data("\n".utf8)) }

  /// Ends the child's input and waits for its end.
  func finish() {
    try? input.fileHandleForWriting.close()
    process.waitUntilExit()
  }
}
