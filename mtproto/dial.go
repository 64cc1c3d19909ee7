package mtproto

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/tghaul/haul/mtproto/proxy"
	"github.com/tghaul/haul/mtproto/transport"
)

const (
	// stagger is how much later than the one before it an endpoint is tried,
	// if that has not failed earlier (RFC 8305).
	stagger = 250 * time.Millisecond
	// maxRefused is how often in a row a proxy may turn a session away that
	// never had a connection, before that is taken for its last word.
	maxRefused = 2
)

// connection opens one connection and serves it until it breaks.
func (s *Session) connection(ctx context.Context) error {
	before := s.received.Load()
	if err := s.opts.Crowd.wait(ctx); err != nil {
		return err
	}
	raw, endpoint, err := s.reach(ctx)
	if err != nil {
		s.opts.OnFailure(err)
		if ctx.Err() == nil && !s.isReady() && s.opts.GiveUp(err) {
			return fmt.Errorf("%w: %w", ErrUnreached, err)
		}
		return err
	}
	s.mu.Lock()
	s.active, s.answered = endpoint, false
	s.mu.Unlock()
	live := &liveConn{Conn: raw, patience: s.patience(), received: &s.received}
	if !s.isReady() { // nothing big is on its way, for which an answer would have to wait
		live.first = min(live.patience, exchangeTimeout)
	}
	err = s.use(ctx, live, endpoint)
	if s.hasAnswered() || ctx.Err() != nil || errors.Is(err, ErrClosed) {
		return err
	}
	if p := s.opts.Proxy; p != nil && s.received.Load() == before {
		reason := err.Error() // not wrapped: a deadline in it is not the caller's
		if p.Kind == proxy.MTProxy && p.Secret.Domain == "" {
			reason = "or its secret is another; " + reason
		}
		err = p.Fail(proxy.ErrSilent, errors.New(reason))
	}
	s.opts.Routes.note(endpoint.Address, false, time.Now())
	s.opts.OnFailure(err)
	return err
}

// use makes the keys that are missing over a connection, and serves it.
func (s *Session) use(ctx context.Context, raw net.Conn, endpoint Endpoint) error {
	link, err := transport.Client(raw, transport.Options{
		Framing: s.opts.Framing, Obfuscated: !s.opts.Plain, DC: int16(endpoint.WireDC()), Secret: s.secret(endpoint),
	})
	if err != nil {
		_ = raw.Close()
		return err
	}
	defer func() { _ = link.Close() }()
	defer s.disclaim()
	key, err := s.prepareKeys(ctx, link, endpoint)
	if err != nil {
		return err
	}
	return s.serve(ctx, link, key)
}

// secret is what the other end of a connection to an endpoint asks for.
func (s *Session) secret(e Endpoint) transport.Secret {
	if p := s.opts.Proxy; p != nil && p.Kind == proxy.MTProxy {
		return p.Secret
	}
	return e.Secret
}

// candidates are the endpoints to try, in order. To an MTProxy all are one: it
// is told the DC, and finds the address itself.
func (s *Session) candidates() []Endpoint {
	list := s.opts.Endpoints
	if s.opts.Source != nil {
		if now := s.opts.Source(); len(now) > 0 {
			list = now
		}
	}
	if p := s.opts.Proxy; p != nil && p.Kind == proxy.MTProxy {
		return list[:1]
	}
	return s.opts.Routes.order(list)
}

// reach opens a connection to the endpoint that takes one first.
func (s *Session) reach(ctx context.Context) (net.Conn, Endpoint, error) {
	return race(ctx, s.candidates(), func(ctx context.Context, e Endpoint) (net.Conn, error) {
		c, err := s.dial(ctx, e)
		if err != nil && ctx.Err() == nil {
			s.opts.Routes.note(e.Address, false, time.Now())
		}
		return c, err
	})
}

// dial opens a connection to one endpoint, through the proxy and with the
// handshake of fake TLS if there are such.
func (s *Session) dial(ctx context.Context, e Endpoint) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	p := s.opts.Proxy
	open := s.opts.Dial
	if p != nil {
		open = func(ctx context.Context, _, address string) (net.Conn, error) {
			return p.Dial(ctx, s.opts.Dial, address)
		}
	}
	raw, err := open(ctx, "tcp", e.Address)
	if err != nil {
		return nil, err
	}
	secret := s.secret(e)
	if secret.Domain == "" {
		return raw, nil
	}
	s.mu.Lock()
	now := s.clock.at(time.Now())
	s.mu.Unlock()
	c, err := transport.FakeTLS(ctx, raw, secret, now)
	if err == nil {
		return c, nil
	}
	_ = raw.Close()
	if p != nil && p.Kind == proxy.MTProxy && !errors.Is(ctx.Err(), context.Canceled) {
		// A proxy that ends the connection, or says nothing, has not taken the
		// hello either. Not wrapped: a deadline in it is not the caller's.
		return nil, p.Fail(proxy.ErrSecret, errors.New(err.Error()))
	}
	return nil, err
}

// race dials endpoints one after the other, not waiting for the one before for
// longer than stagger. The first connection wins; the others are given up. It
// returns when nothing of it runs any more.
func race(ctx context.Context, list []Endpoint, dial func(context.Context, Endpoint) (net.Conn, error)) (net.Conn, Endpoint, error) {
	type result struct {
		conn     net.Conn
		endpoint Endpoint
		err      error
	}
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan result)
	start := func(e Endpoint) {
		running.Go(func() {
			c, err := dial(ctx, e)
			select {
			case results <- result{c, e, err}:
			case <-ctx.Done():
				if err == nil {
					_ = c.Close() // too late
				}
			}
		})
	}
	turn := time.NewTimer(0)
	defer turn.Stop()
	var failed []error
	for started, ended := 0, 0; ended < len(list); {
		select {
		case <-turn.C:
			if started < len(list) {
				start(list[started])
				started++
				turn.Reset(stagger)
			}
		case r := <-results:
			if r.err == nil {
				return r.conn, r.endpoint, nil
			}
			ended++
			failed = append(failed, r.err)
			if isProxys(r.err) { // the others would end in the same way
				return nil, Endpoint{}, r.err
			}
			turn.Reset(0)
		case <-ctx.Done():
			return nil, Endpoint{}, ctx.Err()
		}
	}
	return nil, Endpoint{}, dialErrors(failed)
}

// dialErrors are what went wrong with one endpoint after the other, in one line.
type dialErrors []error

func (e dialErrors) Error() string {
	const most = 3
	text := make([]string, 0, most+1)
	for i, err := range e {
		if i == most {
			text = append(text, fmt.Sprintf("and %d more", len(e)-most))
			break
		}
		text = append(text, err.Error())
	}
	return strings.Join(text, "; ")
}

func (e dialErrors) Unwrap() []error { return e }

// isProxys says that an error is about the proxy, and not about one address behind it.
func isProxys(err error) bool {
	var e *proxy.Error
	return errors.As(err, &e) && !errors.Is(err, proxy.ErrRefused)
}

// proxyRefusesLocked counts how often a proxy turned a session away that never
// had a connection, and reports whether that is its last word. A session that
// had one goes on trying: proxies come back.
func (s *Session) proxyRefusesLocked(err error) bool {
	if !errors.Is(err, proxy.ErrAuth) && !errors.Is(err, proxy.ErrSecret) && !errors.Is(err, proxy.ErrNotProxy) {
		s.refused = 0
		return false
	}
	s.refused++
	return s.refused >= maxRefused && !s.isReady()
}

func (s *Session) isReady() bool {
	select {
	case <-s.ready:
		return true
	default:
		return false
	}
}

func (s *Session) hasAnswered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answered
}

// answeredLocked notes that the endpoint in use works, and reports whether
// that was news on this connection.
func (s *Session) answeredLocked() bool {
	if s.answered {
		return false
	}
	s.answered = true
	s.opts.Routes.note(s.active.Address, true, time.Now())
	return true
}
