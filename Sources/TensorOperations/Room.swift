// The TensorOperations room; see ARCHITECTURE in README.md.
