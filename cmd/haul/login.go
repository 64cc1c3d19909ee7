package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/telegram"
)

// qrPatience is how long a login by QR code waits for somebody to scan it.
const qrPatience = 10 * time.Minute

func loginCommand() *cli.Command {
	return &cli.Command{
		Name: "login", Usage: "sign in", OnUsageError: usageError,
		Description: "With a phone number it asks for the code that Telegram sends, and for the two-step password if there is\n" +
			"one; of some accounts Telegram wants an e-mail address first. -T qr draws a code to scan with a telephone\n" +
			"that is signed in. -T bot takes the token of a bot. New accounts are not made.\n\n" +
			"What is not given by flags or variables is asked for in a terminal, or else read from standard input, a\n" +
			"line each; \"-\" as a value waits for that line as long as it takes. Without either, the login ends and\n" +
			"names the flag that is missing; run again with it, it goes on with the code that was sent. A flag can be\n" +
			"seen by other users of the machine: pass a password as HAUL_PASSWORD or by standard input.\n\n" +
			importText + sealText +
			"Example:\n" +
			"   haul --datacenters dc.json login\n" +
			"   haul --datacenters dc.json login -T qr -n work\n" +
			"   haul --datacenters dc.json login --phone +9996620001 --code 22222\n" +
			"   haul --datacenters dc.json login -T bot --token 1:sim" + importExamples,
		ArgsUsage: "[SESSION]",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "type", Aliases: []string{"T"}, Usage: "how to sign in: code, qr, bot or import (default: code, or bot if there is a token and no phone)", EnvVars: []string{"HAUL_LOGIN_TYPE"}},
			stringFlag("phone", "", "phone `NUMBER`, in international form"),
			stringFlag("code", "", "`CODE` that Telegram has sent; resend asks for another one"),
			stringFlag("email", "", "e-mail `ADDRESS` to set up, should the account need one to sign in"),
			stringFlag("email-code", "", "`CODE` that Telegram has sent to that address"),
			stringFlag("password", "", "two-step `PASSWORD`"),
			stringFlag("token", "", "token of the bot, from @BotFather"),
			sealFlag(),
		}, importFlags()...),
		Action: func(c *cli.Context) error {
			if err := applyCommandConfig(c); err != nil {
				return err
			}
			return login(c)
		},
	}
}

func login(c *cli.Context) error {
	kind := c.String("type")
	if kind == "" {
		kind = "code"
		if c.String("token") != "" && c.String("phone") == "" {
			kind = "bot"
		}
	}
	ways := map[string]func(*cli.Context, *account, *asker) (*telegram.User, error){"code": loginCode, "qr": loginQR, "bot": loginBot}
	way, ok := ways[kind]
	switch {
	case kind == "import":
		return loginImport(c)
	case c.NArg() > 0:
		return usagef("login takes an argument only with -T import")
	case !ok:
		return usagef("-T %s: want code, qr, bot or import", kind)
	case kind == "bot" && c.String("token") == "":
		return usagef("--token or HAUL_TOKEN is needed")
	}
	cfg, err := clientConfig(c)
	if err != nil {
		return err
	}
	a, err := makeStore(c)
	if err != nil {
		return err
	}
	defer a.close()
	if err := a.chooseSeal(c); err != nil {
		return err
	}
	ask := newAsker(c)
	if kind == "code" {
		if err := ask.phoneFirst(c.Context, a); err != nil {
			return err
		}
	}
	if err := a.dialAnew(c.Context, cfg); err != nil {
		return err
	}
	user, err := a.already(c, kind)
	if user == nil && err == nil {
		user, err = way(c, a, ask)
	}
	if err != nil {
		return err
	}
	return a.tellSignedIn(c, user, a.client.HomeDC())
}

// already is who is signed in, nil if nobody is. Bots are compared by LoginBot.
func (a *account) already(c *cli.Context, kind string) (*telegram.User, error) {
	if kind == "bot" || !a.client.LoggedIn() {
		return nil, nil
	}
	user, err := a.client.Self(c.Context)
	switch {
	case errors.Is(err, telegram.ErrLoggedOut):
		return nil, nil // until a moment ago
	case err != nil:
		return nil, err
	}
	if want, err := telegram.CleanPhone(c.String("phone")); c.String("phone") != "" && (err != nil || want != user.Phone) {
		return nil, fmt.Errorf("account %s is signed in as %s: %w", a.name, describe(user), telegram.ErrSignedIn)
	}
	return user, nil
}

func loginCode(c *cli.Context, a *account, ask *asker) (*telegram.User, error) {
	phone, err := ask.phone(c.Context)
	if err != nil {
		return nil, err
	}
	return a.client.LoginPhone(c.Context, phone, ask)
}

func loginQR(c *cli.Context, a *account, ask *asker) (*telegram.User, error) {
	ctx, cancel := context.WithTimeout(c.Context, qrPatience)
	defer cancel()
	others, err := a.others(c)
	if err != nil {
		return nil, err
	}
	var except []int64
	for _, o := range others {
		ask.say("%s is signed in here already, as account %s: scan the code with another account.", printable(o.user.Name), o.account)
		except = append(except, o.user.ID)
	}
	user, err := a.client.LoginQR(ctx, &qrAsker{asker: ask, c: c}, except...)
	if err != nil && ctx.Err() != nil && c.Err() == nil {
		return nil, fmt.Errorf("nobody has scanned the code in %v", qrPatience)
	}
	return user, err
}

func loginBot(c *cli.Context, a *account, _ *asker) (*telegram.User, error) {
	return a.client.LoginBot(c.Context, c.String("token"))
}

// A signedIn is the last line of a login with --json, and what whoami prints.
type signedIn struct {
	Event    string    `json:"event,omitempty"`
	Time     time.Time `json:"time,omitzero"`
	Account  string    `json:"account"`
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Username string    `json:"username,omitempty"`
	Phone    string    `json:"phone,omitempty"` // masked
	Bot      bool      `json:"bot"`
	Premium  bool      `json:"premium"`
	HomeDC   int       `json:"home_dc"`
}

func (a *account) who(u *telegram.User, homeDC int) signedIn {
	return signedIn{
		Account: a.name, ID: fmt.Sprint(u.ID), Name: u.Name, Username: u.Username, Phone: maskPhone(u.Phone), Bot: u.Bot,
		Premium: u.Premium, HomeDC: homeDC,
	}
}

func (a *account) tellSignedIn(c *cli.Context, u *telegram.User, homeDC int) error {
	var err error
	switch {
	case c.Bool("json"):
		who := a.who(u, homeDC)
		who.Event, who.Time = "signed_in", time.Now()
		err = json.NewEncoder(c.App.Writer).Encode(who)
	case !c.Bool("quiet"):
		_, err = fmt.Fprintln(c.App.Writer, "signed in as", describe(u))
	}
	return err
}

// describe names an account for people: @name (bot 5), or Ann (user 7, Premium).
func describe(u *telegram.User) string {
	name := u.Name
	if u.Username != "" {
		name = "@" + u.Username
	}
	kind := "user"
	if u.Bot {
		kind = "bot"
	}
	text := fmt.Sprintf("%s (%s %d", name, kind, u.ID)
	if u.Phone != "" {
		text += ", " + maskPhone(u.Phone)
	}
	if u.Premium {
		text += ", Premium"
	}
	return text + ")"
}

// maskPhone shows enough of a number to know it by: +999*****01.
func maskPhone(digits string) string {
	const head, tail = 3, 2
	if len(digits) <= head+tail {
		return ""
	}
	b := []byte("+" + digits)
	for i := 1 + head; i < len(b)-tail; i++ {
		b[i] = '*'
	}
	return string(b)
}

// loginHint is what may be done about an error of a login, "" of another one.
func loginHint(err error) string {
	for _, h := range []struct {
		err  error
		hint string
	}{
		{telegram.ErrSignedIn, "haul logout ends that login; -n NAME signs in beside it"},
		{telegram.ErrAppID, "https://my.telegram.org, \"API development tools\", shows the id and hash of your app; those of other programs are limited"},
		{telegram.ErrPhoneInvalid, "for example +49 151 23456789"},
		{telegram.ErrPhoneBanned, "recover@telegram.org is where to ask about it"},
		{telegram.ErrPhoneFlood, "haul login -T qr needs no code"},
		{telegram.ErrSignUp, "haul makes no new accounts: those made by other than official apps are often banned"},
		{telegram.ErrCodeExpired, "run it again with the code that was sent now"},
		{telegram.ErrCodeInvalid, "run it again with --code; --code resend sends another one"},
		{telegram.ErrPasswordWrong, "official apps can reset a forgotten password, by e-mail"},
		{telegram.ErrOfficialOnly, "haul login -T qr may still work"},
		{telegram.ErrLoginRestart, "run it again in some minutes"},
		{telegram.ErrCodePayment, "haul login -T qr"},
		{telegram.ErrEmailRequired, "haul login -T qr"},
		{telegram.ErrEmailInvalid, "run it again with --email"},
		{telegram.ErrEmailNotAllowed, "run it again with --email"},
		{telegram.ErrResetPending, "run it again then with --code reset"},
	} {
		if errors.Is(err, h.err) {
			return h.hint
		}
	}
	return ""
}
