// The Bindery room; see ARCHITECTURE in README.md.
