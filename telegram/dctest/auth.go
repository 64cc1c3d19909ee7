package dctest

import (
	"cmp"
	"crypto/rand"
	"crypto/subtle"
	"strconv"
	"strings"
	"time"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// An account is a bot or a user of the cluster.
type account struct {
	cfg AccountConfig
	id  int64

	verify verifier // of its password
}

func (a *account) bot() bool { return a.cfg.Token != "" }

// username is the name of a bot.
func (a *account) username() string {
	return "sim_" + strconv.FormatInt(a.id, 10) + "_bot"
}

const firstUserID = 2_000_000_001 // of users; bots come before them

// id is the user id of account i of the scenario. A bot's is in its token, as
// with real ones.
func (a *AccountConfig) id(i int) int64 {
	number, _, _ := strings.Cut(a.Token, ":")
	if id, err := strconv.ParseInt(number, 10, 64); err == nil && id > 0 && id < firstUserID {
		return id
	}
	return firstUserID + int64(i)
}

// authorised is the account that a key of a DC is signed in to, or nil.
func (c *Cluster) authorised(dc int, key int64) *account {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.accountLocked(c.logins[keyAt{dc, key}].account)
}

func (c *Cluster) accountLocked(id int64) *account {
	for _, a := range c.accounts {
		if a.id == id {
			return a
		}
	}
	return nil
}

// A keyAt is an auth key at a DC.
type keyAt struct {
	dc  int
	key int64
}

// A login binds a key to an account. One that was brought to another DC ends
// with the one that vouched for it.
type login struct {
	account int64
	parent  keyAt // zero where the account signed in
}

// key is the permanent key that the call came with.
func (r *request) key() keyAt { return keyAt{r.DC, r.AuthKeyID} }

func (r *request) login(a *account, parent keyAt) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	r.c.logins[r.key()] = login{account: a.id, parent: parent}
	delete(r.c.halfway, r.key())
	delete(r.c.takeouts.open, r.key())
	delete(r.c.dead, r.key())
	r.me = a
}

// enter signs a user in who has proven everything but the password.
func (r *request) enter(a *account) (tl.Object, error) {
	if a.cfg.Password == "" {
		return r.welcome(a), nil
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	r.c.halfway[r.key()] = a.id
	return nil, refuse(401, "SESSION_PASSWORD_NEEDED")
}

// welcome signs a user in who has proven everything.
func (r *request) welcome(a *account) *api.AuthAuthorization {
	r.login(a, keyAt{})
	return &api.AuthAuthorization{User: r.user(a), FutureAuthToken: r.c.futureToken(a)}
}

// futureToken makes a token that spares a later login its code, once.
// See core.telegram.org/api/auth#future-auth-tokens.
func (c *Cluster) futureToken(a *account) []byte {
	token := make([]byte, 24)
	_, _ = rand.Read(token) // never fails
	c.mu.Lock()
	defer c.mu.Unlock()
	c.futures[string(token)] = a.id
	return token
}

// logOut ends the login of a key, and with it those that it vouched for.
func (r *request) logOut() (tl.Object, error) {
	out := &api.AuthLoggedOut{}
	if !r.me.bot() {
		out.FutureAuthToken = r.c.futureToken(r.me)
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	root := r.rootLocked()
	delete(r.c.takeouts.open, root)
	for k, l := range r.c.logins {
		if k == root || l.parent == root {
			delete(r.c.logins, k)
		}
	}
	for s, l := range r.c.listeners {
		if l.dc == root.dc && s.AuthKeyID() == root.key {
			delete(r.c.listeners, s)
		}
	}
	r.me = nil
	return out, nil
}

func (r *request) importBot(q *api.AuthImportBotAuthorizationRequest) (tl.Object, error) {
	if q.APIID <= 0 || q.APIHash == "" {
		return nil, refuse(400, "API_ID_INVALID")
	}
	for _, a := range r.c.accounts {
		if !a.bot() || subtle.ConstantTimeCompare([]byte(a.cfg.Token), []byte(q.BotAuthToken)) != 1 {
			continue
		}
		if a.cfg.DC != r.DC {
			return nil, refuse(303, "USER_MIGRATE_"+strconv.Itoa(a.cfg.DC))
		}
		r.login(a, keyAt{})
		return &api.AuthAuthorization{User: r.user(a)}, nil
	}
	return nil, refuse(400, "ACCESS_TOKEN_INVALID")
}

// signOut ends all authorisations of an account, at every DC. Their keys are
// told why from then on.
func (c *Cluster) signOut(account int64, why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, l := range c.logins {
		if l.account == account {
			delete(c.logins, k)
			c.dead[k] = why
		}
	}
}

// notSignedIn is the answer to a key that calls what needs a login.
func (c *Cluster) notSignedIn(k keyAt) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return cmp.Or(c.dead[k], refuse(401, "AUTH_KEY_UNREGISTERED"))
}

// Freeze freezes the account of a user id, or thaws it: it may read, and write nothing.
// See core.telegram.org/api/auth#frozen-accounts.
func (c *Cluster) Freeze(account int64, frozen bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frozen[account] = frozen
}

// What a frozen account is told about its freeze.
const (
	freezeFor    = 30 * 24 * time.Hour
	freezeAppeal = "https://t.me/spambot"
)

// isFrozen reports whether the account asking is.
func (r *request) isFrozen() bool {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return r.me != nil && r.c.frozen[r.me.id]
}

// whenThawed are the methods that a frozen account may not call.
var whenThawed = names(`upload.saveFilePart upload.saveBigFilePart messages.sendMedia messages.uploadMedia messages.sendMultiMedia messages.sendMessage`)

// revokeGuest ends the authorisation of a key that it was brought to, and
// reports whether it had one.
func (c *Cluster) revokeGuest(k keyAt) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.logins[k].parent == (keyAt{}) {
		return false
	}
	delete(c.logins, k)
	return true
}

// An exported authorisation can be imported once, at one DC, for a short time.
type exported struct {
	account int64
	from    keyAt
	dc      int
	bytes   string
	until   time.Time
}

const exportLifetime = time.Minute

func (r *request) exportAuthorization(q *api.AuthExportAuthorizationRequest) (tl.Object, error) {
	to := int(q.DCID)
	if to == r.DC || !r.c.isPlain(to) {
		return nil, refuse(400, "DC_ID_INVALID")
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	r.c.exports++
	id := r.c.exports
	secret := r.c.world.mac("export", id, r.now.UnixNano())
	r.c.exported[id] = exported{account: r.me.id, from: r.key(), dc: to, bytes: string(secret), until: r.now.Add(exportLifetime)}
	return &api.AuthExportedAuthorization{ID: id, Bytes: secret}, nil
}

func (r *request) importAuthorization(q *api.AuthImportAuthorizationRequest) (tl.Object, error) {
	r.c.mu.Lock()
	x, ok := r.c.exported[q.ID]
	delete(r.c.exported, q.ID)
	a := r.c.accountLocked(x.account)
	r.c.mu.Unlock()
	if !ok || a == nil || x.bytes != string(q.Bytes) || x.dc != r.DC || r.now.After(x.until) {
		return nil, refuse(400, "AUTH_BYTES_INVALID")
	}
	r.login(a, x.from)
	return &api.AuthAuthorization{User: r.user(a)}, nil
}

// user is an account as the account asking sees it.
func (r *request) user(a *account) *api.User {
	u := &api.User{
		Self: a == r.me, Bot: a.bot(), Premium: a.cfg.Premium, ID: a.id,
		AccessHash: tl.Some(r.c.world.accessHash(r.me.id, a.id)),
	}
	if a.bot() {
		u.FirstName, u.BotInfoVersion = tl.Some(a.cfg.Name), tl.Some[int32](1)
		u.Username = tl.Some(a.username())
		return u
	}
	u.FirstName, u.Phone = tl.Some(a.cfg.Name), tl.Some(digits(a.cfg.Phone))
	return u
}

func (r *request) findUser(in api.InputUserClass) (*account, error) {
	switch in := in.(type) {
	case *api.InputUserSelf:
		return r.me, nil
	case *api.InputUser:
		r.c.mu.Lock()
		a := r.c.accountLocked(in.UserID)
		r.c.mu.Unlock()
		if a != nil && in.AccessHash == r.c.world.accessHash(r.me.id, a.id) {
			return a, nil
		}
	}
	return nil, refuse(400, "USER_ID_INVALID")
}

func (r *request) getUsers(q *api.UsersGetUsersRequest) (tl.Object, error) {
	var users objectVector[api.UserClass]
	for _, in := range q.ID {
		a, err := r.findUser(in)
		if err != nil {
			return nil, err
		}
		users = append(users, r.user(a))
	}
	return users, nil
}

func (r *request) getFullUser(q *api.UsersGetFullUserRequest) (tl.Object, error) {
	a, err := r.findUser(q.ID)
	if err != nil {
		return nil, err
	}
	return &api.UsersUserFull{FullUser: api.UserFull{ID: a.id}, Users: []api.UserClass{r.user(a)}}, nil
}
