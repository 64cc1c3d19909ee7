// Command gen writes Go types and the schema table from the pinned schema.
//
//	go run .
//
// The API schema and most of the MTProto service schema come out of a module
// that go.mod pins for that alone; tl/schema/extra.tl adds what is missing
// there, and tl/schema/wanted.txt names what gets Go types. The output is
// deterministic and committed.
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func main() {
	if err := run(filepath.Join("..", "..")); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(tlDir string) error {
	schemas, err := moduleDir()
	if err != nil {
		return err
	}
	api, layer, err := readSchema(filepath.Join(schemas, "telegram.tl"))
	if err != nil {
		return err
	}
	service, _, err := readSchema(filepath.Join(schemas, "mt.tl"))
	if err != nil {
		return err
	}
	extra, _, err := readSchema(filepath.Join(tlDir, "schema", "extra.tl"))
	if err != nil {
		return err
	}
	service = append(service, extra...)
	wanted, err := readList(filepath.Join(tlDir, "schema", "wanted.txt"))
	if err != nil {
		return err
	}

	blob, err := writeTable(layer, slices.Concat(api, service))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tlDir, "schema", "table.bin"), blob, 0o644); err != nil {
		return err
	}
	apiModel, err := newModel("api", api, wanted)
	if err != nil {
		return err
	}
	var everything []string
	for _, c := range service {
		everything = append(everything, c.name)
	}
	mtModel, err := newModel("mt", service, everything)
	if err != nil {
		return err
	}
	if err := apiModel.write(filepath.Join(tlDir, "api"), func(e *emitter) {
		e.dispatch("DecodeRequest", "reads the call of any function that has a Go type.",
			func(c *combinator) bool { return c.method })
	}); err != nil {
		return err
	}
	return mtModel.write(filepath.Join(tlDir, "mt"), func(e *emitter) {
		e.dispatch("Decode", "reads any constructor or function of the service schema.",
			func(*combinator) bool { return true })
	})
}

// write lays out one package, and removes what an older list left there.
func (m *model) write(dir string, dispatch func(*emitter)) error {
	old, err := filepath.Glob(filepath.Join(dir, "*_gen.go"))
	if err != nil {
		return err
	}
	for _, name := range old {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	files := map[string]func(*emitter){
		"classes_gen.go": (*emitter).interfacesFile, "support_gen.go": (*emitter).support, "dispatch_gen.go": dispatch,
		"all_gen_test.go": (*emitter).testList,
	}
	for name, list := range m.files() {
		files[name+"_gen.go"] = func(e *emitter) { e.combinators(list) }
	}
	for name, body := range files {
		b, err := m.file(body)
		if err != nil {
			return fmt.Errorf("%s %s: %w", m.pkg, name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// moduleDir is the schema folder of the pinned module.
func moduleDir() (string, error) {
	if out, err := exec.Command("go", "mod", "download", pinnedModule).CombinedOutput(); err != nil {
		return "", fmt.Errorf("downloading %s: %w\n%s", pinnedModule, err, out)
	}
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", pinnedModule).Output()
	if err != nil {
		return "", fmt.Errorf("finding %s: %w", pinnedModule, err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "_schema"), nil
}

var layerRE = regexp.MustCompile(`(?m)^// LAYER (\d+)$`)

func readSchema(path string) ([]*combinator, int, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, 0, err
	}
	layer := 0
	if m := layerRE.FindSubmatch(text); m != nil {
		if layer, err = strconv.Atoi(string(m[1])); err != nil {
			return nil, 0, err
		}
	}
	all, err := parse(bytes.NewReader(text), filepath.Base(path))
	return all, layer, err
}

// readList reads the wanted list: a name a line, # starts a comment.
func readList(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		names = append(names, strings.Fields(line)...)
	}
	return names, nil
}
