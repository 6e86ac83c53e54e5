import Foundation
import Testing
import WebAssembly
import WebAssemblyText
import _TestSupport

/// The official suite's scripts as text, held against the same scripts as another tool translated them.
@Suite("The text format on the official suite")
struct SuiteTextTests {
  static let suite = Repository.sharedPath("conformance/wasm-suite")

  static let scripts: [String] = {
    guard let suite, let walker = FileManager.default.enumerator(atPath: suite.path) else { return [] }
    return walker.compactMap { $0 as? String }.filter { $0.hasSuffix(".wast") }.sorted()
  }()

  /// The modules of the JSON form, in the order of the script: binaries, or nil for quoted text.
  static func expectedModules(_ script: String) throws -> [(line: Int, bytes: [UInt8]?)] {
    let base = try #require(suite).appending(path: "json/\(script.dropLast(5))")
    guard let json = try? Data(contentsOf: base.appendingPathExtension("json")) else { return [] }
    let bin = [UInt8](try Data(contentsOf: base.appendingPathExtension("bin")))
    let object = try #require(try JSONSerialization.jsonObject(with: json) as? [String: Any])
    let commands = try #require(object["commands"] as? [[String: Any]])
    return commands.compactMap { command in
      guard let line = command["line"] as? Int, let offset = command["offset"] as? Int, let size = command["size"] as? Int else {
        return nil
      }
      return (line, command["module_type"] as? String == "text" ? nil : Array(bin[offset..<(offset + size)]))
    }
  }

  /// A binary without its custom sections; all of it where it is not a sequence of sections.
  static func withoutCustomSections(_ bytes: [UInt8]) -> [UInt8] {
    guard bytes.count >= 8 else { return bytes }
    var result = Array(bytes[..<8])
    var index = 8
    while index < bytes.count {
      let start = index
      index += 1
      var size = 0
      var shift = 0
      while index < bytes.count {
        let byte = bytes[index]
        index += 1
        size |= Int(byte & 0x7F) << shift
        shift += 7
        if byte & 0x80 == 0 || shift > 28 { break }
      }
      guard index + size <= bytes.count else { return bytes }
      index += size
      if bytes[start] != 0 { result += bytes[start..<index] }
    }
    return result
  }

  static func modules(_ commands: [ScriptCommand]) -> [(line: Int, module: ScriptModule)] {
    commands.flatMap { command -> [(line: Int, module: ScriptModule)] in
      switch command.kind {
      case .module(let module), .definition(let module), .assertMalformed(let module, _), .assertInvalid(let module, _),
        .assertUnlinkable(let module, _), .assertUninstantiable(let module, _):
        [(command.line, module)]
      case .thread(_, _, let nested): modules(nested)
      default: []
      }
    }
  }

  @Test("text modules become the bytes that another translator gives", arguments: scripts)
  func modulesAgree(script: String) throws {
    let expected = try Self.expectedModules(script)
    guard !expected.isEmpty, !script.hasPrefix("threads/") else { return }
    let text = [UInt8](try Data(contentsOf: try #require(Self.suite).appending(path: script)))
    let modules = Self.modules(try WebAssemblyText.script(text).commands)
    #expect(modules.count == expected.count)
    for (ours, theirs) in zip(modules, expected) {
      guard case .binary(let bytes) = ours.module.form, let other = theirs.bytes else { continue }
      if bytes == other { continue }
      #expect(
        Self.withoutCustomSections(bytes) == Self.withoutCustomSections(other), "module of line \(ours.line) (\(theirs.line))")
    }
  }

  /// The suite is of two minds about limits beyond the address type: the core scripts call them invalid, one script of the
  /// threads proposal malformed. For us they are well-formed and invalid.
  static func isInvalidRather(_ script: String, _ message: String) -> Bool {
    script == "threads/memory-shared.wast" && message == "i32 constant out of range"
  }

  @Test("quoted texts are refused with the suite's words", arguments: scripts)
  func quotedTexts(script: String) throws {
    let text = [UInt8](try Data(contentsOf: try #require(Self.suite).appending(path: script)))
    for command in try WebAssemblyText.script(text).commands {
      switch command.kind {
      case .assertMalformed(let module, let message):
        guard case .text(let quoted) = module.form, !Self.isInvalidRather(script, message) else { continue }
        do throws(TextFormatError) {
          _ = try WebAssemblyText.binary(of: quoted)
          Issue.record("\(script):\(command.line): accepted; expected \(message)")
        } catch {
          #expect(error.message.hasPrefix(message), "\(script):\(command.line)")
        }
      case .module(let module):
        guard case .text(let quoted) = module.form else { continue }
        _ = try WebAssemblyText.binary(of: quoted)
      default: break
      }
    }
  }
}
