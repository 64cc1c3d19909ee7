// Package interop holds tests only: haul's simulated cluster is served to a
// client that we did not write, and haul's client talks to a server that we
// did not write. A fake shares its author's mistakes; these do not. benchcrypto
// compares what they cost.
//
// It is a module of its own, so that building and testing haul needs none of it.
package interop
