package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/transfer/archive"
)

// Completion in shells: a small script asks haul itself, through a hidden
// command, what may stand where the cursor is. So there is one list of commands
// and flags, and flags may stand anywhere, as they may when haul runs.

// completeName is the hidden command. Its arguments are the words after haul,
// up to the one that is being typed; it prints a line for each that fits, with
// what it is about behind a tab. Nothing means that the shell may offer files.
const completeName = "__complete"

func completionCommand() *cli.Command {
	return &cli.Command{
		Name: "completion", Usage: "print a script that completes commands and flags in a shell", ArgsUsage: "bash|zsh|fish", OnUsageError: usageError,
		Description: "Example:\n   haul completion bash > ~/.local/share/bash-completion/completions/haul\n" +
			"   haul completion zsh > ~/.zfunc/_haul        (with ~/.zfunc in fpath)\n" +
			"   haul completion fish > ~/.config/fish/completions/haul.fish",
		Action: func(c *cli.Context) error {
			script, ok := completionScripts()[c.Args().First()]
			if !ok || c.NArg() != 1 {
				return usagef("for which shell? haul completion bash, zsh or fish")
			}
			_, err := fmt.Fprint(c.App.Writer, script)
			return err
		},
	}
}

func completeCommand() *cli.Command {
	return &cli.Command{
		Name: completeName, Hidden: true, SkipFlagParsing: true,
		Action: func(c *cli.Context) error {
			for _, w := range complete(c.App, c.Args().Slice()) {
				if _, err := fmt.Fprintln(c.App.Writer, strings.TrimSuffix(w.word+"\t"+w.about, "\t")); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// A completion is a word that may stand where the cursor is.
type completion struct{ word, about string }

// complete lists what the last of words may become.
func complete(app *cli.App, words []string) (fitting []completion) {
	words = slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "=" }) // bash makes three words of --flag=value
	if len(words) == 0 {
		return nil
	}
	last, before := words[len(words)-1], words[:len(words)-1]
	commands, flags, command, argument := app.Commands, app.Flags, "", ""
	for i := 0; i < len(before); i++ {
		w := before[i]
		if w == "--" {
			return nil
		}
		if len(w) > 1 && w[0] == '-' {
			if takesValue(flags, w) {
				if i++; i == len(before) {
					return choices(command, longName(flags, w), "", last)
				}
			}
			continue
		}
		if at := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(w) }); at >= 0 {
			c := commands[at]
			command, argument, flags, commands = c.Name, c.ArgsUsage, slices.Concat(flags, c.Flags), c.Subcommands
		} else {
			commands = nil // an argument stands where a command could
		}
	}
	if name, value, ok := strings.Cut(last, "="); ok && strings.HasPrefix(name, "--") {
		return choices(command, longName(flags, name), name+"=", value)
	}
	if strings.HasPrefix(last, "-") {
		return fittingFlags(flags, last)
	}
	for _, c := range commands {
		if !c.Hidden && strings.HasPrefix(c.Name, last) {
			fitting = append(fitting, completion{c.Name, c.Usage})
		}
	}
	if words := strings.Split(argument, "|"); len(words) > 1 {
		for _, w := range words {
			if strings.HasPrefix(w, last) {
				fitting = append(fitting, completion{word: w})
			}
		}
	}
	return fitting
}

// longName is the first name of a flag, without dashes.
func longName(flags []cli.Flag, flag string) string {
	for _, f := range flags {
		if slices.Contains(f.Names(), strings.TrimLeft(flag, "-")) {
			return f.Names()[0]
		}
	}
	return ""
}

// fittingFlags are the flags that begin as typed, by their long names.
func fittingFlags(flags []cli.Flag, typed string) (fitting []completion) {
	for _, f := range flags {
		name := "--" + f.Names()[0]
		doc, ok := f.(cli.DocGenerationFlag)
		if ok && strings.HasPrefix(name, typed) {
			fitting = append(fitting, completion{name, strings.ReplaceAll(doc.GetUsage(), "`", "")})
		}
	}
	return fitting
}

// choices are the values of a flag that has few, each with a text in front. Of a
// list the last word is meant.
func choices(command, flag, front, typed string) (fitting []completion) {
	if comma := strings.LastIndexByte(typed, ','); comma >= 0 && (flag == "type" || flag == "as") {
		front, typed = front+typed[:comma+1], typed[comma+1:]
	}
	for _, v := range slices.Concat(flagChoices()[flag], flagChoices()[command+" "+flag]) {
		if strings.HasPrefix(v, typed) {
			fitting = append(fitting, completion{word: front + v})
		}
	}
	return fitting
}

// flagChoices are the flags that take one of a few words, some of one command only.
func flagChoices() map[string][]string {
	all := map[string][]string{
		"order":      {"listed", "smallest", "largest"},
		"log-level":  {"debug", "info", "warn", "error"},
		"log-format": {"text", "json"},
		"transport":  {"abridged", "intermediate", "padded", "full"},
		"login type": {"code", "qr", "bot", "import"},
		"chats type": {typeChannel, typeGroup, typeUser},
		"as":         {"auto", "document", "photo", "video", "audio", "voice"},
		"dedupe":     {string(archive.DedupeOff), string(archive.DedupeHardlink), string(archive.DedupeReference)},
		"sidecar":    {"json"},
		"parse-mode": {"markdown", "html", "none"},
		"up thumbs":  {"auto", "sidecar", "none"},
		"direction":  {"down", "up", "both"},
	}
	for _, command := range []string{"ls", "archive", "dl", "forward"} {
		all[command+" type"] = []string{"photo", "video", "audio", "voice", "round", "document", "sticker", "gif"}
	}
	return all
}

func completionScripts() map[string]string {
	return map[string]string{
		"bash": `# haul in bash: put this where bash-completion looks, or source it.
_haul() {
	local IFS=$'\n' line
	COMPREPLY=()
	for line in $("${COMP_WORDS[0]}" ` + completeName + ` "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null); do
		COMPREPLY+=("${line%%$'\t'*}")
	done
}
complete -o bashdefault -o default -F _haul haul
`,
		"zsh": `#compdef haul
# haul in zsh: put this into a folder of fpath as _haul.
_haul() {
	local -a found
	found=("${(@f)$("${words[1]}" ` + completeName + ` "${(@)words[2,CURRENT]}" 2>/dev/null)}")
	if [[ -z "${found[1]}" ]]; then
		_files
		return
	fi
	found=("${(@)found//:/\\:}")
	found=("${(@)found//$'\t'/:}")
	_describe haul found
}
if [[ "$funcstack[1]" = _haul ]]; then _haul "$@"; else compdef _haul haul; fi
`,
		"fish": `# haul in fish: put this into ~/.config/fish/completions.
complete -c haul -a '(haul ` + completeName + ` (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
`,
	}
}
