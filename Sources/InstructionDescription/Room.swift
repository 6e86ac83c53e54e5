// The InstructionDescription room; see ARCHITECTURE in README.md.
