// The TensorStore room; see ARCHITECTURE in README.md.
