// The TensorFiles room; see ARCHITECTURE in README.md.
