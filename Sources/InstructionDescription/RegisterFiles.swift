/// The files generated from the description of the register code: C handlers, opcode tables, documentation.
func registerInstructionFiles() -> [GeneratedFile] {
  []
}
