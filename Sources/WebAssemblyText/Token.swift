/// One token of the text format: its kind and its bytes in the source.
///
/// Source: WebAssembly specification, section 6.3 (lexical format).
struct Token: Sendable {
  enum Kind: UInt8, Sendable {
    case leftParenthesis, rightParenthesis
    /// `(@custom`: an opening parenthesis and more.
    case customAnnotation
    /// A word that begins with a lower-case letter: `module`, `i32.add`, `offset=4`.
    case keyword
    /// `$name` or `$"name"`.
    case identifier
    /// A quoted string, quotes included.
    case string
    /// A word that begins like a number: a digit, or a sign. `nan` and `inf` without a sign are keywords.
    case number
    /// Any other run of token characters; never valid.
    case reserved
    case endOfText
  }

  var kind: Kind
  var start: UInt32
  var end: UInt32

  var range: Range<Int> { Int(start)..<Int(end) }
}
