// Package api has the Go types of what haul uses of the API schema, see
// core.telegram.org/schema. All but this file is generated from the names in
// ../schema/wanted.txt.
//
// A constructor is a struct, called like it: inputPeerUser is [InputPeerUser].
// A function is a struct as well, with Request at its end: upload.getFile is
// [UploadGetFileRequest], which is a [tl.Method]. A type with several
// constructors is an interface: [InputPeerClass]. A value of it is a pointer
// to one of the structs, or an [*Other] when its constructor has no Go type.
//
// What is decoded aliases the input wherever it is bytes or [tl.Raw], so it
// lives no longer than that. Strings are copies.
package api
