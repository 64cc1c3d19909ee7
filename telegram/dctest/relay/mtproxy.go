package relay

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/tghaul/haul/mtproto/transport"
)

// mtproxy takes off what the client has wrapped its frames in, and sends them
// on to the DC that it names, as a client of that. Nobody can read them here.
func (r *Relay) mtproxy(ctx context.Context, c net.Conn) (pump, net.Conn, error) {
	inside := c
	if secret := r.cfg.Secret; secret.Domain != "" {
		var err error
		inside, err = transport.AcceptFakeTLS(ctx, c, transport.FakeTLSOptions{Secret: secret, Now: r.cfg.Now, Seen: r.replayed})
		if err != nil {
			return nil, nil, &refusal{BadHello, errors.Join(err, transport.RefuseFakeTLS(c))}
		}
	}
	client, err := transport.Server(inside, transport.ServerOptions{Secret: r.cfg.Secret.Key, MaxPadding: r.cfg.MaxPadding})
	if err != nil {
		return nil, nil, &refusal{BadProtocol, err}
	}
	if r.cfg.Secret.Padded && client.Framing() != transport.PaddedIntermediate {
		return nil, nil, &refusal{BadProtocol, fmt.Errorf("the secret demands padding, the client speaks %v", client.Framing())}
	}
	address, err := r.cfg.Route(client.DC())
	if err != nil {
		return nil, nil, &refusal{BadRoute, err}
	}
	raw, err := r.cfg.Dial(ctx, "tcp", address)
	if err != nil {
		return nil, nil, &refusal{BadRoute, err}
	}
	server, err := transport.Client(raw, transport.Options{Obfuscated: true, DC: client.DC()})
	if err != nil {
		return nil, raw, err
	}
	return func() error {
		return both(client, server, func() error { return relayUp(client, server) }, func() error { return relayDown(client, server) })
	}, raw, nil
}

// replayed reports whether a hello came before, and remembers it.
func (r *Relay) replayed(random [32]byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen[random] {
		return true
	}
	r.seen[random] = true
	return false
}

func alloc(n int) []byte { return make([]byte, n) }

// relayUp carries the client's frames, and what each asks of a quick ack.
func relayUp(client, server *transport.Conn) error {
	for {
		frame, err := client.ReadFrame(alloc)
		switch {
		case err != nil:
			return err
		case client.WantsQuickAck():
			err = server.WriteFrameQuickAck(frame)
		default:
			err = server.WriteFrame(frame)
		}
		if err != nil {
			return err
		}
	}
}

// relayDown carries the server's frames, quick acks and errors.
func relayDown(client, server *transport.Conn) error {
	for {
		frame, err := server.ReadFrame(alloc)
		var status *transport.Error
		var ack *transport.QuickAck
		switch {
		case err == nil:
			err = client.WriteFrame(frame)
		case errors.As(err, &status):
			err = client.WriteError(status.Code)
		case errors.As(err, &ack):
			err = client.WriteQuickAck(ack.Token)
		}
		if err != nil {
			return err
		}
	}
}
