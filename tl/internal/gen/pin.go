package main

// The module whose schema files are read. It is never linked: only go.mod's
// requirement and the hashes in go.sum matter.
const pinnedModule = "github.com/gotd/td"
