/// The identifiers of a module as its name section has them.
///
/// Source: WebAssembly specification, section 7.4.1, and the extended name section proposal for index spaces other than
/// functions and locals.
struct NameSectionText {
  struct Entry {
    var index: Int
    /// UTF-8.
    var name: ArraySlice<UInt8>
  }

  /// The number of the subsection.
  enum Space: UInt8, CaseIterable { case function = 1, type = 4, table, memory, global, element, data }

  var module: ArraySlice<UInt8>?
  /// In the order of the functions.
  var locals: [(function: Int, names: [Entry])]
  /// Each in the order of the indices.
  var spaces: [Space: [Entry]]

  /// The contents of the section, nil if nothing has a name.
  var encoded: [UInt8]? {
    var section = ByteWriter()
    func subsection(_ identifier: UInt8, _ content: ByteWriter) {
      section.byte(identifier)
      section.vector(content)
    }
    if let module {
      var content = ByteWriter()
      content.vector(module)
      subsection(0, content)
    }
    func list(_ space: Space) {
      guard let entries = spaces[space], !entries.isEmpty else { return }
      var content = ByteWriter()
      content.nameMap(entries)
      subsection(space.rawValue, content)
    }
    list(.function)
    let locals = self.locals.filter { !$0.names.isEmpty }
    if !locals.isEmpty {
      var content = ByteWriter()
      content.unsigned(locals.count)
      for entry in locals {
        content.unsigned(entry.function)
        content.nameMap(entry.names)
      }
      subsection(2, content)
    }
    for space in Space.allCases where space != .function { list(space) }
    return section.bytes.isEmpty ? nil : section.bytes
  }
}

extension ByteWriter {
  fileprivate mutating func nameMap(_ entries: [NameSectionText.Entry]) {
    unsigned(entries.count)
    for entry in entries {
      unsigned(entry.index)
      vector(entry.name)
    }
  }
}
