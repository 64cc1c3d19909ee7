package telegram

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
)

// A Link is what a Telegram link, or the name of a chat as people write it,
// stands for. Exactly one of Self, Username, ID, Phone and Invite is set.
// See core.telegram.org/api/links.
type Link struct {
	Self     bool   // "me": Saved Messages
	Username string // of a public chat, without @
	ID       int64  // marked id, see [Peer.MarkedID]
	Phone    string // of a user: digits
	Invite   string // hash of an invite link

	Message int  // id of the message that the link points at; 0: the chat itself
	Thread  int  // topic or thread that the link shows the message in, or 0
	Comment int  // id, in the discussion group, of a comment on Message; or 0
	Single  bool // this message alone, not the album that it belongs to
}

var (
	// ErrNotLink is wrapped when a text is neither a Telegram link nor the
	// name or id of a chat.
	ErrNotLink = errors.New("telegram: not a Telegram link")
	// ErrLinkKind is wrapped when a Telegram link leads to something that is
	// neither a chat nor a message, such as a sticker set.
	ErrLinkKind = errors.New("telegram: link to neither a chat nor a message")
)

// maxLink bounds what is looked at. No link of Telegram comes near.
const maxLink = 2048

// ParseChat reads a chat as people write it: @name, name, me, a marked id
// (-1001234567890), or any link that [ParseLink] takes.
// Errors wrap ErrNotLink or ErrLinkKind.
func ParseChat(s string) (Link, error) {
	s = strings.TrimSpace(s)
	switch strings.ToLower(s) {
	case "me", "self":
		return Link{Self: true}, nil
	}
	if id, err := strconv.ParseInt(s, 10, 64); err == nil && s[0] != '+' {
		p, err := PeerFromMarkedID(id)
		if err != nil {
			return Link{}, err
		}
		return Link{ID: p.MarkedID()}, nil
	}
	if name, ok := strings.CutPrefix(s, "@"); ok {
		if !validUsername(name) {
			return Link{}, fmt.Errorf("%w: %q is not a username", ErrNotLink, clip(s))
		}
		return Link{Username: name}, nil
	}
	if validUsername(s) {
		return Link{Username: s}, nil
	}
	return ParseLink(s)
}

// ParseLink reads a t.me or tg: link to a chat or a message, of any form of
// core.telegram.org/api/links, with or without a scheme. Links come from
// anywhere, so it is strict: user information, foreign hosts and ports, and
// ids out of range are refused. Errors wrap ErrNotLink or ErrLinkKind.
func ParseLink(s string) (Link, error) {
	s = strings.TrimSpace(s)
	if len(s) > maxLink {
		return Link{}, fmt.Errorf("%w: longer than %d bytes", ErrNotLink, maxLink)
	}
	if i := strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }); i >= 0 {
		return Link{}, fmt.Errorf("%w: control character", ErrNotLink)
	}
	body, _, _ := strings.Cut(s, "#")
	l, err := parseLink(body)
	if err != nil {
		return Link{}, fmt.Errorf("%w: %q", err, clip(s))
	}
	return l, nil
}

func parseLink(s string) (Link, error) {
	if len(s) >= 3 && strings.EqualFold(s[:3], "tg:") {
		return parseTG(strings.TrimPrefix(s[3:], "//"))
	}
	rest := s
	if scheme, after, ok := strings.Cut(s, "://"); ok {
		if !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
			return Link{}, ErrNotLink
		}
		rest = after
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	rawPath, rawQuery, _ := strings.Cut(rest[end:], "?")
	name, ok := hostName(rest[:end])
	if !ok {
		return Link{}, ErrNotLink
	}
	path, err := splitPath(rawPath)
	if err != nil {
		return Link{}, err
	}
	if name != "" {
		path = append([]string{name}, path...)
	}
	return parsePath(path, parseQuery(rawQuery))
}

// hostName reports whether the host is Telegram's, and the username in front
// of it as in "name.t.me".
func hostName(host string) (name string, ok bool) {
	host = strings.ToLower(host)
	if h, port, found := strings.Cut(host, ":"); found {
		if port != "443" && port != "80" {
			return "", false
		}
		host = h
	}
	host = strings.TrimPrefix(host, "www.")
	switch host {
	case "t.me", "telegram.me", "telegram.dog":
		return "", true
	}
	name, ok = strings.CutSuffix(host, ".t.me")
	if !ok || len(name) < 4 || !validUsername(name) || reserved[name] != "" {
		return "", false
	}
	return name, true
}

// splitPath undoes the percent coding of each element. Elements are split
// before that, so that a coded slash stays inside of its element.
func splitPath(raw string) ([]string, error) {
	raw = strings.Trim(raw, "/")
	if raw == "" {
		return nil, nil
	}
	path := strings.Split(raw, "/")
	for i, p := range path {
		u, err := url.PathUnescape(p)
		if err != nil || u == "" {
			return nil, ErrNotLink
		}
		path[i] = u
	}
	for len(path) > 1 && path[0] == "s" { // web preview
		path = path[1:]
	}
	return path, nil
}

// parseQuery reads the arguments, of which the first of a name counts.
// What cannot be read is left out, as browsers and official clients do.
func parseQuery(raw string) url.Values {
	v, _ := url.ParseQuery(raw)
	return v
}

// reserved are first path elements that are not usernames, and what they lead to.
var reserved = map[string]string{
	"addemoji": "an emoji set", "addlist": "a folder of chats", "addstickers": "a sticker set",
	"addstyle": "a style", "addtheme": "a theme", "auction": "an auction", "auth": "a login",
	"bg": "a wallpaper", "boost": "a boost", "call": "a call", "confirmphone": "a phone confirmation",
	"contact": "a contact", "giftcode": "a gift code", "invoice": "an invoice", "iv": "an instant view",
	"joinchat": "an invitation", "login": "a login", "m": "a business chat", "newbot": "a new bot",
	"nft": "a collectible gift", "proxy": "a proxy", "setlanguage": "a language", "share": "a text to share",
	"socks": "a proxy", "web": "the web client", "a": "the web client", "k": "the web client", "z": "the web client",
}

// parsePath reads the path of a t.me link.
func parsePath(path []string, q url.Values) (Link, error) {
	if len(path) == 0 {
		return Link{}, ErrLinkKind
	}
	first := path[0]
	switch lower := strings.ToLower(first); {
	case first[0] == '+' || first[0] == ' ': // a + may arrive as a blank
		return parsePlus(first[1:])
	case lower == "joinchat" && len(path) >= 2:
		return inviteLink(path[1])
	case lower == "c":
		return parsePrivate(path[1:], q)
	case reserved[lower] != "":
		return Link{}, fmt.Errorf("%w but to %s", ErrLinkKind, reserved[lower])
	case !validUsername(first):
		return Link{}, ErrLinkKind
	}
	l := Link{Username: first}
	if len(path) == 1 {
		return l, nil
	}
	return withMessage(l, path[1:], q)
}

// parsePlus reads what follows "t.me/+": a phone number or an invite hash.
func parsePlus(s string) (Link, error) {
	if allDigits(s) && len(s) <= 32 {
		return Link{Phone: s}, nil
	}
	return inviteLink(s)
}

func inviteLink(hash string) (Link, error) {
	ok := len(hash) > 0 && len(hash) <= 128 && !allDigits(hash)
	for _, r := range hash {
		ok = ok && (isAlnum(r) || r == '-' || r == '_')
	}
	if !ok {
		return Link{}, fmt.Errorf("%w: not an invite hash", ErrNotLink)
	}
	return Link{Invite: hash}, nil
}

// parsePrivate reads what follows "t.me/c/": a bare channel id, then a message.
func parsePrivate(path []string, q url.Values) (Link, error) {
	if len(path) == 0 {
		return Link{}, ErrLinkKind
	}
	l, err := privateLink(path[0])
	if err != nil || len(path) == 1 {
		return l, err
	}
	return withMessage(l, path[1:], q)
}

func privateLink(channel string) (Link, error) {
	id, err := strconv.ParseInt(channel, 10, 64)
	if err != nil || !allDigits(channel) || !validChannelID(id) {
		return Link{}, fmt.Errorf("%w: not a channel id", ErrNotLink)
	}
	return Link{ID: Peer{Kind: PeerChannel, ID: id}.MarkedID()}, nil
}

// withMessage reads "<id>" or "<topic>/<id>", and the arguments.
func withMessage(l Link, path []string, q url.Values) (Link, error) {
	switch {
	case len(path) == 2 && path[0] == "s":
		return Link{}, fmt.Errorf("%w but to a story", ErrLinkKind)
	case len(path) == 2 && path[0] == "a":
		return Link{}, fmt.Errorf("%w but to a story album", ErrLinkKind)
	case len(path) > 2:
		return Link{}, ErrLinkKind
	}
	thread := q.Get("thread")
	if len(path) == 2 {
		thread = path[0]
	}
	return messageLink(l, path[len(path)-1], thread, q)
}

// messageLink completes l with the message and the arguments common to all forms.
func messageLink(l Link, post, thread string, q url.Values) (Link, error) {
	var ok bool
	if l.Message, ok = messageID(post); !ok {
		return Link{}, fmt.Errorf("%w: not a message id", ErrLinkKind)
	}
	for _, arg := range []struct {
		text string
		to   *int
	}{{thread, &l.Thread}, {q.Get("comment"), &l.Comment}} {
		if arg.text == "" {
			continue
		}
		if *arg.to, ok = messageID(arg.text); !ok {
			return Link{}, fmt.Errorf("%w: not a message id", ErrNotLink)
		}
	}
	l.Single = q.Has("single")
	return l, nil
}

// parseTG reads what follows "tg:" or "tg://".
func parseTG(s string) (Link, error) {
	action, rawQuery, _ := strings.Cut(s, "?")
	action = strings.ToLower(strings.TrimSuffix(action, "/"))
	q := parseQuery(rawQuery)
	switch action {
	case "resolve":
		return parseTGResolve(q)
	case "join":
		return inviteLink(q.Get("invite"))
	case "privatepost":
		l, err := privateLink(q.Get("channel"))
		if err != nil {
			return Link{}, err
		}
		return messageLink(l, q.Get("post"), q.Get("thread"), q)
	default:
		return Link{}, ErrLinkKind
	}
}

func parseTGResolve(q url.Values) (Link, error) {
	if phone := strings.TrimLeft(q.Get("phone"), "+ "); phone != "" {
		if !allDigits(phone) || len(phone) > 32 {
			return Link{}, fmt.Errorf("%w: not a phone number", ErrNotLink)
		}
		return Link{Phone: phone}, nil
	}
	name := q.Get("domain")
	if !validUsername(name) {
		return Link{}, fmt.Errorf("%w: not a username", ErrNotLink)
	}
	l := Link{Username: name}
	switch {
	case q.Has("story"):
		return Link{}, fmt.Errorf("%w but to a story", ErrLinkKind)
	case !q.Has("post"):
		return l, nil
	}
	return messageLink(l, q.Get("post"), q.Get("thread"), q)
}

// String is the link in one form, which parses to the same Link.
// Links without a t.me form (me, users and basic groups by id) are as ParseChat reads them.
func (l Link) String() string {
	var base string
	switch {
	case l.Self:
		return "me"
	case l.Username != "":
		base = "https://t.me/" + l.Username
		if reserved[strings.ToLower(l.Username)] != "" || strings.EqualFold(l.Username, "c") || l.Username == "s" {
			return l.tgString("resolve?domain=" + l.Username)
		}
	case l.Phone != "":
		return "https://t.me/+" + l.Phone
	case l.Invite != "":
		return "https://t.me/joinchat/" + l.Invite
	case l.ID < -channelMarkOffset:
		base = "https://t.me/c/" + strconv.FormatInt(-channelMarkOffset-l.ID, 10)
	default:
		return strconv.FormatInt(l.ID, 10)
	}
	if l.Message == 0 {
		return base
	}
	if l.Thread != 0 {
		base += "/" + strconv.Itoa(l.Thread)
	}
	base += "/" + strconv.Itoa(l.Message)
	return base + l.args("?")
}

// tgString is for names that a t.me path cannot carry.
func (l Link) tgString(action string) string {
	s := "tg://" + action
	if l.Message == 0 {
		return s
	}
	s += "&post=" + strconv.Itoa(l.Message)
	if l.Thread != 0 {
		s += "&thread=" + strconv.Itoa(l.Thread)
	}
	return s + l.args("&")
}

func (l Link) args(sep string) string {
	s := ""
	if l.Comment != 0 {
		s, sep = sep+"comment="+strconv.Itoa(l.Comment), "&"
	}
	if l.Single {
		s += sep + "single"
	}
	return s
}

// validUsername reports whether a public chat can have the name: 1 to 32
// letters, digits and underscores, a letter first, no underscore last or doubled.
func validUsername(s string) bool {
	if len(s) == 0 || len(s) > 32 || s[len(s)-1] == '_' || strings.Contains(s, "__") {
		return false
	}
	for i, r := range s {
		if !isAlnum(r) && r != '_' || i == 0 && !isLetter(r) {
			return false
		}
	}
	return true
}

// messageID reads a message id: an int above 0, in digits only.
func messageID(s string) (int, bool) {
	id, err := strconv.ParseInt(s, 10, 32)
	return int(id), err == nil && allDigits(s) && validMessageID(int(id))
}

// validMessageID reports whether a message can have the id.
func validMessageID(id int) bool { return id > 0 && id <= math.MaxInt32 }

func allDigits(s string) bool {
	for _, r := range s {
		if r < '0' || r > '9' {
			return false
		}
	}
	return s != ""
}

func isLetter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }
func isAlnum(r rune) bool  { return isLetter(r) || r >= '0' && r <= '9' }

// clip shortens what an error message quotes.
func clip(s string) string {
	const limit = 80
	if len(s) <= limit {
		return s
	}
	return s[:limit] + "…"
}
