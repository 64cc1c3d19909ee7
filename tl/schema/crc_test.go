package schema_test

import (
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/tghaul/haul/tl/schema"
)

// declared is what the CRC32 of a declaration is taken of where it is not what
// the table says: the schema's source renamed these.
var declared = map[string]string{
	"inputPeerPhotoFileLocationLegacy": "inputPeerPhotoFileLocation",
	"inputStickerSetThumbLegacy":       "inputStickerSetThumb",
}

// fixedIDs are the ids that no rule gives: of the configuration that Telegram
// spreads over DNS and push messages, which is older than the rule.
var fixedIDs = map[string]uint32{
	"ipPortSecret":      0x37982646,
	"accessPointRule":   0x4679b65f,
	"help.configSimple": 0x5a592a6c,
}

// Every id is the CRC32 of the declaration, so names, field names, types and
// flags of the table are those of the schema, all of them.
func TestEveryID(t *testing.T) {
	ruled, fixed := 0, 0
	for c := range schema.All() {
		if want, ok := fixedIDs[c.Name]; ok {
			fixed++
			if c.ID != want {
				t.Errorf("%s has the id %08x, want %08x", c.Name, c.ID, want)
			}
			continue
		}
		ruled++
		text := declaration(c)
		if got := crc32.ChecksumIEEE([]byte(text)); got != c.ID {
			t.Errorf("%s has the id %08x, but %q gives %08x", c.Name, c.ID, text, got)
		}
	}
	t.Logf("%d ids by the rule, %d fixed", ruled, fixed)
	if fixed != len(fixedIDs) || ruled < 2500 {
		t.Errorf("%d ids by the rule and %d fixed, want at least 2500 and %d", ruled, fixed, len(fixedIDs))
	}
}

// declaration is the text that the rule is about: without flags.N?true fields,
// with string for bytes, and with spaces for angle brackets.
func declaration(c *schema.Combinator) string {
	name := c.Name
	if old, ok := declared[name]; ok {
		name = old
	}
	parts := []string{name}
	if c.Generic {
		parts = append(parts, "X:Type")
	}
	var words []string
	for _, f := range c.Fields {
		text := f.Name + ":"
		if f.Word >= 0 {
			text += fmt.Sprintf("%s.%d?", words[f.Word], f.Bit)
		}
		if f.Type.Kind == schema.Nat {
			words = append(words, f.Name)
		}
		switch f.Type.Kind {
		case schema.True: // left out
		case schema.Bytes: // but Vector<bytes> stays
			parts = append(parts, text+"string")
		default:
			parts = append(parts, text+plain(f.Type))
		}
	}
	return strings.Join(parts, " ") + " = " + plain(c.Result)
}

func plain(t *schema.Type) string {
	switch t.Kind {
	case schema.Vector:
		return "Vector " + plain(t.Elem)
	case schema.BareVector:
		return "vector " + plain(t.Elem)
	default:
		return t.String()
	}
}

// The samples are of the documentation, not of the table.
func TestKnownIDs(t *testing.T) {
	for name, want := range map[string]uint32{
		"boolTrue": 0x997275b5, "boolFalse": 0xbc799737, "true": 0x3fedd339, "error": 0xc4b9f9bb, "null": 0x56730bcc,
		"req_pq_multi": 0xbe7e8ef1, "resPQ": 0x05162463, "rpc_result": 0xf35c6d01, "gzip_packed": 0x3072cfa1,
		"upload.getFile": 0xbe5335be, "upload.saveBigFilePart": 0xde7b673d, "invokeWithLayer": 0xda9b0d0d,
		"upload.file": 0x096a18d5, "fileHash": 0xf39b035c, "ping": 0x7abe77ec, "destroy_session": 0xe7512126,
		"bind_auth_key_inner": 0x75a3f765, "p_q_inner_data_temp_dc": 0x56fddf88, "destroy_auth_key": 0xd1435160,
	} {
		c, ok := schema.ByName(name)
		if !ok || c.ID != want {
			t.Errorf("%s is %+v, want the id %08x", name, c, want)
		}
		if got, ok := schema.Name(want); !ok || got != name {
			t.Errorf("%08x is called %q, want %s", want, got, name)
		}
	}
	if name, ok := schema.Name(0); ok {
		t.Errorf("0 is called %q, want no name", name)
	}
}
