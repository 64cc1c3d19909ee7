package mtserver_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/mtproto/transport"
	"github.com/tghaul/haul/telegram/dctest/internal/mtserver"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

var testRSA = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

// nearest answers help.getNearestDc, and anything else with the error that its
// name asks for.
type nearest struct{}

func (nearest) Handle(_ context.Context, c *mtserver.Call) (tl.Object, error) {
	if c.Method == api.HelpGetNearestDcRequestID {
		return &api.NearestDc{Country: "NL", ThisDC: int32(c.DC), NearestDC: 2}, nil
	}
	return nil, &mtserver.Error{Code: 420, Message: "FLOOD_WAIT_30"}
}

func testInit(q tl.Object) tl.Object {
	return &api.InvokeWithLayerRequest{Layer: 228, Query: &api.InitConnectionRequest{
		APIID: 1, DeviceModel: "test", SystemVersion: "1", AppVersion: "1", SystemLangCode: "en", LangCode: "en", Query: q,
	}}
}

// TestClientAgainstServer lets haul's client and the simulated server, which
// share no code above the wire, talk over each transport, with and without PFS.
func TestClientAgainstServer(t *testing.T) {
	for _, framing := range []transport.Framing{transport.Abridged, transport.Intermediate, transport.PaddedIntermediate, transport.Full} {
		for _, plain := range []bool{false, true} {
			for _, pfs := range []bool{false, true} {
				if framing == transport.Full && !plain {
					continue
				}
				t.Run(fmt.Sprintf("%v plain=%v pfs=%v", framing, plain, pfs), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { talk(t, framing, plain, pfs) })
				})
			}
		}
	}
}

func talk(t *testing.T, framing transport.Framing, plain, pfs bool) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	dc := mtserver.NewDC(mtserver.Config{ID: 2, Test: true, RSA: testRSA(), Handler: nearest{}})
	var serving sync.WaitGroup
	defer serving.Wait()
	defer cancel()
	s, err := mtproto.Connect(ctx, mtproto.Options{
		Endpoints: []mtproto.Endpoint{{DC: 2, Test: true, Address: "memory"}},
		Dial: func(context.Context, string, string) (net.Conn, error) {
			a, b := net.Pipe()
			serving.Go(func() { _ = dc.ServeConn(ctx, b, false) })
			return a, nil
		},
		Framing: framing, Plain: plain, PFS: pfs, TempKeyLifetime: time.Hour,
		PublicKeys: []*crypto.PublicKey{dc.PublicKey()},
		Init:       testInit,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for i := range 20 {
		got, err := mtproto.Call(ctx, s, &api.HelpGetNearestDcRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if got.ThisDC != 2 || got.Country != "NL" {
			t.Fatalf("call %d: got %+v", i, got)
		}
		time.Sleep(10 * time.Minute) // past pings, salts and, with PFS, keys
	}
	_, err = mtproto.Call(ctx, s, &api.UsersGetUsersRequest{})
	var e *mtproto.RPCError
	if !errors.Is(err, mtproto.ErrFloodWait) || !errors.As(err, &e) || e.Arg != 30 || e.Method != "users.getUsers" {
		t.Errorf("got %v, want FLOOD_WAIT_30 of users.getUsers", err)
	}
}
