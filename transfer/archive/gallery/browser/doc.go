// Package browser tests the gallery in a browser, as the program haul has made
// it. It is a module of its own, so that haul does not depend on what drives a
// browser, and depends on nothing of haul's, so that its versions stay its own.
package browser
