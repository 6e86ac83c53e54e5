// The BinaryReading room; see ARCHITECTURE in README.md.
