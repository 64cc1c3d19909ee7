package content

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
)

// noiseFrom is the size from which documents are noise with a note in front:
// nobody reads a megabyte of made-up prose.
const noiseFrom = 256 << 10

var words = strings.Fields(`the a river harbour letter morning station garden winter road window captain quiet small
	bright slow carries follows remembers crosses opens finds between under along beyond without while and then again`)

func (f *File) document(rnd *rand.Rand, number uint64) {
	if f.size >= noiseFrom {
		f.name, f.mime = fmt.Sprintf("backup %04d.bin", number), "application/octet-stream"
		note := fmt.Sprintf("Backup %04d. What follows is noise made from a seed.\n", number)
		f.make = func() (head, tail []byte) { return []byte(note), nil }
		return
	}
	seed := rnd.Uint64()
	switch rnd.IntN(3) {
	case 0:
		f.name, f.mime = fmt.Sprintf("story %04d.txt", number), "text/plain"
		f.make = func() (head, tail []byte) { return f.written(seed, prose), nil }
	case 1:
		f.name, f.mime = fmt.Sprintf("table %04d.csv", number), "text/csv"
		f.make = func() (head, tail []byte) { return f.written(seed, table), nil }
	default:
		f.name, f.mime = fmt.Sprintf("notes %04d.md", number), "text/markdown"
		f.make = func() (head, tail []byte) { return f.written(seed, notes), nil }
	}
}

// written has line after line until the file is full, and ends with a newline.
func (f *File) written(seed uint64, line func(b *bytes.Buffer, rnd *rand.Rand, n int)) []byte {
	var b bytes.Buffer
	rnd := rand.New(rand.NewPCG(seed, 7))
	for n := 0; int64(b.Len()) < f.size; n++ {
		line(&b, rnd, n)
	}
	b.Truncate(int(f.size))
	b.Bytes()[f.size-1] = '\n'
	return b.Bytes()
}

func prose(b *bytes.Buffer, rnd *rand.Rand, _ int) {
	for i := range 6 + rnd.IntN(8) {
		word := words[rnd.IntN(len(words))]
		if i == 0 {
			word = strings.ToUpper(word[:1]) + word[1:]
		} else {
			b.WriteByte(' ')
		}
		b.WriteString(word)
	}
	b.WriteString(".\n")
}

func table(b *bytes.Buffer, rnd *rand.Rand, n int) {
	if n == 0 {
		b.WriteString("day,place,value\n")
	}
	fmt.Fprintf(b, "%d,%s,%.2f\n", n+1, words[rnd.IntN(len(words))], rnd.Float64()*100)
}

func notes(b *bytes.Buffer, rnd *rand.Rand, n int) {
	if n%8 == 0 {
		fmt.Fprintf(b, "\n## %d\n\n", n/8+1)
	}
	b.WriteString("- ")
	prose(b, rnd, n)
}
