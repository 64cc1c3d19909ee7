package dctest

import (
	"crypto/subtle"
	"encoding/hex"
	"maps"
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
}

func (a *account) bot() bool { return a.cfg.Token != "" }

// username is the name of a bot.
func (a *account) username() string {
	return "sim_" + strconv.FormatInt(a.id-firstUserID, 10) + "_bot"
}

const firstUserID = 2_000_000_001

// authorised is the account that a key of a DC is signed in to, or nil.
func (c *Cluster) authorised(dc int, key int64) *account {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.accountLocked(c.logins[keyAt{dc, key}])
}

func (c *Cluster) accountLocked(id int64) *account {
	if i := id - firstUserID; i >= 0 && i < int64(len(c.accounts)) {
		return c.accounts[i]
	}
	return nil
}

// A keyAt is an auth key at a DC.
type keyAt struct {
	dc  int
	key int64
}

func (r *request) login(a *account) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	r.c.logins[keyAt{r.DC, r.AuthKeyID}] = a.id
	r.me = a
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
		r.login(a)
		return &api.AuthAuthorization{User: r.user(a)}, nil
	}
	return nil, refuse(400, "ACCESS_TOKEN_INVALID")
}

// minPhone is how many digits a phone number has at least.
const minPhone = 5

func digits(s string) string {
	return strings.Map(func(c rune) rune {
		if c < '0' || c > '9' {
			return -1
		}
		return c
	}, s)
}

func (r *request) byPhone(phone string) *account {
	for _, a := range r.c.accounts {
		if a.cfg.Phone != "" && digits(a.cfg.Phone) == digits(phone) {
			return a
		}
	}
	return nil
}

func (r *request) codeHash(phone string) string {
	return hex.EncodeToString(r.c.world.mac("code "+digits(phone), r.AuthKeyID)[:9])
}

func (r *request) sendCode(q *api.AuthSendCodeRequest) (tl.Object, error) {
	a := r.byPhone(q.PhoneNumber)
	switch {
	case q.APIID <= 0 || q.APIHash == "":
		return nil, refuse(400, "API_ID_INVALID")
	case len(digits(q.PhoneNumber)) < minPhone:
		return nil, refuse(406, "PHONE_NUMBER_INVALID")
	case a != nil && a.cfg.DC != r.DC:
		return nil, refuse(303, "PHONE_MIGRATE_"+strconv.Itoa(a.cfg.DC))
	}
	return &api.AuthSentCode{
		Type: &api.AuthSentCodeTypeApp{Length: 5}, PhoneCodeHash: r.codeHash(q.PhoneNumber), Timeout: tl.Some[int32](60),
	}, nil
}

func (r *request) signIn(q *api.AuthSignInRequest) (tl.Object, error) {
	a := r.byPhone(q.PhoneNumber)
	switch {
	case q.PhoneCodeHash != r.codeHash(q.PhoneNumber):
		return nil, refuse(400, "PHONE_CODE_EXPIRED")
	case !q.PhoneCode.Set || q.PhoneCode.Value == "":
		return nil, refuse(400, "PHONE_CODE_EMPTY")
	case a == nil:
		return &api.AuthAuthorizationSignUpRequired{}, nil
	case q.PhoneCode.Value != a.cfg.Code:
		return nil, refuse(400, "PHONE_CODE_INVALID")
	}
	r.login(a)
	return &api.AuthAuthorization{User: r.user(a)}, nil
}

func (r *request) logOut() (tl.Object, error) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	for k, id := range r.c.logins {
		if k.key == r.AuthKeyID && id == r.me.id {
			delete(r.c.logins, k)
		}
	}
	delete(r.c.listeners, r.Session)
	r.me = nil
	return &api.AuthLoggedOut{}, nil
}

// signOut ends all authorisations of an account, at every DC.
func (c *Cluster) signOut(account int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.logins, func(_ keyAt, id int64) bool { return id == account })
}

// An exported authorisation can be imported once, at one DC, for a short time.
type exported struct {
	account int64
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
	r.c.exported[id] = exported{account: r.me.id, dc: to, bytes: string(secret), until: r.now.Add(exportLifetime)}
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
	r.login(a)
	return &api.AuthAuthorization{User: r.user(a)}, nil
}

// user is an account as the account asking sees it.
func (r *request) user(a *account) *api.User {
	u := &api.User{
		Self: a == r.me, Bot: a.bot(), Premium: a.cfg.Premium, ID: a.id,
		AccessHash: tl.Some(r.c.world.accessHash(r.me.id, a.id)),
	}
	if a.bot() {
		u.FirstName, u.BotInfoVersion = tl.Some("Sim Bot"), tl.Some[int32](1)
		u.Username = tl.Some(a.username())
		return u
	}
	u.FirstName, u.Phone = tl.Some("Sim"), tl.Some(digits(a.cfg.Phone))
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

// initTakeout begins an export session, or goes on with the one there is.
// See core.telegram.org/api/takeout.
func (r *request) initTakeout() (tl.Object, error) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	if r.c.takeouts[r.me.id] == 0 {
		r.c.takeouts[r.me.id] = r.c.world.accessHash(r.me.id, r.now.UnixNano()) & idMask
	}
	return &api.AccountTakeout{ID: r.c.takeouts[r.me.id]}, nil
}

func (r *request) finishTakeout() (tl.Object, error) {
	if !r.takeout.Set {
		return nil, refuse(403, "TAKEOUT_REQUIRED")
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	delete(r.c.takeouts, r.me.id)
	return boxedBool(true), nil
}

// inTakeout reports whether id is the account's export session.
func (c *Cluster) inTakeout(a *account, id int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return a != nil && id != 0 && c.takeouts[a.id] == id
}
