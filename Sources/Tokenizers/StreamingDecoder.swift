/// Token ids to text as they come, in whole characters (Unicode scalars): a token may end within one, and half a character
/// must never be printed. The pieces add up to exactly what decoding all ids at once gives.
public struct StreamingDecoder {
  private let tokenizer: any Tokenizer
  private let renderSpecial: Bool
  /// The beginning of a character whose other bytes are still to come: at most three bytes.
  private var pending: [UInt8] = []

  /// - Parameter renderSpecial: whether control tokens are spelled out, or give no text.
  public init(_ tokenizer: some Tokenizer, renderSpecial: Bool = false) {
    self.tokenizer = tokenizer
    self.renderSpecial = renderSpecial
  }

  /// The text that this token completes; often empty within a character.
  public mutating func push(_ id: TokenID) -> String {
    let kind = tokenizer.kind(of: id)
    if !renderSpecial, kind == .control || kind == .unknown { return "" }
    if !tokenizer.appendBytes(of: id, to: &pending) { pending.append(0xFF) }
    let incomplete = Self.incompleteByteCount(pending)
    defer { pending.removeFirst(pending.count - incomplete) }
    return String(decoding: pending.dropLast(incomplete), as: UTF8.self)
  }

  /// What is left at the end: U+FFFD when the last character was never completed, otherwise nothing.
  public mutating func finish() -> String {
    defer { pending = [] }
    return String(decoding: pending, as: UTF8.self)
  }

  /// How many bytes at the end may be the beginning of one character.
  static func incompleteByteCount(_ bytes: [UInt8]) -> Int {
    // The last byte that starts a character is among the last three, else the character is complete or ill-formed.
    for count in 1...3 where count <= bytes.count {
      let lead = bytes[bytes.count - count]
      if lead & 0xC0 == 0x80 { continue }
      let byteCount =
        switch lead {
        case 0xC2...0xDF: 2
        case 0xE0...0xEF: 3
        case 0xF0...0xF4: 4
        default: 1
        }
      guard count < byteCount else { return 0 }
      guard count > 1 else { return 1 }
      // The second byte has a narrower range after some lead bytes (overlong forms, surrogates, beyond U+10FFFF): outside
      // it the sequence is ill-formed already.
      let second = bytes[bytes.count - count + 1]
      let isAllowed =
        switch lead {
        case 0xE0: second >= 0xA0
        case 0xED: second <= 0x9F
        case 0xF0: second >= 0x90
        case 0xF4: second <= 0x8F
        default: true
        }
      return isAllowed ? count : 0
    }
    return 0
  }
}
