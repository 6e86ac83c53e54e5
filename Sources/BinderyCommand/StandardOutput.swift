import BinaryReading
import Bindery
import Foundation
import Synchronization
import SystemFiles

// The two streams of the command. Nothing else in this room writes to them: a result that does not arrive is a failure, and no
// failure of a write may end the process by itself.

/// Writes text to standard output at once: generated text must not wait in a buffer.
/// - Throws: where it does not arrive. A reader that has left (`| head`) is no reason for a sentence.
func standardOutput(_ text: String) throws(CommandFailure) { try standardOutput(Array(text.utf8)) }

func standardOutput(_ bytes: [UInt8]) throws(CommandFailure) {
  do { try StandardStream.output.write(bytes) } catch { throw CommandFailure(error) }
}

/// Writes text to standard error at once, with control characters escaped: messages quote files, guests and requests. What does not arrive is remembered: a command that succeeds otherwise ends with status 1
/// then, as other tools do, for want of a place to say why.
func standardError(_ text: String) { terminalControl(text.escapedForTerminal(keepingLines: true)) }

/// The same for a process that was stopped by a signal or a time limit, which ends even where nobody reads.
func lastWords(_ text: String) { StandardStream.error.writeBriefly(Array(text.escapedForTerminal(keepingLines: true).utf8)) }

/// Writes text to standard error that a terminal is to obey.
func terminalControl(_ text: String) {
  do { try StandardStream.error.write(Array(text.utf8)) } catch { isStandardErrorBroken.store(true, ordering: .relaxed) }
}

/// Whether anything that was written to standard error did not arrive.
let isStandardErrorBroken = Atomic(false)

extension CommandFailure {
  init(_ error: SystemFileError) {
    self.init(error.description)
    isQuiet = error.isBrokenPipe
  }
}

/// Text that is streamed from callbacks that cannot throw: after the first failure nothing is written any more, and `stop` is
/// called once.
final class StreamedOutput: Sendable {
  private let failure = Mutex<CommandFailure?>(nil)
  private let stop: @Sendable () -> Void
  /// A model's text is a stranger's: on a terminal its control characters are shown, not obeyed.
  private let isEscaped = StandardStream.output.isTerminal

  init(stop: @escaping @Sendable () -> Void) { self.stop = stop }

  func write(_ text: String) {
    guard failure.withLock({ $0 == nil }) else { return }
    do { try standardOutput(isEscaped ? text.escapedForTerminal(keepingLines: true) : text) } catch {
      failure.withLock { $0 = error }
      stop()
    }
  }

  /// - Throws: what went wrong meanwhile.
  func check() throws(CommandFailure) {
    if let failure = failure.withLock({ $0 }) { throw failure }
  }
}

/// Prints one JSON object on standard output, keys in snake case.
/// - Parameter keysAsTheyAre: for objects whose keys are data (the keys of metadata), where only our own are to be changed.
func printJSON(_ value: some Encodable, keysAsTheyAre: Bool = false) throws {
  try standardOutput(try jsonText(value, keysAsTheyAre: keysAsTheyAre) + "\n")
}

/// The same for an object with a member that is too long to be held as text: what `body` writes follows the others, under a key that comes
/// behind theirs.
func printJSON(_ value: some Encodable, streaming key: String, _ body: (_ write: (String) throws -> Void) throws -> Void) throws {
  let text = try jsonText(value, keysAsTheyAre: false)
  precondition(text.hasSuffix("}") && text.utf8.count > 2, "an object with members")
  var buffer = text.dropLast() + ",\"\(key)\":"
  func write(_ part: String) throws {
    buffer += part
    guard buffer.utf8.count >= 1 << 16 else { return }
    try standardOutput(String(buffer))
    buffer = ""
  }
  try body(write)
  try standardOutput(buffer + "}\n")
}

/// A number as JSON has it, or a text where it has none.
func jsonText(of number: some BinaryFloatingPoint & CustomStringConvertible) -> String {
  number.isFinite ? number.description : "\"\(number.isNaN ? "nan" : number.description)\""
}

private func jsonText(_ value: some Encodable, keysAsTheyAre: Bool) throws -> String {
  let encoder = JSONEncoder()
  // JSON has no such numbers: they are texts, as in the results of `exec`.
  encoder.nonConformingFloatEncodingStrategy = .convertToString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
  encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  encoder.keyEncodingStrategy = .custom { path in
    // The keys of dictionaries are data.
    let key = path[path.count - 1]
    return keysAsTheyAre && path.count == 2 && path[0].stringValue == "metadata" ? key : SnakeCaseKey(key.stringValue)
  }
  return escapedJSON(try encoder.encode(value))
}

/// JSON in which every character that a terminal or an editor may obey is written as a number. (The encoder does so for those
/// below U+0020; they, and these, are only found in strings.)
private func escapedJSON(_ json: Data) -> String {
  let text = String(decoding: json, as: UTF8.self)
  if text.utf8.allSatisfy({ $0 < 0x7F }) { return text }
  var result = String.UnicodeScalarView()
  for scalar in text.unicodeScalars {
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator:
      for unit in String(scalar).utf16 {
        let digits = String(unit, radix: 16)
        result.append(contentsOf: ("\\u" + String(repeating: "0", count: 4 - digits.count) + digits).unicodeScalars)
      }
    default: result.append(scalar)
    }
  }
  return String(result)
}

/// `tokenCount` as `token_count`.
private struct SnakeCaseKey: CodingKey {
  let stringValue: String
  var intValue: Int? { nil }

  init(_ name: String) { stringValue = name.map { $0.isUppercase ? "_" + $0.lowercased() : String($0) }.joined() }
  init?(stringValue: String) { self.init(stringValue) }
  init?(intValue: Int) { nil }
}

// MARK: Files

/// Writes a result to a file that is there whole or not at all.
func writeFile(_ bytes: [UInt8], to path: String) throws(CommandFailure) {
  do throws(SystemFileError) {
    let file = try OutputFile(SystemString(path))
    try file.write(bytes)
    try file.commit()
  } catch { throw CommandFailure(error) }
}

/// Reads a file whole: a regular one, a pipe (`<(...)`), or standard input for `-`.
/// - Parameters:
///   - byteCountMax: no file may be longer.
///   - isStopped: asked while nothing comes.
func readBytes(
  _ path: SystemString, byteCountMax: Int = 1 << 30, isStopped: () -> Bool = { false }
) throws(CommandFailure) -> [UInt8] {
  do throws(SystemFileError) {
    return path == "-"
      ? try InputFile.readStandardInput(byteCountMax: byteCountMax, isStopped: isStopped)
      : try InputFile.read(path, byteCountMax: byteCountMax, isStopped: isStopped)
  } catch { throw CommandFailure(error) }
}

func readBytes(_ path: String, byteCountMax: Int = 1 << 30) throws(CommandFailure) -> [UInt8] {
  try readBytes(SystemString(path), byteCountMax: byteCountMax)
}

/// Reads a text file, a pipe, or standard input for `-`.
func readText(_ path: String, isStopped: () -> Bool = { false }) throws(CommandFailure) -> String {
  // Longer texts have more tokens than any context holds.
  let bytes = try readBytes(SystemString(path), byteCountMax: 1 << 28, isStopped: isStopped)
  guard let text = String(validating: bytes, as: UTF8.self) else {
    throw CommandFailure("\(path == "-" ? StandardStream.input.name : "'\(path)'") is not text in UTF-8")
  }
  return text
}
