/// A file that this package generates and commits: its path from the root of the package, and its whole text.
public typealias GeneratedFile = (path: String, contents: String)

/// Every generated file of the package. The `InstructionGenerator` writes them; a test compares them with the tree.
public func generatedFiles() -> [GeneratedFile] {
  wasmInstructionFiles() + registerInstructionFiles()
}
