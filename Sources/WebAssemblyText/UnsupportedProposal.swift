/// Parts of WebAssembly that this version does not have, by the words of their texts: a text that uses one is told so, not that its
/// words are unknown.
enum UnsupportedProposal: String {
  case exceptionHandling = "exception handling"
  case garbageCollection = "garbage collection"
  case typedFunctionReferences = "typed function references"
  case stackSwitching = "stack switching"
  case wideArithmetic = "wide arithmetic"
  case halfPrecision = "half-precision vectors"
  case sharedEverything = "shared-everything threads"
  case strings = "reference-typed strings"
  case components = "component model"

  private static let words: [String: UnsupportedProposal] = [
    "tag": .exceptionHandling, "try": .exceptionHandling, "try_table": .exceptionHandling, "catch": .exceptionHandling,
    "catch_all": .exceptionHandling, "delegate": .exceptionHandling, "rethrow": .exceptionHandling, "throw": .exceptionHandling,
    "throw_ref": .exceptionHandling, "exnref": .exceptionHandling, "nullexnref": .exceptionHandling, "exn": .exceptionHandling,
    "noexn": .exceptionHandling,
    "rec": .garbageCollection, "sub": .garbageCollection, "struct": .garbageCollection, "array": .garbageCollection,
    "any": .garbageCollection, "eq": .garbageCollection, "i31": .garbageCollection,
    "nofunc": .garbageCollection, "noextern": .garbageCollection, "anyref": .garbageCollection, "eqref": .garbageCollection,
    "i31ref": .garbageCollection, "structref": .garbageCollection, "arrayref": .garbageCollection, "nullref": .garbageCollection,
    "nullfuncref": .garbageCollection, "nullexternref": .garbageCollection, "ref.eq": .garbageCollection,
    "ref.test": .garbageCollection, "ref.cast": .garbageCollection, "ref.i31": .garbageCollection,
    "br_on_cast": .garbageCollection, "br_on_cast_fail": .garbageCollection, "any.convert_extern": .garbageCollection,
    "extern.convert_any": .garbageCollection,
    "call_ref": .typedFunctionReferences, "return_call_ref": .typedFunctionReferences,
    "ref.as_non_null": .typedFunctionReferences, "br_on_null": .typedFunctionReferences,
    "br_on_non_null": .typedFunctionReferences,
    "cont": .stackSwitching, "contref": .stackSwitching, "resume": .stackSwitching, "resume_throw": .stackSwitching,
    "suspend": .stackSwitching, "switch": .stackSwitching,
    "i64.add128": .wideArithmetic, "i64.sub128": .wideArithmetic, "i64.mul_wide_s": .wideArithmetic,
    "i64.mul_wide_u": .wideArithmetic,
    "component": .components, "core": .components,
  ]

  private static let prefixes: [(String, UnsupportedProposal)] = [
    ("struct.", .garbageCollection), ("array.", .garbageCollection), ("i31.", .garbageCollection), ("cont.", .stackSwitching),
    ("f16x8.", .halfPrecision), ("global.atomic.", .sharedEverything), ("table.atomic.", .sharedEverything), ("string.", .strings),
    ("stringview_", .strings), ("stringref", .strings),
  ]

  /// The proposal that a word belongs to, nil for any other word.
  init?(word: String) {
    guard let proposal = Self.words[word] ?? Self.prefixes.first(where: { word.hasPrefix($0.0) })?.1 else { return nil }
    self = proposal
  }
}

extension TokenCursor {
  /// The error of a word that means nothing here: of a proposal that is not supported, or unknown.
  func unknown(_ token: Token) -> TextFormatError {
    notSupported(token) ?? error("unknown operator \(shown(token))", at: token)
  }

  /// The error of a word of a proposal that is not supported; nil for any other word.
  func notSupported(_ token: Token) -> TextFormatError? {
    guard token.kind == .keyword, token.range.count < 32, let proposal = UnsupportedProposal(word: text(token)) else { return nil }
    return error("not supported: \(proposal.rawValue) (\(shown(token)))", at: token)
  }
}
