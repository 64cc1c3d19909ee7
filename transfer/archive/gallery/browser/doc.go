// Package browser tests the gallery in a browser. It is a module of its own, so
// that haul does not depend on what drives one.
package browser
