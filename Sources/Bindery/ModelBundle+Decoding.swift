import Foundation

/// A manifest that is JSON, but says something that it may not.
struct ManifestError: Error {
  let sentence: String
}

/// A key of any name.
private struct ManifestKey: CodingKey {
  let stringValue: String
  var intValue: Int? { nil }

  init(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { nil }
}

/// An object of a manifest, all of whose keys are known.
private struct ManifestObject {
  private let container: KeyedDecodingContainer<ManifestKey>

  init(_ decoder: any Decoder, keys: [String]) throws {
    container = try decoder.container(keyedBy: ManifestKey.self)
    for key in container.allKeys.map(\.stringValue).sorted() where !keys.contains(key) {
      throw ManifestError(
        sentence: "the key '\(key)' \(Self.place(container.codingPath)) is not known: there are \(keys.joined(separator: ", "))")
    }
  }

  func required<Value: Decodable>(_ key: String) throws -> Value {
    try container.decode(Value.self, forKey: ManifestKey(stringValue: key))
  }

  func optional<Value: Decodable>(_ key: String) throws -> Value? {
    try container.decodeIfPresent(Value.self, forKey: ManifestKey(stringValue: key))
  }

  /// A text of a certain form.
  func text(_ key: String, _ expected: String, where isRight: (String) -> Bool) throws -> String {
    let text: String = try required(key)
    guard isRight(text) else { throw wrong(key, expected, "'\(text.prefix(100))'") }
    return text
  }

  /// A number of bytes. At most 16 TiB, so that sums of them stay sums.
  func byteCount(_ key: String) throws -> Int {
    let count: Int = try required(key)
    guard (0...1 << 44).contains(count) else { throw wrong(key, "a number of bytes", "\(count)") }
    return count
  }

  func wrong(_ key: String, _ expected: String, _ found: String) -> ManifestError {
    ManifestError(sentence: "expected \(expected) for the key '\(key)' \(Self.place(container.codingPath)), found \(found)")
  }

  private static func place(_ path: [any CodingKey]) -> String {
    path.isEmpty ? "at its top level" : "at " + path.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".")
  }
}

/// What names, versions and paths must look like: nothing else reaches an installer, a shell of a script or the file system.
enum ManifestForm {
  /// PEP 508's names: letters and digits at both ends, and `.`, `-`, `_` between.
  static func isPackageName(_ text: String) -> Bool {
    text.utf8.count <= 100 && text.wholeMatch(of: /[A-Za-z0-9]([A-Za-z0-9._\-]*[A-Za-z0-9])?/) != nil
  }

  /// PEP 440's versions in their normal form.
  static func isVersion(_ text: String) -> Bool {
    let pattern =
      /([0-9]+!)?[0-9]+(\.[0-9]+)*((a|b|rc)[0-9]+)?(\.post[0-9]+)?(\.dev[0-9]+)?(\+[a-z0-9]+(\.[a-z0-9]+)*)?/
    return text.utf8.count <= 100 && text.wholeMatch(of: pattern) != nil
  }

  /// One component of a path, which hides nothing and leads nowhere else.
  static func isFileName(_ text: String) -> Bool {
    isComponent(text) && text != "bundle.json" && !text.hasPrefix(".") && !text.hasPrefix("-")
  }

  /// A path within an archive.
  static func isMember(_ text: String) -> Bool {
    text.utf8.count <= 1000 && text.split(separator: "/", omittingEmptySubsequences: false).allSatisfy { isComponent(String($0)) }
  }

  private static func isComponent(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.count <= 255 && text != "." && text != ".."
      && text.utf8.allSatisfy { (0x20..<0x7F).contains($0) && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "\\") }
  }

  static func isSHA256(_ text: String) -> Bool { text.utf8.count == 64 && text.utf8.allSatisfy { isHexDigit($0) } }

  private static func isHexDigit(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x41...0x46).contains(byte) || (0x61...0x66).contains(byte)
  }
}

extension ModelBundle.Manifest: Decodable {
  public init(from decoder: any Decoder) throws {
    let object = try ManifestObject(
      decoder, keys: ["name", "title", "family", "license", "license_terms", "source", "files", "program", "chat_template"])
    name = try object.text("name", "letters, digits, '.', '-' and '_'", where: ManifestForm.isPackageName)
    title = try object.optional("title")
    family = try object.optional("family")
    license = try object.optional("license")
    licenseTerms = try object.optional("license_terms")
    source = try object.optional("source")
    files = try object.required("files")
    program = try object.optional("program")
    chatTemplate = try object.optional("chat_template")
    guard files.count <= 1000 else { throw object.wrong("files", "at most 1000 files", "\(files.count)") }
    var paths: Set<String> = []
    for file in files where !paths.insert(file.path).inserted {
      throw object.wrong("files", "each file once", "'\(file.path)' twice")
    }
    if source == nil, let file = files.first(where: { $0.member != nil }) {
      throw object.wrong("source", "a package, since '\(file.path)' is a member of one", "none")
    }
  }
}

extension ModelBundle.LicenseTerms: Decodable {
  public init(from decoder: any Decoder) throws {
    let object = try ManifestObject(decoder, keys: ["url", "must_accept", "notice"])
    url = try object.optional("url")
    mustAccept = try object.optional("must_accept")
    notice = try object.optional("notice")
  }
}

extension ModelBundle.Source: Decodable {
  public init(from decoder: any Decoder) throws {
    let object = try ManifestObject(decoder, keys: ["kind", "package", "version", "wheel_byte_count"])
    kind = try object.text("kind", "'pypi'") { $0 == "pypi" }
    package = try ModelBundle.Package(object)
  }
}

extension ModelBundle.Package {
  fileprivate init(_ object: ManifestObject) throws {
    name = try object.text("package", "the name of a package", where: ManifestForm.isPackageName)
    version = try object.text("version", "a version such as 1.0.2", where: ManifestForm.isVersion)
    let count: Int? = try object.optional("wheel_byte_count")
    wheelByteCount = try count.map { _ in try object.byteCount("wheel_byte_count") }
  }
}

extension ModelBundle.File: Decodable {
  public init(from decoder: any Decoder) throws {
    let object = try ManifestObject(decoder, keys: ["path", "role", "byte_count", "sha256", "member", "parts"])
    path = try object.text("path", "a plain file name", where: ManifestForm.isFileName)
    let roles = ModelBundle.Role.allCases.map(\.rawValue)
    let name = try object.text("role", roles.joined(separator: ", ")) { roles.contains($0) }
    role = ModelBundle.Role(rawValue: name) ?? .weights
    byteCount = try object.byteCount("byte_count")
    sha256 = try object.text("sha256", "64 hexadecimal digits", where: ManifestForm.isSHA256).lowercased()
    let member: String? = try object.optional("member")
    self.member = try member.map { _ in
      try object.text("member", "a relative path without '..'", where: ManifestForm.isMember)
    }
    parts = try object.optional("parts") ?? []
    guard member == nil || parts.isEmpty else { throw object.wrong("parts", "either a member or parts", "both") }
    guard parts.count <= 1000 else { throw object.wrong("parts", "at most 1000 parts", "\(parts.count)") }
    let sum = parts.reduce(0) { $0 + $1.byteCount }
    guard parts.isEmpty || sum == byteCount else {
      throw object.wrong("parts", "\(byteCount) bytes together", "\(sum)")
    }
  }
}

extension ModelBundle.Part: Decodable {
  public init(from decoder: any Decoder) throws {
    let object = try ManifestObject(
      decoder, keys: ["package", "version", "wheel_byte_count", "member", "byte_count", "sha256"])
    package = try ModelBundle.Package(object)
    member = try object.text("member", "a relative path without '..'", where: ManifestForm.isMember)
    byteCount = try object.byteCount("byte_count")
    sha256 = try object.text("sha256", "64 hexadecimal digits", where: ManifestForm.isSHA256).lowercased()
  }
}
