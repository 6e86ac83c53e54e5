import Foundation
import VirtualMemory
import _TestSupport

/// The files and buffers of one host script's case.
final class HostScriptFiles {
  private enum Source {
    case file(RegularFile?, path: String, contents: [UInt8])
    case buffer(HostBuffer)
    /// Something that is no regular file.
    case other(descriptor: CInt)
  }

  private let folder: TemporaryFolder
  private var sources: [String: Source] = [:]
  private let pipe = Pipe()

  init(_ fields: HostScriptObject) throws {
    folder = try TemporaryFolder()
    guard fields.has("files") else { return }
    let files = try fields.object("files")
    for name in files.values.keys {
      switch files.values[name] {
      case "pipe" as String: sources[name] = .other(descriptor: pipe.fileHandleForReading.fileDescriptor)
      case "folder" as String: sources[name] = .other(descriptor: unsafe open(folder.url.path, O_RDONLY))
      case let buffer as [String: Any]:
        sources[name] = .buffer(try HostBuffer(byteCount: Int(HostScriptObject(buffer, name).number("buffer"))))
      default:
        let contents = Self.pattern(try files.number(name))
        let path = try folder.write(contents, to: name)
        sources[name] = .file(try RegularFile(path: path), path: path, contents: contents)
      }
    }
  }

  deinit {
    if case .other(let descriptor)? = sources["folder"] { close(descriptor) }
  }

  /// Byte i is ((31 i + i / 256) mod 256) | 1: none is zero, and pages differ.
  static func pattern(_ byteCount: UInt64) -> [UInt8] {
    (0..<Int(byteCount)).map { UInt8(truncatingIfNeeded: ($0 &* 31 &+ $0 >> 8) | 1) }
  }

  func contents(_ name: String) throws -> [UInt8] {
    guard case .file(_, _, let contents)? = sources[name] else { throw HostScriptError(description: "no file `\(name)`") }
    return contents
  }

  func buffer(_ name: String) -> HostBuffer? {
    if case .buffer(let buffer)? = sources[name] { buffer } else { nil }
  }

  /// A region of a file. Of something that is no file it cannot be made: that is the error of its binding.
  func region(_ name: String, _ fields: HostScriptObject) throws -> FileRegion {
    switch sources[name] {
    case .file(let file?, _, _)?:
      let offset = try fields.number("offset", default: 0)
      return FileRegion(file: file, offset: offset, byteCount: try fields.number("length", default: file.byteCount))
    case .other(let descriptor)?: return try FileRegion(descriptor: descriptor, offset: 0, byteCount: fields.number("length"))
    default: throw HostScriptError(description: "\(fields.place): no open file `\(name)`")
    }
  }

  func close(_ name: String) throws {
    guard case .file(_, let path, let contents)? = sources[name] else { throw HostScriptError(description: "no file `\(name)`") }
    sources[name] = .file(nil, path: path, contents: contents)
  }

  func path(_ name: String) throws -> String {
    guard case .file(_, let path, _)? = sources[name] else { throw HostScriptError(description: "no file `\(name)`") }
    return path
  }

  private func close(_ descriptor: CInt) { _ = Foundation.close(descriptor) }
}
