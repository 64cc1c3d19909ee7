package dctest

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/tghaul/haul/telegram/dctest/internal/layers"
	"github.com/tghaul/haul/telegram/dctest/internal/mtserver"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
	"github.com/tghaul/haul/tl/schema"
)

// A call goes through, in this order: wrappers, layer, what the method needs
// (authorisation, kind of account), faults, flood rules, the method itself,
// and the shape of the client's layer.

// A request is one API call, with all that its answer depends on.
type request struct {
	*mtserver.Call
	c        *Cluster
	ctxMe    *account // nil before sign-in
	method   string
	layer    int
	now      time.Time
	shortBy  int // bytes that a fault cuts off the answer
	expireIt bool
}

func refuse(code int, text string) error { return &mtserver.Error{Code: code, Message: text} }

// Handle answers one call; see mtserver.Handler.
func (c *Cluster) Handle(ctx context.Context, call *mtserver.Call) (tl.Object, error) {
	r := &request{Call: call, c: c, now: time.Now()}
	r.method, _ = schema.Name(call.Method)
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
	q, err := api.DecodeRequest(tl.NewDecoder(query))
	if err != nil {
		if _, known := schema.Name(query.TypeID()); known {
			return nil, refuse(400, "INPUT_FETCH_ERROR")
		}
		return nil, refuse(400, "INPUT_METHOD_INVALID_"+strconv.FormatUint(uint64(query.TypeID()), 10))
	}
	r.method = q.TypeName()
	r.ctxMe = r.c.authorised(r.DC, r.AuthKeyID)
	if r.ctxMe == nil && !withoutLogin[r.method] && !r.c.isCDN(r.DC) {
		return nil, refuse(401, "AUTH_KEY_UNREGISTERED")
	}
	if r.ctxMe != nil && r.ctxMe.bot() && usersOnly[r.method] {
		return nil, refuse(400, "BOT_METHOD_INVALID")
	}
	if err := r.fault(); err != nil {
		return nil, err
	}
	verdict := r.flood()
	defer verdict.done()
	if verdict.wait > 0 {
		r.c.stats.wait(verdict.inside)
		kind := "FLOOD_WAIT_"
		if verdict.premium {
			kind = "FLOOD_PREMIUM_WAIT_"
		}
		return nil, refuse(420, kind+strconv.Itoa(verdict.wait))
	}
	result, err := r.dispatch(q)
	if err != nil || r.layer >= schema.Layer {
		return result, err
	}
	return layers.Downgrade(result, r.layer)
}

// withoutLogin are the methods that a key without an account may call.
var withoutLogin = names(`auth.sendCode auth.resendCode auth.cancelCode auth.signIn auth.checkPassword account.getPassword
	auth.importBotAuthorization auth.importAuthorization auth.exportLoginToken auth.importLoginToken
	help.getConfig help.getNearestDc help.getAppConfig help.getCdnConfig`)

// usersOnly are the methods that bots may not call.
var usersOnly = names(`messages.getHistory messages.search messages.getReplies messages.getDialogs messages.getPinnedDialogs
	messages.getPeerDialogs messages.getSearchCounters account.initTakeoutSession`)

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
func (r *request) peel(ctx context.Context) (tl.Raw, error) {
	query := r.Query
	for {
		d := tl.NewDecoder(query)
		switch query.TypeID() {
		case api.InvokeWithLayerRequestID:
			var w api.InvokeWithLayerRequest
			w.Decode(d)
			if d.Err() == nil && (w.Layer < oldestLayer || w.Layer > newestLayer) {
				return nil, refuse(400, "CONNECTION_LAYER_INVALID")
			}
			r.layer = int(w.Layer)
			query, _ = w.Query.(tl.Raw)
		case api.InitConnectionRequestID:
			var w api.InitConnectionRequest
			w.Decode(d)
			if err := r.initConnection(&w, d.Err()); err != nil {
				return nil, err
			}
			query, _ = w.Query.(tl.Raw)
		case api.InvokeWithoutUpdatesRequestID:
			query = query[4:]
		case api.InvokeWithTakeoutRequestID:
			query = query[min(12, len(query)):]
		case api.InvokeAfterMsgRequestID:
			var w api.InvokeAfterMsgRequest
			w.Decode(d)
			if d.Err() == nil && r.WaitFor(ctx, w.MsgID) != nil {
				return nil, refuse(400, "MSG_WAIT_FAILED")
			}
			query, _ = w.Query.(tl.Raw)
		default:
			return query, r.remember()
		}
		if d.Err() != nil || len(query) < 4 {
			return nil, refuse(400, "INPUT_FETCH_ERROR")
		}
	}
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

// fault lets a fault of the scenario strike.
func (r *request) fault() error {
	f, ok := r.c.faults.next(r.method, r.DC, "flood_wait", "error", "file_reference_expired", "short_part", "file_migrate")
	if !ok {
		return nil
	}
	switch f.Kind {
	case "flood_wait":
		r.c.stats.wait(false)
		return refuse(420, "FLOOD_WAIT_"+strconv.Itoa(max(1, f.Seconds)))
	case "error":
		return refuse(f.Code, f.Message)
	case "file_reference_expired":
		r.expireIt = true
	case "short_part":
		r.shortBy = 1000
	case "file_migrate":
		r.migrate()
	}
	return nil
}

func (r *request) flood() floodVerdict {
	if r.ctxMe == nil {
		return floodVerdict{done: func() {}}
	}
	return r.c.flood.ask(r.ctxMe.id, r.ctxMe.cfg.Premium, r.DC, r.method, r.now)
}

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
		return &api.HelpAppConfig{Hash: 1, Config: &api.JsonObject{}}, nil
	case *api.AuthImportBotAuthorizationRequest:
		return r.importBot(q)
	case *api.AuthSendCodeRequest:
		return r.sendCode(q)
	case *api.AuthSignInRequest:
		return r.signIn(q)
	case *api.AuthLogOutRequest:
		return r.logOut()
	case *api.AuthExportAuthorizationRequest:
		return r.exportAuthorization(q)
	case *api.AuthImportAuthorizationRequest:
		return r.importAuthorization(q)
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
		return &api.MessagesPeerDialogs{State: r.state()}, nil
	case *api.ChannelsGetChannelsRequest:
		return r.getChannels(q)
	case *api.ChannelsGetFullChannelRequest:
		return r.getFullChannel(q)
	case *api.MessagesGetChatsRequest:
		return &api.MessagesChats{}, nil
	case *api.MessagesGetSearchCountersRequest:
		return r.searchCounters(q)
	case *api.UpdatesGetStateRequest:
		state := r.state()
		return &state, nil
	case *api.UpdatesGetDifferenceRequest:
		return &api.UpdatesDifferenceEmpty{Date: int32(r.now.Unix()), Seq: 1}, nil
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
	default:
		return nil, refuse(400, "INPUT_METHOD_INVALID_"+strconv.FormatUint(uint64(q.TypeID()), 10))
	}
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
