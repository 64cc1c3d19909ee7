// Package tl encodes and decodes TL, the binary language of MTProto.
// See core.telegram.org/mtproto/serialize. Generated Go types are in the
// packages below it; package schema knows every constructor of the layer.
package tl

// An Object is a boxed value: its constructor id, then its fields.
type Object interface {
	// TypeID is the constructor id.
	TypeID() uint32
	// TypeName is the constructor's name in the schema, such as "upload.getFile".
	TypeName() string
	// Encode appends the boxed value.
	Encode(e *Encoder)
}

// A Method is a function call of the schema whose answer is an R.
type Method[R any] interface {
	Object
	// DecodeResult reads the boxed answer. What it returns may alias d's input.
	DecodeResult(d *Decoder) (R, error)
}

// Raw is a boxed value kept as its bytes.
type Raw []byte

// TypeID is the constructor id, 0 if there are no 4 bytes.
func (r Raw) TypeID() uint32 { return NewDecoder(r).PeekID() }

// TypeName is "raw": naming it needs the table of package schema.
func (r Raw) TypeName() string { return "raw" }

// Encode appends the bytes as they are.
func (r Raw) Encode(e *Encoder) { e.Raw(r) }

// An Opt is a field that a flag makes present. The zero value is absent.
type Opt[T any] struct {
	Value T
	Set   bool
}

// Some is a present value.
func Some[T any](v T) Opt[T] { return Opt[T]{Value: v, Set: true} }

// Marshal returns the boxed bytes of o.
func Marshal(o Object) []byte {
	var e Encoder
	o.Encode(&e)
	return e.Bytes()
}
