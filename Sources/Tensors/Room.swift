// The Tensors room; see ARCHITECTURE in README.md.
