// The Tokenizers room; see ARCHITECTURE in README.md.
