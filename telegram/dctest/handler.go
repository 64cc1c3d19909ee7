package dctest

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/tghaul/haul/telegram/dctest/flood"

	"github.com/tghaul/haul/telegram/dctest/internal/layers"
	"github.com/tghaul/haul/telegram/dctest/internal/mtserver"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
	"github.com/tghaul/haul/tl/schema"
)

// A call goes through, in this order: wrappers, layer, what the method needs
// (authorisation, kind of account), flood rules, faults, the method itself,
// and the shape of the client's layer.

// A request is one API call, with all that its answer depends on.
type request struct {
	*mtserver.Call
	c       *Cluster
	me      *account // nil before sign-in
	method  string
	layer   int
	now     time.Time
	quiet   bool          // invokeWithoutUpdates
	takeout tl.Opt[int64] // invokeWithTakeout
	strike  string        // the fault that befalls the file asked for, if any
}

func refuse(code int, text string) error { return &mtserver.Error{Code: code, Message: text} }

// Handle answers one call; see mtserver.Handler.
func (c *Cluster) Handle(ctx context.Context, call *mtserver.Call) (tl.Object, error) {
	// When it came counts, not when its turn came.
	r := &request{Call: call, c: c, now: cmp.Or(call.Received, c.now())}
	r.method, _ = schema.Name(call.Method)
	r.deliver()
	answer, err := r.answer(ctx)
	c.stats.count(r, err)
	return answer, err
}

func (r *request) answer(ctx context.Context) (tl.Object, error) {
	query, err := r.peel(ctx)
	if err != nil {
		return nil, err
	}
	if query, err = layers.Upgrade(query, r.layer); err != nil {
		return nil, refuse(400, "INPUT_FETCH_ERROR")
	}
	if r.c.isCDN(r.DC) != (query.TypeID() == api.UploadGetCdnFileRequestID) {
		return nil, refuse(400, "CDN_METHOD_INVALID")
	}
	q, err := decodeQuery(query)
	if err != nil {
		return nil, err
	}
	r.method = q.TypeName()
	if err := r.admit(); err != nil {
		return nil, err
	}
	if err := r.admitTakeout(q); err != nil {
		return nil, err
	}
	v := r.flood()
	defer func() { v.Done() }()
	if err := r.waitError(v); err != nil {
		return nil, err
	}
	if err := r.fault(); err != nil {
		return nil, err
	}
	result, err := r.dispatch(q)
	r.listen() // now: a login is the first call of its session
	if err != nil || r.layer >= schema.Layer {
		return result, err
	}
	return layers.Downgrade(result, r.layer)
}

// decodeQuery reads a query of the current layer, all of it.
func decodeQuery(query tl.Raw) (tl.Object, error) {
	d := tl.NewDecoder(query)
	q, err := api.DecodeRequest(d)
	var unknown *tl.UnknownConstructorError
	switch {
	case errors.As(err, &unknown) && unknown.ID == query.TypeID():
		return nil, unknownMethod(query.TypeID())
	case errors.As(err, &unknown):
		return nil, refuse(400, "INPUT_CONSTRUCTOR_INVALID_"+strconv.FormatUint(uint64(unknown.ID), 10))
	case err != nil || d.End() != nil:
		return nil, refuse(400, "INPUT_FETCH_ERROR")
	}
	return q, nil
}

// admit finds out who calls, and whether they may.
func (r *request) admit() error {
	r.me = r.c.authorised(r.DC, r.AuthKeyID)
	switch {
	case r.me == nil && !withoutLogin[r.method] && !r.c.isCDN(r.DC):
		return r.c.notSignedIn(r.key())
	case r.me != nil && r.me.bot() && usersOnly[r.method]:
		return refuse(400, "BOT_METHOD_INVALID")
	case whenThawed[r.method] && r.isFrozen():
		return refuse(420, "FROZEN_METHOD_INVALID")
	}
	return nil
}

// withoutLogin are the methods that a key without an account may call.
var withoutLogin = names(`auth.sendCode auth.resendCode auth.cancelCode auth.signIn auth.checkPassword account.getPassword
	auth.resetLoginEmail account.sendVerifyEmailCode account.verifyEmail auth.importBotAuthorization auth.importAuthorization auth.exportLoginToken auth.importLoginToken
	help.getConfig help.getNearestDc help.getAppConfig help.getCdnConfig`)

// usersOnly are the methods that bots may not call.
var usersOnly = names(`messages.getHistory messages.search messages.getReplies messages.getDialogs messages.getPinnedDialogs
	messages.getDiscussionMessage messages.getForumTopics messages.checkChatInvite contacts.resolvePhone
	messages.getPeerDialogs messages.getSearchCounters account.initTakeoutSession account.finishTakeoutSession account.getPassword auth.acceptLoginToken`)

func names(list string) map[string]bool {
	set := map[string]bool{}
	for name := range strings.FieldsSeq(list) {
		set[name] = true
	}
	return set
}

// The layers whose clients are served.
const (
	oldestLayer = 144
	newestLayer = 229
)

// peel takes the wrappers off and keeps what they say.
// See core.telegram.org/api/invoking.
func (r *request) peel(ctx context.Context) (tl.Raw, error) {
	query := r.Query
	for {
		inner, err := r.peelOne(ctx, query)
		if err != nil {
			return nil, err
		}
		if inner == nil {
			return query, r.remember()
		}
		if len(inner) < 4 {
			return nil, refuse(400, "INPUT_FETCH_ERROR")
		}
		query = inner
	}
}

// outside are the wrappers that have no place inside invokeWithTakeout.
var outside = map[uint32]bool{api.InvokeWithLayerRequestID: true, api.InitConnectionRequestID: true, api.InvokeWithTakeoutRequestID: true}

// peelOne takes one wrapper off. It returns nil if there is none.
func (r *request) peelOne(ctx context.Context, query tl.Raw) (tl.Raw, error) {
	d := tl.NewDecoder(query)
	var after []int64
	if id := d.PeekID(); r.takeout.Set && outside[id] {
		return nil, unknownMethod(id)
	}
	switch d.ID() {
	case api.InvokeWithLayerRequestID:
		layer := int(d.Int())
		if d.Err() == nil && (layer < oldestLayer || layer > newestLayer) {
			return nil, refuse(400, "CONNECTION_LAYER_INVALID")
		}
		r.layer = layer
	case api.InitConnectionRequestID:
		var w api.InitConnectionRequest
		w.DecodeBare(d)
		if err := r.initConnection(&w, d.Err()); err != nil {
			return nil, err
		}
		inner, _ := w.Query.(tl.Raw)
		return inner, nil
	case api.InvokeWithoutUpdatesRequestID:
		r.quiet = true
	case api.InvokeWithTakeoutRequestID:
		r.takeout = tl.Some(d.Long())
	case api.InvokeWithMessagesRangeRequestID:
		schema.Skip(d)
	case api.InvokeAfterMsgRequestID:
		after = append(after, d.Long())
	case api.InvokeAfterMsgsRequestID:
		for n := d.Vector(8); n > 0; n-- {
			after = append(after, d.Long())
		}
	default:
		return nil, nil
	}
	if d.Err() != nil {
		return nil, refuse(400, "INPUT_FETCH_ERROR")
	}
	for _, id := range after {
		if err := r.WaitFor(ctx, id); err != nil {
			return nil, err
		}
	}
	return d.Rest(), nil
}

func (r *request) initConnection(w *api.InitConnectionRequest, err error) error {
	switch {
	case err != nil:
		return refuse(400, "INPUT_FETCH_ERROR")
	case r.layer == 0:
		return refuse(400, "CONNECTION_LAYER_INVALID")
	case w.APIID <= 0:
		return refuse(400, "CONNECTION_API_ID_INVALID")
	case w.DeviceModel == "":
		return refuse(400, "CONNECTION_DEVICE_MODEL_EMPTY")
	case w.SystemVersion == "":
		return refuse(400, "CONNECTION_SYSTEM_EMPTY")
	case w.AppVersion == "":
		return refuse(400, "CONNECTION_APP_VERSION_EMPTY")
	case w.LangPack != "" && w.LangPack != "tdesktop" && w.LangPack != "android" && w.LangPack != "ios":
		return refuse(400, "CONNECTION_LANG_PACK_INVALID")
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	r.c.inits[r.KeyID] = r.layer
	return nil
}

// remember makes sure that the key has said which layer its client speaks.
func (r *request) remember() error {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	layer, ok := r.c.inits[r.KeyID]
	if !ok {
		return refuse(400, "CONNECTION_NOT_INITED")
	}
	if r.layer == 0 {
		r.layer = layer
	}
	return nil
}

// fault lets a fault of the scenario strike: with an answer, or later, when
// the file is known.
func (r *request) fault() error {
	f, ok := r.c.faults.next(r.method, r.DC, callFaults...)
	if !ok {
		return nil
	}
	switch f.Kind {
	case "flood_wait":
		wait := time.Duration(max(1, f.Seconds)) * time.Second
		return r.waitError(r.c.flood.Close(r.accountID(), r.DC, r.method, wait, r.now))
	case "error":
		return refuse(f.Code, f.Message)
	case "takeout_ended":
		r.c.endTakeouts(r.accountID())
		if r.takeout.Set {
			return refuse(400, "TAKEOUT_INVALID")
		}
		return nil
	case "signed_out":
		why := refuse(cmp.Or(f.Code, 401), cmp.Or(f.Message, "SESSION_REVOKED"))
		r.c.signOut(r.accountID(), why)
		return why
	case "frozen":
		r.c.Freeze(r.accountID(), true)
		return r.admit()
	case "guest_revoked":
		if r.c.revokeGuest(r.key()) {
			return refuse(401, "AUTH_KEY_UNREGISTERED")
		}
		return nil
	case "move":
		return r.c.Move(r.DC)
	default:
		r.strike = f.Kind
		return nil
	}
}

// accountID is who is counted by flood rules: nobody before sign-in.
func (r *request) accountID() int64 {
	if r.me == nil {
		return 0
	}
	return r.me.id
}

func (r *request) flood() flood.Verdict {
	return r.c.flood.AskBegun(r.accountID(), r.me != nil && r.me.cfg.Premium, r.DC, r.method, r.begun(), r.now)
}

// maxUnderway is how long before it comes a request is believed to be begun.
const maxUnderway = 5 * time.Second

// begun is when the client has begun the request, which its msg_id tells.
func (r *request) begun() time.Time {
	if at := r.Begun(); at.Before(r.now) && r.now.Sub(at) < maxUnderway {
		return at
	}
	return r.now
}

// waitError is the answer to a request that has to wait.
func (r *request) waitError(v flood.Verdict) error {
	if v.Wait == 0 {
		return nil
	}
	answer := &mtserver.Error{Code: 420, Message: "FLOOD_WAIT_" + itoa(v.Wait)}
	if v.Premium {
		answer.Message = "FLOOD_PREMIUM_WAIT_" + itoa(v.Wait)
	}
	if r.Session != nil { // else nobody will say when it is written
		told := v.Later()
		answer.Written = func() { told(r.c.now()) }
	}
	return answer
}

func itoa(n int) string { return strconv.Itoa(n) }

// dispatch calls the method.
func (r *request) dispatch(q tl.Object) (tl.Object, error) {
	switch q := q.(type) {
	case *api.HelpGetConfigRequest:
		return r.config(), nil
	case *api.HelpGetNearestDcRequest:
		return &api.NearestDc{Country: "NL", ThisDC: int32(r.DC), NearestDC: int32(r.c.cfg.HomeDC)}, nil
	case *api.HelpGetCdnConfigRequest:
		return r.cdnConfig(), nil
	case *api.HelpGetAppConfigRequest:
		return r.appConfig(q), nil
	case *api.AccountInitTakeoutSessionRequest:
		return r.initTakeout(q)
	case *api.AccountFinishTakeoutSessionRequest:
		return r.finishTakeout(q)
	case *api.UsersGetUsersRequest:
		return r.getUsers(q)
	case *api.UsersGetFullUserRequest:
		return r.getFullUser(q)
	case *api.ContactsResolveUsernameRequest:
		return r.resolveUsername(q)
	case *api.UploadGetFileRequest:
		return r.getFile(q)
	case *api.UploadGetFileHashesRequest:
		return r.getFileHashes(q)
	case *api.UploadGetCdnFileRequest:
		return r.getCdnFile(q)
	case *api.UploadReuploadCdnFileRequest:
		return r.reuploadCdnFile(q)
	case *api.UploadGetCdnFileHashesRequest:
		return r.getCdnFileHashes(q)
	case *api.UploadSaveFilePartRequest:
		return r.savePart(part{id: q.FileID, number: int(q.FilePart), bytes: q.Bytes})
	case *api.UploadSaveBigFilePartRequest:
		return r.savePart(part{id: q.FileID, number: int(q.FilePart), total: int(q.FileTotalParts), big: true, bytes: q.Bytes})
	default:
		return r.dispatchSignIn(q)
	}
}

func (r *request) dispatchSignIn(q tl.Object) (tl.Object, error) {
	switch q := q.(type) {
	case *api.AuthImportBotAuthorizationRequest:
		return r.importBot(q)
	case *api.AuthSendCodeRequest:
		return r.sendCode(q)
	case *api.AuthResendCodeRequest:
		return r.resendCode(q)
	case *api.AuthCancelCodeRequest:
		return r.cancelCode(q)
	case *api.AuthSignInRequest:
		return r.signIn(q)
	case *api.AuthResetLoginEmailRequest:
		return r.resetLoginEmail(q)
	case *api.AccountSendVerifyEmailCodeRequest:
		return r.sendVerifyEmailCode(q)
	case *api.AccountVerifyEmailRequest:
		return r.verifyEmail(q)
	case *api.AccountGetPasswordRequest:
		return r.getPassword()
	case *api.AuthCheckPasswordRequest:
		return r.checkPassword(q)
	case *api.AuthExportLoginTokenRequest:
		return r.exportLoginToken(q)
	case *api.AuthImportLoginTokenRequest:
		return r.importLoginToken(q)
	case *api.AuthAcceptLoginTokenRequest:
		return r.acceptLoginToken(q)
	case *api.AuthLogOutRequest:
		return r.logOut()
	case *api.AuthExportAuthorizationRequest:
		return r.exportAuthorization(q)
	case *api.AuthImportAuthorizationRequest:
		return r.importAuthorization(q)
	default:
		return r.dispatchMessages(q)
	}
}

func (r *request) dispatchMessages(q tl.Object) (tl.Object, error) {
	switch q := q.(type) {
	case *api.MessagesGetHistoryRequest:
		return r.getHistory(q)
	case *api.MessagesSearchRequest:
		return r.search(q)
	case *api.MessagesGetMessagesRequest:
		return r.getMessages(q)
	case *api.ChannelsGetMessagesRequest:
		return r.getChannelMessages(q)
	case *api.MessagesGetDialogsRequest:
		return r.getDialogs(q)
	case *api.MessagesGetPinnedDialogsRequest:
		return r.getPinnedDialogs(q)
	case *api.MessagesGetPeerDialogsRequest:
		return r.getPeerDialogs(q)
	case *api.ChannelsGetChannelsRequest:
		return r.getChannels(q)
	case *api.ChannelsGetFullChannelRequest:
		return r.getFullChannel(q)
	case *api.MessagesGetChatsRequest: // there are no basic groups
		if len(q.ID) > 0 {
			return nil, refuse(400, "CHAT_ID_INVALID")
		}
		return &api.MessagesChats{}, nil
	case *api.MessagesGetSearchCountersRequest:
		return r.searchCounters(q)
	case *api.MessagesGetRepliesRequest:
		return r.getReplies(q)
	case *api.MessagesGetDiscussionMessageRequest:
		return r.getDiscussionMessage(q)
	case *api.MessagesGetForumTopicsRequest:
		return r.getForumTopics(q)
	case *api.MessagesCheckChatInviteRequest:
		return r.checkChatInvite(q)
	case *api.ContactsResolvePhoneRequest:
		return r.resolvePhone(q)
	case *api.UpdatesGetStateRequest:
		return r.getState()
	case *api.UpdatesGetDifferenceRequest:
		return r.getDifference(q)
	case *api.UpdatesGetChannelDifferenceRequest:
		return r.getChannelDifference(q)
	case *api.MessagesSendMediaRequest:
		return r.sendMedia(q)
	case *api.MessagesUploadMediaRequest:
		return r.uploadMedia(q)
	case *api.MessagesSendMultiMediaRequest:
		return r.sendMultiMedia(q)
	case *api.MessagesSendMessageRequest:
		return r.sendMessage(q)
	case *api.MessagesForwardMessagesRequest:
		return r.forwardMessages(q)
	default:
		return nil, unknownMethod(q.TypeID())
	}
}

// unknownMethod is the answer to a call of a method that the cluster lacks.
func unknownMethod(id uint32) error {
	return refuse(400, "INPUT_METHOD_INVALID_"+strconv.FormatUint(uint64(id), 10))
}

// A boxedBool is an answer of type Bool.
type boxedBool bool

func (boxedBool) TypeID() uint32         { return tl.BoolTrueID }
func (boxedBool) TypeName() string       { return "Bool" }
func (b boxedBool) Encode(e *tl.Encoder) { e.Bool(bool(b)) }

// A boxedVector is an answer of type Vector.
type boxedVector[T any, P interface {
	*T
	tl.Object
}] []T

func (boxedVector[T, P]) TypeID() uint32   { return tl.VectorID }
func (boxedVector[T, P]) TypeName() string { return "Vector" }
func (v boxedVector[T, P]) Encode(e *tl.Encoder) {
	e.Vector(len(v))
	for i := range v {
		P(&v[i]).Encode(e)
	}
}

// An objectVector is an answer of type Vector with items of several constructors.
type objectVector[T tl.Object] []T

func (objectVector[T]) TypeID() uint32   { return tl.VectorID }
func (objectVector[T]) TypeName() string { return "Vector" }
func (v objectVector[T]) Encode(e *tl.Encoder) {
	e.Vector(len(v))
	for _, o := range v {
		o.Encode(e)
	}
}
