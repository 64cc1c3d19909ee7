// Package schema is the whole API layer, and the MTProto service schema, as
// one compact table. It measures, skips, names and prints any value, also of
// constructors that have no Go type.
//
// The table is embedded as table.bin, written by tl/internal/gen and decoded
// once, when first used. Its format, with all counts and indexes as uvarint:
//
//	"TLT1", layer
//	count, then strings: length, bytes
//	count, then types: kind byte; Vector and vector: index of the item's type,
//	    which stands before; boxed and bare types: index of the name
//	count, then combinators by ascending id: id (4 bytes, little-endian), name, result type,
//	    marks (1 function, 2 generic), count, then fields: name, type,
//	    condition (0, or 1 + 32·number of the flags field + bit)
//
// # Moving to a newer layer
//
// Raise the version of the pinned module in tl/internal/gen/go.mod, run
// make generate, and change [Layer]; a test compares it with the table. The
// compiler then names the places that use what has changed.
package schema

// Layer is the API layer of the table, and the one that haul speaks.
const Layer = 228
