/// Why a model, a request or a pass was refused: one sentence for the user.
///
/// Says what was expected, what was found and where. (What a program cannot refuse with a sentence, because it is a mistake
/// of the program itself, traps.)
struct ProgramError: Error {
  private(set) var text = TextBuffer()

  init(_ build: (inout TextBuffer) -> Void) { build(&text) }
}
